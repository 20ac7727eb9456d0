"""Room: how many more calls the queue to a sink takes, who waits for some, and what is known of the sink.

1. A call that must be recorded takes room before it is sent, so that there is room for its records when it ends. It
   takes it once, however many records it will have, so that those who have some never wait for more.
2. That the sink worked vouches for it for a while. After that, and while it fails, calls ask for another look at it.
3. Everything is changed under one lock, which is never held while something is waited for.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, NamedTuple, Union

Answer = Union[Literal["room", "full", "closed"], BaseException]
"""What one who asks is told: there is room and it is taken, there is none, or why nothing can be written."""


@dataclass(frozen=True)
class AuditStats:
    """What became of the records of this process."""

    written: int
    dropped: int
    """Lost because the queue was full, where the policy is to drop."""
    failed: int
    """Lost because they could not be made, queued or written."""
    queued: int
    """Not yet written."""


class Room:
    """Room for the records of `size` calls; it is shared by threads.

    With `vouched`, a number of seconds, room is only given while the sink is known to work, or to have worked no longer
    ago. `drops` says whether a record that finds no room is dropped, or has failed. `clock` gives seconds.
    """

    def __init__(
        self, size: int, vouched: float | None, drops: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._vouched = vouched
        self._drops = drops
        self._clock = clock
        # A signal's handler or a finalizer may make a call while its thread has the lock.
        self._lock = threading.RLock()
        self._free = size
        self._asking: deque[_Asking] = deque()
        self._good_until = float("-inf")
        self._error: BaseException | None = None
        self._is_closed = False
        self._written = self._dropped = self._failed = self._queued = 0
        self._untold = 0

    def enter(self) -> bool:
        """Take room for a call's records, where there is some and the sink is known to work."""
        with self._lock:
            if self._free <= 0 or self._is_closed or not self._is_sure():
                return False
            self._free -= 1
            return True

    def _is_sure(self) -> bool:
        """Say whether what is known of the sink is enough."""
        return self._vouched is None or (self._error is None and self._clock() <= self._good_until)

    def ask(self, waits: bool, sure: bool) -> Future[Answer]:
        """Ask for room, and for a look at the sink; where there is no room, wait for it, or be told so.

        One who has to be sure is told why where the sink does not work; another one gets room all the same. What is
        known already is told at once. Otherwise the answer comes with the next `answer`, which is up to the caller to
        have called.
        """
        future: Future[Answer] = Future()
        with self._lock:
            if self._is_closed:
                future.set_result("closed")
            elif not waits and self._free <= 0 and self._is_sure():
                future.set_result("full")
            else:
                self._asking.append(_Asking(future, waits, sure))
        return future

    def withdraw(self, future: Future[Answer]) -> Answer | None:
        """Ask no more; return the answer where there is one already, and None where there will be none."""
        if not future.cancel():
            return future.result()
        with self._lock:
            self._asking = deque(asking for asking in self._asking if asking.future is not future)
        return None

    def leave(self) -> None:
        """Give back room that was taken for nothing."""
        with self._lock:
            self._free += 1

    def fill(self, number: int, is_taken: bool) -> bool:
        """Say whether so many records can be queued, in the room that is taken for them or in other; count them."""
        with self._lock:
            if self._is_closed:
                self._free += is_taken
                self._lose(number, drops=False)
                return False
            if not is_taken:
                if self._free <= 0:
                    self._lose(number, self._drops)
                    return False
                self._free -= 1
            self._queued += number
            return True

    def lose(self, number: int) -> None:
        """Count records that could not be made."""
        with self._lock:
            self._lose(number, drops=False)

    def _lose(self, number: int, drops: bool) -> None:
        if drops:
            self._dropped += number
        else:
            self._failed += number
        self._untold += number

    @property
    def stats(self) -> AuditStats:
        """What became of the records so far."""
        with self._lock:
            return AuditStats(self._written, self._dropped, self._failed, self._queued)

    @property
    def untold(self) -> int:
        """How many records are lost of which no record that was written tells."""
        return self._untold

    @property
    def is_asked(self) -> bool:
        """Whether somebody waits for an answer."""
        return bool(self._asking)

    @property
    def is_closed(self) -> bool:
        """Whether no more records are taken."""
        return self._is_closed

    def close(self) -> None:
        """Take no more records."""
        with self._lock:
            self._is_closed = True

    def works(self, written: int = 0, freed: int = 0, told: int = 0) -> None:
        """Take note that the sink works, and has taken records, which tell of the loss of others; room is freed."""
        with self._lock:
            self._error = None
            if self._vouched is not None:
                self._good_until = self._clock() + self._vouched
            self._written += written
            self._queued -= written
            self._free += freed
            self._untold -= told

    def fails(self, error: BaseException) -> None:
        """Take note of why the sink does not work."""
        with self._lock:
            self._error = error.with_traceback(None)  # which holds frames, and through them records

    def give_up(self, number: int, freed: int) -> None:
        """Count records that were queued and are not written; room is freed."""
        with self._lock:
            self._queued -= number
            self._free += freed
            self._lose(number, drops=False)

    def answer(self) -> None:
        """Answer those who ask, the first one first, but for those for whom there is no room yet."""
        answers: list[tuple[Future[Answer], Answer]] = []
        with self._lock:
            all_asking, self._asking = self._asking, deque()
            for asking in all_asking:
                answer = self._answer(asking)
                if answer is None:
                    self._asking.append(asking)
                else:
                    answers.append((asking.future, answer))
        for future, answer in answers:
            if future.set_running_or_notify_cancel():
                future.set_result(answer)
            elif answer == "room":  # nobody waits for it any more
                self.leave()

    def _answer(self, asking: _Asking) -> Answer | None:
        if self._is_closed:
            return "closed"
        if self._error is not None and asking.sure:
            return self._error
        if self._free > 0:
            self._free -= 1
            return "room"
        return None if asking.waits else "full"


class _Asking(NamedTuple):
    """One who asks."""

    future: Future[Answer]
    waits: bool
    sure: bool
