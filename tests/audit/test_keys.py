"""Keys: bytes or a SecretStr of enough length, and nothing of them in an error."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from langcache.audit import Chain, HashedPrompts
from langcache.audit.keys import key_bytes
from langcache.errors import ConfigurationError


def test_a_secret_string_is_its_encoding() -> None:
    assert key_bytes("key", SecretStr("ä" * 8)) == key_bytes("key", ("ä" * 8).encode())


@pytest.mark.parametrize("key", [b"too short", SecretStr("too short"), b"", "a string that is long enough", 7, None])
def test_what_is_no_key_is_refused_and_not_shown(key: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        key_bytes("the key", key)
    assert str(caught.value).startswith("the key must")
    assert "too short" not in str(caught.value)
    assert "a string" not in str(caught.value)


@pytest.mark.parametrize("holder", [HashedPrompts(b"5ecret" * 8), Chain(SecretStr("5ecret" * 8))])
def test_a_key_is_in_no_repr(holder: object) -> None:
    assert "5ecret" not in repr(holder)
    assert "5ecret" not in str(holder)
