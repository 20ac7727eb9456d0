"""What hides a text: it shows it to who asks, and to nobody else."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from unittest.mock import Mock

import pytest
from pydantic import SecretBytes, SecretStr

from langcache import Credential
from langcache.secret import Secret, hidden, is_secret, revealed, wrong_type


def test_a_secret_shows_its_text_to_who_asks_alone() -> None:
    secret = Secret("s3cret")
    assert secret.get_secret_value() == revealed(secret) == "s3cret"
    assert f"{secret} {secret!r} {[secret]}" == "********** Secret('**********') [Secret('**********')]"


def test_secrets_are_values() -> None:
    assert Secret("a") == Secret("a") == copy.deepcopy(Secret("a"))
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert Secret("a") != "a"


@pytest.mark.parametrize("value", [Secret("s3cret"), Credential("s3cret"), [Credential("s3cret", 1_000)]], ids=repr)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_secret_is_not_pickled(value: object, protocol: int) -> None:
    """The pickle would have it in plain, on a disk or in a queue."""
    with pytest.raises(TypeError, match="A secret cannot be pickled") as caught:
        pickle.dumps(value, protocol)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("value", [Secret("s3cret"), Credential("s3cret", 1_000)], ids=repr)
def test_a_secret_is_copied(value: object) -> None:
    assert copy.copy(value) == copy.deepcopy(value) == value


def test_what_is_hidden_is_hidden_once_and_what_holds_no_key_is_not() -> None:
    provider: Callable[[], str] = lambda: "k1"  # noqa: E731
    key = Secret("k1")
    assert hidden("k1") == hidden(SecretStr("k1")) == key
    assert hidden(key) is key
    assert hidden(None) is None
    assert hidden(provider) is provider


def test_what_can_be_called_and_hides_a_text_is_a_secret() -> None:
    class Callable_(SecretStr):  # noqa: N801
        def __call__(self) -> str:
            return "never"

    assert hidden(Callable_("k1")) == Secret("k1")


@pytest.mark.parametrize(
    ("value", "wrong"), [(b"k", "bytes"), (["k"], "list"), (SecretBytes(b"k"), "bytes"), ("k", None)]
)
def test_what_is_no_text_is_hidden_too_and_its_type_told(value: object, wrong: str | None) -> None:
    secret = hidden(value)
    assert isinstance(secret, Secret)
    assert "k" not in repr(secret)
    assert wrong_type(secret) == wrong


def test_a_mock_hides_nothing() -> None:
    """It has whatever attribute it is asked for."""
    assert not is_secret(Mock())
    assert is_secret(SecretStr("k"))
    assert is_secret(Secret("k"))
