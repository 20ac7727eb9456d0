"""Counters of what becomes of a client's calls: shared by threads, exact, and cheap enough for every call.

A forked child begins anew: what its parent has counted is the parent's to tell.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from .errors import LangCacheError
from .outcomes import kind_of
from .tallies import BATCH, Counts, Tally


class Counters:
    """The tallies of one client, by operation."""

    def __init__(self) -> None:
        self.tallies: dict[str, Tally] = {}
        self.reset()
        _all.add(self)

    def reset(self) -> None:
        """Begin anew. A call that ends at this very moment may be counted nowhere."""
        self._since = datetime.now(timezone.utc)
        self.tallies.clear()

    def answered(self, operation: str, facts: Mapping[str, Any], seconds: float) -> None:
        """Count a call that returned something, with its response's extensions as `facts`."""
        tally = self._tally(operation)
        retries = (facts.get("attempts") or 1) - 1
        if retries:
            tally.retries.append(retries)
        if "degraded" in facts:
            tally.errors.append(type(facts["degraded"]).__name__)
        ended = tally.ended(kind_of(facts))
        ended.append(seconds)
        if len(ended) >= BATCH:
            tally.settle()

    def raised(self, operation: str, error: BaseException, seconds: float) -> None:
        """Count a call that ended with `error`."""
        tally = self._tally(operation)
        retries = ((error.attempts if isinstance(error, LangCacheError) else None) or 1) - 1
        if retries:
            tally.retries.append(retries)
        tally.errors.append(type(error).__name__)
        tally.failed.append(seconds)
        if len(tally.failed) >= BATCH:
            tally.settle()

    def _tally(self, operation: str) -> Tally:
        tallies = self.tallies
        return tallies.get(operation) or tallies.setdefault(operation, Tally(operation))  # all threads get the same

    def counts(self) -> tuple[datetime, dict[str, Counts]]:
        """Return since when there are counts, and those of each operation that was called."""
        since, tallies = self._since, self.tallies.copy()
        return since, {operation: tally.counts() for operation, tally in tallies.items()}


_all: weakref.WeakSet[Counters] = weakref.WeakSet()


def _after_fork() -> None:
    for counters in list(_all):
        counters.reset()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_after_fork)
