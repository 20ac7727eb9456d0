"""The server of the soak, in a process of its own, and what it is told and asked."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from types import TracebackType
from typing import Any, Final, Literal

from typing_extensions import Self

from tests.benchmarks.lag import ROOT

Weather = Literal["storm", "busy", "gone"]
"""Faults as a seed says; nothing but 503; no port that takes connections."""

PATIENCE: Final = 2.0
"""How many seconds what was closed may take to be gone."""


class ChaosServer:
    """Runs the server as long as its ``with`` block."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.chaos.server"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        port, control = self._process.stdout.readline().split()
        self.url = f"http://127.0.0.1:{port}"
        self._control = socket.create_connection(("127.0.0.1", int(control)))
        self._replies = self._control.makefile("r", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._replies.close()
        self._control.close()
        self._process.communicate(timeout=30)

    def begin(self, weather: Weather, seed: int = 0) -> None:
        """Begin a phase: count from 0."""
        self._command({"weather": weather, "seed": seed})

    def report(self) -> dict[str, Any]:
        """Return what was counted since."""
        return self._command({})

    def wait_until_closed(self) -> int:
        """Wait until no connection is open, and return how many are all the same."""
        until = time.monotonic() + PATIENCE
        while (left := int(self.report()["open"])) and time.monotonic() < until:
            time.sleep(0.02)
        return left

    def _command(self, command: dict[str, Any]) -> dict[str, Any]:
        self._control.sendall(json.dumps(command).encode() + b"\n")
        reply: dict[str, Any] = json.loads(self._replies.readline())
        return reply
