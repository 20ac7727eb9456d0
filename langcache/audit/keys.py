"""Keys: secrets of the caller's that digests are made with."""

from __future__ import annotations

from typing import Final, Union

from ..errors import ConfigurationError
from ..secret import SecretText, is_secret, revealed

Key = Union[SecretText, bytes]
"""A secret; of pydantic's SecretStr, the UTF-8 encoding is used."""

SHORTEST_KEY: Final = 16
"""How many bytes a key has at the least: a shorter one could be found by trying."""


def key_bytes(name: str, key: Key) -> bytes:
    """Return the argument `name` as bytes; raises ConfigurationError, which does not show it, where it is no key."""
    plain = revealed(key)
    if is_secret(key) and isinstance(plain, str):
        plain = plain.encode("utf-8", "surrogatepass")
    if not isinstance(plain, bytes):
        raise ConfigurationError(f"{name} must be bytes or a SecretStr, not {type(key).__name__}")
    if len(plain) < SHORTEST_KEY:
        raise ConfigurationError(
            f"{name} must have {SHORTEST_KEY} bytes or more, not {len(plain)}; make one with secrets.token_bytes(32)"
        )
    return plain
