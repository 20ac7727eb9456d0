"""The plugin's middleware, stepped by hand, and where it stands."""

from __future__ import annotations

import pytest

from langcache import LangCache, Request, Response, Steps, send
from langcache.errors import ConnectError
from langcache.steps import Send, compose
from langcache.telemetry import OpenTelemetry
from langcache_transports.testing import FakeTransport
from tests.explained import attempt_stage, call_stage
from tests.middleware.stepping import fail, finish
from tests.telemetry.collecting import Collected, attributes_of

REQUEST = Request("POST", "http://cache.example/v1/caches/c/entries/search", operation="search")


def begin(plugin: OpenTelemetry) -> tuple[Steps[Response], Request]:
    steps = compose([plugin.trace_call, plugin.trace_attempt])(REQUEST)
    command = next(steps)
    assert isinstance(command, Send)
    return steps, command.request


def test_it_passes_on_the_request_with_the_trace_and_the_answer_as_it_is() -> None:
    collected = Collected()
    steps, sent = begin(collected.plugin())
    assert list(sent.headers) == ["traceparent"]
    assert (sent.method, sent.url, sent.content, sent.operation) == ("POST", REQUEST.url, None, "search")
    response = Response(200)
    assert finish(steps, response) is response
    assert len(collected.span().events) == 1


def test_it_passes_on_what_is_raised() -> None:
    collected, error = Collected(), ConnectError("down")
    steps, _ = begin(collected.plugin())
    assert fail(steps, error) is error
    assert attributes_of(collected.span())["error.type"] == "langcache.errors.ConnectError"


def test_an_attempt_of_a_call_that_is_not_traced_passes() -> None:
    """Somebody has made a request anew, say."""
    plugin = Collected().plugin()
    steps = plugin.trace_attempt(REQUEST, send)
    assert next(steps) == Send(REQUEST)
    response = Response(200)
    assert finish(steps, response) is response


def test_it_stands_inside_of_identity_and_next_to_the_sending() -> None:
    cache = LangCache("http://x", "k", "c", transport=FakeTransport(), plugins=[Collected().plugin(prompts=True)])
    assert call_stage(cache)[:3] == ["identity", "OpenTelemetry", "statistics"]
    assert attempt_stage(cache)[-4:] == ["logging", "OpenTelemetry", "error_mapping", "redirects"]
    assert "prompts=True, propagation=True" in cache.explain()


def test_it_has_no_positional_arguments_but_the_providers() -> None:
    with pytest.raises(TypeError, match="positional"):
        OpenTelemetry(None, None, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
