"""Admission, stepped by hand: who is let through, who waits, who is refused, and what is done with the records."""

from __future__ import annotations

from typing import Any

import pytest

from langcache import Request, Steps
from langcache.audit import AuditStats
from langcache.audit.admission import Admission, Ticket
from langcache.audit.writer import Writer
from langcache.errors import AuditError
from langcache.processes import PerProcess
from langcache.steps import Command, Wait
from tests.audit.recording import Kept, by_hand, numbers, record
from tests.middleware.stepping import Clock

REQUEST = Request("POST", "http://cache.example/", operation="search")


def admission(writer: Writer, strict: bool = True, when_full: Any = "block", **arguments: Any) -> Admission:
    return Admission(PerProcess(lambda: writer), strict, when_full, 0.5, arguments.pop("confirms", False), **arguments)


def finished(steps: Steps[Any], value: object = None) -> Any:
    """Send `value` into steps that end then, and return what they return."""
    with pytest.raises(StopIteration) as stop:
        steps.send(value)
    return stop.value.value


def asked(steps: Steps[Ticket]) -> Wait:
    command: Command = next(steps)
    assert isinstance(command, Wait)
    return command


def fill(writer: Writer, *given: int) -> None:
    """Queue records until there is no room left, where the writer has been found to work."""
    writer.room.works()
    for number in given:
        assert writer.put([record(number)], has_room=False)


def test_the_first_call_has_the_sink_looked_at_and_the_next_one_waits_for_nothing() -> None:
    writer = by_hand(Kept())
    admit = admission(writer).admit
    steps = admit(REQUEST)
    wait = asked(steps)
    writer.writing.turn()
    assert finished(steps, wait.future.result(0)) == Ticket(writer, has_room=True)
    assert finished(admit(REQUEST)) == Ticket(writer, has_room=True)


def test_while_the_sink_fails_a_call_is_refused_before_it_is_sent() -> None:
    sink = Kept()
    sink.error = AuditError("The audit file 'a' cannot be written: No space left on device")
    writer = by_hand(sink)
    steps = admission(writer).admit(REQUEST)
    wait = asked(steps)
    writer.writing.turn()
    with pytest.raises(AuditError) as caught:
        steps.send(wait.future.result(0))
    error = caught.value
    assert str(error) == f"search: not sent, because it cannot be recorded: {sink.error}"
    assert (error.nothing_sent, error.retryable, error.__cause__) == (True, False, sink.error)


def test_the_text_of_an_error_that_is_not_ours_is_not_shown() -> None:
    """It may quote a record, and a record a prompt."""
    sink = Kept()
    sink.error = ValueError("a prompt")
    writer = by_hand(sink)
    steps = admission(writer).admit(REQUEST)
    wait = asked(steps)
    writer.writing.turn()
    with pytest.raises(AuditError, match="ValueError was raised") as caught:
        steps.send(wait.future.result(0))
    assert "a prompt" not in str(caught.value)


@pytest.mark.parametrize(
    ("strict", "when_full", "outcome"),
    [
        (True, "fail", "its queue is full"),
        (True, "drop", False),
        (False, "fail", False),
        (False, "drop", False),
    ],
)
def test_where_the_queue_is_full_the_policy_decides(strict: bool, when_full: Any, outcome: str | bool) -> None:
    writer = by_hand(Kept(), size=2, holds=strict)
    fill(writer, 1, 2)
    steps = admission(writer, strict, when_full).admit(REQUEST)
    if not strict:
        assert finished(steps) == Ticket(writer, has_room=False)
        return
    wait = asked(steps)
    writer.room.answer()
    if outcome:
        with pytest.raises(AuditError, match="its queue is full"):
            steps.send(wait.future.result(0))
    else:
        assert finished(steps, wait.future.result(0)) == Ticket(writer, has_room=False)


@pytest.mark.parametrize("strict", [True, False])
def test_who_blocks_waits_until_there_is_room(strict: bool) -> None:
    writer = by_hand(Kept(), size=1, holds=strict)
    fill(writer, 1)
    steps = admission(writer, strict).admit(REQUEST)
    wait = asked(steps)
    assert wait.timeout == 0.5
    writer.room.answer()
    assert not wait.future.done()
    writer.writing.turn()
    assert finished(steps, wait.future.result(0)) == Ticket(writer, has_room=True)


def test_who_has_waited_long_enough_is_refused_or_goes_without_room() -> None:
    for strict in (True, False):
        writer = by_hand(Kept(), size=1, holds=strict)
        fill(writer, 1)
        steps = admission(writer, strict).admit(REQUEST)
        wait = asked(steps)
        if strict:
            with pytest.raises(AuditError, match=r"its sink was silent for 0\.5 s"):
                steps.throw(TimeoutError())
        else:
            with pytest.raises(StopIteration) as stop:
                steps.throw(TimeoutError())
            assert stop.value.value == Ticket(writer, has_room=False)
        assert wait.future.cancelled()


def test_room_that_comes_as_the_time_is_over_is_taken() -> None:
    writer = by_hand(Kept(), size=1)
    steps = admission(writer).admit(REQUEST)
    asked(steps)
    writer.writing.turn()
    with pytest.raises(StopIteration) as stop:
        steps.throw(TimeoutError())
    assert stop.value.value == Ticket(writer, has_room=True)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit(), RuntimeError("cancelled")])
@pytest.mark.parametrize("answered", [True, False])
def test_who_is_interrupted_while_he_waits_leaves_no_room_taken(error: BaseException, answered: bool) -> None:
    writer = by_hand(Kept(), size=1)
    steps = admission(writer).admit(REQUEST)
    asked(steps)
    if answered:
        writer.writing.turn()
    with pytest.raises(type(error)):
        steps.throw(error)
    writer.room.works()
    writer.room.answer()
    assert writer.room.enter()


def test_a_call_waits_no_longer_than_its_deadline_allows() -> None:
    clock = Clock()
    clock.now = 10.0
    limits: list[float | None] = []
    for deadline in (10.2, 99.0, 9.0, None):
        steps = admission(by_hand(Kept()), clock=clock).admit(REQUEST.with_options(deadline=deadline))
        limits.append(asked(steps).timeout)
        steps.close()
    assert limits == [pytest.approx(0.2), 0.5, 0.0, 0.5]


def test_a_closed_audit_refuses_calls_or_counts_them() -> None:
    for strict in (True, False):
        writer = by_hand(Kept(), holds=strict)
        writer.end()
        steps = admission(writer, strict).admit(REQUEST)
        wait = asked(steps)
        if strict:
            with pytest.raises(AuditError, match="the audit is closed"):
                steps.send(wait.future.result(0))
        else:
            ticket = finished(steps, wait.future.result(0))
            assert finished(admission(writer, strict).keep(ticket, [record()], waits=True)) is None
            assert writer.room.stats.failed == 1


# What is done with the records


def test_a_record_goes_into_the_room_that_was_taken_for_it() -> None:
    writer = by_hand(Kept(), size=1)
    writer.room.works()
    assert writer.room.enter()
    assert finished(admission(writer).keep(Ticket(writer, has_room=True), [record(1)], waits=True)) is None
    assert writer.room.stats.queued == 1


def test_a_record_without_room_is_lost_by_the_policy_unless_there_is_room_by_then() -> None:
    stats: dict[str, AuditStats] = {}
    policies: list[Any] = ["drop", "fail", "block"]
    for when_full in policies:
        writer = by_hand(Kept(), size=1, holds=False, drops=when_full == "drop")
        keep = admission(writer, False, when_full).keep
        for number in (1, 2):
            assert finished(keep(Ticket(writer, has_room=False), [record(number)], waits=True)) is None
        stats[when_full] = writer.room.stats
    assert stats["drop"] == AuditStats(written=0, dropped=1, failed=0, queued=1)
    assert stats["fail"] == stats["block"] == AuditStats(written=0, dropped=0, failed=1, queued=1)


def test_where_nothing_may_be_lost_it_is_told_that_it_was() -> None:
    writer = by_hand(Kept(), size=1)
    fill(writer, 1)
    keep = admission(writer).keep
    assert finished(keep(Ticket(writer, has_room=False), [record(2)], waits=True)) == "its queue is full"
    writer.end()
    assert finished(keep(Ticket(writer, has_room=True), [record(2)], waits=True)) == "the audit is closed"
    dropping = admission(by_hand(Kept(), size=1, drops=True), when_full="drop")
    [writer] = [dropping.writers.get()]
    fill(writer, 1)
    assert finished(dropping.keep(Ticket(writer, has_room=False), [record(2)], waits=True)) is None


def test_a_record_of_a_process_that_was_forked_meanwhile_is_for_the_writer_that_is_there() -> None:
    before, now = by_hand(Kept()), by_hand(Kept(), size=1)
    assert finished(admission(now).keep(Ticket(before, has_room=True), [record(1)], waits=True)) is None
    assert (before.room.stats.queued, now.room.stats.queued) == (0, 1)
    assert not now.room.fill(1, is_taken=False)  # it has taken room there


def test_who_confirms_waits_until_it_is_written() -> None:
    sink = Kept()
    writer = by_hand(sink)
    steps = admission(writer, confirms=True).keep(Ticket(writer, has_room=False), [record(1)], waits=True)
    wait = next(steps)
    assert isinstance(wait, Wait)
    assert wait.timeout == 0.5
    writer.writing.turn()
    assert numbers(sink.records) == [1]
    assert finished(steps, wait.future.result(0)) is None


@pytest.mark.parametrize("strict", [True, False])
def test_who_confirms_is_told_that_it_is_not_written(strict: bool) -> None:
    sink = Kept()
    sink.error = AuditError("down")
    writer = by_hand(sink, holds=strict)
    keep = admission(writer, strict, confirms=True).keep
    steps = keep(Ticket(writer, has_room=False), [record(1)], waits=True)
    wait = next(steps)
    assert isinstance(wait, Wait)
    writer.writing.turn()
    assert finished(steps, wait.future.result(0)) == ("down" if strict else None)
    steps = keep(Ticket(writer, has_room=False), [record(2)], waits=True)
    next(steps)
    with pytest.raises(StopIteration) as stop:
        steps.throw(TimeoutError())
    assert stop.value.value == ("its sink was silent for 0.5 s" if strict else None)


def test_who_is_interrupted_confirms_nothing() -> None:
    writer = by_hand(Kept())
    keep = admission(writer, confirms=True).keep
    assert finished(keep(Ticket(writer, has_room=False), [record(1)], waits=False)) is None


def test_a_record_that_could_not_be_made_is_counted_and_its_room_is_given_back() -> None:
    for strict in (True, False):
        writer = by_hand(Kept(), size=1, holds=strict)
        writer.room.works()
        assert writer.room.enter()
        why = admission(writer, strict).lose(Ticket(writer, has_room=True), 1, ValueError("a prompt"))
        assert why == ("its record cannot be made: ValueError was raised" if strict else None)
        assert writer.room.stats.failed == 1
        assert writer.room.enter()
