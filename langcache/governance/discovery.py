"""Discovery: which plugins and transports are installed. One is loaded when it is asked for, and not before."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

from ..errors import PluginError
from ..logs import WARN
from .masking import said

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PLUGIN_GROUP: Final = "langcache.plugins"
"""The entry point group of plugins; an entry point's name is the plugin's."""

TRANSPORT_GROUP: Final = "langcache.transports"
"""The entry point group of transports; an entry point's name is the transport's."""

BUILT_IN_TRANSPORTS: Final[Mapping[str, str]] = {
    name: f"langcache_transports.{name}"
    for name in ("aiohttp", "embedded", "requests", "supplied", "threaded", "urllib3")
}
"""The modules of the built-in transports by name. They need no metadata, which bundles and copies of the code have not,
and no other distribution can take their names: the default transport is not to be another one because something was
installed."""


class Unusable(PluginError):
    """Something is wrong with a plugin; the text goes on a sentence that begins with the plugin's name."""


def installed(group: str) -> Mapping[str, Sequence[EntryPoint]]:
    """Return the entry points of `group` by name: one each, unless distributions offer different things under it."""
    return _installed(group, tuple(sys.path))


@lru_cache(maxsize=8)
def _installed(group: str, _search_path: Sequence[str]) -> Mapping[str, Sequence[EntryPoint]]:
    # Reading all installed distributions takes milliseconds, so it is done once for each state of sys.path; and so does
    # importing what reads them, which most programs never need.
    from importlib.metadata import entry_points

    found: dict[str, dict[str, EntryPoint]] = {}
    try:
        for entry_point in entry_points(group=group):
            # A directory in development has its metadata twice, for pip and for setuptools.
            found.setdefault(entry_point.name, {}).setdefault(entry_point.value, entry_point)
    except Exception as error:  # noqa: BLE001 - the metadata is anybody's, and may be damaged in any way
        line = "The entry points of the installed distributions cannot be read: %r"
        WARN(line, error, event="entry_points_unreadable", error=type(error).__name__)
    return {name: tuple(offered.values()) for name, offered in sorted(found.items())}


def find(group: str, name: str) -> EntryPoint:
    """Return the entry point of that name; raises Unusable where there is none, or several different ones."""
    there = installed(group)
    offered = there.get(name, ())
    if not offered:
        raise Unusable(f"is not installed{suggestion(name, there)}; installed are {', '.join(there) or 'none'}")
    if len(offered) > 1:
        raise Unusable(f"is offered by several distributions: {', '.join(map(source_of, offered))}; keep one of them")
    return offered[0]


def load(source: EntryPoint | str) -> object:
    """Return what an entry point names, or a module by its name; raises Unusable, from the reason, where that fails."""
    try:
        return import_module(source) if isinstance(source, str) else source.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module that ends the process when it is imported is broken, no more
        value = source if isinstance(source, str) else source.value
        raise Unusable(f"cannot be loaded ({value}): {said(error)}") from error


def source_of(entry_point: EntryPoint) -> str:
    """Return the distribution that offers `entry_point`, and what it names there."""
    distribution = entry_point.dist
    if distribution is None or "Name" not in distribution.metadata:
        return entry_point.value
    return f"{distribution.name} ({entry_point.value})"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a question that names what `name` is near to among the known ones, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
