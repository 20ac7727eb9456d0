"""Telling: what the log says of an audit that loses records or cannot write them, now and then, and not each time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from ..errors import AuditError, describe

SECONDS_BETWEEN: Final = 60.0
"""How long the log is silent after a line of one kind."""

_logger = logging.getLogger("langcache")


def reason(error: BaseException) -> str:
    """Say what went wrong, in words that quote no record: those of an exception that is not ours might."""
    return str(error) if isinstance(error, AuditError) else f"{type(error).__name__} was raised"


class Rarely:
    """Warns, once in a minute at the most, and then says how many records were lost since the last time."""

    def __init__(
        self, tell: Callable[..., None] = _logger.warning, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell = tell
        self._clock = clock
        self._lock = threading.RLock()
        self._silent_until = float("-inf")
        self._lost = 0

    def __call__(self, sink: object, error: BaseException, lost: int) -> None:
        """Take note that so many records are lost because of `error`, and tell of it if it is time."""
        with self._lock:
            self._lost += lost
            now = self._clock()
            if now < self._silent_until:
                return
            self._silent_until = now + SECONDS_BETWEEN
            lost, self._lost = self._lost, 0
        losses = f"; records lost since the last warning: {lost}" if lost else ""
        self._tell("The audit to %s: %s%s", describe(sink), reason(error), losses)
