"""Those who call: threads with sync calls, and tasks with async ones, and what became of their calls."""

from __future__ import annotations

import asyncio
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Any, NamedTuple

from langcache import LangCache
from langcache.errors import CircuitOpen, LangCacheError
from tests.benchmarks.lag import waited_for_core

from .calls import Call

DEADLINE_MS = 500


class Start(NamedTuple):
    """When a call began, on the monotonic clock, and how long its thread had waited for a core by then."""

    at: float
    waited: float

    @classmethod
    def now(cls) -> Start:
        """Return this moment."""
        return cls(time.monotonic(), waited_for_core())


class Overrun(NamedTuple):
    """A call that ended after its deadline: the two moments on the monotonic clock, and what it was."""

    due: float
    ended: float
    waited: float
    """How many seconds its thread waited for a core during the call."""
    what: str


@dataclass
class Tally:
    """What became of calls; each caller has its own."""

    elapsed: array[float] = field(default_factory=lambda: array("d"))
    """How many seconds each took, but for those that the circuit breaker did not let through."""
    refused: int = 0
    """How many the circuit breaker did not let through."""
    served: int = 0
    degraded: Counter[str] = field(default_factory=Counter[str])
    """By the class of the error in whose place the result stands."""
    failed: Counter[str] = field(default_factory=Counter[str])
    attempts: int = 0
    """How often those that failed were attempted."""
    overruns: list[Overrun] = field(default_factory=list[Overrun])
    wrong: list[str] = field(default_factory=list[str])
    """What should never be: an answer of another call's, an exception that is not the package's."""

    @property
    def calls(self) -> int:
        """How many there were."""
        return len(self.elapsed) + self.refused

    def take(self, call: Call, start: Start, result: object) -> float:
        """Take note of what a call returned or raised, and return for how many seconds its caller rests."""
        ended = time.monotonic()
        outcome = self._outcome(call, result)
        due = start.at + DEADLINE_MS / 1000
        if ended > due:
            waited = waited_for_core() - start.waited
            self.overruns.append(Overrun(due, ended, waited, f"{call.operation}: {outcome}"))
        if outcome == CircuitOpen.__name__:
            self.refused += 1
            return call.rest_of_the_refused
        self.elapsed.append(ended - start.at)
        return call.rest

    def _outcome(self, call: Call, result: object) -> str:
        if isinstance(result, BaseException):
            return self._failure(call, result)
        metadata = getattr(result, "metadata", None)
        if metadata is not None and metadata.degraded is not None:
            return self._count(self.degraded, metadata.degraded)
        is_own = call.is_own(result)
        if not is_own or (metadata is not None and metadata.server_request_id != metadata.request_id):
            self.wrong.append(f"{call.operation}: the answer is another call's: {result!r}")
        self.served += 1
        return "served"

    def _failure(self, call: Call, error: BaseException) -> str:
        if not isinstance(error, LangCacheError):
            self.wrong.append(f"{call.operation}: {error!r}")
        elif error.status_code and error.request_id != error.client_request_id:
            self.wrong.append(f"{call.operation}: the error is another call's: {error!r}")
        else:
            self.attempts += error.attempts or 0
        return self._count(self.failed, error)

    def _count(self, counts: Counter[str], error: BaseException) -> str:
        status = getattr(error, "status_code", 0)
        name = type(error).__name__ + (f" {status}" if status else "")
        counts[name] += 1
        return name


def merged(tallies: Iterable[Tally]) -> Tally:
    """Return what all callers have noted."""
    whole = Tally()
    for tally in tallies:
        whole.elapsed.extend(tally.elapsed)
        whole.refused += tally.refused
        whole.served += tally.served
        whole.degraded += tally.degraded
        whole.failed += tally.failed
        whole.attempts += tally.attempts
        whole.overruns += tally.overruns
        whole.wrong += tally.wrong
    return whole


Calls = Callable[[int], Iterator[Call]]
"""Gives the calls of the caller of that number."""


def for_seconds(calls: Calls, seconds: float) -> Calls:
    """Return `calls`, which end after that time."""
    until = time.monotonic() + seconds
    return lambda number: takewhile(lambda _: time.monotonic() < until, calls(number))


def so_many(calls: Calls, count: int) -> Calls:
    """Return the first `count` of each caller's `calls`."""
    return lambda number: islice(calls(number), count)


def call_in_threads(client: LangCache, calls: Calls, callers: int) -> Tally:
    """Make the calls in as many threads."""
    tallies = [Tally() for _ in range(callers)]
    threads = [
        threading.Thread(target=_call, args=(client, calls(number), tally), daemon=True)
        for number, tally in enumerate(tallies)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return merged(tallies)


def _call(client: LangCache, calls: Iterator[Call], tally: Tally) -> None:
    for call in calls:
        method: Callable[..., object] = getattr(client, call.operation)
        start = Start.now()
        try:
            result = method(**call.arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
            result = error
        time.sleep(tally.take(call, start, result))
        del result


async def call_in_tasks(client: LangCache, calls: Calls, callers: int) -> Tally:
    """Make the calls in as many tasks."""
    tallies = [Tally() for _ in range(callers)]
    await asyncio.gather(*(_call_async(client, calls(number), tally) for number, tally in enumerate(tallies)))
    return merged(tallies)


async def _call_async(client: LangCache, calls: Iterator[Call], tally: Tally) -> None:
    for call in calls:
        method: Callable[..., Any] = getattr(client, f"{call.operation}_async")
        start = Start.now()
        try:
            result = await method(**call.arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
            result = error
        await asyncio.sleep(tally.take(call, start, result))
        del result
