"""Parsing, stepped by hand, and what becomes of an answer that somebody changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from langcache import LangCache, Middleware, Next, Request, Response, Steps, errors, hookimpl, send
from langcache.middleware.parsing import parse_answer
from langcache.operations import SET
from langcache_transports.testing import AsyncFakeTransport, FakeTransport
from tests.middleware.stepping import finish

REQUEST = Request("POST", "http://cache.example/entries", operation="set", options={"parse": SET.parse})


def test_those_outside_see_the_result() -> None:
    steps = parse_answer(REQUEST, send)
    next(steps)
    assert finish(steps, Response(201, {}, b'{"entryId":"e"}')).extensions["parsed"].result.entry_id == "e"


def test_an_answer_of_another_form_is_an_error_of_the_call() -> None:
    steps = parse_answer(REQUEST, send)
    next(steps)
    with pytest.raises(errors.ResponseValidationError) as caught:
        steps.send(Response(201, {}, b"[]", extensions={"attempts": 2}))
    assert caught.value.attempts == 2


def answering(hook: str, response: Response) -> object:
    """A plugin that has `response` in every answer's place."""

    def instead(request: Request, call_next: Next) -> Steps[Response]:
        yield from call_next(request)
        return response

    class Answering:
        pass

    setattr(Answering, hook, staticmethod(hookimpl(lambda: instead)))
    return Answering()


@pytest.mark.parametrize("without", [[], ["error_mapping"], ["parsing"], ["error_mapping", "parsing"]])
@pytest.mark.parametrize("hook", ["langcache_call_middleware", "langcache_attempt_middleware"])
@pytest.mark.parametrize("order", ["before:identity", "after:deadline"])
def test_an_error_answer_of_a_plugin_is_the_error_of_its_status(hook: str, order: str, without: list[str]) -> None:
    """Wherever it comes from, whatever the operation reads of an answer, and in sync and async calls."""
    answer = Response(404, {"X-Request-ID": "r-1"}, b'{"title":"gone"}')
    client = LangCache(
        "http://cache.example", "k", "c", without=without, plugins=[answering(hook, answer)],
        transport=FakeTransport(lambda request: Response(200, {}, b'{"data":[]}')),
        async_transport=AsyncFakeTransport(lambda request: Response(200, {}, b'{"data":[]}')),
        order={"Answering": order} if hook == "langcache_call_middleware" else {},
    )  # fmt: skip
    for call in (
        lambda: client.delete_by_id(entry_id="e"),
        lambda: client.search(prompt="p"),
        lambda: asyncio.run(client.flush_async()),
    ):
        with pytest.raises(errors.NotFoundError, match="gone") as caught:
            call()
        assert (caught.value.status_code, caught.value.request_id) == (404, "r-1")


def test_without_error_mapping_an_error_answer_of_the_service_is_an_error() -> None:
    client = LangCache(
        "http://cache.example", "k", "c", transport=FakeTransport([Response(503, {}, b"{}")]), without=["error_mapping"]
    )
    with pytest.raises(errors.APIError) as caught:
        client.delete_by_id(entry_id="e")
    assert caught.value.status_code == 503


def test_an_error_answer_is_excused_where_errors_are() -> None:
    """It is an error for those outside of parsing too: fail-open, and the statistics."""
    answer = Response(503, extensions={"attempts": 3})
    client = LangCache(
        "http://cache.example", "k", "c", transport=FakeTransport(lambda request: Response(204)), on_failure="miss",
        plugins=[answering("langcache_attempt_middleware", answer)],
    )  # fmt: skip
    client.delete_by_id(entry_id="e")
    degraded = client.search(prompt="p").metadata.degraded
    assert isinstance(degraded, errors.APIError)
    assert (degraded.status_code, degraded.attempts) == (503, 3)
    assert client.statistics().total.degraded == 2


def test_without_a_parser_the_answer_passes() -> None:
    steps = parse_answer(REQUEST.with_options(parse=None), send)
    next(steps)
    response = Response(200)
    assert finish(steps, response) is response


class Changing:
    """A plugin that puts another body in the answer's place."""

    def __init__(self, how: Callable[[Response], Response]) -> None:
        self._how = how

    def _change(self, request: Request, call_next: Next) -> Steps[Response]:
        return self._how((yield from call_next(request)))

    @hookimpl(tryfirst=True)
    def langcache_call_middleware(self) -> Middleware:
        return self._change


OTHER = b'{"entryId":"another"}'


def new(response: Response) -> Response:
    return Response(201, {}, OTHER)


def replaced(response: Response) -> Response:
    return replace(response, content=OTHER)


@pytest.mark.parametrize("how", [new, replaced])
def test_a_body_that_is_changed_outside_is_parsed_anew(how: Callable[[Response], Response]) -> None:
    transport = FakeTransport([Response(201, {}, b'{"entryId":"e"}')])
    cache = LangCache("http://cache.example", "k", "c", transport=transport, plugins=[Changing(how)])
    assert cache.set(prompt="p", response="r").entry_id == "another"
