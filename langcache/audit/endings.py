"""Endings: when a process ends, what is queued in it is written first, for as long as that may take."""

from __future__ import annotations

import atexit
import os
import sys
import time
from typing import Any, Final, Protocol

LAST_SECONDS: Final = 5.0
"""How long the end of a process waits, for all its audits together."""


class Closable(Protocol):
    """What is to be closed."""

    def close(self, seconds: float) -> bool:
        """Finish, in so many seconds at the most."""
        ...


_open: dict[Closable, int] = {}
"""What is to be closed, and the process that it belongs to: a forked child has its parent's in its copy."""

_registered = 0
"""The process that calls `_close_all` when it ends though it does not run what `atexit` knows."""


def await_at_exit(writer: Closable) -> None:
    """Have `writer` closed when this process ends."""
    global _registered
    process = os.getpid()
    _open[writer] = process
    # A process of multiprocessing's that was forked ends without atexit; it has finalizers of its own.
    multiprocessing: Any = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None and _registered != process and _is_child():
        _registered = process
        multiprocessing.Finalize(None, _close_all, exitpriority=0)


def _is_child() -> bool:
    processes: Any = sys.modules.get("multiprocessing.process")
    return processes is not None and processes.parent_process() is not None


def forget(writer: Closable) -> None:
    """Take note that `writer` is closed."""
    _open.pop(writer, None)


def _close_all() -> None:
    until = time.monotonic() + LAST_SECONDS
    process = os.getpid()
    for writer in [writer for writer, owner in list(_open.items()) if owner == process]:
        writer.close(max(until - time.monotonic(), 0.0))


atexit.register(_close_all)
