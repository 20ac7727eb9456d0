"""Clients over a transport that has the answer already, which take turns: so what is measured is our own work alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from langcache import LangCache, Request, Response

CALLS: Final = 200
"""How many calls a round has."""

_ALIKE: Final = 7
"""How many clients are set up in the same way."""


class Null:
    """A transport that has the answer already."""

    ends_in_time = True

    answer = Response(200, {"Content-Type": "application/json"}, b'{"data":[]}')

    def send(self, request: Request) -> Response:
        """Return it."""
        return self.answer

    def close(self) -> None:
        """Do nothing."""


Setup = Callable[[], dict[str, Any]]
"""Makes the arguments of a client."""


def microseconds(setups: Mapping[str, Setup], rounds: int) -> dict[str, float]:
    """Return how many microseconds a call takes with clients of each kind.

    Of each client, the fastest of many short rounds counts, because whatever else the machine does only makes a round
    slower; and of those that are alike the median, because where in memory a client lies makes tenths of a microsecond.
    """
    clients = [(name, client_of(**make())) for _ in range(_ALIKE) for name, make in setups.items()]
    best = [float("inf")] * len(clients)
    for turn in range(rounds):
        for index in range(len(clients)) if turn % 2 else reversed(range(len(clients))):
            best[index] = min(best[index], _round(clients[index][1]))
    found: dict[str, list[float]] = {}
    for (name, _), fastest in zip(clients, best, strict=True):
        found.setdefault(name, []).append(fastest)
    return {name: statistics.median(alike) for name, alike in found.items()}


def client_of(**arguments: Any) -> LangCache:
    """Return a client with such a transport."""
    return LangCache("http://cache.example", "k", "c", transport=Null(), **arguments)


def _round(client: LangCache) -> float:
    search = client.search
    begun = time.perf_counter()
    for _ in range(CALLS):
        search(prompt="How does semantic caching work?")
    return (time.perf_counter() - begun) / CALLS * 1e6
