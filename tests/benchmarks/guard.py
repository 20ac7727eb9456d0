"""Guards the work of a call against growing: it is compared with that of `http.client` in a process alike.

``python -m tests.benchmarks.guard`` counts instructions with valgrind's callgrind, which come out the same within a
thousandth however busy the machine is; where there is no valgrind, it compares CPU times, of which the fastest of many
rounds counts. Nothing has a network: our transport has the answer already, and the socket of `http.client` is in
memory. It fails where our own work is more than `BOUND` times that of `http.client`.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from tests.benchmarks.lag import ROOT
from tests.benchmarks.turns import client_of

BOUND: Final = 0.8
"""How many times the work of `http.client` a call's own may be."""

_ANSWER: Final = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"data":[]}'
_HEADERS: Final = {"Authorization": "Bearer k", "Content-Type": "application/json", "Accept": "application/json"}
_WARM_UP: Final = 300

Work = Callable[[], object]


class _Memory:
    """A socket that has the answer already."""

    def sendall(self, data: bytes) -> None:
        """Take it."""

    def makefile(self, mode: str) -> io.BytesIO:
        """Return the answer, to be read."""
        return io.BytesIO(_ANSWER)

    def close(self) -> None:
        """Do nothing."""


def ours() -> Work:
    """Return what makes one search without a network."""
    client = client_of()
    return lambda: client.search(prompt="How does semantic caching work?")


def bare() -> Work:
    """Return what `http.client` does for the same request and answer."""
    content = json.dumps({"prompt": "How does semantic caching work?"}).encode()
    connection: Any = http.client.HTTPConnection("cache.example")
    connection.sock = _Memory()

    def search() -> object:
        connection.request("POST", "/v1/caches/c/entries/search", content, _HEADERS)
        return json.loads(connection.getresponse().read())

    return search


WORKS: Final[dict[str, Callable[[], Work]]] = {"langcache": ours, "http.client": bare}


def instructions(name: str, calls: int) -> float:
    """Return how many instructions a call executes: what more calls execute more."""
    few, many = (_counted(name, number) for number in (0, calls))
    return (many - few) / calls


def _counted(name: str, calls: int) -> int:
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    program = [sys.executable, "-m", "tests.benchmarks.guard", "--work", name, "--calls", str(calls)]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(callgrind + program, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None:
        raise RuntimeError(f"callgrind told no number of instructions:\n{done.stderr}")
    return int(found.group(1))


def cpu_microseconds(calls: int, rounds: int = 40) -> dict[str, float]:
    """Return how many microseconds of CPU time a call takes of each, in the fastest of their rounds, taken in turn."""
    works = {name: make() for name, make in WORKS.items()}
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, work in works.items():
            begun = time.process_time_ns()
            _repeat(work, calls)
            best[name] = min(best[name], (time.process_time_ns() - begun) / calls / 1000)
    return best


def _repeat(work: Work, calls: int) -> None:
    for _ in range(calls):
        work()


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print what was found, and return 1 where the bound is passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.guard", description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000, help="how many calls are counted")
    parser.add_argument("--work", choices=WORKS, help="do this work alone, for whoever counts it")
    parser.add_argument("--cpu-time", action="store_true", help="compare CPU times, also where there is valgrind")
    chosen = parser.parse_args(arguments)
    if chosen.work:
        _repeat(WORKS[chosen.work](), _WARM_UP + chosen.calls)
        return 0
    if shutil.which("valgrind") and not chosen.cpu_time:
        unit, found = "instructions", {name: instructions(name, chosen.calls) for name in WORKS}
    else:
        unit, found = "us of CPU time", cpu_microseconds(chosen.calls)
    ratio = found["langcache"] / found["http.client"]
    for name, value in found.items():
        sys.stdout.write(f"{name:12} {value:12,.1f} {unit}\n")
    judgement = "which is within" if ratio <= BOUND else "which is MORE than"
    sys.stdout.write(f"{ratio:.3f} of http.client, {judgement} the bound of {BOUND:g}\n")
    return int(ratio > BOUND)


if __name__ == "__main__":
    sys.exit(main())
