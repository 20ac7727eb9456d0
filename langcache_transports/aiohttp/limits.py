"""The limits of pieces of async work: asyncio's, and for whole exchanges one timer for all of an event loop's.

A timer that is made for a call and cancelled at its end takes as long as much of the call. Nearly all calls have the
same limit, so that they end in the order in which they began: it is enough to watch the oldest.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final

from typing_extensions import Self

if sys.version_info >= (3, 11):
    from asyncio import timeout
else:
    from async_timeout import timeout  # pyright: ignore

time_limit: Callable[[float | None], AbstractAsyncContextManager[Any]] = timeout  # pyright: ignore
"""Cancels what is done within it after that many seconds, and raises asyncio.TimeoutError; None is no limit."""

_FEW: Final = 100
"""So many limits whose work is done may wait for an older one to end."""


class Limits:
    """The limits of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Limit] = deque()
        """In the order in which they end; some may be over already."""
        self._over = 0
        """How many of those are."""
        self._timer: asyncio.TimerHandle | None = None
        self._alone: set[Limit] = set()
        """Those that are not in order: they have a timer of their own, or none."""

    def within(self, seconds: float | None) -> Limit:
        """Return a context that cancels the task after that many seconds, and raises asyncio.TimeoutError then.

        With None it does so only where the exchanges of the loop are ended.
        """
        return Limit(self, None if seconds is None else self._loop.time() + seconds)

    def add(self, limit: Limit) -> None:
        """Begin to watch `limit`."""
        when, waiting = limit.when, self._waiting
        if when is None or (waiting and when < (waiting[-1].when or 0)):
            self._alone.add(limit)
            limit.timer = None if when is None else self._loop.call_at(when, limit.expire)
            return
        waiting.append(limit)
        if self._timer is None:
            self._timer = self._loop.call_at(when, self._ring)

    def remove(self, limit: Limit) -> None:
        """Watch `limit` no longer."""
        if limit in self._alone:
            self._alone.discard(limit)
            if limit.timer is not None:
                limit.timer.cancel()
            return
        self._over += 1
        waiting = self._waiting
        while waiting and waiting[0].is_over:
            waiting.popleft()
            self._over -= 1
        if self._over > _FEW and self._over > len(waiting) // 2:  # an old one is still going on in front of them
            self._waiting = deque(each for each in waiting if not each.is_over)
            self._over = 0

    def expire(self) -> None:
        """End all that goes on, now: the time of those that wait for a connection would be up for nobody otherwise."""
        for limit in [*self._waiting, *self._alone]:
            if not limit.is_over:
                limit.expire()

    def end(self) -> None:
        """Leave no timer in the loop."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._waiting and (self._waiting[0].is_over or (self._waiting[0].when or 0) <= now):
            limit = self._waiting.popleft()
            if limit.is_over:
                self._over -= 1
            else:
                limit.is_listed = False
                limit.expire()
        if self._waiting:
            self._timer = self._loop.call_at(self._waiting[0].when or now, self._ring)


class Limit:
    """The limit of one piece of work, which is a ``with`` block."""

    __slots__ = ("_cancelling", "_has_expired", "_limits", "_task", "is_listed", "is_over", "timer", "when")

    def __init__(self, limits: Limits, when: float | None) -> None:
        self._limits = limits
        self.when = when
        self.timer: asyncio.TimerHandle | None = None
        self.is_over = False
        self.is_listed = True
        self._has_expired = False
        self._task: Any = None
        self._cancelling = 0

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        if self._task is None:
            raise RuntimeError("This coroutine is not run by a task of asyncio, which could be cancelled")
        if sys.version_info >= (3, 11):
            self._cancelling = self._task.cancelling()
        self._limits.add(self)
        return self

    def expire(self) -> None:
        """Cancel the task, once."""
        if not self._has_expired:
            self._has_expired = True
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.is_over = True
        task, self._task = self._task, None  # what is over may be listed for a while
        if self.is_listed:
            self._limits.remove(self)
        if not self._has_expired:
            return
        # As asyncio does it: where somebody else has cancelled the task too, that stands.
        is_ours = sys.version_info < (3, 11) or task.uncancel() <= self._cancelling
        if is_ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise asyncio.TimeoutError from error
