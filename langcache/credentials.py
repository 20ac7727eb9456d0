"""Where the API key comes from: a string, a provider that is asked for it, or a file that is rotated on disk."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from pydantic import SecretStr

from .errors import ConfigurationError

ApiKey = Union[str, SecretStr]


@dataclass(frozen=True)
class Credential:
    """An API key that a provider allows to be kept, for all calls of the client, until it expires or is refused.

    `expires_in_ms` is how long it may be used, in milliseconds from when it was provided; None for as long as the
    service accepts it. Its ``repr`` does not show the key.
    """

    key: SecretStr
    expires_in_ms: float | None = None

    def __init__(self, key: ApiKey, expires_in_ms: float | None = None) -> None:
        number = isinstance(expires_in_ms, (int, float)) and not isinstance(expires_in_ms, bool)
        if expires_in_ms is not None and not (number and expires_in_ms >= 0):
            raise ConfigurationError(f"expires_in_ms must be a number of 0 or more milliseconds, not {expires_in_ms!r}")
        object.__setattr__(self, "key", SecretStr(key) if isinstance(key, str) else key)
        object.__setattr__(self, "expires_in_ms", expires_in_ms)


Provided = Union[str, SecretStr, Credential, None]

KeyProvider = Callable[[], Union[Provided, Awaitable[Provided]]]
"""A plain or an async callable that returns the API key. It is asked before every attempt; but where it returns a
`Credential`, that is kept, and the provider asked again when it has expired or the service has refused it."""

_logger = logging.getLogger("langcache")


class KeyFile:
    """A key provider that reads the key from a file, and reads it again when the file changes.

    It looks at the file before every attempt, which costs microseconds, so that a rotated key is used at once. White
    space around the key is left out. A file that cannot be read, or is empty, while it is replaced leaves the last key
    in use, and the logger ``langcache`` warns; where there was none yet, ConfigurationError names the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._state: tuple[tuple[int, int, int], SecretStr] | None = None
        """What the file was when it was read, and the key in it."""

    def __call__(self) -> SecretStr:
        """Return the key that the file holds now."""
        return self._current(again=False)

    def refresh(self) -> SecretStr:
        """Read the file again, even if it looks unchanged: the service has refused the key."""
        return self._current(again=True)

    def _current(self, again: bool) -> SecretStr:
        state = self._state
        try:
            seen = self._path.stat()
            mark = (seen.st_mtime_ns, seen.st_size, seen.st_ino)
            if state is None or again or state[0] != mark:
                state = mark, self._read()
                self._state = state
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            if state is None:
                raise ConfigurationError(f"The key file {str(self._path)!r} cannot be used: {reason}") from None
            _logger.warning("The key file %r cannot be used: %s; the last key stays in use", str(self._path), reason)
        return state[1]

    def _read(self) -> SecretStr:
        try:
            key = self._path.read_text(encoding="utf-8").strip()
        except UnicodeDecodeError:  # its text would show a piece of the key
            raise ValueError("it is not UTF-8") from None
        if not key:
            raise ValueError("it is empty")
        return SecretStr(key)

    def __repr__(self) -> str:
        return f"KeyFile({str(self._path)!r})"
