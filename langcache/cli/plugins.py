"""``langcache plugins``: which plugins and transports are installed, which are active and by what, and which broken."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

from .. import LangCache
from ..client import members_of
from ..config import plugins_are_disabled, read_settings
from ..errors import ConfigurationError
from ..governance.choice import DISABLED, read_plugin_choice
from ..governance.discovery import BUILT_IN_TRANSPORTS, PLUGIN_GROUP, TRANSPORT_GROUP, installed
from ..governance.distributions import Distributions
from ..governance.masking import in_one_line
from ..governance.members import Member
from ..plugins import Plugins
from .connection import silent_log

if TYPE_CHECKING:
    from .connection import Commands

_DESCRIPTION = """\
List the transports and plugins that are installed, each with its distribution, and the plugins with whether they are
active and what asks for them: LANGCACHE_PLUGINS, or --autoload. Those alone are loaded. Then tell what a client has
that is made in this environment. The exit status is 1 where a plugin that is asked for is missing or broken, or no
client can be made."""

Row = tuple[str, str, str, str]


def add_to(commands: Commands) -> None:
    """Add this command to the parser's `commands`."""
    parser = commands.add_parser(
        "plugins", help="list what is installed, and what is active in a client", description=_DESCRIPTION
    )
    parser.add_argument(
        "--autoload", action="store_true", help="load all installed plugins, as LangCache(autoload=True) does"
    )
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> int:
    with silent_log():
        return _tell(bool(chosen.autoload))


def _tell(autoload: bool) -> int:
    members, lines, is_made = _client(autoload)
    distributions = Distributions()
    _show("Transports", _transports(distributions))
    _show("Plugins", _plugins(members, distributions))
    print("A client in this environment")
    for line in lines:
        print(f"  {line}")
    broken = [member for member in members.values() if member.problem not in (None, DISABLED) or member.fault]
    return 1 if broken or not is_made else 0


def _client(autoload: bool) -> tuple[Mapping[str, Member], list[str], bool]:
    """Return the plugins of a client in this environment, what is to be told of it, and whether it can be made."""
    try:
        with closing(LangCache(autoload=autoload)) as client:
            return members_of(client), client.explain().splitlines(), True
    except ConfigurationError as error:
        return _members_alone(autoload), [f"cannot be made: {in_one_line(str(error))}"], False


def _members_alone(autoload: bool) -> Mapping[str, Member]:
    """Return the plugins as far as they can be told where there is no client."""
    loaded = Plugins(read_plugin_choice(autoload=autoload))
    loaded.stages(read_settings())  # some are found broken only when they are asked for their middleware
    return loaded.roster.members


def _show(title: str, rows: Iterable[Row]) -> None:
    listed = list(rows)
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    print(title)
    for row in listed:
        print("  " + "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
    print("" if listed else "  none\n")


def _transports(distributions: Distributions) -> Iterator[Row]:
    for name, module in BUILT_IN_TRANSPORTS.items():
        yield name, module, distributions.of(module), ""
    for name, offered in installed(TRANSPORT_GROUP).items():
        for entry_point in offered:
            if entry_point.value not in BUILT_IN_TRANSPORTS.values():
                yield name, entry_point.value, distributions.offering(entry_point), _state_of_transport(name, offered)


def _state_of_transport(name: str, offered: Iterable[EntryPoint]) -> str:
    if name in BUILT_IN_TRANSPORTS:
        return "not used: the name is langcache's own"
    if len(list(offered)) > 1:
        return "not used: several distributions offer it"
    return f"it {DISABLED}" if plugins_are_disabled() else ""


def _plugins(members: Mapping[str, Member], distributions: Distributions) -> Iterator[Row]:
    asked = {member.installed_as: member for member in members.values()}
    there = installed(PLUGIN_GROUP)
    for name, offered in there.items():
        for entry_point in offered:
            yield name, entry_point.value, distributions.offering(entry_point), _state(asked.get(name))
    for member in members.values():
        if member.installed_as is not None and member.installed_as not in there:
            yield member.installed_as, "", "", _state(member)


def _state(member: Member | None) -> str:
    if member is None:
        return "not asked for"
    asked = f"asked for by {member.by}"
    if member.problem is not None:
        return f"left out, {asked}: it {member.problem}"
    return f"active, {asked}" + (f"; it {member.fault}" if member.fault else "")
