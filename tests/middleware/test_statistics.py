"""Statistics, stepped by hand: what counts as what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from langcache import Request, Response, Steps, send
from langcache.errors import CircuitOpen, LangCacheError
from langcache.middleware.parsing import Parsed
from langcache.middleware.statistics import CountCalls
from langcache.models import CacheEntry, DeleteQueryResponse, SearchResponse, SearchStrategy
from langcache.tallies import Counts
from tests.middleware.stepping import fail, failure, finish

ENTRY = CacheEntry(id="1", prompt="p", response="r", attributes={}, similarity=1, search_strategy=SearchStrategy.EXACT)


def asking(operation: str = "search") -> Request:
    return Request("POST", "http://cache.example/", operation=operation)


def ticks(*seconds: float) -> Callable[[], float]:
    remaining = iter(seconds)
    return lambda: next(remaining)


def begin(middleware: CountCalls, operation: str = "search") -> Steps[Response]:
    steps = middleware(asking(operation), send)
    next(steps)
    return steps


def answer(result: object, **facts: Any) -> Response:
    return Response(200, extensions={"parsed": Parsed(b"", result), **facts})


def counted(middleware: CountCalls, operation: str = "search") -> Counts:
    return middleware.counters.counts()[1][operation]


@pytest.mark.parametrize(
    ("operation", "response", "counts"),
    [
        ("search", answer(SearchResponse(data=[ENTRY])), (1, 0, 0, 0)),
        ("search", answer(SearchResponse(data=[])), (0, 1, 0, 0)),
        ("conversational_search", answer(SearchResponse(data=[ENTRY])), (1, 0, 0, 0)),
        ("delete_query", answer(DeleteQueryResponse(deleted_entries_count=0)), (0, 0, 1, 0)),
        ("flush", answer(None), (0, 0, 1, 0)),
        ("search", Response(200), (0, 0, 1, 0)),  # where parsing is left out, nobody can tell
        ("search", answer(SearchResponse(data=[]), degraded=failure(503)), (0, 0, 0, 1)),
    ],
)
def test_an_answer_is_a_hit_a_miss_done_or_degraded(
    operation: str, response: Response, counts: tuple[int, int, int, int]
) -> None:
    middleware = CountCalls()
    for number in (1, 2):  # the first one of an operation makes room for all others
        assert finish(begin(middleware, operation), response) is response
        tally = counted(middleware, operation)
        found = (tally.hits, tally.misses, tally.done, tally.degraded)
        assert found == tuple(number * count for count in counts)
        assert (tally.calls, tally.failed, tally.retries) == (number, 0, 0)


@pytest.mark.parametrize("error", [failure(404), LookupError("own"), KeyboardInterrupt()], ids=repr)
def test_a_failure_is_counted_by_its_class_and_passes_on(error: BaseException) -> None:
    middleware = CountCalls()
    assert fail(begin(middleware), error) is error
    tally = counted(middleware)
    assert (tally.calls, tally.failed, tally.errors) == (1, 1, {type(error).__name__: 1})


def test_an_exception_of_the_programs_may_have_attributes_of_the_same_names() -> None:
    class Own(Exception):
        attempts = "many"

    middleware, error = CountCalls(), Own()
    assert fail(begin(middleware), error) is error
    assert (counted(middleware).failed, counted(middleware).retries) == (1, 0)


def test_a_call_that_is_given_up_is_a_failure() -> None:
    """The generator is closed where it waits, as when a program drops a coroutine."""
    middleware = CountCalls()
    begin(middleware).close()
    assert counted(middleware).errors == {"GeneratorExit": 1}


def test_degraded_calls_are_told_by_the_class_of_the_error_too() -> None:
    middleware = CountCalls()
    finish(begin(middleware), answer(SearchResponse(data=[]), degraded=failure(503), attempts=3))
    finish(begin(middleware), answer(SearchResponse(data=[]), degraded=CircuitOpen("open"), attempts=None))
    tally = counted(middleware)
    assert (tally.degraded, tally.errors, tally.retries) == (2, {"APIError": 1, "CircuitOpen": 1}, 2)


def test_retries_are_the_attempts_beside_the_first() -> None:
    middleware = CountCalls()
    finish(begin(middleware), answer(SearchResponse(data=[]), attempts=3))
    failed: LangCacheError = failure(503)
    failed.attempts = 2
    fail(begin(middleware), failed)
    fail(begin(middleware), LangCacheError("nothing was attempted"))
    assert counted(middleware).retries == 3


def test_how_long_it_took_is_counted_whatever_came_of_it() -> None:
    middleware = CountCalls(ticks(0, 0.001, 0, 0.009))
    finish(begin(middleware), answer(SearchResponse(data=[])))
    fail(begin(middleware), failure(503))
    assert counted(middleware).longest == 0.009
    assert counted(middleware).quantile(0.5) == pytest.approx(0.001, rel=0.032)


def test_what_is_no_response_is_handed_on_for_whoever_tells_of_it() -> None:
    wrong: Any = 5
    middleware = CountCalls()
    steps = begin(middleware)
    with pytest.raises(StopIteration) as stop:
        steps.send(wrong)
    assert stop.value.value == 5
    assert middleware.counters.counts()[1] == {}
