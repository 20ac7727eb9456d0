"""Rounds: the contestants take turns, so that whatever the machine does meanwhile befalls all of them alike."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .environments import of_contestant

_SCRIPT = Path(__file__).with_name("contestants.py")
_FEWER = 5


class Contestant:
    """A process that does tasks."""

    def __init__(self, name: str, python: Path, url: str, prompt: int = 0) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [str(python), str(_SCRIPT), name, url, str(prompt)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self._receive()
        except BaseException:
            self.close()
            raise

    def do(self, **task: Any) -> dict[str, Any]:
        """Do a task, and return what was measured."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        return self._receive()

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the contestant {self.name!r} ended with status {self._process.wait()}")
        measured: dict[str, Any] = json.loads(line)
        return measured

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@dataclass
class Measured:
    """What was measured of one contestant in one discipline; times in microseconds."""

    name: str
    per_second: list[float] = field(default_factory=list[float])
    took: list[float] = field(default_factory=list[float])

    @property
    def median(self) -> float:
        """The median time of a call."""
        return statistics.median(self.took)

    @property
    def p99(self) -> float:
        """The time that 99 of 100 calls do not exceed."""
        return sorted(self.took)[int(len(self.took) * 0.99)]

    @property
    def slowest(self) -> float:
        """The longest time of a call."""
        return max(self.took)

    @property
    def throughput(self) -> float:
        """The median of the rounds' calls a second."""
        return statistics.median(self.per_second)


def compete(
    names: Sequence[str],
    pythons: Mapping[str, Path],
    url: str,
    rounds: int,
    calls: int,
    width: int = 0,
    prompt: int = 0,
) -> dict[str, Measured]:
    """Have the contestants make the calls in turn, for so many rounds: in tasks or threads where there is a `width`.

    The official SDK makes fewer, because it takes many times longer.
    """
    found = {name: Measured(name) for name in names}
    with ExitStack() as stack:
        contestants: list[Contestant] = []
        for name in names:
            contestants.append(Contestant(name, pythons[of_contestant(name)], url, prompt))
            stack.callback(contestants[-1].close)
        for turn in range(rounds):
            for contestant in contestants if turn % 2 else reversed(contestants):
                share = calls // _FEWER if contestant.name.startswith("official") else calls
                task = {"calls": max(share, width * 2, 1)} | ({"width": width} if width else {})
                measured = contestant.do(**task)
                found[contestant.name].took += [nanoseconds / 1000 for nanoseconds in measured["took"]]
                if "per_second" in measured:
                    found[contestant.name].per_second.append(measured["per_second"])
    return found
