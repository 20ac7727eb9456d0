"""Identity, stepped by hand, and where a call's id is found."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from langcache import (
    BreakerPolicy,
    LangCache,
    Middleware,
    Next,
    Request,
    Response,
    RetryPolicy,
    Steps,
    errors,
    hookimpl,
    send,
    sleep,
)
from langcache.middleware.identity import RequestIdentity, random_id
from langcache.steps import Send
from langcache_transports.testing import FakeTransport
from tests.middleware.stepping import Clock, fail, failure, finish

REQUEST = Request("POST", "http://cache.example/search", {"X-Other": "o"}, operation="search", options={"a": 1})
NO_ENTRIES = Response(200, {"X-Request-ID": "theirs"}, b'{"data":[]}')


def sent(identity: RequestIdentity, request: Request = REQUEST) -> Request:
    command = next(identity(request, send))
    assert isinstance(command, Send)
    return command.request


def test_every_call_is_sent_with_an_id_of_its_own() -> None:
    ids = iter(["one", "two"])
    identity = RequestIdentity("X-Request-ID", lambda: next(ids))
    requests = [sent(identity), sent(identity)]
    assert [request.headers["x-request-id"] for request in requests] == ["one", "two"]
    assert [dict(request.options) for request in requests] == [
        {"a": 1, "request_id": "one"},
        {"a": 1, "request_id": "two"},
    ]
    assert requests[0].headers["X-Other"] == "o"


def test_an_id_is_random_and_long_enough_to_be_the_only_one() -> None:
    ids = {random_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(re.fullmatch("[0-9a-f]{32}", identity) for identity in ids)


def test_without_a_header_it_is_not_sent() -> None:
    request = sent(RequestIdentity(None, lambda: "one"))
    assert request.headers == REQUEST.headers
    assert request.options["request_id"] == "one"


def test_an_id_of_the_callers_is_the_calls() -> None:
    request = sent(RequestIdentity("X-Request-ID"), REQUEST.with_headers({"x-request-id": "mine"}))
    assert request.headers["X-Request-ID"] == request.options["request_id"] == "mine"


def test_an_empty_id_of_the_callers_is_none() -> None:
    """What is sent is what is told."""
    request = sent(RequestIdentity("X-Request-ID", lambda: "one"), REQUEST.with_headers({"x-request-id": ""}))
    assert request.headers["X-Request-ID"] == request.options["request_id"] == "one"


def test_it_is_on_errors_with_how_long_the_call_took() -> None:
    """Whoever has raised them: what stands outside of the retries has no other clock."""
    clock = Clock()
    steps = RequestIdentity("X-Request-ID", lambda: "one", clock)(REQUEST, send)
    next(steps)
    clock.now = 1.5
    error = failure(503, {"X-Request-ID": "theirs"})
    assert fail(steps, error) is error
    assert (error.client_request_id, error.request_id, error.elapsed) == ("one", "theirs", 1.5)


def test_errors_that_are_not_ours_pass_as_they_are() -> None:
    steps = RequestIdentity("X-Request-ID", lambda: "one")(REQUEST, send)
    next(steps)
    error = LookupError("a provider's")
    assert fail(steps, error) is error


def test_it_is_on_responses() -> None:
    steps = RequestIdentity("X-Request-ID", lambda: "one")(REQUEST, send)
    next(steps)
    assert finish(steps, NO_ENTRIES).extensions == {"request_id": "one"}


def client_of(transport: FakeTransport, **arguments: Any) -> LangCache:
    return LangCache("http://cache.example", "k", "c", transport=transport, **arguments)


def test_all_attempts_of_a_call_have_the_same_id() -> None:
    transport = FakeTransport([Response(503), NO_ENTRIES, NO_ENTRIES])
    cache = client_of(transport, retry_config=RetryPolicy(initial_ms=0))
    first, second = cache.search(prompt="p"), cache.search(prompt="q")
    ids = [request.headers["X-Request-ID"] for request in transport.requests]
    assert ids[0] == ids[1] == first.metadata.request_id
    assert ids[2] == second.metadata.request_id != ids[0]
    assert (first.metadata.attempts, second.metadata.attempts) == (2, 1)
    assert first.metadata.server_request_id == "theirs"


def test_the_header_can_be_renamed_or_turned_off() -> None:
    transport = FakeTransport(lambda request: NO_ENTRIES)
    renamed = client_of(transport, request_id_header="X-Correlation-ID").search(prompt="p")
    silent = client_of(transport, request_id_header=None).search(prompt="p")
    assert transport.requests[0].headers["x-correlation-id"] == renamed.metadata.request_id
    assert "x-request-id" not in transport.requests[0].headers
    assert not {"x-request-id", "x-correlation-id"} & {name.lower() for name in transport.requests[1].headers}
    assert silent.metadata.request_id


@pytest.mark.parametrize(
    "name",
    [
        "", "X Request", "X-Id\r\nX-Injected", "Authorization", "content-length", "Host", "Expect", "Content-Encoding",
        "Cookie", "Upgrade", "TE", "Range", "Proxy-Authorization", "If-Match", "Trailer", "Keep-Alive",
    ],
)  # fmt: skip
def test_a_header_that_cannot_carry_it_is_refused_when_the_client_is_built(name: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="request_id_header: the header name"):
        client_of(FakeTransport(), request_id_header=name)


@pytest.mark.parametrize("ends", ["circuit", "deadline", "hook"])
def test_an_error_that_ends_a_call_before_any_attempt_tells_of_the_call(ends: str) -> None:
    """As one does that comes out of an attempt."""

    class Hook:
        @hookimpl
        def langcache_call_middleware(self) -> Middleware:
            return self._call

        def _call(self, request: Request, call_next: Next) -> Steps[Response]:
            if ends == "deadline":
                yield from sleep(3_600)
            elif ends == "hook":
                raise errors.RequestError("not today")
            return (yield from call_next(request))

    service = FakeTransport(lambda request: Response(503))
    cache = client_of(service, breaker=BreakerPolicy(consecutive_failures=1), plugins=[Hook()])
    if ends == "circuit":
        with pytest.raises(errors.LangCacheError):
            cache.search(prompt="p")
    with pytest.raises(errors.RequestError) as caught:
        cache.search(prompt="p", deadline_ms=60_000)
    assert caught.value.elapsed is not None
    assert 0 <= caught.value.elapsed < 60
    assert caught.value.client_request_id
    assert caught.value.attempts == (None if ends == "hook" else 0), "of a hook's own error nobody knows"


def test_it_is_in_the_lines_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "langcache")
    result = client_of(FakeTransport([NO_ENTRIES])).search(prompt="p")
    [record] = caplog.records
    assert record.getMessage().endswith(f" ms [{result.metadata.request_id}]")


def test_an_id_of_the_callers_that_no_header_can_carry_is_refused() -> None:
    with pytest.raises(errors.ConfigurationError, match="line break"):
        client_of(FakeTransport()).search(prompt="p", http_headers={"X-Request-ID": "a\r\nX-Injected: 1"})
