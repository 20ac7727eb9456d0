"""The state of the queue: what callers and the thread that writes share, under one lock.

It is changed by who holds `lock`. A value by itself may be read without it; what must agree with another may not.
The methods do not take it: who calls them has it, but for those that say otherwise.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .entries import Asking, Entry, Policy


class Bell:
    """Wakes one thread; to ring it twice is to ring it once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake who waits, or will wait next."""
        with suppress(RuntimeError):  # it rings already
            self._lock.release()

    def wait(self, seconds: float | None) -> None:
        """Wait until it rings, for so many seconds at the most."""
        self._lock.acquire(timeout=-1 if seconds is None else seconds)


class State:
    """Who has room, what is queued, what is known of the sink, and what the thread is to do."""

    def __init__(self, policy: Policy, clock: Callable[[], float] = time.monotonic) -> None:
        self.policy = policy
        self.clock = clock
        # Reentrant: a signal's handler or a finalizer may make a call while its thread has the lock.
        self.lock = threading.RLock()
        lock: Any = self.lock
        self.has_lock: Callable[[], bool] = lock._is_owned  # which `threading.Condition` asks, too
        self._process = os.getpid()
        # The calls and their records.
        self.items: deque[Entry] = deque()
        """Those that have ended, and are not written yet."""
        self.out: weakref.WeakSet[Entry] = weakref.WeakSet()
        """The entries of calls that have not ended."""
        self.asking: deque[Asking] = deque()
        self.written = self.dropped = self.failed = 0
        self.unnoted = 0
        """How many records are lost of which no record that was written tells."""
        # What is known of the sink; the thread finds it out.
        self.error: BaseException | None = None
        self.good_until = self.proven_until = float("-inf")
        # The thread, and what wakes it.
        self.bell = Bell()
        self.has_rung = self.is_hurried = False
        """Whether the thread is told already that there is something to do, and that somebody waits."""
        self.writer: int | None = None
        """The identifier of the thread that writes."""
        # The end.
        self.is_closed = self.has_ended = False
        """Whether no more calls are let in, and whether nothing more will be written."""
        self.until = float("-inf")
        """Until when what the sink does not take is tried again after it is closed."""
        self.leaves_calls = False
        """Whether the end of the process is there, at which calls in daemon threads are not waited for."""

    def is_inherited(self) -> bool:
        """Say whether it is of the process that this one was forked from: its lock may be taken for ever."""
        return os.getpid() != self._process

    def is_own(self) -> bool:
        """Say whether this thread is the one that writes: a sink's own call cannot wait for the sink."""
        return self.writer == threading.get_ident()

    def cannot_wait(self) -> bool:
        """Say whether this thread is what the queue waits for: it writes, or has the lock, before it takes it."""
        return self.has_lock() or self.is_own()

    def has_room(self) -> bool:
        """Say whether another call may have records."""
        return len(self.items) + len(self.out) < self.policy.size

    def new_entry(self) -> Entry:
        """Take room for a call, which there is."""
        policy = self.policy
        # A sink that has not taken a record yet, or cannot be asked, is only known to work when it has taken this one.
        entry = Entry(policy.confirms or (policy.strict and self.clock() > self.proven_until))
        self.out.add(entry)
        return entry

    def is_sure(self) -> bool:
        """Say whether what is known of the sink is enough."""
        return not self.policy.strict or (self.error is None and self.clock() <= self.good_until)

    def queued(self) -> int:
        """Return how many records are not written yet."""
        # Of a copy, which takes no line of Python: a signal's handler may queue something in between.
        return sum(len(entry.records or ()) for entry in list(self.items))

    def lose(self, number: int, drops: bool) -> None:
        """Count records that are lost: because the queue was full, where that is the policy, or for another reason."""
        if drops:
            self.dropped += number
        else:
            self.failed += number
        self.unnoted += number

    def ring(self, hurry: bool) -> None:
        """Have the thread look for what is to do; it is rung first, so that an interrupt in between loses nothing."""
        if not self.has_rung:
            self.bell.ring()
            self.has_rung = True
        if hurry and not self.is_hurried:
            self.is_hurried = True
            self.bell.ring()
