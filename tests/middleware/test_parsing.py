"""Parsing, stepped by hand, and what becomes of an answer that somebody changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from langcache import LangCache, Middleware, Next, Request, Response, Steps, errors, hookimpl, send
from langcache.middleware.parsing import parse_answer
from langcache.operations import SET
from langcache_transports.testing import FakeTransport
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
