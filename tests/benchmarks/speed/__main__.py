"""Runs the contest, and prints what came of it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import costs, report
from .environments import build
from .rounds import compete
from .server import SIZES, Server

_SYNC = ["langcache urllib3", "langcache requests", "official", "bare urllib3", "bare requests", "bare http.client"]
_ASYNC = ["langcache aiohttp", "langcache threaded", "official async", "bare aiohttp"]
_SHARED = ["langcache urllib3", "official", "bare urllib3"]
_NULL = ["langcache null", "official null"]
_BASES = {
    "langcache urllib3": "bare urllib3",
    "langcache requests": "bare requests",
    "langcache aiohttp": "bare aiohttp",
    "langcache threaded": "bare aiohttp",
    "langcache null": "official null",
    "official": "langcache urllib3",
    "official async": "langcache aiohttp",
}


class Contest:
    """All disciplines, with as many calls and rounds as `scale` says: 1 for what is published, less for a look."""

    def __init__(self, pythons: Mapping[str, Path], url: str, scale: float) -> None:
        self._pythons = pythons
        self._url = url
        self._scale = scale
        self.data: dict[str, Any] = {}

    def latency(self, title: str, names: Sequence[str], calls: int, path: str = "") -> None:
        """Measure calls one after another."""
        found = compete(names, self._pythons, self._url + path, rounds=10, calls=self._scaled(calls))
        self._keep(title, report.as_data(found), report.latency_table(title, found, _BASES))

    def throughput(self, title: str, names: Sequence[str], calls: int, width: int) -> None:
        """Measure calls side by side, in threads or in tasks."""
        calls = max(self._scaled(calls), width * 5)
        found = compete(names, self._pythons, self._url, rounds=5, calls=calls, width=width)
        self._keep(title, report.as_data(found), report.throughput_table(title, found, _BASES))

    def costs(self) -> None:
        """Measure what is paid once."""
        found = costs.measure(self._pythons, rounds=max(3, self._scaled(15)))
        self._keep("costs", found, report.costs_table(found))

    def _scaled(self, number: int) -> int:
        return max(1, int(number * self._scale))

    def _keep(self, title: str, data: Any, text: str) -> None:
        self.data[title] = data
        say(text)


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
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        pythons = build((chosen.environments or Path(temporary) / "environments").resolve())
        files = Path(temporary) / "server"
        files.mkdir()
        Path(temporary).chmod(0o755)  # the server's worker may run as another user
        with Server(files) as server:
            machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, {server.name}"
            say(f"{machine}\n")
            contest = Contest(pythons, server.url, chosen.scale)
            run(contest)
    if chosen.json:
        chosen.json.write_text(json.dumps({"machine": machine, **contest.data}, indent=1))
    return 0


def run(contest: Contest) -> None:
    """Run all disciplines."""
    contest.latency("One call after another", _SYNC, 300)
    contest.latency("Own work: no network", _NULL, 500)
    for width in (1, 10, 100, 300):
        contest.throughput(f"{width} tasks at a time", _ASYNC, 2_000, width)
    for width in (1, 8, 32):
        contest.throughput(f"{width} threads share a client", _SHARED, 1_000, width)
    for size in SIZES:
        contest.latency(f"Answers of {size:,} bytes", _SYNC, 20, f"/large/{size}")
    contest.costs()


if __name__ == "__main__":
    sys.exit(main())
