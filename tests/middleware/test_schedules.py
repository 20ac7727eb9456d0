"""What a RetryPolicy says of each failure, and the budget that all calls of a client share."""

from __future__ import annotations

import threading
import tracemalloc
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache import BackoffStrategy, LangCache, Request, Response, RetryConfig, RetryPolicy, Steps, send
from langcache.errors import (
    LONGEST_MESSAGE,
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
    error_for,
)
from langcache.middleware.retry import MOST_PREVIOUS, Retry
from langcache.middleware.schedules import Budget, Failure, PolicySchedule, SharedBudget, SpecifiedSchedule
from langcache.steps import Send, Sleep
from langcache_transports.testing import FakeTransport
from tests.interruptions import interrupted
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
    [
        ({"Retry-After": "3"}, 3.0, None), ({"Retry-After": "3"}, 3.1, 3.0),
        ({}, 0.1, None), ({}, 0.11, 0.1), ({}, -1.0, None),
    ],
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


def test_a_success_earns_its_share_of_a_repetition_whatever_it_took() -> None:
    """A service that answers each second request only is not sent twice as many for ever."""
    budget = Budget(10, 0.1)
    schedule = PolicySchedule(RetryPolicy(), budget, most)
    schedule.succeeded()
    assert budget.tokens == 10, "and never more than there is room for"
    for number in range(2):
        schedule.delay(Failure(failure(503), SEARCH, number, 0.0, None))
    assert budget.tokens == 8
    schedule.succeeded()
    assert budget.tokens == 8.1


@pytest.mark.parametrize("successes", [3, 10, 49])
def test_as_many_successes_as_make_one_pay_for_a_repetition(successes: int) -> None:
    budget = Budget(1, 1 / successes)
    assert budget.take()
    for _ in range(successes - 1):
        budget.earn()
    assert not budget.take()
    budget.earn()
    assert budget.take()


def test_a_signals_handler_may_repeat_a_call_wherever_it_interrupts_one() -> None:
    """It would wait for its own thread, for ever, if the lock were not reentrant."""
    budget = Budget(100, 0.1)

    def calls() -> None:
        budget.take()
        budget.earn()

    assert interrupted(calls, calls, Budget) > 4


def test_over_time_no_more_than_the_share_is_repeated() -> None:
    """Also where every repetition succeeds."""
    retry = Retry(RetryPolicy(budget_ratio=0.1), Clock())
    repeated = 0
    for _ in range(1_000):
        steps = retry(SEARCH, send)
        next(steps)
        try:
            steps.throw(failure(503))
        except LangCacheError:
            continue
        steps.send(None)
        finish(steps, Response(200))
        repeated += 1
    assert repeated <= 10 + 0.1 * repeated + 1


@pytest.mark.parametrize(("said", "kind"), [(0, "int"), (1, "int"), ("no", "str"), ([], "list"), (503, "int")])
def test_a_predicate_that_says_something_else_is_refused(said: Any, kind: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^retry_if must return True, False or None, not {kind}$"):
        delay(failure(503), RetryPolicy(retry_if=lambda error, request: said))


async def asynchronous(error: LangCacheError, request: Request) -> bool:
    raise AssertionError("never run")


def test_a_predicate_that_returns_a_coroutine_is_refused() -> None:
    """It is true, whatever it would say, and everything would be repeated; it is closed, or Python would warn of it."""

    def predicate(error: LangCacheError, request: Request) -> Any:
        return asynchronous(error, request)

    with pytest.raises(ConfigurationError, match="not coroutine"):
        delay(failure(503), RetryPolicy(retry_if=predicate))


@pytest.mark.parametrize("wrong", [LookupError("its own mistake"), ConfigurationError("its own mistake")])
def test_what_a_predicate_raises_is_raised_and_tells_of_the_attempt(wrong: Exception) -> None:
    def predicate(error: LangCacheError, request: Request) -> bool:
        raise wrong

    steps = Retry(RetryPolicy(retry_if=predicate), Clock())(SEARCH, send)
    next(steps)
    error = failure(503)
    assert fail(steps, error) is wrong
    assert wrong.__context__ is error
    if isinstance(wrong, LangCacheError):
        assert (wrong.attempts, wrong.previous) == (1, (error,))


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
    """Whatever the replies: repetitions are no more than the burst, and what successes earn."""
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
        gained += policy.budget_ratio if outcome == "ok" else 0
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


def test_a_predicate_may_raise_the_failure_itself() -> None:
    """It is whole then, as one that is not repeated is."""

    def predicate(error: LangCacheError, request: Request) -> bool:
        raise error

    body = b"x" * (2 * LONGEST_MESSAGE)
    steps = Retry(RetryPolicy(retry_if=predicate), Clock())(SEARCH, send)
    next(steps)
    error = error_for(Response(503, {}, body))
    assert fail(steps, error) is error
    assert (error.attempts, error.previous, error.body) == (1, (), body.decode())


def test_a_providers_exception_tells_what_the_attempt_before_ended_with() -> None:
    """It is no error of ours that could carry the facts, so it has that in its context, as Python shows it."""
    steps = Retry(RetryPolicy(), Clock(), most)(SEARCH, send)
    next(steps)
    first, second = failure(503), LookupError("no vault")
    steps.throw(first)
    steps.send(None)
    assert fail(steps, second) is second
    assert second.__context__ is first


def test_an_error_keeps_the_last_of_many_errors_before_it_and_little_of_their_bodies() -> None:
    """A hundred attempts that were each answered with a megabyte do not fill the memory."""
    body = b"<" + b"x" * 1_000_000
    service = FakeTransport(lambda request: Response(503, {}, body[:]))
    policy = RetryPolicy(max_attempts=100, initial_ms=0, burst=100)
    cache = LangCache("http://cache.example", "k", "c", transport=service, retry_config=policy)
    tracemalloc.start()
    try:
        with pytest.raises(LangCacheError) as caught:
            cache.search(prompt="p")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    error = caught.value
    assert (error.attempts, len(error.previous)) == (100, MOST_PREVIOUS)
    assert len(error.body) == len(body), "the last one is whole"
    for earlier in error.previous:
        assert earlier.body == body[:LONGEST_MESSAGE].decode()
        assert earlier.raw_response.content == body[:LONGEST_MESSAGE]
        assert (earlier.status_code, earlier.data) == (503, None)
    assert kept < 10_000_000


def test_short_bodies_of_earlier_errors_are_kept_whole() -> None:
    body = b'{"status": 500, "title": "Failed", "type": "/errors/unexpected-error"}'
    service = FakeTransport([Response(500, {}, body), slow := ReadTimeout("slow"), Response(404)])
    cache = LangCache(
        "http://cache.example", "k", "c", transport=service, retry_config=RetryPolicy(max_attempts=5, initial_ms=0)
    )
    with pytest.raises(LangCacheError) as caught:
        cache.search(prompt="p")
    first, second = caught.value.previous
    assert (first.body, first.raw_response.content, first.data.title) == (body.decode(), body, "Failed")
    assert second is slow
    assert second.__traceback__ is not None, "where a connection failed, its traceback says more"


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
    seen = [
        attempts_of(retry, failure(503), SEARCH.with_options(retries=RetryPolicy(burst=10 + number)))
        for number in range(100)
    ]
    assert sum(seen) == 110, "the first one's numbers are the budget's"


def test_policies_of_single_calls_share_the_budget_of_the_clients_policy() -> None:
    """However large their own would be."""
    retry = Retry(RetryPolicy(burst=3), Clock())
    own = SEARCH.with_options(retries=RetryPolicy(burst=1_000, max_attempts=10))
    assert [attempts_of(retry, failure(503), request) for request in (own, own, SEARCH)] == [4, 1, 1]


def test_threads_that_bring_the_first_policy_at_the_same_time_share_one_budget() -> None:
    shared, together = SharedBudget(None), threading.Barrier(8)
    made: list[Budget] = []

    def make() -> None:
        together.wait(10)
        made.append(shared.under(RetryPolicy()))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, made))) == 1


def test_what_is_left_of_the_deadline_is_asked_for_at_the_same_clock() -> None:
    clock = Clock()
    clock.now = 0.95
    steps = Retry(RetryPolicy(), clock, most)(SEARCH.with_options(deadline=1.0), send)
    next(steps)
    error = failure(503)
    assert fail(steps, error) is error
