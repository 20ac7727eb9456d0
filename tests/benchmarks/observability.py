"""What statistics, logging and OpenTelemetry cost a call, in microseconds: all in one run, over a null transport.

``python -m tests.benchmarks.observability`` lets clients take turns, several that are set up in the same way. Of each,
the fastest of many short rounds counts, because whatever else the machine does only makes a round slower; and of those
that are alike the median, because where in memory a client lies makes tenths of a microsecond.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from langcache import LangCache, Request, Response, WireLog
from langcache.telemetry import OpenTelemetry

_CALLS: Final = 200
"""How many calls a round has."""

_ALIKE: Final = 7
"""How many clients are set up in the same way."""

_BARE: Final = "nothing of it"
_DEFAULT: Final = "as it is by default"


class Null:
    """A transport that has the answer already."""

    answer = Response(200, {"Content-Type": "application/json"}, b'{"data":[]}')

    def send(self, request: Request) -> Response:
        """Return it."""
        return self.answer

    def close(self) -> None:
        """Do nothing."""


class Unwritten(logging.Handler):
    """Takes records, and writes them nowhere."""

    def emit(self, record: logging.LogRecord) -> None:
        """Do nothing."""


def logger_at(level: int) -> logging.Logger:
    """Return a logger of its own that takes records of the level."""
    logger = logging.Logger("benchmark", level)
    logger.addHandler(Unwritten())
    return logger


def traced(sampled: bool, measured: bool) -> OpenTelemetry:
    """Return a plugin with the SDK behind it, which exports nothing."""
    tracers = TracerProvider() if sampled else TracerProvider(sampler=ALWAYS_OFF)
    tracers.add_span_processor(SpanProcessor())
    return OpenTelemetry(tracers, MeterProvider([InMemoryMetricReader()]) if measured else None)


CLIENTS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    _BARE: lambda: {"without": ["statistics", "logging"]},
    "statistics": lambda: {"without": ["logging"]},
    "the log of attempts, which nobody hears": lambda: {"without": ["statistics"]},
    _DEFAULT: dict,
    "... and the log of attempts at DEBUG": lambda: {"debug_logger": logger_at(logging.DEBUG)},
    "... and WireLog, which nobody hears": lambda: {"plugins": [WireLog(logger=logger_at(logging.WARNING))]},
    "... and WireLog at DEBUG": lambda: {"plugins": [WireLog(logger=logger_at(logging.DEBUG))]},
    "... and OpenTelemetry without its SDK": lambda: {"plugins": [OpenTelemetry()]},
    "... and spans that are not sampled": lambda: {"plugins": [traced(sampled=False, measured=False)]},
    "... and spans": lambda: {"plugins": [traced(sampled=True, measured=False)]},
    "... and spans and metrics": lambda: {"plugins": [traced(sampled=True, measured=True)]},
}
"""How the clients are set up."""


def measure(rounds: int) -> dict[str, float]:
    """Return how many microseconds a call takes with clients of each kind."""
    clients = [(name, client_of(make())) for _ in range(_ALIKE) for name, make in CLIENTS.items()]
    best = [float("inf")] * len(clients)
    for turn in range(rounds):
        for index in range(len(clients)) if turn % 2 else reversed(range(len(clients))):
            best[index] = min(best[index], round_of(clients[index][1]))
    found: dict[str, list[float]] = {}
    for (name, _), microseconds in zip(clients, best, strict=True):
        found.setdefault(name, []).append(microseconds)
    return {name: statistics.median(alike) for name, alike in found.items()}


def client_of(arguments: dict[str, Any]) -> LangCache:
    """Return a client with a null transport."""
    return LangCache("http://cache.example", "k", "c", transport=Null(), **arguments)


def round_of(client: LangCache) -> float:
    """Make some calls, and return how many microseconds each took."""
    search = client.search
    begun = time.perf_counter()
    for _ in range(_CALLS):
        search(prompt="How does semantic caching work?")
    return (time.perf_counter() - begun) / _CALLS * 1e6


def table(best: dict[str, float]) -> str:
    """Return what was measured, with what each way costs more than the one that it is added to."""
    width = max(len(name) for name in best)
    lines = [f"{'':{width}}  us a call   more"]
    for name, microseconds in best.items():
        base = best[_DEFAULT if name.startswith("...") else _BARE]
        lines.append(f"{name:{width}}  {microseconds:9.2f}  {microseconds - base:5.2f}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.observability", description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help=f"how many rounds of {_CALLS} calls each client has")
    parser.add_argument("--json", type=Path, help="a file for what was measured")
    chosen = parser.parse_args(arguments)
    best = measure(chosen.rounds)
    sys.stdout.write(table(best) + "\n")
    if chosen.json:
        chosen.json.write_text(json.dumps(best, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
