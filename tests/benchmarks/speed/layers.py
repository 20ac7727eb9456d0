"""What each middleware costs a call, and how the cost grows with their number: in this process, with no network."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Final

from langcache import BreakerPolicy, FunctionPlugin, LangCache, Request, Response, RetryPolicy, WireLog, hookimpl
from langcache.audit import Audit
from langcache.errors import APIError, CircuitOpen
from langcache.steps import Middleware, Next, Steps
from langcache.telemetry import OpenTelemetry
from tests.benchmarks.turns import Setup, microseconds

DEFAULT: Final = "the default"

_LEFT_OUT: Final = ("identity", "statistics", "fail_open", "parsing", "deadline", "circuit_breaker", "retry", "auth",
                    "logging", "error_mapping", "redirects")  # fmt: skip


class _Empty:
    """A plugin whose middleware passes calls on."""

    @hookimpl
    def langcache_call_middleware(self) -> Middleware:
        """Return it."""

        def pass_on(request: Request, call_next: Next) -> Steps[Any]:
            return (yield from call_next(request))

        return pass_on


class _Failing:
    """A transport whose service fails."""

    def send(self, request: Request) -> Response:
        """Return its answer."""
        return Response(503)

    def close(self) -> None:
        """Do nothing."""


def _nothing(request: Request) -> None:
    """Take a request, and change nothing."""


_TURNED_ON: Final[dict[str, Setup]] = {
    "a deadline": lambda: {"deadline_ms": 60_000},
    "RetryPolicy()": lambda: {"retry_config": RetryPolicy()},
    "BreakerPolicy()": lambda: {"breaker": BreakerPolicy()},
    'on_failure="miss"': lambda: {"on_failure": "miss"},
    "a FunctionPlugin": lambda: {"plugins": [FunctionPlugin(before_call=_nothing)]},
    "WireLog, which nobody hears": lambda: {"plugins": [WireLog()]},
    "OpenTelemetry without its SDK": lambda: {"plugins": [OpenTelemetry()]},
    "Audit to a callable": lambda: {"plugins": [Audit(lambda record: None, on_error="ignore")]},
}
"""What is not on by default."""

NUMBERS: Final = (0, 1, 2, 5, 10, 20, 50)
"""How many middleware more a client has."""


def costs(rounds: int) -> dict[str, float]:
    """Return the microseconds of a call by default, and with one thing left out, or with one more turned on."""
    setups: dict[str, Setup] = {DEFAULT: dict}
    setups |= {f"without {name}": _without(name) for name in _LEFT_OUT}
    return microseconds(setups | {f"with {name}": setup for name, setup in _TURNED_ON.items()}, rounds)


def refused(calls: int) -> float:
    """Return the microseconds of a call that an open circuit refuses, of so many the fastest."""
    policy = BreakerPolicy(consecutive_failures=1, open_ms=3_600_000)
    took: list[float] = []
    with LangCache("http://cache.example", "k", "c", transport=_Failing(), breaker=policy) as client:
        for _ in range(calls + 1):
            begun = time.perf_counter()
            with suppress(APIError, CircuitOpen):  # the first opens it
                client.search(prompt="How does semantic caching work?")
            took.append((time.perf_counter() - begun) * 1e6)
    return min(took[1:])


def _without(name: str) -> Setup:
    return lambda: {"without": [name]}


def growth(rounds: int) -> dict[int, float]:
    """Return the microseconds of a call by the number of middleware that it passes more."""
    setups: dict[str, Setup] = {str(number): _with_empty(number) for number in NUMBERS}
    return {int(number): value for number, value in microseconds(setups, rounds).items()}


def _with_empty(number: int) -> Setup:
    return lambda: {"plugins": [_Empty() for _ in range(number)]}
