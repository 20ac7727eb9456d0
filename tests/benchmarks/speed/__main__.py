"""Runs the contest, and prints what came of it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.comparison.environments import OFFICIAL

from . import budgets, costs, flatness, layers, report
from .environments import build
from .rounds import compete
from .server import COUNTS, SIZES, Server

_SYNC: Final = (
    "langcache urllib3", "langcache requests", "official", "bare urllib3", "bare requests", "bare http.client",
    "bare httpx",
)  # fmt: skip
_ASYNC: Final = ("langcache aiohttp", "langcache threaded", "official async", "bare aiohttp", "bare httpx async")
_SHARED: Final = ("langcache urllib3", "official", "bare urllib3")
_LARGE: Final = ("langcache urllib3", "langcache requests", "official", "bare urllib3", "bare requests")
_NULL: Final = ("langcache null", "langcache null async", "official null")
_SECONDS: Final = 0.3
"""How long a service takes that looks for a prompt: for an embedding, and a search."""
_SLOW: Final = f"a service that takes {_SECONDS * 1000:.0f} ms"
_FLAT_CALLS: Final = 200_000
_SIDE_BY_SIDE: Final = (1, 10, 100, 300)
_THREADS: Final = (1, 8, 32, 200)


class Contest:
    """All disciplines, with as many calls and rounds as `scale` says: 1 for what is published, less for a look."""

    def __init__(self, pythons: Mapping[str, Path], url: str, slow_url: str, scale: float) -> None:
        self._pythons = pythons
        self._url = url
        self._slow_url = slow_url
        self._scale = scale

    def latency(self, title: str, names: Sequence[str], calls: int, path: str = "", prompt: int = 0) -> Any:
        """Measure calls one after another."""
        url, number = self._url + path, self._scaled(calls)
        found = compete(names, self._pythons, url, rounds=self._scaled(10), calls=number, prompt=prompt)
        say(report.latency_table(title, found))
        return report.as_data(found)

    def throughput(self, title: str, names: Sequence[str], calls: int, width: int, url: str | None = None) -> Any:
        """Measure calls side by side, in threads or in tasks."""
        found = compete(
            names, self._pythons, url or self._url, rounds=self._scaled(5), calls=self._scaled(calls), width=width
        )
        say(report.throughput_table(title, found))
        return report.as_data(found)

    def run(self) -> dict[str, Any]:
        """Run all disciplines, and return what was measured."""
        return {
            "latency": {
                title: self.latency(title, names, 300)
                for title, names in (("One call after another", _SYNC), ("Own work: no network", _NULL))
            },
            "tasks": {
                str(width): self.throughput(f"{width} tasks at a time", _ASYNC, 2_000, width) for width in _SIDE_BY_SIDE
            },
            "threads": {
                str(width): self.throughput(f"{width} threads share a client", _SHARED, 1_000, width)
                for width in _THREADS
            },
            "fairness": {
                "300 tasks": self.throughput(f"300 tasks at a time, {_SLOW}", _ASYNC[:1], 3_000, 300, self._slow_url),
                "200 threads": self.throughput(f"200 threads, {_SLOW}", _SHARED[:1], 2_000, 200, self._slow_url),
            },
            "sizes": {
                str(size): self.latency(f"Answers of {size:,} bytes", _LARGE, 20, f"/large/{size}") for size in SIZES
            },
            "entries": {
                str(count): self.latency(f"Answers of {count:,} entries", _LARGE, 20, f"/many/{count}")
                for count in COUNTS
            },
            "prompts": {
                str(size): self.latency(f"Prompts of {size:,} characters", _LARGE, 20, prompt=size)
                for size in SIZES[-2:]
            },
            "middleware": self._middleware(),
            "costs": self._costs(),
            "flat": self._flatness(),
        }

    def _middleware(self) -> Any:
        rounds = self._scaled(40)
        each, number = layers.costs(rounds), layers.growth(rounds)
        say(report.layers_table(each, layers.DEFAULT))
        say(report.growth_table(number))
        refused = layers.refused(self._scaled(1_000))
        say(f"A call that an open circuit refuses: {refused:.1f} us\n")
        return {"each": each, "number": number, "refused": refused}

    def _costs(self) -> Any:
        found = costs.measure(self._pythons, rounds=self._scaled(15))
        say(report.costs_table(found))
        return found

    def _flatness(self) -> Any:
        calls = self._scaled(_FLAT_CALLS)
        script = [str(self._pythons["ours"]), flatness.__file__, self._url, str(calls)]
        seen = json.loads(subprocess.run(script, check=True, capture_output=True, text=True).stdout)
        say(report.flatness_table(calls, seen))
        return {"calls": calls, "seen": seen}

    def _scaled(self, number: int) -> int:
        return max(2, round(number * self._scale))


def say(text: str) -> None:
    """Print `text` at once: a run takes minutes."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the contest that the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.speed", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="how many calls: 0.1 for a quick look")
    parser.add_argument("--environments", type=Path, help="where the virtual environments are built, and kept")
    parser.add_argument("--json", type=Path, help="a file for what was measured")
    parser.add_argument("--plot", type=Path, help="a file for the picture, .svg or .png")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        pythons = build((chosen.environments or Path(temporary) / "environments").resolve())
        files = Path(temporary) / "server"
        files.mkdir()
        with Server(files) as server, Server(files, _SECONDS) as slow:
            machine = (
                f"Python {platform.python_version()}, {os.cpu_count()} cores, {server.name}, official SDK {OFFICIAL}"
            )
            say(f"{machine}\n")
            measured = {"machine": machine, **Contest(pythons, server.url, slow.url, chosen.scale).run()}
        say(report.budgets_table(budgets.judged(measured)))
        written = chosen.json or Path(temporary) / "measured.json"
        written.write_text(json.dumps(measured, indent=1), encoding="utf-8")
        if chosen.plot:
            subprocess.run(
                [str(pythons["plot"]), str(Path(__file__).with_name("plot.py")), written, chosen.plot], check=True
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
