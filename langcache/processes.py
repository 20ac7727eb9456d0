"""What belongs to one process: a forked child has a copy of its parent's memory, but must not share what is in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


def _leave(value: object) -> None:
    """Do nothing: what was inherited goes when nobody refers to it."""


class PerProcess(Generic[T]):
    """Something that each process makes for itself, with `make`; the first one is made at once.

    `discard` gets what a forked child has inherited, and what two threads made at the same time and only one may use.
    It must wait for no lock: that may be held by a thread of the parent's, which the child does not have. That is also
    why there is none here. Process ids are compared, because not everything that forks runs Python's own fork hooks.
    """

    def __init__(self, make: Callable[[], T], discard: Callable[[T], object] = _leave) -> None:
        self._make = make
        self._discard = discard
        self._made = {os.getpid(): make()}

    def get(self) -> T:
        """Return this process's own."""
        value = self._made.get(os.getpid())
        return self._made_here() if value is None else value

    def _made_here(self) -> T:
        process, fresh = os.getpid(), self._make()
        value = self._made.setdefault(process, fresh)  # atomic: all threads get the same
        if value is not fresh:
            self._discard(fresh)
        for other in list(self._made):
            inherited = None if other == process else self._made.pop(other, None)
            if inherited is not None:
                self._discard(inherited)
        return value
