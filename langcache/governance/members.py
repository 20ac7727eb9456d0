"""Members: the plugins that a client is asked to have, each under its name, with what became of it."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ..errors import PluginError
from .choice import Wish
from .discovery import PLUGIN_GROUP, installed, suggestion
from .ordering import Layer

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


@dataclass
class Member:
    """A plugin that is asked for; `by` says what asks for it."""

    name: str
    by: str
    plugin: object = None
    """None while it is not loaded."""
    installed_as: str | None = None
    """The name of its entry point, where it is asked for by that."""
    entry_point: EntryPoint | None = None
    problem: str | None = None
    """Why the client is without it, as the rest of a sentence that begins with its name; None where it has it."""


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

    A name is the entry point's, or what the object has as `name`, or else its class's or its module's. The built-in
    ones keep theirs; the second of the others that has a name gets "#2" behind it.
    """
    taken = set(built_in)
    members: dict[str, Member] = {}
    for plugin, by in wishes:
        name = _free(plugin if isinstance(plugin, str) else name_of(plugin), taken)
        taken.add(name)
        members[name] = (
            Member(name, by, installed_as=plugin) if isinstance(plugin, str) else Member(name, by, plugin=plugin)
        )
    return members


def name_of(plugin: object) -> str:
    """Return the name that a plugin object has by itself."""
    if inspect.ismodule(plugin):
        return plugin.__name__
    own = getattr(plugin, "name", None)
    return own if isinstance(own, str) and own and own.isprintable() else type(plugin).__name__


def _free(name: str, taken: Collection[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}#{number}"
    return free


def excluded_by(without: Iterable[str], known: Collection[str]) -> list[Excluded]:
    """Return what `without` names, of the plugins that are known or installed; raises PluginError for anything else."""
    excluded: list[Excluded] = []
    for text in without:
        plugin, _, hook = text.rpartition(".")
        if is_known(text, known):
            excluded.append(Excluded(text))
        elif plugin and is_known(plugin, known):
            excluded.append(Excluded(plugin, hook))
        else:
            raise unknown("without", text, known)
    return excluded


def is_known(name: str, known: Collection[str]) -> bool:
    """Say whether there is a plugin of that name: among the client's, or else among those that are installed."""
    return name in known or name in installed(PLUGIN_GROUP)


def unknown(argument: str, name: str, known: Iterable[str]) -> PluginError:
    """Return the error that says which names there are instead of `name`."""
    there = list(known)
    near = suggestion(name, there)
    return PluginError(f"{argument}: there is no plugin {name!r}{near}; there are {', '.join(there)}")
