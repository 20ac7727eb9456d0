"""What the log is told of an audit that loses records, or cannot write them."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable

from ..errors import AuditError, describe
from ..logs import WARN, Seldom


class Notices:
    """What the log is told of an audit that loses records or cannot write them: once a minute at the most.

    Each warning has the number of records that were lost since the one before; the last ones come with the end.
    """

    def __init__(
        self,
        sink: object,
        warn: Callable[..., None] = WARN,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = describe(sink)
        self._warn = warn
        self._seldom = Seldom(clock)
        self._lock = threading.RLock()
        self._lost = 0
        self._last: BaseException | None = None

    def add(self, error: BaseException, lost: int = 0) -> None:
        """Take note that so many records are lost because of `error`, and tell of it if it is time."""
        with self._lock:
            self._lost += lost
            self._last = error.with_traceback(None)  # which holds frames, and through them records
            if self._seldom.turn() is None:
                return
            lost, self._lost = self._lost, 0
        self._tell(error, lost)

    def end(self, error: BaseException | None = None, unwritten: int | None = None) -> None:
        """Tell of `error`, or else of what is lost and not told yet, though it is no time."""
        with self._lock:
            error = error or (self._last if self._lost else None)
            lost, self._lost = self._lost, 0
        if error is not None:
            self._tell(error, lost, unwritten)

    def _tell(self, error: BaseException, lost: int, unwritten: int | None = None) -> None:
        losses = f"; records lost since the last warning: {lost}" if lost else ""
        name = type(error).__name__
        try:
            self._warn(
                "The audit to %s: %s%s",
                self._sink,
                reason(error),
                losses,
                event="audit_failed",
                sink=self._sink,
                error=name,
                lost=lost,
                unwritten=unwritten,
            )
        except BaseException:  # noqa: BLE001 - a filter or a handler is anybody's, and no record may be lost by it
            if sys.stderr is not None:
                traceback.print_exc(chain=False)


def reason(error: BaseException) -> str:
    """Say what went wrong, in words that quote no record: those of an exception that is not ours might."""
    return str(error) if isinstance(error, AuditError) else f"{type(error).__name__} was raised"
