"""The deadline of a call, stepped by hand: no clock, no socket, no mock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache import Middleware, Next, Request, Response, RetryPolicy, Steps, resolve, send, sleep, wait
from langcache.errors import (
    ConnectError,
    ConnectTimeout,
    DeadlineExceeded,
    LangCacheError,
    ReadTimeout,
    TimeoutException,
)
from langcache.middleware.deadline import Deadline
from langcache.middleware.retry import Retry
from langcache.steps import Command, Resolve, Send, Sleep, Wait, compose, run, run_async
from tests.middleware.stepping import Clock, fail, failure, finish, throw

URL = "http://user:secret@cache.example/v1/caches/c/entries/search?key=secret"
REQUEST = Request("POST", URL, timeout=10.0, operation="search", options={"deadline": 1.0})


def bounded(clock: Clock, inner: Next = send, request: Request = REQUEST) -> Steps[Response]:
    return Deadline(clock)(request, inner)


def provider() -> str:
    raise AssertionError("the driver calls it")


def doing(*work: Callable[[], Steps[Any]]) -> Next:
    """Do these things one after another, and then send the request."""

    def inner(request: Request) -> Steps[Response]:
        for step in work:
            yield from step()
        return (yield from send(request))

    return inner


def exceeded(steps: Steps[Response], error: BaseException) -> DeadlineExceeded:
    over = fail(steps, error)
    assert isinstance(over, DeadlineExceeded)
    return over


def test_without_a_deadline_everything_passes_as_it_is() -> None:
    request = Request("GET", URL, options={"deadline": None})
    steps = bounded(Clock(), request=request)
    assert next(steps) == Send(request)
    response = Response(200)
    assert finish(steps, response) is response


@pytest.mark.parametrize(
    ("timeout", "now", "given"), [(10.0, 0.0, 1.0), (10.0, 0.75, 0.25), (0.2, 0.0, 0.2), (None, 0.5, 0.5)]
)
def test_an_attempt_has_what_is_left_and_no_more_than_its_own_timeout(
    timeout: float | None, now: float, given: float
) -> None:
    clock = Clock()
    clock.now = now
    command = next(bounded(clock, request=REQUEST.with_timeout(timeout)))
    assert isinstance(command, Send)
    assert command.request.timeout == given
    assert command.request.url == URL


def test_a_wait_that_fits_is_made() -> None:
    assert next(bounded(Clock(), doing(lambda: sleep(0.9)))) == Sleep(0.9)


def test_a_wait_that_would_outlast_it_is_not_even_begun() -> None:
    """Nothing could come of it but a later failure."""
    error = fail_at_once(bounded(Clock(), doing(lambda: sleep(1.5))))
    assert error.during == "sleep"
    assert str(error) == "search: its deadline left no time after 0 ms, before a wait of 1.5 s, with 1 s left"


def fail_at_once(steps: Steps[Response]) -> DeadlineExceeded:
    with pytest.raises(DeadlineExceeded) as caught:
        next(steps)
    return caught.value


def test_a_provider_has_what_is_left() -> None:
    clock = Clock()
    clock.now = 0.5
    assert next(bounded(clock, doing(lambda: resolve(provider)))) == Resolve(provider, 0.5)


def test_the_wait_for_another_call_has_what_is_left() -> None:
    future = Future[int]()
    assert next(bounded(Clock(), doing(lambda: wait(future)))) == Wait(future, 1.0)


@pytest.mark.parametrize(
    ("work", "during", "said"),
    [
        (lambda: send(REQUEST), "send", "during request 1, POST http://cache.example/v1/caches/c/entries/search"),
        (lambda: resolve(provider), "resolve", "during a call of tests.middleware.test_deadline.provider"),
        (lambda: wait(Future[int]()), "wait", "during a wait for another call, which asks for the key"),
    ],
)
@pytest.mark.parametrize("kind", [ReadTimeout, TimeoutError])
def test_a_time_limit_that_ends_with_it_is_the_deadlines(
    work: Callable[[], Steps[Any]], during: str, said: str, kind: type[Exception]
) -> None:
    """It says what was going on, and by which limit of whose it was cut off; no secret is shown."""
    clock, limit = Clock(), kind("the library's word")
    steps = bounded(clock, doing(work))
    next(steps)
    clock.now = 1.0
    error = exceeded(steps, limit)
    assert str(error) == f"search: its deadline left no time after 1000 ms, {said}"
    assert (error.during, error.begun) == (during, True)
    assert error.__cause__ is limit
    assert error.nothing_sent is (during != "send")
    assert isinstance(error, TimeoutException)


@pytest.mark.parametrize("error", [ReadTimeout("an attempt's own"), TimeoutError("a provider's own")])
def test_a_time_limit_that_ends_before_it_is_an_attempts_own(error: Exception) -> None:
    clock = Clock()
    steps = bounded(clock)
    next(steps)
    clock.now = 0.5
    assert fail(steps, error) is error


@pytest.mark.parametrize("error", [ConnectError("down"), failure(503), LookupError("mine"), KeyboardInterrupt()])
def test_other_errors_pass_as_they_are_however_late(error: BaseException) -> None:
    clock = Clock()
    steps = bounded(clock)
    next(steps)
    clock.now = 2.0
    assert fail(steps, error) is error


def test_an_answer_is_handed_out_however_late_it_is() -> None:
    clock = Clock()
    steps = bounded(clock)
    next(steps)
    clock.now = 2.0
    response = Response(200)
    assert finish(steps, response) is response


def test_what_used_up_the_time_before_counts() -> None:
    """Nothing was sent then, and the error says so, and that the request was not what took the time."""
    clock = Clock()
    clock.now = 1.0
    error = fail_at_once(bounded(clock))
    assert "before request 1, POST" in str(error)
    assert (error.during, error.begun, error.nothing_sent) == ("send", False, True)


@pytest.mark.parametrize(("own", "limit"), [(None, 500), (250.0, 250)])
def test_it_counts_from_the_beginning_of_the_call_and_names_the_limit(own: float | None, limit: int) -> None:
    """The call's own or the client's. What stands outside, such as a plugin's middleware, has taken time too."""
    clock = Clock()
    clock.now = 10.605
    request = REQUEST.with_options(deadline=10.0 + limit / 1000, deadline_ms=own)
    error = fail_at_once(Deadline(clock, default=0.5)(request, send))
    assert str(error).startswith(f"search: its deadline of {limit} ms left no time after 605 ms, before request 1")
    assert error.attempts == 0
    assert error.elapsed == pytest.approx(0.605)


@pytest.mark.parametrize(
    ("ends", "nothing_sent"),
    [(Response(503), False), (ReadTimeout("slow"), False), (ConnectError("down"), True), (LookupError(), False)],
    ids=repr,
)
def test_it_says_that_nothing_was_sent_where_no_request_can_have_arrived(
    ends: Response | Exception, nothing_sent: bool
) -> None:
    """In the whole call: also where it is over in something else, and after attempts that are over."""

    def inner(request: Request) -> Steps[Response]:
        with suppress(ReadTimeout, ConnectError, LookupError):
            yield from send(request)
        yield from resolve(provider)
        return (yield from send(request))

    clock = Clock()
    steps = bounded(clock, inner)
    next(steps)
    clock.now = 0.5
    assert isinstance(throw(steps, ends) if isinstance(ends, Exception) else steps.send(ends), Resolve)
    clock.now = 1.0
    error = exceeded(steps, TimeoutError("late"))
    assert (error.during, error.nothing_sent, error.attempts) == ("resolve", nothing_sent, 1)


@pytest.mark.parametrize("kind", [ConnectTimeout, ReadTimeout])
def test_what_its_own_end_cut_off_may_have_been_sent_or_not(kind: type[TimeoutException]) -> None:
    clock = Clock()
    steps = bounded(clock)
    next(steps)
    clock.now = 1.0
    assert exceeded(steps, kind("late")).nothing_sent is (kind is ConnectTimeout)


def test_what_is_inside_sees_it_and_can_tidy_up() -> None:
    seen: list[object] = []

    def inner(request: Request) -> Steps[Response]:
        try:
            return (yield from send(request))
        except DeadlineExceeded as error:
            seen.append(error)
            raise
        finally:
            seen.append("tidied up")

    clock = Clock()
    steps = bounded(clock, inner)
    next(steps)
    clock.now = 1.0
    error = exceeded(steps, ReadTimeout("late"))
    assert seen == [error, "tidied up"]


def test_what_is_inside_can_hand_out_an_answer_of_its_own() -> None:
    own = Response(200, {}, b"from elsewhere")

    def inner(request: Request) -> Steps[Response]:
        try:
            return (yield from send(request))
        except DeadlineExceeded:
            return own

    clock = Clock()
    steps = bounded(clock, inner)
    next(steps)
    clock.now = 1.0
    with pytest.raises(StopIteration) as stop:
        steps.throw(ReadTimeout("late"))
    assert stop.value.value is own


def test_what_goes_on_all_the_same_is_ended() -> None:
    """A middleware that catches everything and tries again would otherwise never end."""
    ended: list[bool] = []

    def inner(request: Request) -> Steps[Response]:
        try:
            while True:
                try:
                    return (yield from send(request))
                except LangCacheError:  # noqa: PERF203 - that is the mistake
                    continue
        finally:
            ended.append(True)

    clock = Clock()
    steps = bounded(clock, inner)
    next(steps)
    assert isinstance(throw(steps, ReadTimeout("an attempt's own")), Send)
    clock.now = 1.0
    exceeded(steps, ReadTimeout("late"))
    assert ended == [True]


def test_the_retries_inside_of_it_end() -> None:
    """Neither the specification's kind nor ours repeats after it."""
    clock = Clock()
    retry = Retry(RetryPolicy(), clock)
    steps = compose([Deadline(clock), retry])(REQUEST)
    next(steps)
    clock.now = 1.0
    error = exceeded(steps, ReadTimeout("late"))
    assert (error.attempts, error.elapsed) == (1, 1.0)


@given(st.data())
def test_it_is_never_passed_and_always_ends(data: st.DataObject) -> None:
    """Whatever is asked for inside, and however long it takes: all commands end by the deadline."""
    clock = Clock()

    def inner(request: Request) -> Steps[Response]:
        while True:
            work: Callable[[], Steps[Any]] = data.draw(
                st.sampled_from(
                    [
                        lambda: send(request),
                        lambda: sleep(data.draw(st.floats(0, 3), "sleep")),
                        lambda: resolve(provider),
                        lambda: wait(Future[int]()),
                    ]
                )
            )
            try:
                yield from work()
            except LangCacheError:
                if data.draw(st.booleans(), "gives up"):
                    raise

    def answered(command: Command) -> Command:
        limit = limit_of(command)
        assert limit is not None
        assert clock.now + limit <= 1.0 + 1e-9
        takes = limit if isinstance(command, Sleep) else data.draw(st.floats(0.01, 3), "takes")
        clock.now += min(takes, limit)
        is_late = takes >= limit and not isinstance(command, Sleep)
        return steps.throw(ReadTimeout("late")) if is_late else steps.send(Response(503))

    steps = bounded(clock, inner)
    with pytest.raises((DeadlineExceeded, ReadTimeout)):  # noqa: PT012 - at whichever step
        command = next(steps)
        for _ in range(400):
            command = answered(command)
            assert clock.now <= 1.0
    assert next(steps, None) is None, "it has ended"


def limit_of(command: Command) -> float | None:
    if isinstance(command, Send):
        return command.request.timeout
    return command.seconds if isinstance(command, Sleep) else command.timeout


def slow_provider() -> str:
    """Takes until the test's end, at the most."""
    Future[None]().result(5)
    return "never"


def test_a_plain_provider_that_blocks_is_left_alone() -> None:
    """In a sync call: it is called in a thread of its own."""

    def inner(request: Request) -> Steps[Response]:
        yield from resolve(slow_provider)
        return (yield from send(request))

    steps = timed(inner, 0.1)
    with pytest.raises(DeadlineExceeded, match=r"during a call of .*slow_provider"):
        run(steps, lambda request: Response(200))


@pytest.mark.parametrize("is_plain", [True, False])
def test_a_provider_that_blocks_is_left_alone_in_async_calls(is_plain: bool) -> None:
    async def slow_async_provider() -> str:
        await asyncio.Event().wait()
        return "never"

    def inner(request: Request) -> Steps[Response]:
        yield from resolve(slow_provider if is_plain else slow_async_provider)
        return (yield from send(request))

    async def transmit(request: Request) -> Response:
        return Response(200)

    with pytest.raises(DeadlineExceeded, match="during a call of"):
        asyncio.run(run_async(timed(inner, 0.1), transmit))


def timed(inner: Next, seconds: float) -> Steps[Response]:
    """Bound `inner` by real time."""
    middleware: Middleware = Deadline()
    return middleware(REQUEST.with_options(deadline=time.monotonic() + seconds), inner)
