"""What a RetryPolicy says of each failure, and the budget that all calls of a client share."""

from __future__ import annotations

import threading
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache import BackoffStrategy, Request, Response, RetryConfig, RetryPolicy, Steps, send
from langcache.errors import (
    ConfigurationError,
    ConnectError,
    ConnectTimeout,
    DeadlineExceeded,
    DecodingError,
    LangCacheError,
    PoolTimeout,
    ProxyError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    ResponseTooLargeError,
    ResponseValidationError,
    WriteError,
    WriteTimeout,
)
from langcache.middleware.retry import Retry
from langcache.middleware.schedules import Budget, Failure, PolicySchedule, SpecifiedSchedule
from langcache.steps import Send, Sleep
from tests.middleware.stepping import Clock, fail, failure, finish

SEARCH = Request("POST", "http://cache.example/search", operation="search", idempotent=True)
SET = Request("POST", "http://cache.example/entries", operation="set")

NOTHING_SENT = [ConnectError("down"), ConnectTimeout("slow"), PoolTimeout("busy"), ProxyError("refused")]
MAYBE_SENT = [ReadError("cut"), ReadTimeout("slow"), WriteError("cut"), WriteTimeout("slow")]
BUSY = [failure(status) for status in (429, 500, 502, 503, 504)]
FINAL = [
    *(failure(status) for status in (301, 400, 401, 403, 404, 408, 413, 418, 424, 501)),
    ResponseTooLargeError("large"),
    ConfigurationError("wrong"),
    ResponseValidationError("odd", Response(200), ValueError("odd")),
]
UNTOLD = [RemoteProtocolError("no HTTP"), DecodingError("no gzip")]


def most(low: float, high: float) -> float:
    return high


def least(low: float, high: float) -> float:
    return low


def delay(
    error: LangCacheError,
    policy: RetryPolicy = RetryPolicy(),  # noqa: B008 - it is frozen
    request: Request = SEARCH,
    repetition: int = 0,
    left: float | None = None,
    budget: Budget | None = None,
) -> float | None:
    schedule = PolicySchedule(policy, budget or Budget(policy.burst), most)
    return schedule.delay(Failure(error, request, repetition, 0.0, left))


@pytest.mark.parametrize("error", [*NOTHING_SENT, *MAYBE_SENT, *BUSY], ids=repr)
def test_a_search_is_repeated_where_that_may_help(error: LangCacheError) -> None:
    assert delay(error) == 0.1


@pytest.mark.parametrize("error", [*FINAL, *UNTOLD], ids=repr)
def test_nothing_is_repeated_where_that_does_not_help_or_cannot_be_told(error: LangCacheError) -> None:
    assert delay(error) is None
    assert delay(error, RetryPolicy(repeat_sets=True), SET) is None


@pytest.mark.parametrize("error", NOTHING_SENT, ids=repr)
def test_a_set_is_repeated_where_nothing_can_have_come_to_the_service(error: LangCacheError) -> None:
    assert delay(error, request=SET) == 0.1


@pytest.mark.parametrize("error", [*MAYBE_SENT, *BUSY], ids=repr)
def test_another_set_is_repeated_only_where_the_caller_says_so(error: LangCacheError) -> None:
    assert delay(error, request=SET) is None
    assert delay(error, RetryPolicy(repeat_sets=True), SET) == 0.1


def test_a_certificate_that_is_refused_is_refused_again() -> None:
    error = ConnectError("certificate")
    error.retryable = False
    assert delay(error) is None


@pytest.mark.parametrize(("said", "is_repeated"), [(True, True), (False, False), (None, False)])
def test_a_predicate_stands_before_the_policy(said: bool | None, is_repeated: bool) -> None:
    asked: list[tuple[LangCacheError, Request]] = []

    def retry_if(error: LangCacheError, request: Request) -> bool | None:
        asked.append((error, request))
        return said

    error = failure(404)
    assert (delay(error, RetryPolicy(retry_if=retry_if), SET) is not None) is is_repeated
    assert asked == [(error, SET)]


def test_a_predicate_that_leaves_it_to_the_policy() -> None:
    assert delay(failure(503), RetryPolicy(retry_if=lambda error, request: None)) == 0.1


def test_a_predicate_cannot_raise_the_number_of_attempts() -> None:
    assert delay(failure(503), RetryPolicy(retry_if=lambda error, request: True), repetition=2) is None


def test_the_longest_wait_grows_and_is_capped() -> None:
    policy = RetryPolicy(max_attempts=10)
    assert [delay(failure(503), policy, repetition=number) for number in range(7)] == [
        0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0,
    ]  # fmt: skip
    assert delay(failure(503), RetryPolicy(max_attempts=5_000), repetition=4_000) == 2.0


def test_the_wait_is_random_from_nothing_on() -> None:
    """Full jitter: callers that failed together do not come back together."""
    schedule = PolicySchedule(RetryPolicy(), Budget(10), least)
    assert schedule.delay(Failure(failure(503), SEARCH, 0, 0.0, None)) == 0.0


def test_the_services_own_word_is_kept_with_a_random_part_more() -> None:
    assert delay(failure(429, {"Retry-After": "3"})) == 3.1
    assert delay(failure(503, {"retry-after-ms": "1500"})) == 1.6


def test_the_services_own_word_may_be_a_date() -> None:
    import time

    wait = delay(failure(503, {"Retry-After": formatdate(time.time() + 5, usegmt=True)}))
    assert wait is not None
    assert 3.0 < wait <= 5.2


@pytest.mark.parametrize("asked", ["11", "3600"])
def test_a_word_beyond_the_cap_is_a_failure_at_once(asked: str) -> None:
    """The error tells the caller how long the service asks for."""
    error = failure(429, {"Retry-After": asked})
    assert delay(error) is None
    assert error.retry_after == float(asked)
    assert delay(error, RetryPolicy(max_retry_after_ms=4_000_000)) == float(asked) + 0.1


@pytest.mark.parametrize(("wait", "left"), [("3", 3.1), ("3", 0.5), ("3", 0.0), ("0", 0.05), ("0", -1.0)])
def test_a_wait_that_outlasts_the_deadline_is_a_failure_at_once(wait: str, left: float) -> None:
    budget = Budget(10)
    assert delay(failure(503, {"Retry-After": wait}), left=left, budget=budget) is None
    assert budget.tokens == 10, "what is not done is not paid for"


@pytest.mark.parametrize(
    ("headers", "left", "wait"),
    [({"Retry-After": "3"}, 3.0, None), ({"Retry-After": "3"}, 3.1, 3.0), ({}, 0.1, None), ({}, 0.11, 0.1), ({}, -1, None)],
)  # fmt: skip
def test_it_is_so_with_the_specifications_configuration_too(
    headers: dict[str, str], left: float, wait: float | None
) -> None:
    """The caller learns what the service said, and a circuit breaker that it failed."""
    schedule = SpecifiedSchedule(RetryConfig("backoff", BackoffStrategy(100, 1_000, 2, 10_000, 0), True), most)
    assert schedule.delay(Failure(failure(503, headers), SEARCH, 0, 0.0, left)) == wait
    assert schedule.delay(Failure(failure(503, headers), SEARCH, 0, 0.0, None)) is not None


def test_there_are_no_more_attempts_than_the_policy_has() -> None:
    assert delay(failure(503), repetition=1) is not None
    assert delay(failure(503), repetition=2) is None
    assert delay(failure(503), RetryPolicy(max_attempts=1)) is None


def test_a_spent_budget_ends_repetitions() -> None:
    budget = Budget(2)
    assert [delay(failure(503), budget=budget) is not None for _ in range(4)] == [True, True, False, False]


def test_success_gives_back_what_was_taken_or_a_part() -> None:
    policy, budget = RetryPolicy(), Budget(10)
    schedule = PolicySchedule(policy, budget, most)
    for number in range(2):
        schedule.delay(Failure(failure(503), SEARCH, number, 0.0, None))
    assert budget.tokens == 8
    schedule.succeeded(0)
    assert budget.tokens == 8.1
    schedule.succeeded(2)
    assert budget.tokens == 10, "and never more than there is room for"


def test_threads_take_no_more_than_there_is() -> None:
    budget, taken = Budget(100), list[bool]()
    threads = [threading.Thread(target=lambda: taken.extend(budget.take() for _ in range(50))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 100


# The middleware with a policy


def attempts_of(retry: Retry, error: LangCacheError, request: Request = SEARCH) -> int:
    """Make a call that fails always, and return how often it is attempted."""
    steps = retry(request, send)
    command: Any = next(steps)
    sent = 0
    try:
        while True:
            if isinstance(command, Send):
                sent += 1
                command = steps.throw(error)
            else:
                assert isinstance(command, Sleep)
                command = steps.send(None)
    except LangCacheError as raised:
        assert raised is error  # noqa: PT017 - the same whenever
        assert raised.attempts == sent  # noqa: PT017
    return sent


@given(
    calls=st.integers(1, 400),
    burst=st.integers(0, 20),
    max_attempts=st.integers(1, 6),
    ratio=st.floats(0, 1),
)
def test_a_total_outage_is_not_made_worse(calls: int, burst: int, max_attempts: int, ratio: float) -> None:
    """The server sees no more than the calls and one burst, however long it lasts; by default 1.1 times 100 calls."""
    retry = Retry(RetryPolicy(max_attempts=max_attempts, burst=burst, budget_ratio=ratio), Clock())
    seen = sum(attempts_of(retry, ReadTimeout("silent")) for _ in range(calls))
    assert seen == calls + min(burst, (max_attempts - 1) * calls)


def test_by_default_an_outage_costs_a_tenth_more_of_a_hundred_calls() -> None:
    retry = Retry(RetryPolicy(), Clock())
    assert sum(attempts_of(retry, failure(503)) for _ in range(100)) == 110
    assert sum(attempts_of(retry, failure(503)) for _ in range(1_000)) == 1_000


@given(st.lists(st.sampled_from(["ok", "busy", "down"]), min_size=1, max_size=300))
def test_the_budget_is_never_exceeded(outcomes: list[str]) -> None:
    """Whatever the replies: repetitions are no more than the burst, what successes give, and what they give back."""
    policy = RetryPolicy()
    retry, replies = Retry(policy, Clock()), iter(outcomes)
    spent = gained = 0.0
    for outcome in replies:
        steps: Steps[Response] = retry(SEARCH, send)
        next(steps)
        repetitions = 0
        while True:
            try:
                if outcome == "ok":
                    finish(steps, Response(200))
                    break
                assert isinstance(steps.throw(failure(503) if outcome == "busy" else ReadTimeout("down")), Sleep)
            except LangCacheError:
                break
            repetitions += 1
            assert isinstance(steps.send(None), Send)
            outcome = next(replies, "ok")
        spent += repetitions
        gained += (repetitions or policy.budget_ratio) if outcome == "ok" else 0
        assert spent <= policy.burst + gained + 1e-6
        assert repetitions < policy.max_attempts


def test_the_error_that_ends_a_call_tells_of_the_attempts() -> None:
    clock = Clock()
    steps = Retry(RetryPolicy(), clock, most)(SEARCH, send)
    first, second, third = failure(503), ConnectError("down"), ReadTimeout("slow")
    next(steps)
    for error in (first, second):
        clock.now += 1
        steps.throw(error)
        steps.send(None)
    clock.now += 1
    assert fail(steps, third) is third
    assert (third.attempts, third.elapsed, third.previous) == (3, 3.0, (first, second))


def test_a_deadline_that_ends_a_wait_tells_of_the_attempts_before() -> None:
    clock = Clock()
    steps = Retry(RetryPolicy(), clock, most)(SEARCH, send)
    next(steps)
    first = failure(503)
    assert steps.throw(first) == Sleep(0.1)
    clock.now = 0.5
    error = DeadlineExceeded("over", "sleep")
    assert fail(steps, error) is error
    assert (error.attempts, error.elapsed, error.previous) == (1, 0.5, (first,))


def test_an_error_that_comes_again_and_again_is_not_its_own_predecessor() -> None:
    error = failure(503)
    attempts_of(Retry(RetryPolicy(), Clock()), error)
    assert error.previous == ()


def test_a_success_tells_how_many_attempts_it_took() -> None:
    steps = Retry(RetryPolicy(), Clock(), most)(SEARCH, send)
    next(steps)
    steps.throw(failure(503))
    steps.send(None)
    assert finish(steps, Response(200)).extensions == {"attempts": 2}


def test_the_end_of_the_deadline_is_never_repeated() -> None:
    """Whatever the predicate says, which is not even asked."""
    steps = Retry(RetryPolicy(retry_if=lambda error, request: True), Clock())(SEARCH, send)
    next(steps)
    error = DeadlineExceeded("over")
    assert fail(steps, error) is error


def test_the_calls_own_policy_stands_before_the_clients() -> None:
    retry = Retry(RetryPolicy(max_attempts=5), Clock())
    assert attempts_of(retry, failure(503), SEARCH.with_options(retries=RetryPolicy(max_attempts=2))) == 2
    assert attempts_of(retry, failure(503), SEARCH.with_options(retries=None)) == 1
    assert attempts_of(retry, failure(503), SEARCH) == 5


def test_policies_of_single_calls_share_the_clients_budget() -> None:
    """Or a program that gives each call a policy of its own would have no budget at all."""
    retry = Retry(None, Clock())
    seen = [attempts_of(retry, failure(503), SEARCH.with_options(retries=RetryPolicy())) for _ in range(100)]
    assert sum(seen) == 110


def test_what_is_left_of_the_deadline_is_asked_for_at_the_same_clock() -> None:
    clock = Clock()
    clock.now = 0.95
    steps = Retry(RetryPolicy(), clock, most)(SEARCH.with_options(deadline=1.0), send)
    next(steps)
    error = failure(503)
    assert fail(steps, error) is error
