"""Appending: what one process does with a JSON Lines file, under the file's lock.

1. What was written and then could not be finished - the disk is full - is cut off again, so that lines are whole.
2. What a process that died has left unfinished is cut off where there is a chain, which shows that nothing is missing,
   and ended with a line break where there is none.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from ..errors import AuditError
from .chain import START, Chain, Head
from .descriptors import SharedFile, sync_directory, unfinished, write_all
from .heads import HeadFile
from .records import AuditRecord
from .rotation import Rotation

Fsync = Literal["never", "batch", "always"]
"""When the operating system is to have records on the disk: after each one, after each batch, or when it likes to."""


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
        return None if head == START else head

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
            return START, b""
        gap = b""
        if self._log.state() != self._left:
            rest = unfinished(self._path)
            if rest and self._head is not None:
                self._cut(os.fstat(self._log.descriptor).st_size - rest)
            elif rest:
                gap = b"\n"
        return (START if self._head is None else self._head.read(self._log)), gap

    def _cut(self, size: int) -> None:
        """Cut the file off, where it can be; it is looked at again before the next line."""
        self._left = None
        if self._log.is_regular:
            with suppress(OSError):
                os.ftruncate(self._log.descriptor, size)

    def _put_aside(self) -> None:
        if sys.platform == "win32":  # what is open cannot be renamed there
            self._log.close()
        self._rotation.put_aside(self._path)
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
