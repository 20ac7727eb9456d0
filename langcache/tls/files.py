"""The files that a configuration names: what is in them, and whether they are still the same."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from ..errors import ConfigurationError

if TYPE_CHECKING:
    from .config import TLSConfig

# OpenSSL's X509_LOOKUP_hash_dir(3): a directory's certificates are found by the hash of their subject.
_HASHED: Final = re.compile(r"[0-9a-f]{8}\.[0-9]+")

_SETTLED: Final = 2.0
"""How many seconds old a file must be for its times to tell that it has not changed: some count in twos."""


class Stamps(NamedTuple):
    """What the file system says of the files without reading them; None for one that is missing."""

    each: dict[str, tuple[int, ...] | None]
    newest: float
    """When the last change was, in seconds since 1970."""

    def settled(self, now: float) -> bool:
        """Say whether the files are old enough that a further change would show in these stamps."""
        return self.newest < now - _SETTLED


class TLSFiles:
    """The files of one configuration, with links followed anew at every look."""

    def __init__(self, config: TLSConfig) -> None:
        self._client = cast("list[str]", [path for path in (config.cert, config.key) if path is not None])
        self._places = config.places
        self._named_ca = config.named_ca

    def __bool__(self) -> bool:
        return bool(self._client or self._places)

    def stamps(self) -> Stamps:
        """Return the files' stamps; raises ConfigurationError where a directory cannot be listed."""
        found = {path: _status(path) for path in self._paths()}
        times = [time for status in found.values() if status for time in (status.st_mtime, status.st_ctime)]
        return Stamps({path: _stamp(status) for path, status in found.items()}, max(times, default=0.0))

    def _paths(self) -> Iterator[str]:
        yield from self._client
        for place in self._places:
            yield place
            yield from _entries(place)

    def read(self) -> dict[str, bytes]:
        """Return the contents by path; raises ConfigurationError with the reason where one cannot be read."""
        contents = {path: _read(path, f"The file {path}") for path in self._client}
        if self._places:
            contents.update(self._read_authorities())
        return contents

    def _read_authorities(self) -> dict[str, bytes]:
        what = f"The CA file {self._named_ca}"
        if len(self._places) == 1 and not _is_directory(self._places[0]):
            contents = {self._places[0]: _read(self._places[0], what)}
            hint = "holds no certificate (PEM)"
        else:
            # Where several directories are listed, OpenSSL passes over one that does not exist.
            contents = _read_all(path for place in self._places for path in _entries(place))
            what = f"The CA directory {self._named_ca}"
            hint = "holds no certificate (PEM) under a hashed name, such as 4f316efb.0: run 'openssl rehash' on it"
        if not any(b"CERTIFICATE-----" in content for content in contents.values()):
            raise ConfigurationError(f"{what} {hint}")
        return contents


def _status(path: str) -> os.stat_result | None:
    """Return the status of what a path leads to; None where there is nothing, which reading it will tell."""
    try:
        return Path(path).stat()
    except OSError:
        return None


def _is_directory(path: str) -> bool:
    status = _status(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def _stamp(status: os.stat_result | None) -> tuple[int, ...] | None:
    """Return what changes when a file is written to or replaced."""
    if status is None:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _entries(place: str) -> list[str]:
    """Return the paths of a directory's certificates, which a file has none of; raises ConfigurationError."""
    if not _is_directory(place):
        return []
    try:
        found = sorted(Path(place).iterdir())
    except OSError as error:
        raise ConfigurationError(f"The CA directory {place} cannot be read: {error.strerror}") from error
    return [str(path) for path in found if _HASHED.fullmatch(path.name)]


def _read_all(paths: Iterable[str]) -> dict[str, bytes]:
    """Read what can be read of a directory, as OpenSSL does: it may have links that lead nowhere."""
    contents: dict[str, bytes] = {}
    for path in paths:
        try:
            contents[path] = Path(path).read_bytes()
        except OSError:  # noqa: PERF203 - the rest still counts, and at least one certificate is asked for
            continue
    return contents


def _read(path: str, what: str) -> bytes:
    try:
        # Anything but a file, such as a pipe, could keep us waiting for ever.
        kind = Path(path).stat().st_mode
        if not stat.S_ISREG(kind):
            raise ConfigurationError(f"{what} is {'a directory' if stat.S_ISDIR(kind) else 'no regular file'}")
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{what} cannot be read: {error.strerror}") from error
