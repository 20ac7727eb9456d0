"""The end of a process: what is queued in it is written first, for as long as that may take."""

from __future__ import annotations

import atexit
import os
import sys
import time
from typing import Any, Protocol


class Ending(Protocol):
    """What may have something to write when the process ends."""

    @property
    def is_needed(self) -> bool:
        """Whether the end has to wait for it."""
        ...

    def end_with_process(self) -> None:
        """Begin to end, and wait for nothing."""
        ...

    def finish_with_process(self, began: float) -> None:
        """Wait until all is written, or there is no more time; the end `began` then, on the monotonic clock."""
        ...


_open: dict[Ending, int] = {}
"""What may have something to write, and its process: a forked child has its parent's in its copy."""

_registered = 0
"""The process that calls `end_all` when it ends though it does not run what `atexit` knows."""


def await_at_exit(ending: Ending) -> None:
    """Have `ending` finished when this process ends."""
    global _registered
    process = os.getpid()
    _open[ending] = process
    # A process of multiprocessing's that was forked ends without atexit; it has finalizers of its own.
    multiprocessing: Any = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None and _registered != process and _is_child():
        _registered = process
        multiprocessing.Finalize(None, end_all, exitpriority=0)


def _is_child() -> bool:
    processes: Any = sys.modules.get("multiprocessing.process")
    return processes is not None and processes.parent_process() is not None


def forget(ending: Ending) -> None:
    """Let it be: all is written."""
    _open.pop(ending, None)


def end_all() -> None:
    """Have all that this process has to write written."""
    began, process = time.monotonic(), os.getpid()
    endings = [ending for ending, owner in list(_open.items()) if owner == process]
    for ending in endings:
        ending.end_with_process()  # all first, so that they write at the same time
    for ending in endings:
        if ending.is_needed:
            ending.finish_with_process(began)


atexit.register(end_all)
