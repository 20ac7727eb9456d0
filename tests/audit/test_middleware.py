"""The middleware, stepped by hand: what is recorded, when, and what is raised."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from langcache import Request, Response, Steps, send
from langcache.audit import AuditRecord, HashedPrompts, Prompt, RedactedPrompts, acting_as
from langcache.audit.middleware import ActorSource, AttemptAudit, CallAudit, Recording
from langcache.audit.records import Treatment
from langcache.errors import AuditError, ConnectError, LangCacheError
from langcache.middleware.parsing import Parsed
from langcache.operations import SEARCH
from langcache.processes import PerProcess
from langcache.steps import Command, Resolve, Send, Wait
from langcache.workers import Reply
from tests.audit.recording import KEY, Kept, by_hand, proven
from tests.middleware.stepping import Clock, fail, failure, finish

KEY_OF_OPTIONS = "audit 7"
REQUEST = Request(
    "POST",
    "http://cache.example/search",
    {"Authorization": "Bearer 5ecret"},
    b'{"prompt":"What is my balance?"}',
    operation="search",
    options={"cache_id": "c1", "request_id": "r1", "transport": "a.Transport"},
)
UNREAD = Response(200, {"X-Request-ID": "theirs"}, b'{"data":[]}')
MISS = UNREAD.with_extensions(parsed=Parsed(UNREAD.content, SEARCH.parse(UNREAD)))


class Audited:
    """An audit with a sink that works, a queue by hand, and clocks that the test sets."""

    def __init__(
        self,
        strict: bool = True,
        source: ActorSource = "ann",
        treatment: Treatment = "none",
        attempts: bool = False,
        confirms: bool = False,
        size: int = 10,
    ) -> None:
        self.sink = Kept()
        when_full: Any = "block" if strict else "drop"
        self.queue = proven(
            by_hand(self.sink, strict=strict, when_full=when_full, wait=0.5, confirms=confirms, size=size)
        )
        self.sink.records.clear()
        self.wall, self.clock = Clock(), Clock()
        recording = Recording(PerProcess(lambda: self.queue), self.wall, self.clock)
        self.call = CallAudit(recording, source, treatment, KEY_OF_OPTIONS if attempts else None)
        self.attempt = AttemptAudit(recording, KEY_OF_OPTIONS)

    def records(self) -> list[AuditRecord]:
        """Return what was recorded so far."""
        if self.queue.stats.queued:
            self.queue.turn()
        return self.sink.records

    def fail(self) -> None:
        """Have the sink fail, and the queue know it."""
        self.sink.error = AuditError("down")
        self.queue.ask(waits=False, sure=True)
        self.queue.turn()

    def begin_without_end(self) -> None:
        """Begin a call that takes the room of another one."""
        self._unfinished = self.begin()

    def begin(self, request: Request = REQUEST) -> tuple[Steps[Response], Command]:
        steps = self.call(request, send)
        return steps, next(steps)


def test_a_call_is_sent_as_it_is_and_recorded_when_it_ends() -> None:
    audited = Audited()
    audited.wall.now, audited.clock.now = 1_700_000_000.0, 5.0
    steps, command = audited.begin()
    assert command == Send(REQUEST)
    assert audited.records() == []
    audited.wall.now, audited.clock.now = 0.0, 5.25  # the clock of the day went backwards
    assert finish(steps, MISS) is MISS
    [made] = audited.records()
    assert (made.kind, made.actor, made.operation, made.cache_id) == ("call", "ann", "search", "c1")
    assert (made.outcome, made.status_code, made.attempts, made.attempt) == ("miss", 200, 1, None)
    assert (made.request_id, made.server_request_id, made.transport) == ("r1", "theirs", "a.Transport")
    assert (made.time.year, made.duration_ms) == (2023, 250.0)
    assert (made.request_bytes, made.response_bytes, made.prompt) == (32, 11, None)


def test_neither_the_key_nor_a_text_is_in_a_record() -> None:
    audited = Audited()
    steps, _ = audited.begin()
    fail(steps, failure(404))
    line = audited.records()[0].json()
    assert "5ecret" not in line
    assert "balance" not in line


@pytest.mark.parametrize("error", [failure(503), ConnectError("down"), LookupError("a provider's")], ids=repr)
def test_a_failure_is_recorded_and_raised_as_it_is(error: BaseException) -> None:
    audited = Audited()
    steps, _ = audited.begin()
    assert fail(steps, error) is error
    [made] = audited.records()
    assert (made.outcome, made.error) == ("failed", type(error).__name__)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(), asyncio.CancelledError(), GeneratorExit()], ids=repr
)
@pytest.mark.parametrize("confirms", [True, False])
def test_an_interrupted_call_is_recorded_and_waits_for_nothing(error: BaseException, confirms: bool) -> None:
    audited = Audited(confirms=confirms)
    steps, _ = audited.begin()
    assert fail(steps, error) is error
    assert [made.error for made in audited.records()] == [type(error).__name__]


def test_a_call_that_nobody_finishes_is_recorded_when_it_is_dropped() -> None:
    audited = Audited()
    steps, _ = audited.begin()
    steps.close()
    assert [made.error for made in audited.records()] == ["GeneratorExit"]


def test_a_call_that_is_not_served_is_recorded_as_such() -> None:
    audited = Audited()
    steps, _ = audited.begin()
    finish(steps, Response(200, {}, b'{"data":[]}', extensions={"degraded": ConnectError("down"), "attempts": 2}))
    [made] = audited.records()
    assert (made.outcome, made.error) == ("degraded", "ConnectError")


def test_what_is_no_response_is_passed_on_and_recorded_as_a_failure() -> None:
    audited = Audited()

    def wrong(request: Request) -> Any:
        yield Send(request)
        return None

    steps = audited.call(REQUEST, wrong)
    next(steps)
    with pytest.raises(StopIteration) as stop:
        steps.send(MISS)
    assert stop.value.value is None
    assert [made.error for made in audited.records()] == ["PluginError"]


# Who


def who(audited: Audited) -> str | None:
    """Make a call, whose actor is known without asking, and return it."""
    steps, _ = audited.begin()
    finish(steps, MISS)
    return audited.records()[-1].actor


def test_the_actor_of_the_context_stands_before_the_audits_own() -> None:
    audited = Audited(source="the service")
    with acting_as("ann"):
        assert who(audited) == "ann"
    assert who(audited) == "the service"
    assert who(Audited(source=None)) is None
    with acting_as("ann"):
        assert who(Audited(source=lambda: "nobody asks")) == "ann"


def test_the_actor_is_that_of_the_beginning() -> None:
    audited = Audited()
    with acting_as("ann"):
        steps, _ = audited.begin()
    with acting_as("bob"):
        finish(steps, MISS)
    assert audited.records()[0].actor == "ann"


@pytest.mark.parametrize("told", ["bob", None])
def test_a_callable_is_asked_through_the_driver_so_that_it_may_be_async(told: str | None) -> None:
    def source() -> str | None:
        return told

    audited = Audited(source=source)
    steps, command = audited.begin()
    assert command == Resolve(source)
    assert steps.send(told) == Send(REQUEST)
    finish(steps, MISS)
    assert audited.records()[0].actor == told


def failing(throw: BaseException | None, answer: object) -> Callable[[Steps[Response]], Command]:
    return lambda steps: steps.send(answer) if throw is None else steps.throw(throw)


@pytest.mark.parametrize("go_on", [failing(LookupError("5ecret"), None), failing(None, 7), failing(None, b"ann")])
def test_where_the_actor_cannot_be_told_nothing_is_sent_or_it_is_told_in_the_log(
    go_on: Callable[[Steps[Response]], Command],
) -> None:
    audited = Audited(source=lambda: None)
    steps, _ = audited.begin()
    with pytest.raises(AuditError, match="search: not sent, because it cannot be recorded: who calls") as caught:
        go_on(steps)
    assert "5ecret" not in str(caught.value)
    assert caught.value.nothing_sent
    assert audited.queue.stats.queued == 0
    audited = Audited(strict=False, source=lambda: None)
    steps, _ = audited.begin()
    assert go_on(steps) == Send(REQUEST)
    finish(steps, MISS)
    assert audited.records()[0].actor is None


def test_an_actor_of_the_context_that_is_no_string_is_refused() -> None:
    wrong: Any = 7
    audited = Audited(source=None)
    with (
        acting_as(wrong),
        pytest.raises(AuditError, match="who calls cannot be told: an actor must be a string, not int"),
    ):
        audited.begin()


# Prompts


def test_a_prompt_is_treated_before_anything_is_sent() -> None:
    audited = Audited(treatment=HashedPrompts(KEY))
    steps, command = audited.begin()
    assert command == Send(REQUEST)
    finish(steps, MISS)
    digest = HashedPrompts(KEY).digest("What is my balance?")
    assert audited.records()[0].prompt == Prompt("hmac-sha256", digest)


def test_where_a_redactor_fails_nothing_is_sent_or_nothing_of_the_prompt_is_recorded() -> None:
    audited = Audited(treatment=RedactedPrompts(str.upper))
    steps, command = audited.begin()
    assert isinstance(command, Resolve)
    with pytest.raises(AuditError, match="the prompt cannot be told: ValueError was raised") as caught:
        steps.throw(ValueError("What is my balance?"))
    assert "balance" not in str(caught.value)
    audited = Audited(strict=False, treatment=RedactedPrompts(str.upper))
    steps, _ = audited.begin()
    assert steps.throw(ValueError("What is my balance?")) == Send(REQUEST)
    finish(steps, MISS)
    assert audited.records()[0].prompt is None


# Where it cannot be recorded


def test_while_the_sink_fails_nothing_is_sent() -> None:
    audited = Audited()
    audited.fail()
    steps, command = audited.begin()
    assert isinstance(command, Wait)
    with pytest.raises(AuditError, match="search: not sent, because it cannot be recorded: down"):
        steps.send(AuditError("down"))


def test_a_call_that_is_being_made_while_it_is_closed_is_recorded() -> None:
    for strict in (True, False):
        audited = Audited(strict=strict)
        steps, _ = audited.begin()
        audited.queue.end(0)
        assert finish(steps, MISS) is MISS
        assert [made.outcome for made in audited.records()] == ["miss"]
        assert audited.queue.stats.failed == 0


def answer_of(wait: Wait) -> Any:
    """Return what a call that waits is told."""
    assert isinstance(wait.future, Reply)
    return wait.future.result()


def test_a_call_that_was_made_and_is_not_recorded_is_an_error_that_has_its_answer() -> None:
    audited = Audited(confirms=True)
    steps, _ = audited.begin()
    steps.send(MISS)
    error = fail_with(steps, AuditError("down"))
    assert str(error) == "search: it was made, but is not recorded: down"
    assert (error.nothing_sent, error.raw_response, error.status_code) == (False, MISS, 200)


def fail_with(steps: Steps[Response], answer: object) -> AuditError:
    with pytest.raises(AuditError) as caught:
        steps.send(answer)
    return caught.value


def test_a_call_that_failed_and_is_not_recorded_is_an_error_that_has_its_cause() -> None:
    audited = Audited(confirms=True)
    steps, _ = audited.begin()
    cause = failure(404)
    steps.throw(cause)
    error = fail_with(steps, AuditError("down"))
    assert (error.nothing_sent, error.raw_response, error.__cause__) == (False, None, cause)


def test_where_it_is_to_be_ignored_a_call_ends_as_it_would_without_an_audit() -> None:
    audited = Audited(strict=False, size=1)
    audited.begin_without_end()
    steps, _ = audited.begin()
    assert finish(steps, MISS) is MISS
    assert audited.queue.stats.dropped == 1


@pytest.mark.parametrize("attempts", [True, False])
def test_an_interrupt_while_a_call_is_recorded_loses_no_record(attempts: bool) -> None:
    """As it may come anywhere between the answer and the end."""
    audited = Audited(attempts=attempts)
    steps, command = audited.begin()
    if attempts:
        attempted(audited, request_of(command), Response(200, {}, MISS.content))
    queue: Any = audited.queue
    put = queue._put
    interrupts = iter([KeyboardInterrupt()])

    def interrupted(*arguments: Any) -> Any:
        done = put(*arguments)
        for interrupt in interrupts:
            raise interrupt
        return done

    queue._put = interrupted
    with pytest.raises(KeyboardInterrupt):
        steps.send(MISS)
    assert [made.kind for made in audited.records()] == (["attempt", "call"] if attempts else ["call"])
    assert audited.queue.stats.failed == 0


class Odd(Response):
    """A response that cannot be read."""

    def __getattribute__(self, name: str) -> Any:
        if name == "extensions":
            raise LookupError(name)
        return super().__getattribute__(name)


@pytest.mark.parametrize("strict", [True, False])
def test_a_record_that_cannot_be_made_is_no_surprise(strict: bool) -> None:
    audited = Audited(strict=strict)
    steps, _ = audited.begin()
    odd = Odd(200)
    if strict:
        assert fail_with(steps, odd).message.endswith("its record cannot be made: LookupError was raised")
    else:
        assert finish(steps, odd) is odd
    assert audited.queue.stats.failed == 1


def test_who_confirms_waits_at_the_end_of_a_call() -> None:
    audited = Audited(confirms=True)
    steps, _ = audited.begin()
    wait = steps.send(MISS)
    assert isinstance(wait, Wait)
    assert len(audited.records()) == 1
    with pytest.raises(StopIteration) as stop:
        steps.send(answer_of(wait))
    assert stop.value.value is MISS
    steps, _ = audited.begin()
    wait = steps.throw(failure(404))
    assert isinstance(wait, Wait)
    with pytest.raises(LangCacheError) as caught:
        steps.send(None)
    assert caught.value.status_code == 404


# Attempts


def request_of(command: Command) -> Request:
    assert isinstance(command, Send)
    return command.request


def attempted(audited: Audited, request: Request, end: Response | BaseException) -> None:
    """Make an attempt that ends like this."""
    steps = audited.attempt(request, send)
    assert next(steps) == Send(request)
    audited.clock.now += 1
    if isinstance(end, Response):
        finish(steps, end)
    else:
        assert fail(steps, end) is end


def test_each_attempt_has_a_record_and_all_are_written_when_the_call_ends_that_of_the_call_last() -> None:
    audited = Audited(attempts=True)
    steps, command = audited.begin()
    attempted(audited, request_of(command), failure(503))
    attempted(audited, request_of(command), Response(200, {}, MISS.content))
    assert audited.records() == []
    finish(steps, MISS)
    made = audited.records()
    assert [(one.kind, one.attempt, one.outcome, one.status_code, one.duration_ms) for one in made] == [
        ("attempt", 1, "failed", 503, 1000.0),
        ("attempt", 2, "done", 200, 1000.0),
        ("call", None, "miss", 200, 2000.0),
    ]
    assert {(one.actor, one.request_id) for one in made} == {("ann", "r1")}


def test_a_call_takes_room_once_for_all_its_records_so_that_no_attempt_waits_for_another_call() -> None:
    audited = Audited(attempts=True, size=1)
    steps, command = audited.begin()
    for _ in range(3):
        attempted(audited, request_of(command), failure(503))
    fail(steps, failure(503))
    assert audited.queue.stats.queued == 4
    audited.records()
    entry = audited.queue.enter()
    assert entry
    assert not audited.queue.enter()


def test_attempts_of_a_call_that_is_interrupted_are_recorded() -> None:
    audited = Audited(attempts=True)
    steps, command = audited.begin()
    attempt = audited.attempt(request_of(command), send)
    next(attempt)
    fail(attempt, KeyboardInterrupt())
    fail(steps, KeyboardInterrupt())
    assert [(one.kind, one.error) for one in audited.records()] == [
        ("attempt", "KeyboardInterrupt"),
        ("call", "KeyboardInterrupt"),
    ]


def test_an_attempt_whose_call_is_not_known_is_recorded_on_its_own() -> None:
    """As where a middleware sends a request that it made itself."""
    audited = Audited(attempts=True)
    with acting_as("bob"):
        attempted(audited, REQUEST, MISS)
    assert [(made.actor, made.kind, made.attempt) for made in audited.records()] == [("bob", "attempt", 1)]
    audited.fail()
    steps = audited.attempt(REQUEST, send)
    assert isinstance(next(steps), Wait)
    with pytest.raises(AuditError):
        steps.send(AuditError("down"))


def test_an_attempt_that_its_call_did_not_wait_for_is_recorded_behind_it() -> None:
    audited = Audited(attempts=True)
    steps, command = audited.begin()
    late = audited.attempt(request_of(command), send)
    next(late)
    finish(steps, MISS)
    finish(late, MISS)
    attempted(audited, request_of(command), MISS)
    assert [one.kind for one in audited.records()] == ["call", "attempt", "attempt"]


def test_an_attempt_whose_record_cannot_be_made_is_an_error_or_counted() -> None:
    for strict in (True, False):
        audited = Audited(strict=strict, attempts=True)
        _, command = audited.begin()
        steps = audited.attempt(request_of(command), send)
        next(steps)
        odd = Odd(200)
        if strict:
            assert fail_with(steps, odd).nothing_sent is False
        else:
            assert finish(steps, odd) is odd
        assert audited.queue.stats.failed == 1


@pytest.mark.parametrize("strict", [True, False])
def test_a_failed_call_leaves_no_reference_cycles(strict: bool) -> None:
    audited = Audited(strict=strict, attempts=True)

    def call() -> None:
        steps, _ = audited.begin()
        with suppress(LangCacheError):
            steps.throw(failure(404))

    call()
    gc.collect()
    gc.disable()
    try:
        call()
        assert gc.collect() == 0
    finally:
        gc.enable()
