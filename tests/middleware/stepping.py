"""What the tests of middleware share: a clock that they set, and what a generator is made to do by hand."""

from __future__ import annotations

import logging

import pytest

from langcache import Response, Steps
from langcache.errors import LangCacheError, error_for
from langcache.steps import Command


class Clock:
    """A clock that a test sets, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def failure(status: int, headers: dict[str, str] | None = None) -> LangCacheError:
    """Return the error of an answer."""
    return error_for(Response(status, headers or {}))


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Return the fields that a line of ours has in the log, without the beginning of their names."""
    ours = {name: value for name, value in vars(record).items() if name.startswith("langcache_")}
    return {name.removeprefix("langcache_"): value for name, value in ours.items()}


def finish(steps: Steps[Response], response: Response) -> Response:
    """Give the generator its answer, with which it ends, and return what it hands out."""
    with pytest.raises(StopIteration) as stop:
        steps.send(response)
    handed: object = stop.value.value
    assert isinstance(handed, Response)
    return handed


def fail(steps: Steps[Response], error: BaseException) -> BaseException:
    """Throw `error` into the generator, which ends with an error, and return that."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whichever it is
        steps.throw(error)
    return caught.value


def throw(steps: Steps[Response], error: BaseException) -> Command:
    """Throw `error` into the generator, and return what it asks for then."""
    return steps.throw(error)
