"""Files that several processes append to: opened again where their path leads elsewhere, and locked where need be.

And what can be read of them without reading all: their first and last lines, and the names of those put aside.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import weakref
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_CHUNK: Final = 4096
_STAMP = re.compile(r"\.[0-9]{8}T[0-9]{9}Z")

if sys.platform == "win32":  # locks between processes are not had like this there: one process a file

    def _lock(descriptor: int) -> None:
        pass

    def _unlock(descriptor: int) -> None:
        pass

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


class SharedFile:
    """A file by its path. It is not shared by threads; raises OSError for what the operating system refuses."""

    def __init__(self, path: Path, mode: int, flags: int) -> None:
        self.path = path
        self._mode = mode
        self._flags = flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        self._descriptor: int | None = None
        self.is_regular = True
        """Whether it is a file in the usual sense, and no device or pipe, which cannot be read back or cut."""
        _all.add(self)

    @property
    def descriptor(self) -> int:
        """The descriptor of the file, which is open."""
        assert self._descriptor is not None, "open() comes first"  # noqa: S101 - for the type checkers
        return self._descriptor

    def open(self) -> None:
        """Open the file that the path leads to now, unless that is open; it is created where there is none."""
        if self._descriptor is not None:
            if self._is_current():
                return
            self.close()
        self._descriptor = self._opened()
        self.is_regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)

    def _opened(self) -> int:
        for _ in range(8):
            with suppress(FileNotFoundError):
                return os.open(self.path, self._flags)
            try:
                descriptor = os.open(self.path, self._flags | os.O_CREAT | os.O_EXCL, self._mode)
            except FileExistsError:  # another process was faster
                continue
            if sys.platform != "win32":
                os.fchmod(descriptor, self._mode)  # whatever the umask is
            return descriptor
        raise FileExistsError(errno.EEXIST, "It comes and goes", str(self.path))

    def _is_current(self) -> bool:
        """Say whether the path still leads to the file that is open: somebody may have moved or deleted it."""
        if not self.is_regular:
            return True
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self.descriptor))
        except FileNotFoundError:
            return False

    @contextmanager
    def locked(self) -> Generator[None, None, None]:
        """Open the file and keep all others out that do the same, in this process and in others."""
        while True:
            self.open()
            if not self.is_regular:
                yield
                return
            descriptor = self.descriptor
            _lock(descriptor)
            try:
                if self._is_current():  # and was not moved while we waited
                    yield
                    return
            finally:
                if self._descriptor == descriptor:  # or closing it has unlocked it
                    _unlock(descriptor)

    def state(self) -> list[int]:
        """Return what tells the open file, as it is now, from another one and from itself when it has grown."""
        seen = os.fstat(self.descriptor)
        return [seen.st_dev, seen.st_ino, seen.st_size]

    def close(self) -> None:
        """Close the file, where it is open."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


_all: weakref.WeakSet[SharedFile] = weakref.WeakSet()


def _after_fork() -> None:
    """Close what a forked child has inherited: a lock is held until the last copy of the descriptor is closed.

    The child has no use for it, and may outlive a parent that is killed while it has the lock.
    """
    for file in list(_all):
        with suppress(OSError):
            file.close()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_after_fork)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, in one call where the operating system takes it in one."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def sync_directory(path: Path) -> None:
    """Have the operating system keep that `path` was created or renamed, where it can."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def last_line(path: Path) -> bytes | None:
    """Return the last line of a file that has a line break at its end, without that; None where there is none."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        tail = b""
        while end and tail.count(b"\n") < 3:  # what is behind the last one is the rest of a line
            start = max(end - _CHUNK, 0)
            file.seek(start)
            tail = file.read(end - start) + tail
            end = start
    lines = tail.split(b"\n")
    return lines[-2] if len(lines) > 1 else None


def first_line(path: Path) -> bytes:
    """Return the first line of a file, without its line break."""
    with path.open("rb") as file:
        return file.readline().removesuffix(b"\n")


def unfinished(path: Path) -> bytes:
    """Return what is behind the last line break of a file."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        pieces: list[bytes] = []
        while end:
            start = max(end - _CHUNK, 0)
            file.seek(start)
            _, line_break, behind = file.read(end - start).rpartition(b"\n")
            pieces.append(behind)
            if line_break:
                break
            end = start
    return b"".join(reversed(pieces))


def rotated(path: Path) -> list[Path]:
    """Return the files that were put aside for that at `path`, the oldest first."""
    return sorted(other for other in path.parent.iterdir() if other.name != path.name and written_to(other) == path)


def written_to(path: Path) -> Path:
    """Return where the file was written that was put aside as `path`, or `path` itself where it was not."""
    name, stamp = path.name[:-20], path.name[-20:]
    return path.with_name(name) if name and _STAMP.fullmatch(stamp) else path


def in_order(paths: list[Path]) -> list[Path]:
    """Return `paths` with those of one file in the order in which they were written, whatever order they are in."""
    ordered, whole = list(paths), [path.absolute() for path in paths]
    for origin in dict.fromkeys(map(written_to, whole)):
        places = [index for index, path in enumerate(whole) if written_to(path) == origin]
        # What was put aside bears its moment, and the file itself is the newest.
        by_age = sorted(places, key=lambda index: (whole[index] == origin, whole[index]))
        for place, index in zip(places, by_age, strict=True):
            ordered[place] = paths[index]
    return ordered


def followed(path: Path) -> Path:
    """Return the file that a link leads to, which is what is renamed; what is no file, as a pipe, stays as it is.

    Where that cannot be told, it stays too: whoever opens it is told why.
    """
    if os.path.islink(path) and (os.path.isfile(path) or not os.path.exists(path)):  # noqa: PTH110, PTH113, PTH114
        return Path(os.path.realpath(path))
    return path
