"""``langcache plugins``: which plugins and transports are installed, which are active and by what, and which broken."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

from .. import LangCache
from ..config import plugins_are_disabled, read_settings
from ..errors import ConfigurationError
from ..governance.choice import DISABLED, read_plugin_choice
from ..governance.discovery import BUILT_IN_TRANSPORTS, PLUGIN_GROUP, TRANSPORT_GROUP, installed
from ..governance.distributions import Distributions
from ..governance.members import Member
from ..plugins import Plugins

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
    logger, quiet = logging.getLogger("langcache"), logging.NullHandler()
    logger.addHandler(quiet)  # what the log would warn of is told here
    try:
        return _tell(bool(chosen.autoload))
    finally:
        logger.removeHandler(quiet)


def _tell(autoload: bool) -> int:
    loaded = Plugins(read_plugin_choice(autoload=autoload))
    loaded.stages(read_settings())  # some are found broken only when they are asked for their middleware
    members = loaded.roster.members
    distributions = Distributions()
    _show("Transports", _transports(distributions))
    _show("Plugins", _plugins(members, distributions))
    broken = [member for member in members.values() if member.problem not in (None, DISABLED)]
    is_made = _show_client(autoload)
    return 1 if broken or not is_made else 0


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
    return f"active, {asked}" if member.problem is None else f"left out, {asked}: it {member.problem}"


def _show_client(autoload: bool) -> bool:
    """Show what a client has that is made in this environment, and say whether one can be made."""
    print("A client in this environment")
    try:
        with LangCache(autoload=autoload) as client:
            lines = client.explain().splitlines()
    except ConfigurationError as error:
        print(f"  cannot be made: {error}")
        return False
    for line in lines:
        print(f"  {line}")
    return True
