"""Retries, stepped by hand: no clock, no socket, no mock."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache import BackoffStrategy, Request, Response, RetryConfig, send
from langcache.errors import (
    ConnectError,
    DeadlineExceeded,
    DecodingError,
    LangCacheError,
    ReadTimeout,
    RemoteProtocolError,
)
from langcache.middleware.retry import Retry
from langcache.steps import Send, Sleep, Steps
from tests.middleware.stepping import Clock, failure, fields_of, finish

REQUEST = Request("POST", "http://cache.example/v1/caches/c/entries/search", operation="search")
CONFIG = RetryConfig("backoff", BackoffStrategy(100, 1_000, 2, 10_000, jitter_ms=0), False)
CONNECTION_ERRORS_TOO = RetryConfig("backoff", BackoffStrategy(100, 1_000, 2, 10_000, jitter_ms=0), True)


def least(low: float, high: float) -> float:
    """The random number that makes no difference: no jitter."""
    return low


def most(low: float, high: float) -> float:
    """The random number that makes the longest wait."""
    return high


def steps_of(
    config: RetryConfig | None,
    request: Request = REQUEST,
    clock: Callable[[], float] = Clock(),  # noqa: B008 - stands still
    uniform: Callable[[float, float], float] = least,
) -> Steps[Response]:
    steps = Retry(config, clock, uniform)(request, send)
    assert next(steps) == Send(request)
    return steps


def waits(steps: Steps[Response], error: LangCacheError, times: int) -> list[float]:
    """Fail `times` times, from the first on, and return how long the middleware waits after each."""
    seconds: list[float] = []
    for attempt in range(2, times + 2):
        command = steps.throw(error)
        assert isinstance(command, Sleep)
        seconds.append(command.seconds)
        assert steps.send(None) == Send(REQUEST.with_options(attempt=attempt))
    return seconds


def test_without_a_configuration_a_call_is_attempted_once() -> None:
    with pytest.raises(LangCacheError):
        steps_of(None).throw(failure(503))


def test_a_success_is_handed_on_as_it_is() -> None:
    response = Response(200)
    assert finish(steps_of(CONFIG), response) is response


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_these_statuses_are_repeated(status: int) -> None:
    steps = steps_of(CONFIG)
    assert waits(steps, failure(status), 1) == [0.1]
    assert finish(steps, Response(200)).status_code == 200


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 408, 413, 418, 424, 501])
def test_these_statuses_are_not_repeated(status: int) -> None:
    with pytest.raises(LangCacheError) as caught:
        steps_of(CONFIG).throw(failure(status))
    assert caught.value.status_code == status


def test_the_wait_grows_exponentially_up_to_the_longest() -> None:
    assert waits(steps_of(CONFIG), failure(503), 6) == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_jitter_is_added_before_the_wait_is_cut() -> None:
    """As in the specification's SDK: at most `max_interval`, the random part of up to a second included."""
    config = RetryConfig("backoff", BackoffStrategy(1, 50, 1.1, 100), False)
    assert waits(steps_of(config, uniform=most), failure(503), 1) == [0.05]
    own_jitter = RetryConfig("backoff", BackoffStrategy(1, 50, 1.1, 100, 20), False)
    assert waits(steps_of(own_jitter, uniform=most), failure(503), 1) == [0.021]


def test_after_max_elapsed_time_the_last_error_is_raised() -> None:
    clock = Clock()
    steps = steps_of(CONFIG, clock=clock)
    waits(steps, failure(503), 2)
    clock.now = 10.001
    last = failure(502)
    with pytest.raises(LangCacheError) as caught:
        steps.throw(last)
    assert caught.value is last


def test_retry_after_is_waited_for_instead_of_the_backoff() -> None:
    assert waits(steps_of(CONFIG), failure(429, {"Retry-After": "7"}), 1) == [7]
    assert waits(steps_of(CONFIG), failure(503, {"retry-after-ms": "1500"}), 1) == [1.5]


def test_retry_after_beyond_max_elapsed_time_fails_at_once() -> None:
    clock = Clock()
    steps = steps_of(CONFIG, clock=clock)
    waits(steps, failure(503, {"Retry-After": "4"}), 1)
    clock.now = 4.0
    with pytest.raises(LangCacheError) as caught:
        steps.throw(failure(503, {"Retry-After": "7"}))
    assert caught.value.retry_after == 7


def test_retry_after_zero_leaves_the_wait_to_the_backoff() -> None:
    assert waits(steps_of(CONFIG), failure(503, {"Retry-After": "0"}), 1) == [0.1]


@pytest.mark.parametrize("error", [ConnectError("down"), ReadTimeout("slow")])
def test_connection_errors_are_repeated_only_where_that_is_asked(error: LangCacheError) -> None:
    assert waits(steps_of(CONNECTION_ERRORS_TOO), error, 1) == [0.1]
    with pytest.raises(type(error)):
        steps_of(CONFIG).throw(error)


@pytest.mark.parametrize("error", [RemoteProtocolError("not HTTP"), DecodingError("not gzip"), LangCacheError("other")])
def test_an_answer_that_cannot_be_read_is_not_repeated(error: LangCacheError) -> None:
    with pytest.raises(type(error)):
        steps_of(CONNECTION_ERRORS_TOO).throw(error)


def test_an_exception_that_is_not_ours_is_not_repeated() -> None:
    with pytest.raises(KeyboardInterrupt):
        steps_of(CONNECTION_ERRORS_TOO).throw(KeyboardInterrupt())


@pytest.mark.parametrize("strategy", ["none", "", "linear"])
def test_any_strategy_but_backoff_means_no_repetition(strategy: str) -> None:
    with pytest.raises(LangCacheError):
        steps_of(RetryConfig(strategy, CONFIG.backoff, True)).throw(failure(503))


@pytest.mark.parametrize(
    ("override", "repeated", "raised"),
    [(["418"], 418, 503), (["5XX"], 501, 429), (["4xx", "503"], 404, 500), ([], 503, 404)],
)
def test_the_statuses_can_be_replaced(override: list[str], repeated: int, raised: int) -> None:
    config = RetryConfig("backoff", CONFIG.backoff, False, override)
    assert waits(steps_of(config), failure(repeated), 1) == [0.1]
    with pytest.raises(LangCacheError):
        steps_of(config).throw(failure(raised))


def test_the_calls_own_retries_stand_before_the_clients() -> None:
    asking = Request("GET", REQUEST.url, options={"retries": CONFIG})
    assert steps_of(None, asking).throw(failure(503)) == Sleep(0.1)
    declining = Request("GET", REQUEST.url, options={"retries": None})
    with pytest.raises(LangCacheError):
        steps_of(CONFIG, declining).throw(failure(503))


def test_a_set_is_repeated_too_under_a_retry_config() -> None:
    """As in the specification's SDK; an entry's id is a digest, so a repeated set overwrites itself."""
    storing = Request("POST", REQUEST.url, operation="set", idempotent=False)
    assert steps_of(CONFIG, storing).throw(failure(503)) == Sleep(0.1)


def test_one_middleware_serves_many_calls_at_once() -> None:
    """The count of repetitions belongs to the call, not to the middleware."""
    retry = Retry(CONFIG, Clock(), least)
    first, second = retry(REQUEST, send), retry(REQUEST, send)
    next(first)
    next(second)
    assert waits(first, failure(503), 3) == [0.1, 0.2, 0.4]
    assert waits(second, failure(503), 1) == [0.1]


def test_a_repetition_is_told_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "langcache"):
        waits(steps_of(CONFIG), failure(503), 1)
        waits(steps_of(CONNECTION_ERRORS_TOO), ConnectError("down"), 1)
    assert caplog.messages == [
        "search: status 503; repeating it in 0.100 s",
        "search: ConnectError; repeating it in 0.100 s",
    ]


def test_the_line_of_a_repetition_has_the_ids_of_the_call(caplog: pytest.LogCaptureFixture) -> None:
    """The service's own too, where it has sent one, for its operators to find the exchange by."""
    steps = Retry(CONFIG, Clock(), least)(REQUEST.with_options(request_id="r1"), send)
    next(steps)
    with caplog.at_level(logging.INFO, "langcache"):
        steps.throw(failure(503, {"X-Request-ID": "s1"}))
    [record] = caplog.records
    assert record.getMessage() == "search: status 503; repeating it in 0.100 s [r1; the service's s1]"
    assert fields_of(record)["server_request_id"] == "s1"


def test_the_log_has_the_facts_of_a_repetition_as_fields(caplog: pytest.LogCaptureFixture) -> None:
    steps = Retry(CONFIG, Clock(), least)(REQUEST.with_options(request_id="r1"), send)
    next(steps)
    with caplog.at_level(logging.INFO, "langcache"):
        for error in (failure(503), failure(429)):
            steps.throw(error)
            steps.send(None)
    assert [fields_of(record) for record in caplog.records] == [
        {
            "event": "retry", "operation": "search", "request_id": "r1", "attempt": 1, "status": 503,
            "error": "APIError", "delay_ms": 100.0,
        },
        {
            "event": "retry", "operation": "search", "request_id": "r1", "attempt": 2, "status": 429,
            "error": "TooManyRequestsError", "delay_ms": 200.0,
        },
    ]  # fmt: skip
    assert {(record.levelno, record.filename) for record in caplog.records} == {(logging.INFO, "retry.py")}


@given(
    initial=st.integers(0, 10**6),
    longest=st.integers(0, 10**6),
    exponent=st.floats(0.5, 100),
    jitter=st.none() | st.integers(0, 10**6),
    fraction=st.floats(0, 1),
)
def test_a_wait_is_never_negative_and_never_longer_than_the_longest(
    initial: int, longest: int, exponent: float, jitter: int | None, fraction: float
) -> None:
    """Whatever the numbers, and after thousands of repetitions too, where the power overflows."""
    strategy = BackoffStrategy(initial, longest, exponent, 10**9, jitter)
    config = RetryConfig("backoff", strategy, False)
    steps = steps_of(config, uniform=lambda low, high: low + fraction * (high - low))
    error = failure(503)
    assert all(0 <= wait <= longest / 1000 for wait in waits(steps, error, 1_500))


@pytest.mark.parametrize(("begun", "attempts"), [(False, 0), (True, 1)])
def test_a_deadline_that_is_over_before_an_attempt_is_none(begun: bool, attempts: int) -> None:
    error = DeadlineExceeded("over", "send")
    error.begun = begun
    steps = Retry(None)(Request("POST", "http://cache.example"), send)
    next(steps)
    with pytest.raises(DeadlineExceeded):
        steps.throw(error)
    assert error.attempts == attempts
