"""Members: the plugins that a client is asked to have, each under its name, with what became of it."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..errors import PluginError, describe
from ..logs import WARN
from .choice import BY_ARGUMENT, Wish
from .discovery import PLUGIN_GROUP, installed, suggestion
from .ordering import Layer

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@dataclass
class Member:
    """A plugin that is asked for; `by` says what asks for it."""

    name: str
    """Its own in the client: the second that is called the same has a number behind it."""
    called: str
    """What it is called by whoever asks for it."""
    by: str
    plugin: object = None
    """None while it is not loaded."""
    installed_as: str | None = None
    """The name of its entry point, where it is asked for by that."""
    entry_point: EntryPoint | None = None
    problem: str | None = None
    """Why the client is without it, as the rest of a sentence that begins with its name; None where it has it."""
    fault: str | None = None
    """What fails in it although the client has it, as the rest of such a sentence too."""


class Stages(NamedTuple):
    """The middleware of a client, outermost first."""

    call: list[Layer]
    """What sees a call once."""
    attempt: list[Layer]
    """What sees every attempt of a call."""


class Excluded(NamedTuple):
    """What the argument `without` leaves out: a plugin, or a hook of it."""

    plugin: str
    hook: str | None = None

    def __str__(self) -> str:
        return self.plugin if self.hook is None else f"{self.plugin}.{self.hook}"


def members_of(wishes: Iterable[Wish], built_in: Iterable[str]) -> dict[str, Member]:
    """Return the plugins that are asked for by their names.

    A name is the entry point's, or what the object has as `name`, or else its class's or its module's; the second that
    has a name gets "#2" behind it. Raises PluginError where a program asks for one that has the name of a built-in one:
    `required`, `order` and `without` would mean that.
    """
    own = frozenset(built_in)
    taken = set(own)
    members: dict[str, Member] = {}
    for plugin, by in wishes:
        called = plugin if isinstance(plugin, str) else name_of(plugin)
        if called in own and by == BY_ARGUMENT:
            raise PluginError(f"The plugin {_shown(plugin)} {name_taken(called)}")
        name = _free(called, taken)
        taken.add(name)
        if isinstance(plugin, str):
            members[name] = Member(name, called, by, installed_as=plugin)
        else:
            members[name] = Member(name, called, by, plugin=plugin)
    return members


def name_taken(name: str) -> str:
    """Say what is wrong with a plugin that has the name of a built-in one, as the rest of a sentence."""
    return f"is called {name!r}, which is the name of a built-in one; give it one that is its own"


def _shown(plugin: object) -> str:
    return repr(plugin) if isinstance(plugin, str) else describe(plugin)


def members_called(name: str, members: Mapping[str, Member]) -> list[Member]:
    """Return the plugins that a name may mean."""
    return [member for member in members.values() if name in (member.name, member.called)]


def refuse_ambiguous(argument: str, name: str, members: Mapping[str, Member]) -> None:
    """Raise PluginError where `name` may mean several of the plugins that are asked for."""
    meant = members_called(name, members)
    if len(meant) > 1:
        asking = " and ".join(f"one that {member.by} asks for" for member in meant)
        raise PluginError(f"{argument}: {name!r} may be {asking}; give each a name of its own")


def name_of(plugin: object) -> str:
    """Return the name that a plugin object has by itself."""
    if inspect.ismodule(plugin):
        return plugin.__name__
    try:
        own = getattr(plugin, "name", None)
    except Exception as error:
        raise PluginError(f"The plugin {describe(plugin)} cannot tell its name: {type(error).__name__}") from error
    return own if isinstance(own, str) and own and own.isprintable() else type(plugin).__name__


def _free(name: str, taken: Collection[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}#{number}"
    return free


def excluded_by(without: Iterable[str], known: Collection[str]) -> list[Excluded]:
    """Return what `without` names, of the plugins that are known or installed.

    What is neither need not be left out; a warning tells where another name may have been meant.
    """
    excluded: list[Excluded] = []
    for text in without:
        plugin, _, hook = text.rpartition(".")
        if is_known(text, known):
            excluded.append(Excluded(text))
        elif plugin and is_known(plugin, known):
            excluded.append(Excluded(plugin, hook))
        else:
            _warn_of_misspelt(text, known)
    return excluded


def _warn_of_misspelt(text: str, known: Iterable[str]) -> None:
    near = suggestion(text, known)
    if near:
        WARN("without: there is no plugin %r%s", text, near, event="plugin_unknown", plugin=text)


def is_known(name: str, known: Collection[str]) -> bool:
    """Say whether there is a plugin of that name: among the client's, or else among those that are installed."""
    return name in known or name in installed(PLUGIN_GROUP)


def unknown(argument: str, name: str, known: Iterable[str]) -> PluginError:
    """Return the error that says which names there are instead of `name`."""
    there = list(known)
    near = suggestion(name, there)
    return PluginError(f"{argument}: there is no plugin {name!r}{near}; there are {', '.join(there)}")
