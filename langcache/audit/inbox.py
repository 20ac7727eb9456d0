"""The inbox: what callers hand to the writing thread; handing over never waits, and seldom wakes the thread."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Final, Union

from .records import AuditRecord

GATHER_SECONDS: Final = 0.005
"""How long records gather before they are written, where nobody waits: a thread that is woken for each one would take
the interpreter from the callers each time."""

RETRY_SECONDS: Final = 1.0
"""How long it takes until what is held is tried again, where nobody asks before."""

Told = Future[Union[BaseException, None]]
"""Becomes None when the records of a call are written, or the reason why one of them is not, or is not yet."""


class Item:
    """The records of a call, in their order, or, without any, a mark, which is reached when all before it are."""

    __slots__ = ("_told", "records")

    def __init__(self, records: Iterable[AuditRecord], told: Told | None = None) -> None:
        self.records = deque(records)
        """What is not written yet."""
        self._told = told

    def tell(self, reason: BaseException | None) -> None:
        """Tell who wants to know, once, what became of it."""
        told, self._told = self._told, None
        if told is not None and told.set_running_or_notify_cancel():
            told.set_result(reason)


class Inbox:
    """Items in the order in which they were put; it is shared by threads, and emptied by one.

    All that callers do is reentrant: a signal's handler or a finalizer may do it in the middle of another's doing it.
    """

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        """None makes the thread look around."""
        self._hurry: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._is_told = False
        """Whether the thread is told already to look around, and to hurry."""

    def put(self, item: Item, hurry: bool) -> None:
        """Add `item`, for which somebody waits, or nobody does."""
        self._items.put(item)
        if hurry:
            self._hurry.put(None)

    def look_around(self) -> None:
        """Have the thread see to what it finds elsewhere, because somebody waits for it."""
        if not self._is_told:  # or a thread that a sink holds up would find any number of them
            self._is_told = True
            self._items.put(None)
            self._hurry.put(None)

    def collect(self, pending: deque[Item]) -> None:
        """Wait for something to do, and take all there is behind what is `pending`, which is tried again in a while."""
        with suppress(queue.Empty):
            item = self._items.get(timeout=RETRY_SECONDS if pending else None)
            with suppress(queue.Empty):
                self._hurry.get(timeout=GATHER_SECONDS)
                while True:
                    self._hurry.get_nowait()
            self._is_told = False  # before anything is looked at, so that who comes later tells it again
            while True:
                if item is not None:
                    pending.append(item)
                item = self._items.get_nowait()
