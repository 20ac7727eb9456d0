"""What is asked for: the arguments that say which plugins a client is to have, together with the environment's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from ..config import environment_plugins, plugins_are_disabled
from ..errors import PluginError
from .discovery import PLUGIN_GROUP, installed
from .ordering import Move, checked_order

BY_ARGUMENT: Final = "plugins"
"""What asks for a plugin where the program itself does."""

DISABLED: Final = "is turned off by LANGCACHE_DISABLE_PLUGINS"


class Wish(NamedTuple):
    """A plugin that is asked for: an object, or the name of an installed one; and what asks for it."""

    plugin: object
    by: str


@dataclass(frozen=True)
class PluginChoice:
    """Which plugins a client is to have, and how they stand."""

    wishes: tuple[Wish, ...] = ()
    """In the order in which they are registered; a name stands there once."""
    required: bool | frozenset[str] = False
    """Whether all of them have to be there, or the names of those that have to."""
    without: tuple[str, ...] = ()
    """The names of the plugins that are left out, and of single hooks of plugins."""
    order: tuple[Move, ...] = ()
    disabled: bool = False
    """Whether the environment turns all plugins off that are not built in."""


NOTHING_ASKED: Final = PluginChoice()


def read_plugin_choice(
    plugins: Iterable[object] = (),
    *,
    autoload: bool = False,
    required: bool | Iterable[str] = False,
    without: Iterable[str] = (),
    order: Mapping[str, str] | None = None,
) -> PluginChoice:
    """Combine a client's arguments with the environment; raises PluginError where one of them cannot be meant.

    Nothing is loaded, and whether there is what they name is not looked at.
    """
    if isinstance(plugins, str) or not isinstance(plugins, Iterable):
        raise PluginError(f"plugins must be a list of plugins or of their names, not {type(plugins).__name__}")
    if not isinstance(autoload, bool):
        raise PluginError(f"autoload must be True or False, not {autoload!r}; to load some, name them in plugins")
    return PluginChoice(
        wishes=tuple(_once(_wishes(plugins, autoload))),
        required=required if isinstance(required, bool) else frozenset(_names("required", required, "True or ")),
        without=tuple(_names("without", without)),
        order=checked_order(order),
        disabled=plugins_are_disabled(),
    )


def _wishes(plugins: Iterable[object], autoload: bool) -> Iterator[Wish]:
    for plugin in plugins:
        yield Wish(plugin, BY_ARGUMENT)
    for name in environment_plugins():
        yield Wish(name, "LANGCACHE_PLUGINS")
    if autoload:
        for name in installed(PLUGIN_GROUP):
            yield Wish(name, "autoload")


def _once(wishes: Iterable[Wish]) -> Iterator[Wish]:
    """Yield the wishes without those for a name that was asked for already."""
    seen: set[str] = set()
    for wish in wishes:
        if isinstance(wish.plugin, str):
            if wish.plugin in seen:
                continue
            seen.add(wish.plugin)
        yield wish


def _names(argument: str, given: Any, alternative: str = "") -> list[str]:
    wrong = type(given).__name__
    if not isinstance(given, str) and isinstance(given, Iterable):
        names = list(cast("Iterable[object]", given))
        strange = [type(name).__name__ for name in names if not isinstance(name, str)]
        if not strange:
            return cast("list[str]", names)
        wrong = f"one with {strange[0]} in it"
    raise PluginError(f"{argument} must be {alternative}a list of names of plugins, not {wrong}")
