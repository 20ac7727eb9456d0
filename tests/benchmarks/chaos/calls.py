"""The calls of the soak: searches, sets and deletes, each with an answer that nobody else gets."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from langcache.policies import OnFailure

Arguments = dict[str, Any]
IsOwn = Callable[[Any], bool]


@dataclass(frozen=True)
class Call:
    """A call, and whether a result of it is its own."""

    operation: str
    arguments: Arguments
    is_own: IsOwn
    rest: float
    """How many seconds the caller does other things afterwards."""
    rest_of_the_refused: float
    """The same where the circuit breaker did not let the call through."""


def mixed(caller: str, seed: int) -> Iterator[Call]:
    """Give calls without end: 60 % searches, 25 % sets and 15 % deletes, half of them with ``on_failure="miss"``."""
    chance = random.Random(f"{caller} {seed}")  # noqa: S311 - it is to be the same every time
    number = 0
    while True:
        number += 1
        on_failure: OnFailure = "miss" if chance.random() < 0.5 else "raise"
        (make,) = chance.choices((_search, _set, _delete_query, _delete_by_id), (60, 25, 8, 7))
        arguments, is_own = make(f"{caller}-{number}", number)
        if make is not _delete_by_id:  # its result says nothing, not even whether it was served
            arguments["on_failure"] = on_failure
        yield Call(make.__name__[1:], arguments, is_own, chance.uniform(0, 0.02), 0.05)


def searches(caller: str) -> Iterator[Call]:
    """Give searches without end, one right after another."""
    number = 0
    while True:
        number += 1
        yield Call("search", *_search(f"{caller}-{number}", number), 0, 0)


def _search(name: str, number: int) -> tuple[Arguments, IsOwn]:
    def is_own(result: Any) -> bool:
        return [(entry.prompt, entry.response) for entry in result.data] == [(name, name[::-1])]

    return {"prompt": name}, is_own


def _set(name: str, number: int) -> tuple[Arguments, IsOwn]:
    return {"prompt": name, "response": name[::-1]}, lambda result: bool(result.entry_id == name)


def _delete_query(name: str, number: int) -> tuple[Arguments, IsOwn]:
    attributes = {"name": name, "number": str(number)}
    return {"attributes": attributes}, lambda result: bool(result.deleted_entries_count == number)


def _delete_by_id(name: str, number: int) -> tuple[Arguments, IsOwn]:
    return {"entry_id": name}, lambda result: result is None
