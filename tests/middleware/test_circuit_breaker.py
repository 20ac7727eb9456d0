"""The circuit breaker: its circuits by themselves, and stepped by hand."""

from __future__ import annotations

import asyncio
import logging
import threading
import timeit
from contextlib import suppress
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from langcache import BreakerPolicy, LangCache, Request, Response, Steps, send
from langcache.errors import (
    CircuitOpen,
    ConfigurationError,
    ConnectError,
    DeadlineExceeded,
    DecodingError,
    LangCacheError,
    PoolTimeout,
    ProxyError,
    ReadTimeout,
    ResponseTooLargeError,
)
from langcache.middleware.circuit_breaker import (
    MOST_CIRCUITS,
    Circuit,
    CircuitBreaker,
    Circuits,
    Ticket,
    tells_failure,
)
from langcache.middleware.deadline import Deadline
from langcache.steps import Send
from langcache_transports.testing import AsyncFakeTransport, FakeTransport
from tests.interruptions import interrupted
from tests.middleware.stepping import Clock, fail, failure, fields_of, finish

REQUEST = Request("POST", "http://cache.example/v1/caches/c/entries/search?key=secret", operation="search")
POLICY = BreakerPolicy(consecutive_failures=3, open_ms=1_000)


def breaker(policy: BreakerPolicy | None = POLICY, clock: Clock | None = None) -> tuple[CircuitBreaker, list[str]]:
    lines: list[str] = []

    def tell(line: str, *arguments: object, **facts: object) -> None:
        lines.append(line % arguments)

    return CircuitBreaker(policy, clock or Clock(), tell, tell), lines


def begin(middleware: CircuitBreaker, request: Request = REQUEST) -> Steps[Response]:
    steps = middleware(request, send)
    assert next(steps) == Send(request)
    return steps


def fail_times(middleware: CircuitBreaker, times: int, error: LangCacheError | None = None) -> None:
    for _ in range(times):
        fail(begin(middleware), error or failure(503))


def refused(middleware: CircuitBreaker, request: Request = REQUEST) -> CircuitOpen:
    with pytest.raises(CircuitOpen) as caught:
        next(middleware(request, send))
    return caught.value


def test_without_a_policy_everything_passes() -> None:
    middleware, _ = breaker(None)
    fail_times(middleware, 100)
    response = Response(200)
    assert finish(begin(middleware), response) is response


def test_failures_on_end_open_the_circuit() -> None:
    middleware, lines = breaker()
    fail_times(middleware, 2)
    finish(begin(middleware), Response(200))
    fail_times(middleware, 2)
    begin(middleware).close()
    assert lines == []
    fail_times(middleware, 1)
    assert lines == ["http://cache.example failed too often: it is left alone for 1 s"]
    error = refused(middleware)
    assert error.retry_after == 1.0
    assert error.nothing_sent
    assert (error.attempts, error.elapsed) == (0, 0.0)
    assert error.retryable
    assert error.until is not None
    assert timedelta(0) < error.until - datetime.now(timezone.utc) <= timedelta(seconds=1)
    assert str(error) == (
        "search: http://cache.example failed too often and is left alone until "
        f"{error.until.isoformat(timespec='milliseconds')}"
    )


def test_a_share_of_failures_opens_the_circuit() -> None:
    policy = BreakerPolicy(consecutive_failures=100, failure_rate=0.5, window=10, minimum_calls=4)
    middleware, lines = breaker(policy)
    for error in (None, failure(503), None):
        steps = begin(middleware)
        finish(steps, Response(200)) if error is None else fail(steps, error)
    assert lines == []
    fail_times(middleware, 1)
    assert len(lines) == 1


def test_a_success_never_opens_the_circuit() -> None:
    """Also where it is the call with which there are enough of them to look at their share."""
    policy = BreakerPolicy(consecutive_failures=100, failure_rate=0.5, window=10, minimum_calls=4)
    middleware, lines = breaker(policy)
    for error in (failure(503), None, failure(503), None):
        steps = begin(middleware)
        finish(steps, Response(200)) if error is None else fail(steps, error)
    assert lines == []
    fail_times(middleware, 1)
    assert len(lines) == 1


def test_what_lies_further_back_than_the_window_counts_no_longer() -> None:
    policy = BreakerPolicy(consecutive_failures=100, failure_rate=0.5, window=4, minimum_calls=4)
    middleware, lines = breaker(policy)
    fail_times(middleware, 1)
    for _ in range(4):
        finish(begin(middleware), Response(200))
    fail_times(middleware, 1)
    assert lines == []
    fail_times(middleware, 1)
    assert len(lines) == 1


def test_after_its_time_one_call_tries_and_closes_it() -> None:
    clock = Clock()
    middleware, lines = breaker(clock=clock)
    fail_times(middleware, 3)
    clock.now = 1.0
    probe = begin(middleware)
    refused(middleware)
    finish(probe, Response(200))
    assert lines[1:] == ["http://cache.example works again"]
    fail_times(middleware, 2)
    finish(begin(middleware), Response(200))


def test_the_log_warns_of_a_circuit_that_opens_and_tells_when_it_closes(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    middleware, request = CircuitBreaker(POLICY, clock), REQUEST.with_options(request_id="r1")
    with caplog.at_level(logging.INFO, "langcache"):
        for _ in range(3):
            fail(begin(middleware, request), failure(503, {"X-Request-ID": "s1"}))
        clock.now = 1.0
        finish(begin(middleware, request), Response(200))
    assert caplog.messages == [
        "http://cache.example failed too often: it is left alone for 1 s [r1; the service's s1]",
        "http://cache.example works again [r1]",
    ]
    common = {"operation": "search", "request_id": "r1", "server": "http://cache.example"}
    assert [(record.levelno, fields_of(record)) for record in caplog.records] == [
        (logging.WARNING, {"event": "breaker_opened", "open_ms": 1_000, "server_request_id": "s1", **common}),
        (logging.INFO, {"event": "breaker_closed", **common}),
    ]


def test_its_circuits_tell_their_states() -> None:
    clock = Clock()
    middleware, _ = breaker(clock=clock)
    assert middleware.circuits() == []
    other = REQUEST.with_url("http://other.example/p")
    finish(begin(middleware, other), Response(200))
    fail_times(middleware, 3)
    assert middleware.circuits() == [("http://other.example", "closed"), ("http://cache.example", "open")]
    clock.now = 1.0
    assert middleware.circuits()[1] == ("http://cache.example", "half-open")
    probe = begin(middleware)
    assert middleware.circuits()[1] == ("http://cache.example", "half-open")
    finish(probe, Response(200))
    assert middleware.circuits()[1] == ("http://cache.example", "closed")


@pytest.mark.parametrize(
    ("failures", "calls", "rate"), [(28, 50, 0.56), (7, 100, 0.07), (55, 100, 0.55), (1, 3, 1 / 3)]
)
def test_it_opens_at_the_very_share_of_failures(failures: int, calls: int, rate: float) -> None:
    """In binary numbers, 0.56 times 50 is more than 28."""
    policy = BreakerPolicy(consecutive_failures=1_000, failure_rate=rate, window=calls, minimum_calls=calls)
    middleware, lines = breaker(policy)
    for _ in range(calls - failures):
        finish(begin(middleware), Response(200))
    fail_times(middleware, failures - 1)
    assert lines == []
    fail_times(middleware, 1)
    assert len(lines) == 1


def test_a_probe_that_fails_opens_it_again() -> None:
    clock = Clock()
    middleware, lines = breaker(clock=clock)
    fail_times(middleware, 3)
    clock.now = 1.5
    fail_times(middleware, 1, ReadTimeout("slow"))
    assert len(lines) == 2
    assert refused(middleware).retry_after == 1.0
    clock.now = 2.5
    finish(begin(middleware), Response(404))


@pytest.mark.parametrize("ending", ["closed", "cancelled", "untold"])
def test_a_probe_that_tells_nothing_makes_room_for_the_next(ending: str) -> None:
    clock = Clock()
    middleware, _ = breaker(clock=clock)
    fail_times(middleware, 3)
    clock.now = 1.0
    probe = begin(middleware)
    if ending == "closed":
        probe.close()
    else:
        fail(probe, KeyboardInterrupt() if ending == "cancelled" else failure(429))
    finish(begin(middleware), Response(200))
    finish(begin(middleware), Response(200))


@pytest.mark.parametrize(("open_ms", "lease"), [(5_000, 5.0), (50, 1.0), (0, 1.0)])
def test_a_circuit_whose_probe_is_still_out_says_until_when(open_ms: float, lease: float) -> None:
    """And then lets another one through: the first may hang for ever, or be lost to an interrupt."""
    clock = Clock()
    middleware, _ = breaker(BreakerPolicy(consecutive_failures=1, open_ms=open_ms), clock)
    fail_times(middleware, 1)
    clock.now = begun = open_ms / 1000
    lost = middleware(REQUEST, send)
    next(lost)
    clock.now = begun + 0.25
    error = refused(middleware)
    assert error.retry_after == pytest.approx(lease - 0.25)
    assert error.until is not None
    assert abs(error.until - datetime.now(timezone.utc) - timedelta(seconds=lease - 0.25)) < timedelta(seconds=5)
    assert str(error) == (
        "search: http://cache.example failed too often and is left alone while it is being tried again, until "
        f"{error.until.isoformat(timespec='milliseconds')} at the latest"
    )
    clock.now = begun + lease
    second = begin(middleware)
    refused(middleware)
    fail(lost, KeyboardInterrupt())
    refused(middleware)
    finish(second, Response(200))
    finish(begin(middleware), Response(200))


def test_a_probe_whose_lease_is_over_still_tells_what_it_found() -> None:
    clock = Clock()
    middleware, lines = breaker(clock=clock)
    fail_times(middleware, 3)
    clock.now = 1.0
    late = begin(middleware)
    clock.now = 2.0
    second = begin(middleware)
    finish(late, Response(200))
    assert lines[1:] == ["http://cache.example works again"]
    fail(second, failure(503))
    finish(begin(middleware), Response(200))


def test_as_many_probes_as_the_policy_says() -> None:
    clock = Clock()
    middleware, _ = breaker(BreakerPolicy(consecutive_failures=1, open_ms=1_000, probes=2), clock)
    fail_times(middleware, 1)
    clock.now = 1.0
    first, second = begin(middleware), begin(middleware)
    refused(middleware)
    finish(first, Response(200))
    fail(second, failure(503))  # a probe of a state that is over
    finish(begin(middleware), Response(200))


def test_a_call_that_began_before_the_circuit_opened_changes_nothing() -> None:
    clock = Clock()
    middleware, lines = breaker(clock=clock)
    early, late = begin(middleware), begin(middleware)
    fail_times(middleware, 3)
    finish(early, Response(200))
    refused(middleware)
    clock.now = 1.0
    probe = begin(middleware)
    fail(late, failure(503))
    finish(probe, Response(200))
    assert len(lines) == 2
    finish(begin(middleware), Response(200))


@pytest.mark.parametrize(
    ("error", "tells"),
    [
        (failure(500), True),
        (failure(503), True),
        (failure(599), True),
        (ConnectError("down"), True),
        (ReadTimeout("slow"), True),
        (ProxyError("refused"), True),
        (DecodingError("garbage"), True),
        (DeadlineExceeded("over", "send"), True),
        (DeadlineExceeded("over", "sleep"), None),
        (DeadlineExceeded("over", "resolve"), None),
        (DeadlineExceeded("over", "send", begun=False), None),
        (PoolTimeout("our own lack"), None),
        (ConfigurationError("wrong"), None),
        (failure(408), None),
        (failure(424), None),
        (failure(429), None),
        (failure(400), False),
        (failure(401), False),
        (failure(404), False),
        (failure(301), False),
        (ResponseTooLargeError("large"), False),
    ],
)
def test_what_errors_tell_of_the_service(error: LangCacheError, tells: bool | None) -> None:
    assert tells_failure(error) is tells


@pytest.mark.parametrize(("during", "begun"), [("sleep", False), ("wait", True), ("resolve", True), ("send", False)])
@pytest.mark.parametrize("last", [failure(503), failure(404), failure(429), ReadTimeout("slow")], ids=repr)
def test_a_deadline_that_ends_elsewhere_than_in_an_attempt_tells_what_the_last_attempt_told(
    during: str, begun: bool, last: LangCacheError
) -> None:
    error = DeadlineExceeded("over", during, begun)
    error.previous = (failure(503), last)
    assert tells_failure(error) is tells_failure(last)


def test_a_deadline_that_ends_in_a_wait_for_a_thread_tells_what_the_last_attempt_told() -> None:
    """Or a program with many tasks would leave a service alone that it is only too slow to ask."""
    error = DeadlineExceeded("over", "send")
    error.__cause__ = PoolTimeout("our own lack")
    assert tells_failure(error) is None
    error.previous = (failure(503),)
    assert tells_failure(error) is True


def test_waiting_for_a_thread_until_the_deadline_opens_no_circuit() -> None:
    clock = Clock()
    middleware, lines = breaker(BreakerPolicy(consecutive_failures=1), clock)
    steps = Deadline(clock)(REQUEST.with_options(deadline=0.1), lambda request: middleware(request, send))
    next(steps)
    clock.now = 0.1
    assert isinstance(fail(steps, PoolTimeout("no thread became free")), DeadlineExceeded)
    assert lines == []


def test_a_deadline_that_ends_in_a_later_attempt_tells_of_the_service() -> None:
    error = DeadlineExceeded("over", "send")
    error.previous = (failure(404),)
    assert tells_failure(error) is True


@pytest.mark.parametrize("error", [LookupError("a provider's"), KeyboardInterrupt()])
def test_what_is_not_the_services_counts_as_nothing(error: BaseException) -> None:
    middleware, lines = breaker()
    for _ in range(10):
        assert fail(begin(middleware), error) is error
    assert lines == []


def test_each_origin_has_a_circuit_of_its_own() -> None:
    middleware, _ = breaker()
    fail_times(middleware, 3)
    refused(middleware, REQUEST.with_url("http://cache.example/another/path"))
    refused(middleware, REQUEST.with_url("http://cache.example"))
    for other in ("http://cache.example:81/p", "https://cache.example/p", "http://other.example/p"):
        finish(begin(middleware, REQUEST.with_url(other)), Response(200))


def test_a_policy_of_a_single_call_has_a_circuit_of_its_own() -> None:
    middleware, _ = breaker()
    own = REQUEST.with_options(breaker=BreakerPolicy(consecutive_failures=1))
    fail(begin(middleware, own), failure(503))
    refused(middleware, own)
    finish(begin(middleware), Response(200))


def test_a_call_may_be_let_through_whatever_was_before() -> None:
    middleware, _ = breaker()
    fail_times(middleware, 3)
    finish(begin(middleware, REQUEST.with_options(breaker=None)), Response(200))
    refused(middleware)


def test_the_number_of_circuits_is_bounded() -> None:
    """Those that are closed go first; an open one is remembered."""
    middleware, _ = breaker()
    fail_times(middleware, 3)
    for number in range(MOST_CIRCUITS * 2):
        begin(middleware, REQUEST.with_url(f"http://h{number}.example/p")).close()
    assert len(middleware.circuits()) == MOST_CIRCUITS
    refused(middleware)


def test_the_number_of_open_circuits_is_bounded_too() -> None:
    """The one that was not used for the longest time is forgotten."""
    middleware, _ = breaker(BreakerPolicy(consecutive_failures=1, open_ms=1_000))

    def opened(number: int) -> Request:
        return REQUEST.with_url(f"http://h{number}.example/p")

    for number in range(MOST_CIRCUITS):
        fail(begin(middleware, opened(number)), failure(503))
    refused(middleware, opened(0))
    fail(begin(middleware, opened(MOST_CIRCUITS)), failure(503))
    assert len(middleware.circuits()) == MOST_CIRCUITS
    refused(middleware, opened(0))
    refused(middleware, opened(MOST_CIRCUITS))
    begin(middleware, opened(1)).close()


@given(st.lists(st.tuples(st.sampled_from([True, False, None]), st.floats(0, 2)), max_size=200))
def test_threads_that_come_one_after_another_never_lock_it_up(calls: list[tuple[bool | None, float]]) -> None:
    """However calls end, after its time there is always one that may try."""
    circuit, now = Circuit(POLICY), 0.0
    for failed, pause in calls:
        now += pause
        ticket = circuit.enter(now)
        if ticket is None:
            assert 0 < circuit.left(now) <= 1.0 + 1e-9, "also where a probe is out"
        else:
            circuit.leave(ticket, failed, now)
    ticket = circuit.enter(now + 1.001)
    assert ticket is not None
    circuit.leave(ticket, False, now + 1.001)
    assert circuit.is_closed


class Interleaved(RuleBasedStateMachine):
    """Calls that begin and end in any order, against what a circuit breaker promises."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = BreakerPolicy(consecutive_failures=2, open_ms=1_000, probes=2, minimum_calls=4, window=6)
        self.circuit = Circuit(self.policy)
        self.now = 0.0
        self.running: list[Ticket] = []
        self.opened_at: float | None = None

    @rule(seconds=st.floats(0, 1.5))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def a_call_begins(self) -> None:
        ticket = self.circuit.enter(self.now)
        if self.opened_at is None:
            assert ticket is not None, "a closed circuit lets everything through"
        elif self.now < self.opened_at + 1.0:
            assert ticket is None, "an open one nothing"
        if ticket is not None:
            assert (ticket.lease is None) is (self.opened_at is None)
            self.running.append(ticket)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), failed=st.sampled_from([True, False, None]))
    def a_call_ends(self, data: st.DataObject, failed: bool | None) -> None:
        ticket = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        changed = self.circuit.leave(ticket, failed, self.now)
        if changed is not None:
            assert failed is changed, "a failure opens, a success closes"
            assert changed is True or self.opened_at is not None
            self.opened_at = self.now if changed else None

    @invariant()
    def no_more_probes_than_allowed(self) -> None:
        state = self.circuit._state  # pyright: ignore[reportPrivateUsage]
        leases = [ticket.lease for ticket in self.running if ticket.state == state and ticket.lease is not None]
        probes = sum(1 for lease in leases if lease > self.now)
        assert probes <= self.policy.probes
        assert self.circuit.is_closed is (self.opened_at is None)


TestInterleaved = Interleaved.TestCase
TestInterleaved.settings = settings(max_examples=50, stateful_step_count=40)


def test_threads_share_a_circuit() -> None:
    """One of many opens it, once, and one probe at a time is let through."""
    circuit, changes, tickets = Circuit(BreakerPolicy(consecutive_failures=100)), list[bool](), list[Ticket]()

    def work() -> None:
        for _ in range(50):
            ticket = circuit.enter(0.0)
            if ticket is not None:
                change = circuit.leave(ticket, True, 0.0)
                if change is not None:
                    changes.append(change)

    def probe() -> None:
        ticket = circuit.enter(10.0)
        if ticket is not None:
            tickets.append(ticket)

    for target in (work, probe):
        threads = [threading.Thread(target=target) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert changes == [True]
    assert len(tickets) == 1


def test_tasks_share_a_circuit() -> None:
    """Those of several event loops, in several threads: one probe at a time, and one change at a time."""
    sent, together = list[Request](), threading.Barrier(4)

    async def answer(request: Request) -> Response:
        sent.append(request)
        await asyncio.sleep(0)
        return Response(503)

    cache = LangCache(
        "http://cache.example",
        "k",
        "c",
        transport=AsyncFakeTransport(answer),
        breaker=BreakerPolicy(consecutive_failures=200, failure_rate=1, window=1_000, minimum_calls=1_000),
    )
    ended = list[type[BaseException]]()

    async def main() -> None:
        async def call() -> None:
            for _ in range(5):
                try:
                    await cache.search_async(prompt="p")
                except LangCacheError as error:  # noqa: PERF203 - all calls fail
                    ended.append(type(error))

        await asyncio.gather(*(call() for _ in range(20)))

    def work() -> None:
        together.wait(30)
        asyncio.run(main())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ended) == 400
    assert ended.count(CircuitOpen) == 400 - len(sent)
    assert 200 <= len(sent) < 280, "those that were under way when it opened are all that come to it"


def test_one_of_many_tasks_tries_an_open_circuit_and_a_cancelled_one_makes_room() -> None:
    sent = list[Request]()

    async def main() -> None:
        begun, go_on = asyncio.Event(), asyncio.Event()

        async def answer(request: Request) -> Response:
            sent.append(request)
            if len(sent) == 1:
                return Response(503)
            begun.set()
            await go_on.wait()
            return Response(200, {}, b'{"data": []}')

        cache = LangCache(
            "http://cache.example",
            "k",
            "c",
            transport=AsyncFakeTransport(answer),
            breaker=BreakerPolicy(consecutive_failures=1, open_ms=0),
        )
        with pytest.raises(LangCacheError):
            await cache.search_async(prompt="p")
        probe = asyncio.create_task(cache.search_async(prompt="p"))
        await begun.wait()
        others = await asyncio.gather(*(cache.search_async(prompt="p") for _ in range(50)), return_exceptions=True)
        assert {type(other) for other in others} == {CircuitOpen}
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        go_on.set()
        await asyncio.gather(*(cache.search_async(prompt="p") for _ in range(1)))
        await asyncio.gather(*(cache.search_async(prompt="p") for _ in range(50)))

    asyncio.run(main())
    assert len(sent) == 53


def test_an_open_circuit_costs_a_call_next_to_nothing() -> None:
    """Not much more than a call that is served without a network, which takes some tens of microseconds.

    That is the best of many each, since the machine may be busy, and a ratio, since it may be slow.
    """
    served = LangCache(
        "http://cache.example", "k", "c", transport=FakeTransport(lambda request: Response(200, {}, b'{"data":[]}'))
    )
    refused = LangCache(
        "http://cache.example", "k", "c", transport=FakeTransport(lambda request: Response(503)), breaker=POLICY
    )
    for _ in range(3):
        with pytest.raises(LangCacheError):
            refused.search(prompt="p")

    def refuse() -> None:
        with suppress(CircuitOpen):
            refused.search(prompt="p")

    best: dict[bool, float] = {True: 1.0, False: 1.0}
    for _ in range(300):
        best[True] = min(best[True], timeit.timeit(lambda: served.search(prompt="p"), number=1))
        best[False] = min(best[False], timeit.timeit(refuse, number=1))
    assert best[False] < 3 * best[True]


@pytest.mark.parametrize("status", [200, 503])
def test_a_signals_handler_may_make_a_call_wherever_it_interrupts_one(status: int) -> None:
    """It would wait for its own thread, for ever, if the locks were not reentrant."""
    policy = BreakerPolicy(consecutive_failures=2, open_ms=0, window=2, minimum_calls=2)
    middleware, lines = breaker(policy)
    ended: list[int] = []

    def call(status: int) -> None:
        with suppress(CircuitOpen):  # another one is trying
            steps = begin(middleware)
            _ = finish(steps, Response(200)) if status == 200 else fail(steps, failure(status))
        assert middleware.circuits()
        ended.append(status)

    def calls() -> None:
        for each in (200, 503, 503, 503, 200, 503):  # one opens the circuit, one tries in vain, and one closes it
            call(each)

    count = interrupted(calls, lambda: call(status), Circuit, Circuits)
    assert len(ended) == count + 6 > 50
    assert any("failed too often" in line for line in lines)
