"""Spans: one a call, by the conventions for HTTP clients, and what they say of the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

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
)
from langcache.telemetry.attributes import error_type, of_server
from langcache_transports.testing import FakeTransport
from tests.telemetry.collecting import BUSY, HIT, MISS, Collected, attributes_of, cache_of

RETRIES = RetryPolicy(initial_ms=0)


def test_a_call_is_one_client_span_with_the_attributes_of_the_conventions() -> None:
    collected = Collected()
    found = cache_of(collected, HIT).search(prompt="p")
    span = collected.span()
    assert span.name == "POST /v1/caches/{cache_id}/entries/search"
    assert (span.kind, span.status.status_code, span.status.description) == (SpanKind.CLIENT, StatusCode.UNSET, None)
    assert attributes_of(span) == {
        "http.request.method": "POST",
        "server.address": "cache.example",
        "server.port": 443,
        "url.full": "https://cache.example/base/v1/caches/c1/entries/search",
        "url.template": "/v1/caches/{cache_id}/entries/search",
        "http.response.status_code": 200,
        "langcache.operation": "search",
        "langcache.cache_id": "c1",
        "langcache.request_id": found.metadata.request_id,
        "langcache.server_request_id": "theirs",
        "langcache.attempts": 1,
        "langcache.hit": True,
        "langcache.entries": 1,
        "langcache.similarity": 0.9,
        "langcache.strategy": "semantic",
    }
    assert span.instrumentation_scope is not None
    assert (span.instrumentation_scope.name, span.instrumentation_scope.version) == ("langcache", "1.0.0")


CALLS: dict[str, tuple[Callable[[LangCache], object], Response, str, dict[str, Any]]] = {
    "search": (
        lambda cache: cache.search(prompt="p"), MISS,
        "POST /v1/caches/{cache_id}/entries/search", {"langcache.hit": False, "langcache.entries": 0},
    ),
    "conversational_search": (
        lambda cache: cache.conversational_search(prompt="p"), Response(200, {}, b'{"actualPrompt":"p","data":[]}'),
        "POST /v1/caches/{cache_id}/conversations/search", {"langcache.hit": False},
    ),
    "set": (
        lambda cache: cache.set(prompt="p", response="r"), Response(201, {}, b'{"entryId":"e1"}'),
        "POST /v1/caches/{cache_id}/entries", {"http.response.status_code": 201},
    ),
    "delete_by_id": (
        lambda cache: cache.delete_by_id(entry_id="e1"), Response(204),
        "DELETE /v1/caches/{cache_id}/entries/{entry_id}", {"http.response.status_code": 204},
    ),
    "delete_query": (
        lambda cache: cache.delete_query(attributes={"a": "b"}), Response(200, {}, b'{"deletedEntriesCount":3}'),
        "DELETE /v1/caches/{cache_id}/entries", {"langcache.deleted": 3},
    ),
    "flush": (lambda cache: cache.flush(), Response(204), "POST /v1/caches/{cache_id}/flush", {}),
    "health": (lambda cache: cache.health(), Response(200, {}, b"{}"), "GET /v1/caches/{cache_id}/health", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_every_operation_has_a_name_of_low_cardinality(name: str) -> None:
    call, reply, span_name, known = CALLS[name]
    collected = Collected()
    call(cache_of(collected, reply))
    span = collected.span()
    attributes = attributes_of(span)
    assert (span.name, attributes["langcache.operation"]) == (span_name, name)
    assert known.items() <= attributes.items()
    assert ("langcache.hit" in attributes) is ("search" in name)


def test_each_attempt_is_an_event_and_repetitions_are_counted() -> None:
    collected = Collected()
    cache_of(collected, BUSY, errors.ConnectError("down"), HIT, retry_config=RETRIES).search(prompt="p")
    span = collected.span()
    events = [(event.name, dict(event.attributes or {})) for event in span.events]
    durations = [attributes.pop("langcache.attempt.duration") for _, attributes in events]
    assert events == [
        ("langcache.attempt", {
            "langcache.attempt.number": 1, "http.response.status_code": 503, "error.type": "503",
            "langcache.server_request_id": "theirs",
        }),
        ("langcache.attempt", {"langcache.attempt.number": 2, "error.type": "langcache.errors.ConnectError"}),
        ("langcache.attempt", {
            "langcache.attempt.number": 3, "http.response.status_code": 200, "langcache.server_request_id": "theirs",
        }),
    ]  # fmt: skip
    assert all(isinstance(duration, float) and 0 <= duration < 5 for duration in durations)
    attributes = attributes_of(span)
    assert (attributes["langcache.attempts"], attributes["http.request.resend_count"]) == (3, 2)
    assert (span.status.status_code, "error.type" in attributes) == (StatusCode.UNSET, False)


def test_a_repetition_with_another_key_is_an_event_too() -> None:
    """It is of the same attempt, but the request is sent again."""
    collected, keys = Collected(), iter(["old", "new"])
    cache = LangCache(
        "http://cache.example", lambda: next(keys), "c",
        transport=FakeTransport([Response(401), HIT]), plugins=[collected.plugin()],
    )  # fmt: skip
    cache.search(prompt="p")
    span = collected.span()
    assert [(event.attributes or {})["langcache.attempt.number"] for event in span.events] == [1, 1]
    assert attributes_of(span)["http.request.resend_count"] == 1
    assert attributes_of(span)["langcache.attempts"] == 1


@pytest.mark.parametrize(
    ("reply", "status", "kind"),
    [
        (Response(404, {}, b'{"title":"private"}'), 404, "404"),
        (Response(500), 500, "500"),
        (Response(307, {"Location": "https://elsewhere.example/"}), 307, "307"),
        (Response(200, {}, b"<html>private"), 200, "langcache.errors.ResponseValidationError"),
        (errors.ReadTimeout("private"), None, "langcache.errors.ReadTimeout"),
        (LookupError("private"), None, "LookupError"),
    ],
)
def test_a_failure_is_an_error_by_its_status_or_its_class_and_never_by_its_text(
    reply: Any, status: int | None, kind: str
) -> None:
    collected = Collected()
    with pytest.raises(Exception):  # noqa: B017, PT011 - whichever it is
        cache_of(collected, reply).search(prompt="p")
    span = collected.span()
    attributes = attributes_of(span)
    assert (attributes.get("http.response.status_code"), attributes["error.type"]) == (status, kind)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert "private" not in collected.everything()


def test_an_exception_of_the_programs_may_have_attributes_of_the_same_names(caplog: pytest.LogCaptureFixture) -> None:
    class Own(Exception):
        status_code = "teapot"
        headers = None
        attempts = "many"

    collected = Collected()
    with pytest.raises(Own):
        cache_of(collected, Own()).search(prompt="p")
    span = collected.span()
    assert attributes_of(span)["error.type"].endswith("<locals>.Own")
    assert len(span.events) == 1
    assert caplog.records == []


def test_what_the_program_goes_on_without_is_an_error_that_is_degraded() -> None:
    collected = Collected()
    cache_of(collected, BUSY, on_failure="miss").search(prompt="p")
    span = collected.span()
    attributes = attributes_of(span)
    assert (attributes["langcache.degraded"], attributes["error.type"]) == (True, "503")
    assert span.status.status_code is StatusCode.ERROR
    assert "langcache.hit" not in attributes


def test_a_call_that_an_open_circuit_refuses_has_no_attempt() -> None:
    collected = Collected()
    cache = cache_of(collected, BUSY, breaker=BreakerPolicy(consecutive_failures=1))
    for _ in range(2):
        with pytest.raises(errors.LangCacheError):
            cache.search(prompt="p")
    refused = collected.spans[1]
    assert refused.events == ()
    attributes = attributes_of(refused)
    assert (attributes["error.type"], attributes["langcache.attempts"]) == ("langcache.errors.CircuitOpen", 0)


def test_prompts_are_in_a_span_where_that_is_asked_for_only() -> None:
    collected = Collected()
    cache = cache_of(collected, HIT, Response(201, {}, b'{"entryId":"e1"}'), MISS, prompts=True)
    cache.search(prompt="the question")
    cache.set(prompt="the question", response="an answer")
    cache.search(prompt="the question")
    asked = ("langcache.prompt", "langcache.response")
    attributes = [attributes_of(span) for span in collected.spans]
    texts = [{name: known[name] for name in asked if name in known} for known in attributes]
    assert texts == [
        {"langcache.prompt": "the question", "langcache.response": "the answer"},
        {"langcache.prompt": "the question", "langcache.response": "an answer"},
        {"langcache.prompt": "the question"},
    ]


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("http://cache.example/p", {"server.address": "cache.example", "server.port": 80}),
        ("http://cache.example", {"server.address": "cache.example", "server.port": 80}),
        ("https://cache.example:8443/p/q", {"server.address": "cache.example", "server.port": 8443}),
        ("http://[::1]:8080/p", {"server.address": "::1", "server.port": 8080}),
        ("embedded:///v1/caches/c/entries", {}),
        ("echo://anything/p", {"server.address": "anything"}),
        ("http://cache.example:port/p", {}),
    ],
)
def test_the_server_is_what_the_url_names(url: str, server: dict[str, object]) -> None:
    assert of_server(url) == server


def test_the_type_of_an_error_is_its_full_name() -> None:
    assert error_type(None, 200) is None
    assert error_type(KeyboardInterrupt(), None) == "KeyboardInterrupt"
    assert error_type(errors.CircuitOpen("open"), 0) == "langcache.errors.CircuitOpen"


def test_the_embedded_data_plane_is_traced_too() -> None:
    """It is no request of HTTP, and its span says nothing that only those have."""
    collected = Collected()
    LangCache("embedded://", cache_id="c", plugins=[collected.plugin()]).search(prompt="p")
    span = collected.span()
    assert (span.name, span.kind) == ("langcache search", SpanKind.INTERNAL)
    attributes = attributes_of(span)
    assert attributes["langcache.hit"] is False
    assert {name.partition(".")[0] for name in attributes} == {"langcache"}


def test_user_information_and_queries_are_not_in_a_span() -> None:
    """Whatever a middleware makes of the URL."""
    collected = Collected()

    class Elsewhere:
        @hookimpl(tryfirst=True)
        def langcache_call_middleware(self) -> Middleware:
            def send_elsewhere(request: Request, call_next: Next) -> Steps[Response]:
                url = "https://user:s3cret@other.example/p?token=s3cret"
                return (yield from call_next(request.with_url(url)))

            return send_elsewhere

    cache = LangCache(
        "http://cache.example", "k", "c",
        transport=FakeTransport([HIT]), plugins=[collected.plugin(), Elsewhere()],
    )  # fmt: skip
    cache.search(prompt="p")
    assert attributes_of(collected.span())["url.full"] == "https://other.example/p"
    assert "s3cret" not in collected.everything()


def test_a_span_is_a_child_of_the_programs() -> None:
    collected = Collected()
    cache = cache_of(collected, HIT)
    with collected.tracers.get_tracer("program").start_as_current_span("work") as outer:
        cache.search(prompt="p")
        assert trace.get_current_span() is outer
    inner = collected.spans[0]
    assert inner.parent is not None
    assert inner.parent.span_id == outer.get_span_context().span_id


def test_a_middleware_that_loses_the_response_does_not_lose_the_span() -> None:
    collected = Collected()

    class Forgetful:
        @hookimpl
        def langcache_call_middleware(self) -> Any:
            def forget(request: Request, call_next: Next) -> Steps[Any]:
                yield from call_next(request)

            return forget

    cache = LangCache(
        "http://cache.example", "k", "c",
        transport=FakeTransport([HIT]), plugins=[collected.plugin(), Forgetful()],
    )  # fmt: skip
    with pytest.raises(errors.PluginError):
        cache.search(prompt="p")
    assert attributes_of(collected.span())["error.type"] == "TypeError"
