"""The queue: who is let in, what is counted, and what its callers are told.

Where it can be, the thread's turns are taken by the test.
"""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest

from langcache import Request, Steps
from langcache.audit import AuditStats
from langcache.audit.entries import Entry
from langcache.audit.queue import Queue
from langcache.audit.sinks import sink_of
from langcache.audit.state import Bell, State
from langcache.errors import AuditError
from langcache.steps import Wait, run
from langcache.workers import Reply
from tests.audit.recording import (
    ByHand,
    Kept,
    Losses,
    Picky,
    by_hand,
    entered,
    kept,
    numbers,
    proven,
    put,
    record,
    started,
    until,
)
from tests.interruptions import interrupted
from tests.middleware.stepping import Clock

DOWN = AuditError("down")
REQUEST = Request("POST", "http://cache.example/", operation="search")


def finished(steps: Steps[Any], value: object = None) -> Any:
    """Send `value` into steps that end then, and return what they return."""
    with pytest.raises(StopIteration) as stop:
        steps.send(value)
    return stop.value.value


def overdue(steps: Steps[Any]) -> Any:
    """Let steps that wait have waited long enough, and return what they return."""
    with pytest.raises(StopIteration) as stop:
        steps.throw(TimeoutError())
    return stop.value.value


def asked(steps: Steps[Any]) -> tuple[Reply[Any], float | None]:
    """Begin steps that wait; return for what, and for how long."""
    command = next(steps)
    assert isinstance(command, Wait)
    assert isinstance(command.future, Reply)
    return command.future, command.timeout


def has_room(answer: object, queue: ByHand) -> bool:
    """Say whether a call was let in with room."""
    assert isinstance(answer, Entry)
    return answer in queue.state.out


# Who is let in


def test_the_first_call_has_the_sink_looked_at_and_the_next_one_waits_for_nothing() -> None:
    sink = Kept()
    queue = by_hand(sink)
    steps = queue.admit(REQUEST)
    reply, _ = asked(steps)
    queue.turn()
    first = finished(steps, reply.result())
    second = finished(queue.admit(REQUEST))
    assert has_room(first, queue)
    assert has_room(second, queue)
    assert sink.checks == 1


def test_while_the_sink_fails_a_call_is_refused_before_it_is_sent() -> None:
    sink = Kept()
    sink.error = AuditError("The audit file 'a' cannot be written: No space left on device")
    queue = by_hand(sink)
    steps = queue.admit(REQUEST)
    reply, _ = asked(steps)
    queue.turn()
    with pytest.raises(AuditError) as caught:
        steps.send(reply.result())
    error = caught.value
    assert str(error) == f"search: not sent, because it cannot be recorded: {sink.error}"
    assert (error.nothing_sent, error.retryable, error.__cause__) == (True, False, sink.error)


def test_the_text_of_an_error_that_is_not_ours_is_not_shown() -> None:
    """It may quote a record, and a record a prompt."""
    sink = Kept()
    sink.error = ValueError("a prompt")
    queue = by_hand(sink)
    steps = queue.admit(REQUEST)
    reply, _ = asked(steps)
    queue.turn()
    with pytest.raises(AuditError, match="ValueError was raised") as caught:
        steps.send(reply.result())
    assert "a prompt" not in str(caught.value)


def test_that_the_sink_worked_vouches_for_it_for_a_while() -> None:
    clock = Clock()
    queue = proven(by_hand(Kept(), clock=clock))
    clock.now = 1.0
    assert queue.enter()
    clock.now = 1.01
    assert not queue.enter()
    put(queue, 1)
    queue.turn()
    assert queue.enter()


def test_with_no_while_it_is_looked_at_each_time() -> None:
    clock = Clock()
    queue = proven(by_hand(Kept(), clock=clock, vouched=0.0))
    clock.now = 0.001
    assert not queue.enter()


@pytest.mark.parametrize(
    ("strict", "when_full", "outcome"),
    [(True, "fail", "its queue is full"), (True, "drop", None), (False, "fail", None), (False, "drop", None)],
)
def test_where_the_queue_is_full_the_policy_decides(strict: bool, when_full: Any, outcome: str | None) -> None:
    queue = proven(by_hand(Kept(), strict=strict, when_full=when_full, size=2))
    put(queue, 1, 2)
    steps = queue.admit(REQUEST)
    if not strict:
        assert not has_room(finished(steps), queue)
        return
    reply, _ = asked(steps)
    assert reply.result() == "full"  # at once: the sink may be what is slow
    if outcome:
        with pytest.raises(AuditError, match=outcome):
            steps.send(reply.result())
    else:
        assert not has_room(finished(steps, reply.result()), queue)


@pytest.mark.parametrize("strict", [True, False])
def test_who_blocks_waits_in_turn_until_there_is_room(strict: bool) -> None:
    queue = proven(by_hand(Kept(), strict=strict, wait=0.5, size=1))
    room = entered(queue)
    first, second = queue.admit(REQUEST), queue.admit(REQUEST)
    reply, seconds = asked(first)
    later, _ = asked(second)
    assert seconds == 0.5
    queue.turn()
    assert not reply.done()
    kept(queue, room, 1)
    queue.turn()
    got = finished(first, reply.result())
    assert has_room(got, queue)
    assert not later.done()
    queue.leave(got)
    queue.turn()
    assert has_room(finished(second, later.result()), queue)


def test_who_has_waited_long_enough_is_refused_or_goes_without_room() -> None:
    for strict in (True, False):
        queue = proven(by_hand(Kept(), strict=strict, wait=0.5, size=1))
        put(queue, 1)
        steps = queue.admit(REQUEST)
        asked(steps)
        if strict:
            with pytest.raises(AuditError, match=r"its sink was silent for 0\.5 s"):
                steps.throw(TimeoutError())
        else:
            assert not has_room(overdue(steps), queue)
        assert not queue.state.asking


def test_room_that_comes_as_the_time_is_over_is_taken() -> None:
    queue = by_hand(Kept(), size=1)
    steps = queue.admit(REQUEST)
    asked(steps)
    queue.turn()
    assert has_room(overdue(steps), queue)


def test_where_calls_go_on_nobody_waits_for_room_that_a_sink_that_fails_does_not_make() -> None:
    sink = Kept()
    sink.error = DOWN
    queue = by_hand(sink, strict=False, when_full="block", size=1)
    put(queue, 1)
    queue.turn()
    assert not has_room(finished(queue.admit(REQUEST)), queue)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit(), RuntimeError("cancelled")])
@pytest.mark.parametrize("answered", [True, False])
def test_who_is_interrupted_while_he_waits_leaves_no_room_taken(error: BaseException, answered: bool) -> None:
    queue = by_hand(Kept(), size=1)
    steps = queue.admit(REQUEST)
    asked(steps)
    if answered:
        queue.turn()
    with pytest.raises(type(error)):
        steps.throw(error)
    del steps
    assert not queue.state.asking
    proven(queue)
    assert queue.enter()


def test_a_call_waits_no_longer_than_its_deadline_allows() -> None:
    clock = Clock()
    clock.now = 10.0
    limits: list[float | None] = []
    for deadline in (10.2, 99.0, 9.0, None):
        steps = by_hand(Kept(), clock=clock, wait=0.5).admit(REQUEST.with_options(deadline=deadline))
        limits.append(asked(steps)[1])
        steps.close()
    assert limits == [pytest.approx(0.2), 0.5, 0.0, 0.5]


def test_a_closed_audit_refuses_calls_or_counts_them() -> None:
    for strict in (True, False):
        queue = by_hand(Kept(), strict=strict)
        queue.end(0)
        steps = queue.admit(REQUEST)
        reply, _ = asked(steps)
        if strict:
            with pytest.raises(AuditError, match="the audit is closed"):
                steps.send(reply.result())
        else:
            assert kept(queue, finished(steps, reply.result()), 1) is None
            assert queue.stats.failed == 1


# A sink that is not known to work


@pytest.mark.parametrize("is_callable", [True, False])
def test_until_the_sink_has_taken_a_record_calls_wait_until_theirs_are_written(is_callable: bool) -> None:
    """A check that says nothing, or is wrong, vouches for no more than the call that is let in by it."""
    sink = Kept()
    queue = by_hand(sink_of(sink.records.append) if is_callable else sink)
    asked_for = queue.ask(waits=True, sure=True)
    queue.turn()
    entry = asked_for.result()
    assert isinstance(entry, Entry)
    steps = queue.keep(entry, [record(1)], waits=True)
    reply, _ = asked(steps)
    queue.turn()
    assert finished(steps, reply.result()) is None
    assert finished(queue.keep(entered(queue), [record(2)], waits=True)) is None


def test_a_callable_that_was_not_called_for_a_while_is_not_known_to_work() -> None:
    clock = Clock()
    queue = proven(by_hand(sink_of(print), clock=clock))
    assert not entered(queue).confirms
    clock.now = 2.0
    asked_for = queue.ask(waits=True, sure=True)
    queue.turn()
    entry = asked_for.result()
    assert isinstance(entry, Entry)
    assert entry.confirms


def test_where_calls_go_on_none_confirms_unasked() -> None:
    assert not entered(by_hand(Kept(), strict=False)).confirms


# Room that an interrupt leaves behind


def test_room_of_a_call_that_is_gone_is_free() -> None:
    queue = proven(by_hand(Kept(), size=1))
    entry = entered(queue)
    assert not queue.enter()
    del entry
    gc.collect()
    assert queue.enter()


def test_room_for_one_who_is_gone_is_the_next_ones() -> None:
    queue = by_hand(Kept(), size=1)
    queue.ask(waits=True, sure=True)
    here = queue.ask(waits=True, sure=True)
    queue.turn()
    assert here.done()


def test_a_call_that_was_interrupted_while_it_was_recorded_is_counted() -> None:
    losses = Losses()
    queue = proven(by_hand(Kept(), losses, size=1))
    entry = entered(queue)
    queue.leave(entry)
    queue.leave(entry)
    assert queue.stats.failed == 1
    assert losses.lost == [("a call was interrupted while it was recorded", 1)]
    assert queue.enter()


def test_what_is_kept_again_after_an_interrupt_is_kept_once() -> None:
    sink = Kept()
    queue = proven(by_hand(sink))
    entry = entered(queue)
    for _ in range(2):
        assert kept(queue, entry, 1) is None
    queue.turn()
    assert kept(queue, entry, 1) is None
    queue.leave(entry)
    assert (numbers(sink.records), queue.stats.queued, queue.stats.failed) == ([0, 1], 0, 0)


class Interrupting(Bell):
    """A bell in whose ringing the user presses Ctrl+C, once."""

    def __init__(self) -> None:
        super().__init__()
        self.is_armed = True

    def ring(self) -> None:
        if self.is_armed:
            self.is_armed = False
            raise KeyboardInterrupt
        super().ring()


def test_an_interrupt_while_a_record_is_queued_loses_neither_it_nor_room() -> None:
    sink = Kept()
    queue = proven(by_hand(sink, size=1))
    entry = entered(queue)
    queue.state.bell = Interrupting()
    with pytest.raises(KeyboardInterrupt):
        kept(queue, entry, 1)
    assert kept(queue, entry, 1) is None
    queue.leave(entry)
    queue.turn()
    assert (numbers(sink.records), queue.stats.failed) == ([0, 1], 0)
    assert queue.enter()


def test_a_signals_handler_may_make_a_call_whatever_its_thread_is_doing() -> None:
    queue = by_hand(Kept(), strict=False)
    with queue.state.lock:
        entry = entered(queue)
        queue.ask(waits=True, sure=True)
        assert kept(queue, entry, 1) is None


def test_a_signals_handler_that_interrupts_who_has_the_lock_waits_for_nothing() -> None:
    """The thread that writes waits for that lock, so that no answer would come."""
    sink = Kept()
    queue = by_hand(sink, confirms=True, size=1)
    with queue.state.lock:
        entry = finished(queue.admit(REQUEST))
        assert queue.ask(waits=True, sure=True).result() == "full"
        assert finished(queue.keep(entry, [record(1)], waits=True)) is None
        assert not queue.flush(60)
        with pytest.raises(AuditError, match="cannot be checked by"):
            queue.check()
        assert not queue.close(60)
    assert queue.stats == AuditStats(written=0, dropped=0, failed=0, queued=1)
    queue.turn()
    assert numbers(sink.records) == [1]


# What is done with the records


def test_a_record_without_room_is_counted_as_the_policy_says_unless_there_is_room_by_then() -> None:
    for when_full, stats in (("drop", AuditStats(0, 1, 0, 1)), ("fail", AuditStats(0, 0, 1, 1))):
        queue = by_hand(Kept(), strict=False, when_full=when_full, size=1)
        assert put(queue, 1, 2) == [None, None]
        assert queue.stats == stats


def test_where_nothing_may_be_lost_it_is_told_that_it_was() -> None:
    queue = proven(by_hand(Kept(), size=1))
    assert put(queue, 1, 2) == [None, "its queue is full"]
    queue.end(0)
    assert put(queue, 3) == ["the audit is closed"]
    dropping = proven(by_hand(Kept(), size=1, when_full="drop"))
    assert put(dropping, 1, 2) == [None, None]


def test_a_record_of_a_process_that_was_forked_meanwhile_is_for_the_queue_that_is_there() -> None:
    before, now = proven(by_hand(Kept())), by_hand(Kept(), size=1)
    assert kept(now, entered(before), 1) is None
    assert (before.stats.queued, now.stats.queued) == (0, 1)
    assert put(now, 2) == ["its queue is full"]  # it has taken room there


def test_who_confirms_waits_until_it_is_written() -> None:
    sink = Kept()
    queue = proven(by_hand(sink, confirms=True, wait=0.5))
    steps = queue.keep(entered(queue), [record(1)], waits=True)
    reply, seconds = asked(steps)
    assert seconds == 0.5
    queue.turn()
    assert numbers(sink.records) == [0, 1]
    assert finished(steps, reply.result()) is None


@pytest.mark.parametrize("strict", [True, False])
def test_who_confirms_is_told_that_it_is_not_written(strict: bool) -> None:
    sink = Kept()
    queue = proven(by_hand(sink, strict=strict, confirms=True, wait=0.5))
    first, second = entered(queue), entered(queue)
    sink.error = DOWN
    steps = queue.keep(first, [record(1)], waits=True)
    reply, _ = asked(steps)
    queue.turn()
    assert finished(steps, reply.result()) == ("down" if strict else None)
    steps = queue.keep(second, [record(2)], waits=True)
    asked(steps)
    assert overdue(steps) == ("its sink was silent for 0.5 s" if strict else None)


def test_who_is_interrupted_confirms_nothing() -> None:
    queue = proven(by_hand(Kept(), confirms=True))
    assert finished(queue.keep(entered(queue), [record(1)], waits=False)) is None


def test_a_record_that_could_not_be_made_is_counted_and_its_room_is_given_back() -> None:
    for strict in (True, False):
        queue = proven(by_hand(Kept(), strict=strict, size=1))
        why = queue.lose(entered(queue), 1, ValueError("a prompt"))
        assert why == ("its record cannot be made: ValueError was raised" if strict else None)
        assert queue.stats.failed == 1
        assert queue.enter()


# With its thread


def test_flushing_tells_whether_all_is_written() -> None:
    sink = Kept()
    queue = started(sink)
    assert queue.flush(0)
    sink.error = DOWN
    put(queue, 1)
    assert not queue.flush(20)
    sink.error = None
    queue.ask(waits=False, sure=True)
    assert queue.flush(20)
    assert queue.close(20)
    assert queue.flush(20)


def test_flushing_tells_of_a_record_that_is_lost_though_later_ones_are_written() -> None:
    """Each flush is one turn: the first holds what the sink does not take, and the second gives it up."""
    queue = by_hand(Picky(), strict=False)
    put(queue, 1, 2, 3)
    flushed: list[bool] = []

    def flush() -> None:
        flushed.append(queue.flush(60))

    def waiting() -> int:
        return sum(len(entry.replies) for entry in queue.state.items)

    for lost in (0, 1):
        flushing = threading.Thread(target=flush)
        flushing.start()
        until(lambda: waiting() > 0)
        queue.turn()
        flushing.join(60)
        assert (queue.stats.failed, waiting()) == (lost, 0)
    flush()
    assert flushed == [False, False, True]


def test_a_signals_handler_may_record_a_call_while_the_queue_is_looked_at() -> None:
    queue = by_hand(Kept(), size=10_000)
    put(queue, 1, 2, 3)
    assert interrupted(lambda: queue.flush(0), lambda: put(queue, 4), Queue, State) > 3
    assert interrupted(lambda: queue.stats, lambda: put(queue, 5), Queue, State) >= 1


def test_the_steps_of_a_call_are_for_the_driver_of_sync_calls_too() -> None:
    queue = started(Kept())

    def send(request: Request) -> Any:
        raise AssertionError("nothing is sent")

    assert isinstance(run(queue.admit(REQUEST), send), Entry)
    queue.close(0)
