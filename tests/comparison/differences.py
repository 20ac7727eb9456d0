"""Finds what differs between two observations of the same cases."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, cast

ABSENT = "(absent)"
"""Stands for what only the other package has."""

# What cannot be equal: ports, places in memory, and the rest of a timeout.
_UNEQUAL = (
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
    (re.compile(r"port=\d+"), "port=PORT"),
    (re.compile(r"0x[0-9a-f]{6,}"), "0xADDRESS"),
    (re.compile(r"timeout=0\.\d+"), "timeout=SECONDS"),
)


# What an error answer has whatever its class.
_OF_ANY_ERROR = ("message is str", "status_code", "body", "headers", "raw_response")


@dataclass(frozen=True)
class Difference:
    """One difference: in which case, at which place in what was observed, and the two texts."""

    case: str
    place: str
    official: str
    ours: str


def differences(official: str, ours: str) -> Iterator[Difference]:
    """Compare what the program printed with the two packages."""
    left, right = _read(official), _read(ours)
    for name in sorted({*left, *right}, key=[*left, *right].index):
        for place, one, other in _compare("", left.get(name, ABSENT), right.get(name, ABSENT)):
            yield Difference(name, place, _text(one), _text(other))


def _read(printed: str) -> dict[str, Any]:
    for pattern, replacement in _UNEQUAL:
        printed = pattern.sub(replacement, printed)
    cases: dict[str, Any] = json.loads(printed)
    return cases


def _compare(place: str, one: object, other: object) -> Iterator[tuple[str, object, object]]:
    """Walk both observations together."""
    if one == other:
        return
    if isinstance(one, dict) and isinstance(other, dict):
        yield from _compare_members(place, cast("dict[str, object]", one), cast("dict[str, object]", other))
    elif isinstance(one, list) and isinstance(other, list) and place == "/requests":
        requests = zip_longest(cast("list[object]", one), cast("list[object]", other), fillvalue=ABSENT)
        for number, (left, right) in enumerate(requests):
            yield from _compare(f"{place}/{number}", left, right)
    else:
        yield place, one, other


def _compare_members(
    place: str, one: dict[str, object], other: dict[str, object]
) -> Iterator[tuple[str, object, object]]:
    """Compare two objects; of two steps that ended differently, not what follows from how they ended."""
    names = list(dict.fromkeys([*one, *other]))
    if any(one.get(name) != other.get(name) for name in ("outcome", "class")):
        yield place, one, other
        both_are_errors = one.get("outcome") == other.get("outcome") == "raised an error answer"
        names = [name for name in names if name in _OF_ANY_ERROR] if both_are_errors else []
    for name in names:
        yield from _compare(f"{place}/{name}", one.get(name, ABSENT), other.get(name, ABSENT))


def _text(observed: object) -> str:
    """Write an observation on one line; of a whole outcome, what it comes to."""
    if isinstance(observed, dict):
        seen = cast("dict[str, Any]", observed)
        if "outcome" in seen:
            return f"{seen['outcome']} {seen['class']}: {seen.get('str', seen.get('repr'))}"
        if "target" in seen:
            return f"{seen['method']} {seen['target']}"
    return observed if isinstance(observed, str) else json.dumps(observed)
