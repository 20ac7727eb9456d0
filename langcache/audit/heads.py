"""The head of a file's chain, which its writers share: it outlasts restarts, and files that were moved away.

It stands in a small file beside the audit file, ``.audit.jsonl.head``, which is the lock of all its writers too. The
audit file's own end is asked as well: a process that died may have written there, and not here.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..errors import AuditError
from .chain import START, Chain, Head, link_of
from .descriptors import SharedFile, last_line
from .rotation import rotated

_SIZE: Final = 512
"""How many bytes the file has: always the same, so that it is replaced by one write."""


class HeadFile:
    """The file that holds the head; it is read and written by whoever has its lock."""

    def __init__(self, path: Path, chain: Chain, mode: int) -> None:
        self.file = SharedFile(path.with_name(f".{path.name}.head"), mode, os.O_RDWR)
        self._chain = chain
        self._mark = chain.digest(b"langcache audit")
        """What tells the key from another one, and tells nothing else of it."""

    def read(self, log: SharedFile) -> Head:
        """Return the head that the next record of `log` is linked to; raises AuditError where that is not clear."""
        kept = self._kept(log)
        if kept is not None and kept.state == log.state():
            return kept.head
        last = last_line(log.path)
        if last is None and kept is None:  # both files are new, or this one is lost
            older = rotated(log.path)
            last = last_line(older[-1]) if older else None
            if last is None:
                return START
        found = None if last is None else self._genuine(last)
        if found is not None and (kept is None or found.seq >= kept.head.seq):
            return found
        if kept is None:
            raise AuditError(
                f"The audit file {str(log.path)!r} does not end with a record of this chain: it was written without a "
                "chain or with another key, or was altered; begin a new file"
            )
        return kept.head  # where records behind it are gone, the chain shows it

    def write(self, log: SharedFile, head: Head) -> None:
        """Keep `head`, which `log` ends with."""
        members = {"seq": head.seq, "hash": head.hash, "key": self._mark, "state": log.state()}
        descriptor = self.file.descriptor
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps(members).encode().ljust(_SIZE - 1) + b"\n")

    def _kept(self, log: SharedFile) -> _Kept | None:
        """Return what the file holds, or None where that cannot be read."""
        descriptor = self.file.descriptor
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            members: Any = json.loads(os.read(descriptor, _SIZE))
            seq, digest, mark, state = (members[name] for name in ("seq", "hash", "key", "state"))
        except (ValueError, TypeError, KeyError):
            return None
        if not (isinstance(seq, int) and isinstance(digest, str) and isinstance(state, list)):
            return None
        if mark != self._mark:
            raise AuditError(
                f"The chain of the audit file {str(log.path)!r} was begun with another key, or with none; begin a new "
                "file with this one"
            )
        return _Kept(Head(seq, digest), state)

    def _genuine(self, line: bytes) -> Head | None:
        try:
            link = link_of(line)
        except ValueError:
            return None
        return Head(link.seq, link.hash) if link is not None and self._chain.is_genuine(line) else None


class _Kept(NamedTuple):
    """What the file holds: the head, and the state in which the audit file was then."""

    head: Head
    state: list[int]
