"""Explanation: what is active in a client, in lines for people; what could be a secret is not shown."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, cast

from ..errors import describe
from .distributions import OWN, Distributions, module_of
from .masking import in_one_line, masked, printable, shown
from .members import Member, Stages
from .ordering import Layer
from .registry import TRANSPORT_HOOKS
from .roster import Roster


class Sender(NamedTuple):
    """What sends a client's calls."""

    calls: str
    """Which calls these are."""
    transport: object | None
    reason: str = ""


def explain(roster: Roster, stages: Stages, senders: Iterable[Sender], connections: Mapping[str, object]) -> str:
    """Say what a call passes, outermost first, what sends it and why, and which plugins fail or are left out."""
    distributions = Distributions()
    width = max((len(layer.plugin) for stage in stages for layer in stage), default=0)
    lines = ["Once a call:"]
    for layer in stages.call:
        lines += _layer(layer, roster.members.get(layer.plugin), distributions, width)
    lines.append("Once an attempt:")
    for layer in stages.attempt:
        lines += _layer(layer, roster.members.get(layer.plugin), distributions, width)
    lines.append("Sent by:")
    for sender in senders:
        lines += _sender(sender, distributions)
    if connections:
        lines.append(f"  with {_listed(connections)}")
    lines += _titled("Offering transports:", _offering(roster, distributions))
    lines += _titled("Failing:", _failing(roster))
    lines += _titled("Left out:", _left_out(roster))
    return "\n".join(map(printable, lines))


def _titled(title: str, lines: Iterable[str]) -> list[str]:
    """Return the lines below their title, or nothing where there are none."""
    there = list(lines)
    return [title, *there] if there else []


def _layer(layer: Layer, member: Member | None, distributions: Distributions, width: int) -> Iterator[str]:
    origin = OWN if member is None else _origin(member, distributions)
    yield f"  {layer.plugin:<{width}}  {describe(layer.middleware)} ({origin})"
    options = _options(layer.middleware, None if member is None else member.plugin)
    if options:
        yield f"  {'':<{width}}    {options}"


def _origin(member: Member, distributions: Distributions) -> str:
    entry_point = member.entry_point
    found = distributions.of(module_of(member.plugin)) if entry_point is None else distributions.offering(entry_point)
    return f"{found}, asked for by {member.by}"


def _sender(sender: Sender, distributions: Distributions) -> Iterator[str]:
    if sender.transport is None:
        yield f"  {sender.calls}: none{sender.reason}"
        return
    origin = distributions.of(type(sender.transport).__module__)
    yield f"  {sender.calls}: {describe(sender.transport)} ({origin}){sender.reason}"
    options = _options(sender.transport)
    if options:
        yield f"    {options}"


def _offering(roster: Roster, distributions: Distributions) -> Iterator[str]:
    for member in roster.members.values():
        if roster.has_hook(member.name, TRANSPORT_HOOKS):
            yield f"  {member.name}: {describe(member.plugin)} ({_origin(member, distributions)})"


def _failing(roster: Roster) -> Iterator[str]:
    for member in roster.members.values():
        if member.fault is not None:
            yield f"  {member.name}: it {member.fault}"


def _left_out(roster: Roster) -> Iterator[str]:
    for member in roster.members.values():
        if member.problem is not None:
            yield f"  {member.name}: it {member.problem}"
    for excluded in roster.excluded:
        if excluded.plugin in roster.names and not (excluded.hook is None and excluded.plugin in roster.members):
            yield f"  {excluded}: it is left out by without"


def _options(*things: object) -> str:
    """Return the options that the first of these tells with a method `options()`, or nothing."""
    for thing in things:
        for owner in (thing, getattr(thing, "__self__", None)):
            tell = getattr(owner, "options", None)
            if tell is None or inspect.isclass(owner) or not callable(tell):
                continue
            try:
                told: object = tell()
                if isinstance(told, Mapping):
                    return _listed(cast("Mapping[str, object]", told))
            except Exception as error:  # noqa: BLE001 - a stranger's mistake must not end the explanation
                return f"its options cannot be told: {type(error).__name__}"
    return ""


def _listed(options: Mapping[str, object]) -> str:
    return ", ".join(f"{in_one_line(masked(str(name)))}={shown(value, str(name))}" for name, value in options.items())
