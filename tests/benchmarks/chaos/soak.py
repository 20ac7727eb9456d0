"""What is done with one transport, a storm and outages, and what is measured in them."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple

from typing_extensions import Self

from langcache import BreakerPolicy, LangCache, RetryPolicy

from .callers import DEADLINE_MS, Calls, Tally, call_in_tasks, call_in_threads, for_seconds, merged, so_many
from .calls import mixed, searches
from .process import PATIENCE, ChaosServer, Weather

_STORM_BREAKER: Final = BreakerPolicy(consecutive_failures=10, open_ms=100)
"""It opens later and for a shorter time than by default, so that most calls are let through to the storm."""

_CALLERS: Final = 16
_OUTAGE_CALLERS: Final = 8
_OUTAGE_CALLS: Final = 400
_OUTAGES: Final[tuple[tuple[Weather, bool], ...]] = (("busy", False), ("busy", True), ("gone", False), ("gone", True))
"""Whether the service answers 503 or is not there, and whether the client has a circuit breaker."""


class Transport(NamedTuple):
    """A transport, and what makes a client send with it."""

    name: str
    is_async: bool
    options: dict[str, Any]


TRANSPORTS: Final = {
    transport.name: transport
    for transport in (
        Transport("urllib3", False, {"transport": "urllib3"}),
        Transport("requests", False, {"transport": "requests"}),
        Transport("threaded", True, {"async_transport": "threaded", "pool_size": _CALLERS}),
        Transport("aiohttp", True, {"async_transport": "aiohttp"}),
    )
}


@dataclass(frozen=True)
class Resources:
    """What the process holds."""

    threads: int
    files: int

    @classmethod
    def now(cls) -> Resources:
        """Return what it holds, without what is only waiting to be collected."""
        gc.collect()
        opened = Path("/dev/fd")
        return cls(threading.active_count(), len(os.listdir(opened)) if opened.is_dir() else 0)  # noqa: PTH208

    @classmethod
    def after(cls, before: Resources) -> Resources:
        """Return what it holds when everything has been closed, which threads may need a moment for."""
        until = time.monotonic() + PATIENCE
        while (now := cls.now()).is_more_than(before) and time.monotonic() < until:
            time.sleep(0.02)
        return now

    def is_more_than(self, other: Resources) -> bool:
        """Say whether something is left over."""
        return self.threads > other.threads or self.files > other.files


class Storm(NamedTuple):
    """A phase in which exchanges go wrong."""

    tally: Tally
    service: dict[str, Any]
    """What the server counted."""
    openings: int
    """How often the circuit opened."""
    begin: float
    end: float


class Outage(NamedTuple):
    """A phase in which nothing is served."""

    weather: Weather
    has_breaker: bool
    tally: Tally
    requests: int
    """How many came to the server; where there is none, how often the calls were attempted."""


class Measured(NamedTuple):
    """What was measured with one transport."""

    transport: Transport
    storm: Storm
    outages: list[Outage]
    left_open: int
    """How many connections the server still had when their client was closed."""
    before: Resources
    after: Resources

    @property
    def whole(self) -> Tally:
        """What became of all calls, those in outages too."""
        return merged([self.storm.tally, *(outage.tally for outage in self.outages)])


def settle(transports: Iterable[Transport]) -> None:
    """Load what the transports need, and keep Python from looking through it for garbage again and again."""
    for transport in transports:
        LangCache("http://localhost", "key", "cache", **transport.options).close()
    gc.collect()
    gc.freeze()


def soak(server: ChaosServer, transport: Transport, seconds: float, seed: int) -> Measured:
    """Call for so many seconds in a storm, and then in each kind of outage, each with a client of its own."""
    before = Resources.now()
    storm = _storm(server, transport, seconds, seed)
    left_open = server.wait_until_closed()
    outages: list[Outage] = []
    for weather, has_breaker in _OUTAGES:
        outages.append(_outage(server, transport, weather, has_breaker))
        left_open += server.wait_until_closed()
    return Measured(transport, storm, outages, left_open, before, Resources.after(before))


def _storm(server: ChaosServer, transport: Transport, seconds: float, seed: int) -> Storm:
    server.begin("storm", seed)
    begin = time.monotonic()
    calls = for_seconds(lambda number: mixed(f"{transport.name}-{number}", seed), seconds)
    tally, openings = _called(server, transport, calls, _CALLERS, _STORM_BREAKER)
    return Storm(tally, server.report(), openings, begin, time.monotonic())


def _outage(server: ChaosServer, transport: Transport, weather: Weather, has_breaker: bool) -> Outage:
    server.begin(weather)
    calls = so_many(lambda number: searches(f"{transport.name}-{number}"), _OUTAGE_CALLS // _OUTAGE_CALLERS)
    tally, _ = _called(server, transport, calls, _OUTAGE_CALLERS, BreakerPolicy() if has_breaker else None)
    requests = tally.attempts if weather == "gone" else int(server.report()["requests"])
    return Outage(weather, has_breaker, tally, requests)


def _called(
    server: ChaosServer, transport: Transport, calls: Calls, callers: int, breaker: BreakerPolicy | None
) -> tuple[Tally, int]:
    """Make the calls with a new client, and return what became of them and how often its circuit opened."""
    make = partial(
        LangCache,
        server.url,
        "key",
        "cache",
        retry_config=RetryPolicy(),
        deadline_ms=DEADLINE_MS,
        breaker=breaker,
        trust_env=False,
        **transport.options,
    )
    with _Openings() as openings:
        if transport.is_async:
            return asyncio.run(_called_in_tasks(make, calls, callers)), openings.count
        with make() as client:
            tally = call_in_threads(client, calls, callers)
        return tally, openings.count


async def _called_in_tasks(make: Callable[[], LangCache], calls: Calls, callers: int) -> Tally:
    async with make() as client:
        return await call_in_tasks(client, calls, callers)


class _Openings(logging.Handler):
    """Counts the warnings that a circuit has opened, and takes all others without a word."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._logger = logging.getLogger("langcache")

    def emit(self, record: logging.LogRecord) -> None:
        """Take a warning."""
        self.count += "left alone for" in record.msg

    def __enter__(self) -> Self:
        self._logger.addHandler(self)
        self._logger.propagate = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = True
