"""Error mapping, stepped by hand."""

from __future__ import annotations

import pytest

from langcache import Request, Response, send
from langcache.errors import LangCacheError, NotFoundError, UnexpectedError
from langcache.middleware.error_mapping import map_errors
from langcache.steps import Send

REQUEST = Request("GET", "http://cache.example/")


def answered(response: Response) -> Response:
    steps = map_errors(REQUEST, send)
    assert next(steps) == Send(REQUEST)
    with pytest.raises(StopIteration) as stop:
        steps.send(response)
    assert isinstance(stop.value.value, Response)
    return stop.value.value


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 226, 299])
def test_every_2xx_is_a_success(status: int) -> None:
    response = Response(status)
    assert answered(response) is response


@pytest.mark.parametrize("status", [100, 199, 300, 304, 307, 400, 404, 418, 500, 503, 599])
def test_every_other_status_is_raised_with_that_status(status: int) -> None:
    steps = map_errors(REQUEST, send)
    next(steps)
    with pytest.raises(LangCacheError) as caught:
        steps.send(Response(status, {}, b"why"))
    assert (caught.value.status_code, caught.value.body) == (status, "why")


@pytest.mark.parametrize(("status", "kind"), [(404, NotFoundError), (500, UnexpectedError)])
def test_the_class_follows_the_status_whatever_the_body_is(status: int, kind: type[LangCacheError]) -> None:
    for body in (b"", b"<html>", b"[]", b'{"type": "/errors/of/tomorrow"}', b"\xff\xfe"):
        steps = map_errors(REQUEST, send)
        next(steps)
        with pytest.raises(kind):
            steps.send(Response(status, {}, body))
