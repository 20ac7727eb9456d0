"""Tallies: how often calls ended in which way, and how long they took, in little room.

1. A call appends how long it took to the list of those that ended like it: that is atomic, needs no lock, and is the
   least that can be done. What is in the lists is counted a batch at a time, for which there are fast ways.
2. One thread at a time counts. A call never waits for it.
"""

from __future__ import annotations

import struct
import sys
import threading
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from math import ceil
from typing import Final, TypeVar

from .processes import PerProcess

BATCH: Final = 256
"""How many calls that ended alike are counted together."""

MOST_ERRORS: Final = 100
"""How many classes of errors are told apart; further ones are counted as "others"."""

ERROR_BOUND: Final = 1 / 32
"""By which share a quantile is wrong at the most: see `_buckets`."""

T = TypeVar("T")


class Counts:
    """What became of calls."""

    def __init__(self) -> None:
        self.hits = self.misses = self.done = self.degraded = self.failed = self.retries = 0
        self.errors: Counter[str] = Counter()
        """How many calls failed, or would have but for fail-open, by the name of the error's class."""
        self.longest = 0.0
        """In seconds."""
        self._durations: Counter[int] = Counter()

    @property
    def calls(self) -> int:
        """How many calls have ended."""
        return self.hits + self.misses + self.done + self.degraded + self.failed

    def took(self, seconds: list[float]) -> int:
        """Count how long calls took, and return how many they are."""
        if seconds:
            self._durations.update(_buckets(seconds))
            self.longest = max(self.longest, max(seconds))
        return len(seconds)

    def raised(self, names: Mapping[str, int]) -> None:
        """Count errors, so many by the name of each class."""
        for name, count in names.items():
            is_known = name in self.errors or len(self.errors) < MOST_ERRORS
            self.errors[name if is_known else "others"] += count

    def add(self, other: Counts) -> None:
        """Add what `other` has counted."""
        self.hits += other.hits
        self.misses += other.misses
        self.done += other.done
        self.degraded += other.degraded
        self.failed += other.failed
        self.retries += other.retries
        self.raised(other.errors)
        self.longest = max(self.longest, other.longest)
        self._durations.update(other._durations)

    def quantile(self, share: float) -> float | None:
        """Return how many seconds that share of the calls took at the most; None where there were none.

        It is within `ERROR_BOUND` of the true one.
        """
        rank = max(1, ceil(share * self._durations.total()))
        for bucket, count in sorted(self._durations.items()):
            rank -= count
            if rank <= 0:
                return min(_middle(bucket), self.longest)
        return None


def _buckets(seconds: list[float]) -> Iterable[int]:
    """Return for each duration the first 16 bits of the float that it is.

    They are its sign, its exponent, and the first 4 bits of its fraction (IEEE 754, binary64): so between two powers of
    two there are 16 buckets of the same width, and their order is that of the durations.
    """
    quarters = memoryview(array("d", seconds)).cast("B").cast("H")
    return quarters[3::4] if sys.byteorder == "little" else quarters[::4]


def _middle(bucket: int) -> float:
    """Return the middle of the durations in a bucket."""
    edges: tuple[float, float] = struct.unpack("2d", struct.pack("2Q", bucket << 48, (bucket + 1) << 48))
    return sum(edges) / 2


class Tally:
    """The calls of one operation, those among them that are not counted yet: how many seconds each took."""

    __slots__ = (
        "_counts", "_is_counting", "_lock", "degraded", "done", "errors", "failed", "hits", "misses", "retries",
        "searches",
    )  # fmt: skip

    def __init__(self, operation: str) -> None:
        self.searches = "search" in operation
        self.hits: list[float] = []
        self.misses: list[float] = []
        self.done: list[float] = []
        self.degraded: list[float] = []
        self.failed: list[float] = []
        self.errors: list[str] = []
        """The names of their classes."""
        self.retries: list[int] = []
        """How many a call had."""
        self._counts = Counts()
        # Reentrant: a finalizer or a signal's handler may make a call, or ask, while its own thread counts.
        self._lock = PerProcess(threading.RLock)
        self._is_counting = False

    def ended(self, kind: str) -> list[float]:
        """Return the list of those that ended like this, which is a `langcache.outcomes.Kind`."""
        return {
            "hit": self.hits,
            "miss": self.misses,
            "done": self.done,
            "degraded": self.degraded,
            "failed": self.failed,
        }[kind]

    def settle(self, wait: bool = False) -> None:
        """Count what is not counted yet; where another thread does so, `wait` for it or leave it at that."""
        lock = self._lock.get()
        if not lock.acquire(wait):
            return
        try:
            if not self._is_counting:
                self._count()
        finally:
            lock.release()

    def _count(self) -> None:
        self._is_counting, counts = True, self._counts
        try:
            counts.hits += counts.took(_taken(self.hits))
            counts.misses += counts.took(_taken(self.misses))
            counts.done += counts.took(_taken(self.done))
            counts.degraded += counts.took(_taken(self.degraded))
            counts.failed += counts.took(_taken(self.failed))
            counts.retries += sum(_taken(self.retries))
            counts.raised(Counter(_taken(self.errors)))
        finally:
            self._is_counting = False

    def counts(self) -> Counts:
        """Return a copy of what was counted until now."""
        with self._lock.get():
            self.settle(wait=True)
            copy = Counts()
            copy.add(self._counts)
            return copy


def _taken(waiting: list[T]) -> list[T]:
    """Take out what is in the list; others may append to it meanwhile."""
    taken = waiting[:]
    if taken:
        del waiting[: len(taken)]
    return taken
