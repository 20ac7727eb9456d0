"""How late a sleeper wakes up: what the machine, or this process, adds to every time that is measured in it.

``python -m tests.benchmarks.lag`` sleeps until its standard input ends, and then writes when it was late.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

from typing_extensions import Self

ROOT: Final = Path(__file__).resolve().parents[2]

_INTERVAL: Final = 0.002
"""How many seconds the sleeper sleeps at a time."""

_LATE: Final = 0.002
"""From how many seconds on being late is remembered."""

_SCHEDULED: Final = Path("/proc/thread-self/schedstat")
"""Linux writes there how long a thread ran, and how long it waited to run, in nanoseconds."""


class Stall(NamedTuple):
    """A time in which the sleeper should have run, and did not: from, and to, on the monotonic clock."""

    begin: float
    end: float
    ran: float
    """How many seconds its process used a core meanwhile. In the others nobody in it could run."""


class Lag:
    """When sleepers were late."""

    def __init__(self) -> None:
        self.stalls: list[Stall] = []

    def longest(self, begin: float, end: float) -> float:
        """Return the longest stall, in seconds, that touches the time between these moments."""
        lengths = [stall.end - stall.begin for stall in self.stalls if stall.begin < end and begin < stall.end]
        return max(lengths, default=0.0)

    def without_core(self, begin: float, end: float) -> float:
        """Return how many seconds of the stalls between these moments the process was given no core."""
        return sum(_shared(stall, begin, end) for stall in self.stalls)


def _shared(stall: Stall, begin: float, end: float) -> float:
    common = max(0.0, min(stall.end, end) - max(stall.begin, begin))
    length = stall.end - stall.begin
    return common * max(0.0, length - stall.ran) / length


class OwnLag(Lag):
    """The lag of this process: a thread of it that only sleeps waits for a core and for Python's lock."""

    def __init__(self) -> None:
        super().__init__()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=_sleep, args=(self._stop.is_set, self.stalls), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()


class MachineLag(Lag):
    """The lag of the machine: a process that only sleeps waits for a core alone. It is known at the end."""

    def __init__(self) -> None:
        super().__init__()
        command = [sys.executable, "-m", "tests.benchmarks.lag"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        written, _ = self._process.communicate(timeout=30)
        self.stalls += [Stall(*each) for each in json.loads(written)]


def waited_for_core() -> float:
    """Return how many seconds this thread could have run so far, and got no core; 0 where the system does not tell."""
    try:
        return int(_SCHEDULED.read_bytes().split()[1]) / 1e9
    except OSError:
        return 0.0


def _sleep(is_over: Callable[[], bool], stalls: list[Stall]) -> None:
    while not is_over():
        due, ran = time.monotonic() + _INTERVAL, time.process_time()
        time.sleep(_INTERVAL)
        now = time.monotonic()
        if now - due > _LATE:
            stalls.append(Stall(due, now, time.process_time() - ran))


def _main() -> None:
    stalls: list[Stall] = []
    over = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    _sleep(over.is_set, stalls)
    json.dump(stalls, sys.stdout)


if __name__ == "__main__":
    _main()
