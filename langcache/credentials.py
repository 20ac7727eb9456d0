"""Where the API key comes from: a string, a provider that is asked for it, or a file that is rotated on disk."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Union

from .errors import ConfigurationError
from .http import header_value_problem
from .logs import WARN
from .secret import Secret, SecretText, hidden, revealed, wrong_type

ApiKey = Union[str, SecretText]

SCHEME: Final = "Bearer "
"""The scheme with which a key is sent (RFC 6750, section 2.1)."""

EMPTY: Final = "is empty"


@dataclass(frozen=True)
class Credential:
    """An API key that a provider allows to be kept, for all calls of the client, until it expires or is refused.

    `expires_in_ms` is how long it may be used, in milliseconds from when it was provided; None for as long as the
    service accepts it. Its ``repr`` does not show the key.
    """

    key: Secret
    expires_in_ms: float | None = None

    def __init__(self, key: ApiKey, expires_in_ms: float | None = None) -> None:
        key = hidden(key)
        object.__setattr__(self, "key", key)  # first: this has a repr then, for the traceback of an error
        wrong = wrong_type(key)
        if wrong is not None:
            raise ConfigurationError(f"The API key must be a string, not {wrong}")
        problem = None if expires_in_ms is None else _milliseconds_problem(expires_in_ms)
        if problem is not None:
            del expires_in_ms  # it may be the key, where the two were given in the wrong order
            raise ConfigurationError(f"expires_in_ms must be a number of 0 or more milliseconds, not {problem}")
        object.__setattr__(self, "expires_in_ms", expires_in_ms)


def key_problem(key: ApiKey) -> str | None:
    """Say why `key` is none that can be sent, as the rest of a sentence that does not show it; None where it can be."""
    plain: object = revealed(key)
    if isinstance(plain, str) and plain.strip().lower() in ("", SCHEME.strip().lower()):
        return EMPTY
    return header_value_problem(plain)


def _milliseconds_problem(value: object) -> str | None:
    """Return what `value` is, where it is no number of milliseconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return type(value).__name__
    if not value >= 0:
        return repr(value)
    try:
        float(value)
    except OverflowError:
        return "one that is too large to be computed with"
    return None


Provided = Union[str, SecretText, Credential, None]

KeyProvider = Callable[[], Union[Provided, Awaitable[Provided]]]
"""A plain or an async callable that returns the API key. It is asked before every attempt; but where it returns a
`Credential`, that is kept, and the provider asked again when it has expired or the service has refused it. Where it is
an object whose class has a method ``refresh``, that is called in its place after the service has refused a key."""


class KeyFile:
    """A key provider that reads the key from a file, and reads it again when the file changes.

    It looks at the file before every attempt, which costs microseconds, so that a rotated key is used at once. White
    space around the key is left out, and so is a byte order mark before it. A file that cannot be read, is empty, or
    holds what cannot be sent as a key, such as two lines, while it is replaced leaves the last key in use, and the
    logger ``langcache`` warns, of each reason once until the file is well again; where there was no key yet,
    ConfigurationError names the file. Threads share it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._state: tuple[tuple[int, int, int], Secret] | None = None
        """What the file was when it was read, and the key in it."""
        self._told: dict[str, object] = {}
        """The reasons that were warned of since the file was well."""

    def __call__(self) -> Secret:
        """Return the key that the file holds now."""
        return self._current(again=False)

    def refresh(self) -> Secret:
        """Read the file again, even if it looks unchanged: the service has refused the key."""
        return self._current(again=True)

    def _current(self, again: bool) -> Secret:
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
            self._warn(reason)
        else:
            if self._told:
                self._told = {}
        return state[1]

    def _read(self) -> Secret:
        key = _decoded(self._path.read_bytes())
        if key is None:
            raise ValueError("it is not UTF-8")
        problem = key_problem(key)
        if problem is not None:
            raise ValueError("it is empty" if problem == EMPTY else f"the key in it {problem}")
        return key

    def _warn(self, reason: str) -> None:
        this = object()
        if self._told.setdefault(reason, this) is this:  # atomic: of all threads, one tells it
            line = "The key file %r cannot be used: %s; the last key stays in use"
            WARN(line, str(self._path), reason, event="key_file_unusable", reason=reason)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self._path),)  # a copy reads the file by itself; no pickle has the key

    def __repr__(self) -> str:
        return f"KeyFile({str(self._path)!r})"


def _decoded(content: bytes) -> Secret | None:
    """Return the key in a file's content, or None where it is no text: the error itself would hold the content."""
    try:
        return Secret(content.decode("utf-8-sig").strip())
    except UnicodeDecodeError:
        return None
