"""JSON Lines files: one record a line, appended by any number of threads and processes, whole or not at all.

1. What was written and then could not be finished - the disk is full - is cut off again, so that lines are whole.
2. What a process that died has left unfinished is cut off where there is a chain, which shows that nothing is missing,
   and ended with a line break where there is none. A whole record that only lacks its line break is given one.
3. A file that is put aside keeps its name, with the moment behind it: ``audit.jsonl.20261123T101500123Z``. So the names
   sort in the order of the files; clocks can go backwards, and then the name is that of the millisecond after the last
   one.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Final, Literal

from ..errors import AuditError, ConfigurationError
from ..processes import PerProcess
from .chain import Chain, Head, HeadFile
from .descriptors import SharedFile, followed, rotated, sync_directory, unfinished, write_all
from .records import AuditRecord

Fsync = Literal["never", "batch", "always"]
"""When the operating system is to have records on the disk: after each one, after each batch, or when it likes to."""

Every = Literal["hour", "day"]

_SECONDS: Final[dict[str, int]] = {"hour": 3600, "day": 86400}

_NO_HEAD: Final = Head(0, "")
"""What records are linked to where there is no chain."""


class JsonLinesFile:
    """A sink: a file with one record a line, in JSON.

    - It may be shared by processes, on one machine: a line is appended whole or not at all. Where the path leads to
      another file, or to none any more, as after a run of ``logrotate``, that one is opened, or a new one created.
    - A new file begins where it would grow over `max_bytes`, or with a new hour or day in UTC (`rotate`). The old one
      is put aside as ``audit.jsonl.20261123T101500123Z``; `keep` says how many are kept, None for all.
    - `fsync` says when the operating system is to have the records on the disk: after each one (``"always"``), after
      what was waiting at one time (``"batch"``), or when it likes to (``"never"``).
    - `mode` is the file's permissions where it is created.
    - With a `chain`, no line can be altered, taken out or moved without `langcache audit verify` showing it.

    A relative path is one of the directory in which this is made, and a link to a file is followed then. The directory
    must be there. Raises
    ConfigurationError for an argument that cannot work, and AuditError, which names the file, where it cannot be used.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int | None = None,
        rotate: Every | None = None,
        keep: int | None = None,
        fsync: Fsync = "batch",
        mode: int = 0o600,
        chain: Chain | None = None,
    ) -> None:
        if fsync not in ("never", "batch", "always"):
            raise ConfigurationError(f'fsync must be "never", "batch" or "always", not {fsync!r}')
        if chain is not None and not isinstance(chain, Chain):
            raise ConfigurationError(f"chain must be a Chain, or None for none, not {type(chain).__name__}")
        if isinstance(mode, bool) or not isinstance(mode, int) or mode & ~0o777 or mode & 0o600 != 0o600:
            raise ConfigurationError(
                f"mode must let the owner read and write, such as 0o600 or 0o640, not {_shown(mode)}"
            )
        self.path = followed(Path(path).absolute())
        self._options = {
            "path": str(self.path),
            "max_bytes": max_bytes,
            "rotate": rotate,
            "keep": keep,
            "fsync": fsync,
            "chain": chain is not None,
        }
        rotation = Rotation(max_bytes, rotate, keep)
        # A lock of the operating system's belongs to what was opened, which a forked child would share.
        self._own = PerProcess(partial(Appender, self.path, rotation, fsync, mode, chain), Appender.abandon)

    def options(self) -> Mapping[str, object]:
        """Return what `LangCache.explain` tells of it."""
        return self._options

    def check(self) -> None:
        """Raise AuditError where the file cannot be opened, or its disk has no space left."""
        self._own.get().check()

    def write(self, records: Sequence[AuditRecord]) -> int:
        """Append `records`, and return how many were; raises AuditError where it is none."""
        return self._own.get().append(records)

    def head(self) -> Head | None:
        """Return the number and the hash of the last record of the chain, to keep them elsewhere.

        And the id of the chain. None where there is no record yet, or no chain. Raises AuditError where the file cannot
        be used.
        """
        return self._own.get().head()

    def close(self) -> None:
        """Close the file; a later `write` opens it again."""
        self._own.get().close()

    def __repr__(self) -> str:
        return f"JsonLinesFile({str(self.path)!r})"


class Appender:
    """Appends to the file at `path`; it is shared by threads. Raises AuditError, which names the file."""

    def __init__(self, path: Path, rotation: Rotation, fsync: Fsync, mode: int, chain: Chain | None) -> None:
        self._path = path
        self._rotation = rotation
        self._fsync = fsync
        self._chain = chain
        self._log = SharedFile(path, mode, os.O_WRONLY | os.O_APPEND)
        self._head = None if chain is None else HeadFile(path, chain, mode)
        self._lock = threading.Lock()
        self._left: list[int] | None = None
        """The state in which this process left the file, with whole lines in it."""

    def check(self) -> None:
        """Raise AuditError where nothing can be appended now."""
        with self._exclusive("opened"):
            self._begin()
            if sys.platform != "win32":
                disk = os.fstatvfs(self._log.descriptor)
                left = disk.f_bfree if os.geteuid() == 0 else disk.f_bavail
                if disk.f_blocks and not left:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def head(self) -> Head | None:
        """Return the end of the chain; None where it has none yet, or there is no chain."""
        with self._exclusive("read"):
            head, _ = self._begin()
        return head if head.seq else None

    def append(self, records: Sequence[AuditRecord]) -> int:
        """Append as many of `records` as can be, from the first on, and return how many."""
        while True:
            with self._exclusive("written"):
                done = self._append(records)
                if done:
                    return done
                self._put_aside()

    def _append(self, records: Sequence[AuditRecord]) -> int:
        """Append what still fits into this file, and return how many that is."""
        head, gap = self._begin()
        seen = os.fstat(self._log.descriptor)
        size, written = seen.st_size, seen.st_mtime
        lines: list[bytes] = []
        for record in records:
            line, next_head = self._line(record, head)
            if self._rotation.is_due(size, written, len(line)):
                break
            lines.append(gap + line)
            size, written, head, gap = size + len(lines[-1]), self._rotation.clock(), next_head, b""
            if self._fsync == "always":
                break  # the others get a turn of their own
        if lines:
            self._keep(b"".join(lines), head, seen.st_size)
        return len(lines)

    def _line(self, record: AuditRecord, head: Head) -> tuple[bytes, Head]:
        text = record.json()
        if self._chain is None:
            return text.encode() + b"\n", head
        line, head = self._chain.link(text, head)
        return line + b"\n", head

    def _keep(self, lines: bytes, head: Head, start: int) -> None:
        """Append `lines` behind the `start` bytes that the file has, all of them or none."""
        try:
            write_all(self._log.descriptor, lines)
            if self._fsync != "never" and self._log.is_regular:
                os.fsync(self._log.descriptor)
            if self._head is not None:
                self._head.write(self._log, head)
        except BaseException:
            self._cut(start)
            raise
        self._left = self._log.state()

    def _begin(self) -> tuple[Head, bytes]:
        """Return the head to link to, and what is to stand before the next line."""
        if not self._log.is_regular:
            if self._head is not None or self._rotation.is_wanted:
                raise AuditError(
                    f"The audit file {str(self._path)!r} is no regular file, so that it can neither be chained nor put "
                    "aside"
                )
            return _NO_HEAD, b""
        gap = b""
        if self._log.state() != self._left:
            rest = unfinished(self._path)
            if rest and self._chain is not None:
                self._finish(rest, self._chain)
            elif rest:
                gap = b"\n"
        return (_NO_HEAD if self._head is None else self._head.read(self._log)), gap

    def _finish(self, rest: bytes, chain: Chain) -> None:
        """See to what stands behind the last line break: a record that only lacks its own, or the rest of one."""
        if chain.is_genuine(rest):
            write_all(self._log.descriptor, b"\n")
        else:
            self._cut(os.fstat(self._log.descriptor).st_size - len(rest))

    def _cut(self, size: int) -> None:
        """Cut the file off, where it can be; it is looked at again before the next line."""
        self._left = None
        if self._log.is_regular:
            with suppress(OSError):
                os.ftruncate(self._log.descriptor, size)

    def _put_aside(self) -> None:
        if sys.platform == "win32":  # what is open cannot be renamed there
            self._log.close()
        deleted = self._rotation.put_aside(self._path)
        if self._head is not None and deleted:
            self._head.begin_behind(deleted[-1])  # first, so that nothing is gone that it does not know of
        for oldest in deleted:
            oldest.unlink(missing_ok=True)
        if self._fsync != "never":
            sync_directory(self._path)

    @contextmanager
    def _exclusive(self, to_be: str) -> Generator[None, None, None]:
        """Have the file open and nobody else append to it; `to_be` says what for."""
        guard = self._log if self._head is None else self._head.file
        try:
            with self._lock, guard.locked():
                if guard is not self._log:
                    self._log.open()
                yield
        except OSError as error:
            reason = error.strerror or str(error)
            raise AuditError(f"The audit file {str(self._path)!r} cannot be {to_be}: {reason}") from error

    def close(self) -> None:
        """Close what is open."""
        with self._lock:
            self.abandon()

    def abandon(self) -> None:
        """Close what is open, and wait for nobody: in a forked child, a thread of the parent's may have the lock."""
        for file in (self._log, *([] if self._head is None else [self._head.file])):
            with suppress(OSError):
                file.close()


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
        if self.keep is not None and not self.is_wanted:
            raise ConfigurationError(
                f"keep={self.keep} says how many files that were put aside are kept, but none is: set max_bytes or "
                "rotate"
            )

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

    def put_aside(self, path: Path) -> list[Path]:
        """Give the file at `path` its name for later, and return those that are too many, the oldest first."""
        old = rotated(path)
        stamp = _stamp(self.clock())
        if old:
            stamp = max(stamp, _after(old[-1].name[len(path.name) + 1 :]))
        path.rename(path.with_name(f"{path.name}.{stamp}"))
        return [] if self.keep is None else rotated(path)[: -self.keep]


def _shown(mode: object) -> str:
    """Return what was given as permissions, a number in octal digits: 600 is none that anybody means."""
    return f"{mode} ({mode:#o})" if isinstance(mode, int) else repr(mode)


def _stamp(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03}Z"


def _after(stamp: str) -> str:
    """Return the name of the millisecond after `stamp`; one that is no moment is followed all the same."""
    digits = int(stamp[:8] + stamp[9:18]) + 1
    return f"{digits // 10**9:08}T{digits % 10**9:09}Z"
