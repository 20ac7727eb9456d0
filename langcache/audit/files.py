"""JSON Lines files: one record a line, appended by any number of threads and processes, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from ..errors import ConfigurationError
from ..processes import PerProcess
from .appending import Appender, Fsync
from .chain import Chain, Head
from .records import AuditRecord
from .rotation import Every, Rotation


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

    A relative path is one of the directory in which this is made. The directory must be there. Raises
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
        self.path = Path(path).absolute()
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

        None where there is no record yet, or no chain. Raises AuditError where the file cannot be used.
        """
        return self._own.get().head()

    def close(self) -> None:
        """Close the file; a later `write` opens it again."""
        self._own.get().close()

    def __repr__(self) -> str:
        return f"JsonLinesFile({str(self.path)!r})"
