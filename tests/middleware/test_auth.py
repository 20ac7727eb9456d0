"""Authentication, stepped by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from langcache import Request, send
from langcache.errors import ConfigurationError
from langcache.middleware.auth import BearerAuth, authorization
from langcache.steps import Resolve, Send

REQUEST = Request("GET", "http://cache.example/")


def sent_with(auth: BearerAuth, *answers: object, request: Request = REQUEST) -> str | None:
    """Return the Authorization header that is sent, when providers are answered with `answers`."""
    steps = auth(request, send)
    command = next(steps)
    for answer in answers:
        assert isinstance(command, Resolve)
        command = steps.send(answer)
    assert isinstance(command, Send)
    return command.request.headers.get("authorization")


def test_the_key_is_sent_as_a_bearer_token() -> None:
    assert sent_with(BearerAuth(SecretStr("k1"))) == "Bearer k1"


@pytest.mark.parametrize("key", ["Bearer k1", "bearer k1", "BEARER k1"])
def test_a_key_that_names_its_scheme_is_sent_as_it_is(key: str) -> None:
    assert sent_with(BearerAuth(SecretStr(key))) == key


@pytest.mark.parametrize("given_key", ["k1", SecretStr("k1")])
def test_a_provider_is_resolved_by_the_driver(given_key: object) -> None:
    """Whether it is plain or async is the driver's business, not the middleware's."""

    def provider() -> str:
        raise AssertionError("the middleware must not call it itself")

    assert sent_with(BearerAuth(provider), given_key) == "Bearer k1"


def test_a_provider_is_asked_for_every_attempt() -> None:
    """So that a key that was rotated meanwhile is used at once."""
    auth = BearerAuth(lambda: None)
    assert [sent_with(auth, "old"), sent_with(auth, "new")] == ["Bearer old", "Bearer new"]


@pytest.mark.parametrize("key", [SecretStr("k1"), lambda: "k1", lambda: None])
def test_an_authorization_of_the_callers_is_sent_as_it_is(key: Any) -> None:
    """It was given for this very call, so it stands before the client's key, which is not even asked for."""
    request = REQUEST.with_headers({"AUTHORIZATION": "Basic eA=="})
    assert sent_with(BearerAuth(key), request=request) == "Basic eA=="


def test_without_a_key_nothing_is_sent_where_one_is_required() -> None:
    steps = BearerAuth(lambda: None)(REQUEST, send)
    next(steps)
    with pytest.raises(ConfigurationError, match=r"No API key.*api_key=.*LANGCACHE_API_KEY"):
        steps.send(None)


def test_without_a_key_the_request_passes_where_none_is_required() -> None:
    assert sent_with(BearerAuth(lambda: None, required=False), None) is None


@pytest.mark.parametrize("key", ["", " ", "\t", "Bearer", "bearer "])
def test_an_empty_key_is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match="The API key is empty"):
        authorization(key)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("s3cret\n", "line break at position 6 of 7"),
        ("s3cret\r\nX-Injected: 1", "line break at position 6"),
        ("s3cr€t", r"U\+20AC at position 4"),
        ("s3cret\x00", r"U\+0000"),
        ("s3cret\ud800", r"U\+D800"),
    ],
)
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(key: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        authorization(key)
    assert "s3cr" not in str(caught.value)


@pytest.mark.parametrize("key", [b"s3cret", 5, ["s3cret"]])
def test_a_provider_that_returns_something_else_is_refused_and_it_is_not_shown(key: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"The API key must be a string, not (bytes|int|list)") as caught:
        authorization(key)
    assert "s3cret" not in str(caught.value)


def test_an_error_of_the_provider_is_the_callers_to_see() -> None:
    def provider() -> str:
        raise AssertionError("the driver calls it")

    steps = BearerAuth(provider)(REQUEST, send)
    next(steps)
    with pytest.raises(LookupError, match="no vault"):
        steps.throw(LookupError("no vault"))


@given(key=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
def test_every_printable_key_is_sent_whole(key: str) -> None:
    make: Callable[[str], str] = authorization
    assert make(key).endswith(key)
