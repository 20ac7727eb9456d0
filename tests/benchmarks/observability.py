"""What statistics, logging and OpenTelemetry cost a call, in microseconds: all in one run, over a null transport.

``python -m tests.benchmarks.observability`` lets clients take turns, as `tests.benchmarks.turns` says.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from langcache import WireLog
from langcache.telemetry import OpenTelemetry
from tests.benchmarks.turns import CALLS, Setup, microseconds

_BARE: Final = "nothing of it"
_DEFAULT: Final = "as it is by default"


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


CLIENTS: Final[dict[str, Setup]] = {
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


def table(best: dict[str, float]) -> str:
    """Return what was measured, with what each way costs more than the one that it is added to."""
    width = max(len(name) for name in best)
    lines = [f"{'':{width}}  us a call   more"]
    for name, value in best.items():
        base = best[_DEFAULT if name.startswith("...") else _BARE]
        lines.append(f"{name:{width}}  {value:9.2f}  {value - base:5.2f}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print what was measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.observability", description=__doc__)
    parser.add_argument("--rounds", type=int, default=60, help=f"how many rounds of {CALLS} calls each client has")
    parser.add_argument("--json", type=Path, help="a file for what was measured")
    chosen = parser.parse_args(arguments)
    best = microseconds(CLIENTS, chosen.rounds)
    sys.stdout.write(table(best) + "\n")
    if chosen.json:
        chosen.json.write_text(json.dumps(best, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
