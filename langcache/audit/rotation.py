"""Rotation: when an audit file is put aside for a new one, under which name, and which old ones are deleted.

A file that is put aside keeps its name, with the moment behind it: ``audit.jsonl.20261123T101500123Z``. So the names
sort in the order of the files; clocks can go backwards, and then the name is that of the millisecond after the last
one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final, Literal

from ..errors import ConfigurationError

Every = Literal["hour", "day"]

_SECONDS: Final[dict[str, int]] = {"hour": 3600, "day": 86400}
_STAMP = re.compile(r"[0-9]{8}T[0-9]{9}Z")


@dataclass(frozen=True)
class Rotation:
    """When to begin a new file; `clock` gives seconds since the epoch. Raises ConfigurationError."""

    max_bytes: int | None = None
    """A file does not grow larger than this, unless one record alone is larger."""
    every: Every | None = None
    """A new file begins with the first record of a new hour or day, in UTC."""
    keep: int | None = None
    """How many files that were put aside are kept; None for all."""
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        for name, value in (("max_bytes", self.max_bytes), ("keep", self.keep)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ConfigurationError(f"{name} must be a whole number of 1 or more, or None, not {value!r}")
        if self.every is not None and self.every not in _SECONDS:
            raise ConfigurationError(f'rotate must be "hour", "day" or None, not {self.every!r}')

    @property
    def is_wanted(self) -> bool:
        """Whether files are put aside at all."""
        return self.max_bytes is not None or self.every is not None

    def is_due(self, size: int, written: float, more: int) -> bool:
        """Say whether a file of `size` bytes, `written` at that time for the last time, is to take no `more` bytes."""
        if not size:
            return False
        if self.max_bytes is not None and size + more > self.max_bytes:
            return True
        if self.every is None:
            return False
        period = _SECONDS[self.every]
        return self.clock() // period > written // period

    def put_aside(self, path: Path) -> None:
        """Give the file at `path` its name for later, and delete those that are too many."""
        old = rotated(path)
        stamp = _stamp(self.clock())
        if old:
            stamp = max(stamp, _after(old[-1].name[len(path.name) + 1 :]))
        path.rename(path.with_name(f"{path.name}.{stamp}"))
        if self.keep is not None:
            for oldest in rotated(path)[: -self.keep]:
                oldest.unlink(missing_ok=True)


def rotated(path: Path) -> list[Path]:
    """Return the files that were put aside for that at `path`, the oldest first."""
    start = f"{path.name}."
    return sorted(
        other
        for other in path.parent.iterdir()
        if other.name.startswith(start) and _STAMP.fullmatch(other.name[len(start) :])
    )


def _stamp(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03}Z"


def _after(stamp: str) -> str:
    """Return the name of the millisecond after `stamp`; one that is no moment is followed all the same."""
    digits = int(stamp[:8] + stamp[9:18]) + 1
    return f"{digits // 10**9:08}T{digits % 10**9:09}Z"
