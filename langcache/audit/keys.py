"""Keys: secrets of the caller's that digests are made with."""

from __future__ import annotations

from typing import Final, Union

from pydantic import SecretStr

from ..errors import ConfigurationError

Key = Union[SecretStr, bytes]
"""A secret; of a SecretStr, the UTF-8 encoding is used."""

SHORTEST_KEY: Final = 16
"""How many bytes a key has at the least: a shorter one could be found by trying."""


def key_bytes(name: str, key: Key) -> bytes:
    """Return the argument `name` as bytes; raises ConfigurationError, which does not show it, where it is no key."""
    if isinstance(key, SecretStr):
        key = key.get_secret_value().encode("utf-8", "surrogatepass")
    if not isinstance(key, bytes):
        raise ConfigurationError(f"{name} must be bytes or a SecretStr, not {type(key).__name__}")
    if len(key) < SHORTEST_KEY:
        raise ConfigurationError(
            f"{name} must have {SHORTEST_KEY} bytes or more, not {len(key)}; make one with secrets.token_bytes(32)"
        )
    return key
