"""Authentication, stepped by hand. How a provider is asked, and what of it is kept, is in test_keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from langcache import Credential, Request, Response, Steps, send
from langcache.credentials import Provided
from langcache.errors import AuthenticationError, ConfigurationError, ConnectError
from langcache.middleware.auth import BearerAuth, authorization
from langcache.middleware.keys import REST
from langcache.secret import Secret
from langcache.steps import Command, Resolve, Send
from tests.middleware.stepping import Clock, fail, failure, finish, throw

REQUEST = Request("GET", "http://cache.example/")


class Provider:
    """Gives these keys, one after another, and counts how often it is asked."""

    def __init__(self, *keys: Provided | Exception) -> None:
        self.keys = list(keys)
        self.asked = 0

    def __call__(self) -> Provided:
        self.asked += 1
        key = self.keys.pop(0)
        if isinstance(key, Exception):
            raise key
        return key


def performed(steps: Steps[Response], command: Command) -> Command:
    """Ask the provider, as a driver does, where that is what the steps ask for."""
    if not isinstance(command, Resolve):
        return command
    try:
        answer = command.provider()
    except LookupError as error:
        return steps.throw(error)
    return steps.send(answer)


def key_of(command: Command) -> str | None:
    """Return the Authorization header of what is sent."""
    assert isinstance(command, Send)
    return command.request.headers.get("authorization")


def sent_with(auth: BearerAuth, request: Request = REQUEST) -> str | None:
    """Return the Authorization header that is sent."""
    steps = auth(request, send)
    return key_of(performed(steps, next(steps)))


def refused(auth: BearerAuth, request: Request = REQUEST) -> tuple[Steps[Response], Command]:
    """Return the steps of an attempt whose key the service has refused, and what they ask for then."""
    steps = auth(request, send)
    performed(steps, next(steps))
    return steps, throw(steps, failure(401))


def test_the_key_is_sent_as_a_bearer_token() -> None:
    assert sent_with(BearerAuth(Secret("k1"))) == "Bearer k1"


@pytest.mark.parametrize("key", ["Bearer k1", "bearer k1", "BEARER k1"])
def test_a_key_that_names_its_scheme_is_sent_as_it_is(key: str) -> None:
    assert sent_with(BearerAuth(Secret(key))) == key


@pytest.mark.parametrize("given_key", ["k1", SecretStr("k1"), Credential("k1"), Credential(SecretStr("k1"))])
def test_a_provider_is_asked_by_the_driver(given_key: Provided) -> None:
    """Whether it is plain or async is the driver's business, not the middleware's."""
    provider = Provider(given_key)
    steps = BearerAuth(provider)(REQUEST, send)
    command = next(steps)
    assert provider.asked == 0
    assert key_of(performed(steps, command)) == "Bearer k1"


def test_a_provider_of_bare_keys_is_asked_for_every_attempt() -> None:
    """So that a key that was rotated meanwhile is used at once, and each caller gets its own."""
    auth = BearerAuth(Provider("old", SecretStr("new")))
    assert [sent_with(auth), sent_with(auth)] == ["Bearer old", "Bearer new"]


def test_a_credential_is_kept() -> None:
    provider = Provider(Credential("k1"))
    auth = BearerAuth(provider)
    assert [sent_with(auth) for _ in range(3)] == ["Bearer k1"] * 3
    assert provider.asked == 1


def test_a_credential_is_kept_until_it_expires() -> None:
    """It counts from when it was provided, in milliseconds."""
    clock, provider = Clock(), Provider(Credential("k1", expires_in_ms=500), Credential("k2", expires_in_ms=0))
    auth = BearerAuth(provider, clock=clock)
    clock.now = 10.0
    assert sent_with(auth) == "Bearer k1"
    clock.now = 10.499
    assert sent_with(auth) == "Bearer k1"
    clock.now = 10.5
    assert sent_with(auth) == "Bearer k2"
    assert provider.asked == 2


def test_a_credential_that_expires_at_once_is_used_once() -> None:
    auth = BearerAuth(Provider(Credential("k1", 0), Credential("k2", 0)), clock=Clock())
    assert [sent_with(auth), sent_with(auth)] == ["Bearer k1", "Bearer k2"]


@pytest.mark.parametrize("key", [Secret("k1"), lambda: "k1", lambda: None])
def test_an_authorization_of_the_callers_is_sent_as_it_is(key: Any) -> None:
    """It was given for this very call, so it stands before the client's key, which is not even asked for."""
    request = REQUEST.with_headers({"AUTHORIZATION": "Basic eA=="})
    assert sent_with(BearerAuth(key), request=request) == "Basic eA=="


def test_without_a_key_nothing_is_sent_where_one_is_required() -> None:
    with pytest.raises(ConfigurationError, match=r"No API key.*api_key=.*LANGCACHE_API_KEY"):
        sent_with(BearerAuth(lambda: None))


@pytest.mark.parametrize("own", [True, False])
def test_without_a_key_the_request_passes_where_none_is_required(own: bool) -> None:
    """As with an HTTP client of the caller's, which may bring the authentication."""
    request = REQUEST.with_options(own_client=own)
    assert sent_with(BearerAuth(lambda: None, required=own), request=request) is None


# A key that the service refuses


@pytest.mark.parametrize(
    ("first", "other"),
    [(Credential("k1"), Credential("k2")), ("k1", "k2"), (Credential("k1"), "k2"), ("k1", Credential("k2"))],
)
def test_after_a_401_the_provider_is_asked_again_and_the_attempt_repeated_once(
    first: Provided, other: Provided
) -> None:
    provider = Provider(first, other)
    steps, command = refused(BearerAuth(provider))
    assert provider.asked == 1
    assert key_of(performed(steps, command)) == "Bearer k2"
    assert finish(steps, Response(200)).status_code == 200
    assert provider.asked == 2


def test_the_repetition_has_what_is_left_of_the_attempts_timeout() -> None:
    """Both exchanges are one attempt."""
    clock, request = Clock(), REQUEST.with_timeout(10.0)
    steps = BearerAuth(Provider("k1", "k2"), clock=clock)(request, send)
    first = performed(steps, next(steps))
    clock.now = 4.0
    second = performed(steps, throw(steps, failure(401)))
    assert isinstance(first, Send)
    assert isinstance(second, Send)
    assert (first.request.timeout, second.request.timeout) == (10.0, 6.0)


def test_the_repetition_has_a_moment_where_nothing_is_left() -> None:
    """A timeout of nothing, or less, is for a transport to misunderstand."""
    clock = Clock()
    steps = BearerAuth(Provider("k1", "k2"), clock=clock)(REQUEST.with_timeout(1.0), send)
    performed(steps, next(steps))
    clock.now = 1.5
    second = performed(steps, throw(steps, failure(401)))
    assert isinstance(second, Send)
    assert second.request.timeout == 0.001


@pytest.mark.parametrize("first", [Credential("k1"), "k1"])
@pytest.mark.parametrize("other", [Credential("k1"), "k1", SecretStr("k1"), None])
def test_where_there_is_no_other_key_the_401_is_raised(first: Provided, other: Provided) -> None:
    provider = Provider(first, other)
    steps = BearerAuth(provider)(REQUEST, send)
    performed(steps, next(steps))
    error = failure(401)
    command = steps.throw(error)
    assert isinstance(command, Resolve)
    with pytest.raises(AuthenticationError) as caught:
        performed(steps, command)
    assert caught.value is error
    assert provider.asked == 2


def test_a_second_401_is_raised() -> None:
    provider = Provider(Credential("k1"), Credential("k2"))
    steps, command = refused(BearerAuth(provider))
    performed(steps, command)
    error = failure(401)
    assert fail(steps, error) is error
    assert provider.asked == 2


def test_where_every_key_is_refused_calls_are_not_repeated_nor_the_provider_asked_for_a_while() -> None:
    """An outage that answers 401 is not made twice as large, and the vault has a moment's peace."""
    clock, provider = Clock(), Provider(*(Credential(f"k{number}") for number in range(1, 5)))
    auth = BearerAuth(provider, clock=clock)
    steps, command = refused(auth)
    performed(steps, command)
    fail(steps, failure(401))
    for _ in range(10):
        steps = auth(REQUEST, send)
        assert key_of(next(steps)) == "Bearer k2"
        error = failure(401)
        assert fail(steps, error) is error
    assert provider.asked == 2
    clock.now = REST
    steps = auth(REQUEST, send)
    assert key_of(next(steps)) == "Bearer k2"
    assert key_of(performed(steps, throw(steps, failure(401)))) == "Bearer k3"


def test_a_caller_whose_key_is_given_up_does_not_decide_for_another_one() -> None:
    """Where the provider gives each its own."""
    auth = BearerAuth(Provider("a1", "a2", "b1", "b2"), clock=Clock())
    steps, command = refused(auth)
    performed(steps, command)
    fail(steps, failure(401))
    steps, command = refused(auth)
    assert key_of(performed(steps, command)) == "Bearer b2"


def test_a_key_that_is_refused_is_not_kept_for_the_next_attempt() -> None:
    auth = BearerAuth(Provider(Credential("k1"), Credential("k2")))
    steps, command = refused(auth)
    performed(steps, command)
    assert sent_with(auth) == "Bearer k2"


def test_where_another_attempt_has_the_new_key_already_nobody_is_asked() -> None:
    """A 401 may be late: by then the key is another one."""
    provider = Provider(Credential("k1"), Credential("k2"))
    auth = BearerAuth(provider)
    late = auth(REQUEST, send)
    performed(late, next(late))
    performed(*refused(auth))
    assert key_of(throw(late, failure(401))) == "Bearer k2"
    assert provider.asked == 2


def test_a_failure_of_the_provider_after_a_401_is_raised_and_tells_of_the_401() -> None:
    steps, command = refused(BearerAuth(Provider("k1", LookupError("no vault"))))
    with pytest.raises(LookupError, match="no vault") as caught:
        performed(steps, command)
    assert isinstance(caught.value.__context__, AuthenticationError)


@pytest.mark.parametrize("key", [Secret("k1"), lambda: None])
def test_what_is_no_providers_is_never_repeated(key: Any) -> None:
    """A fixed key will be no other, and no key is not for the service to refuse."""
    steps = BearerAuth(key, required=False)(REQUEST, send)
    performed(steps, next(steps))
    error = failure(401)
    assert fail(steps, error) is error


def test_an_authorization_of_the_callers_is_never_repeated() -> None:
    provider = Provider()
    steps = BearerAuth(provider)(REQUEST.with_headers({"Authorization": "Basic eA=="}), send)
    next(steps)
    error = failure(401)
    assert fail(steps, error) is error


@pytest.mark.parametrize("error", [failure(403), failure(500), ConnectError("down"), KeyboardInterrupt()])
def test_other_failures_say_nothing_of_the_key(error: BaseException) -> None:
    provider = Provider(Credential("k1"))
    auth = BearerAuth(provider)
    steps = auth(REQUEST, send)
    performed(steps, next(steps))
    assert fail(steps, error) is error
    assert sent_with(auth) == "Bearer k1"
    assert provider.asked == 1


@pytest.mark.parametrize("keep", [Credential, str])
def test_a_providers_refresh_is_asked_after_a_401_and_only_then(keep: Callable[[str], Provided]) -> None:
    class Refreshing(Provider):
        def refresh(self) -> Provided:
            return keep("fresh")

    provider = Refreshing(keep("k1"))
    steps, command = refused(BearerAuth(provider))
    assert key_of(performed(steps, command)) == "Bearer fresh"
    assert provider.asked == 1


def test_a_mock_is_a_provider_without_refresh() -> None:
    """It has every attribute that it is asked for; what a 401 is then must not depend on that."""
    provider = MagicMock(return_value="k1")
    steps, command = refused(BearerAuth(provider))
    with pytest.raises(AuthenticationError):
        performed(steps, command)
    provider.refresh.assert_not_called()


# What no header can carry


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
    with pytest.raises(LookupError, match="no vault"):
        sent_with(BearerAuth(Provider(LookupError("no vault"))))


@given(key=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
def test_every_printable_key_is_sent_whole(key: str) -> None:
    make: Callable[[str], str] = authorization
    assert make(key).endswith(key)
