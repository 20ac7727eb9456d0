"""Tells what differs, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from .differences import Difference
from .known import KNOWN, Known, Rule, known

_WIDTH = 200
"""How many characters of a text are shown."""

Merged = dict[str, dict[Difference, list[str]]]
"""Differences by the name of their case, each with the modes in which it occurs."""


def by_case(found: Iterable[Difference]) -> Merged:
    """Put together what differs in the same way in both modes of a case."""
    merged: Merged = {}
    for difference in found:
        name, _, mode = difference.case.removesuffix("]").rpartition(" [")
        same = Difference(name, difference.place, difference.official, difference.ours)
        merged.setdefault(name, {}).setdefault(same, []).append(mode)
    return merged


def lines(merged: Merged, stale: Sequence[tuple[Known, Rule]]) -> Iterator[str]:
    """Give the report: the differences case by case, and the summary."""
    counts: Counter[str] = Counter()
    unknown = 0
    for name, different in merged.items():
        yield f"\n{name}"
        for difference, modes in different.items():
            purpose = known(difference)
            if purpose is None:
                unknown += 1
            else:
                counts[purpose.id] += 1
            yield from _difference(difference, modes, "UNKNOWN" if purpose is None else purpose.id)
    yield from _summary(counts, unknown, stale)


def _difference(difference: Difference, modes: Sequence[str], label: str) -> Iterator[str]:
    yield f"  {difference.place.removeprefix('/')} ({', '.join(modes)}): {label}"
    yield f"    official: {_shown(difference.official)}"
    yield f"    ours:     {_shown(difference.ours)}"


def _shown(text: str) -> str:
    line = text.encode("unicode_escape").decode("ascii")
    return line if len(line) <= _WIDTH else f"{line[:_WIDTH]}... ({len(line) - _WIDTH} more characters)"


def _summary(counts: Counter[str], unknown: int, stale: Sequence[tuple[Known, Rule]]) -> Iterator[str]:
    yield "\nOn purpose:"
    for each in KNOWN:
        yield f"\n  {each.id} ({counts[each.id]} times)\n    {each.what}\n    Why: {each.why}"
    for each, rule in stale:
        yield f"\nNo longer different, so take it out of the table: {each.id}: {rule}"
    total = sum(counts.values())
    yield f"\n{total} differences on purpose, {unknown} unknown, {len(stale)} rules for what does not differ."
