"""The queue: who is let in, what is written, and what is told of what is not.

Where it can be, the thread's turns are taken by the test.
"""

from __future__ import annotations

import gc
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from langcache import Request, Steps
from langcache.audit import AuditRecord, AuditStats
from langcache.audit import queue as module
from langcache.audit.notices import Notices
from langcache.audit.queue import Bell, Entry, Policy, Queue
from langcache.audit.sinks import Sink, sink_of
from langcache.errors import AuditError
from langcache.steps import Wait, run
from langcache.workers import Reply
from tests.audit.recording import (
    Kept,
    Losses,
    NotStarted,
    Stuck,
    Threads,
    by_hand,
    entered,
    kept,
    numbers,
    proven,
    put,
    record,
    until,
)
from tests.middleware.stepping import Clock

REQUEST = Request("POST", "http://cache.example/", operation="search")
DOWN = AuditError("down")


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


def has_room(answer: object, queue: Queue) -> bool:
    """Say whether a call was let in with room."""
    assert isinstance(answer, Entry)
    return answer in queue._out  # pyright: ignore[reportPrivateUsage]


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
        assert not queue._asking  # pyright: ignore[reportPrivateUsage]


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
    assert not queue._asking  # pyright: ignore[reportPrivateUsage]
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
    queue._bell = Interrupting()  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(KeyboardInterrupt):
        kept(queue, entry, 1)
    assert kept(queue, entry, 1) is None
    queue.leave(entry)
    queue.turn()
    assert (numbers(sink.records), queue.stats.failed) == ([0, 1], 0)
    assert queue.enter()


def test_a_signals_handler_may_make_a_call_whatever_its_thread_is_doing() -> None:
    queue = by_hand(Kept(), strict=False)
    with queue._lock:  # pyright: ignore[reportPrivateUsage]
        entry = entered(queue)
        queue.ask(waits=True, sure=True)
        assert kept(queue, entry, 1) is None


def test_a_signals_handler_that_interrupts_who_has_the_lock_waits_for_nothing() -> None:
    """The thread that writes waits for that lock, so that no answer would come."""
    sink = Kept()
    queue = by_hand(sink, confirms=True, size=1)
    with queue._lock:  # pyright: ignore[reportPrivateUsage]
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


# What is written


def test_what_is_put_is_written_in_order_in_one_turn() -> None:
    sink = Kept()
    queue = by_hand(sink)
    put(queue, 1, 2, 3)
    assert queue.turn()
    assert numbers(sink.records) == [1, 2, 3]
    assert queue.stats == AuditStats(written=3, dropped=0, failed=0, queued=0)
    assert sink.checks == 0


def test_who_asks_has_the_sink_looked_at_where_nothing_is_to_be_written() -> None:
    sink = Kept()
    queue = by_hand(sink)
    first = queue.ask(waits=True, sure=True)
    queue.turn()
    assert (first.done(), sink.checks) == (True, 1)
    put(queue, 1)
    second = queue.ask(waits=True, sure=True)
    queue.turn()
    assert (second.done(), sink.checks) == (True, 1)  # that it was written says more


def test_who_is_in_a_hurry_is_waited_for_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_SECONDS", 3600)
    sink = Kept()
    queue = by_hand(sink, confirms=True)
    next(queue.keep(Entry(confirms=True), [record(1)], waits=True))
    queue.turn()
    assert numbers(sink.records) == [1]


@pytest.mark.parametrize("strict", [True, False])
def test_what_the_sink_does_not_take_is_held_and_tried_again(strict: bool) -> None:
    sink, losses = Kept(), Losses()
    queue = by_hand(sink, losses, strict=strict)
    sink.error = DOWN
    put(queue, 1, 2)
    queue.turn()
    assert queue.stats == AuditStats(written=0, dropped=0, failed=0, queued=2)
    put(queue, 3)
    queue.turn()
    if strict:
        asking = queue.ask(waits=True, sure=True)
        queue.turn()
        assert asking.result() is sink.error
    sink.error = None
    asking = queue.ask(waits=True, sure=True)
    queue.turn()
    assert isinstance(asking.result(), Entry)
    assert numbers(sink.records) == [1, 2, 3]
    assert [made.lost for made in sink.records] == [0, 0, 0]
    assert set(losses.lost) == {("down", 0)}


def test_what_is_held_is_tried_again_after_a_while_though_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    sink = Kept()
    queue = by_hand(sink)
    sink.error = DOWN
    put(queue, 1)
    queue.turn()
    sink.error = None
    queue.turn()
    assert numbers(sink.records) == [1]


def test_what_finds_no_room_while_the_sink_fails_is_lost_and_the_next_record_tells_of_it() -> None:
    sink, losses = Kept(), Losses()
    queue = by_hand(sink, losses, strict=False, when_full="drop", size=2)
    sink.error = DOWN
    put(queue, 1, 2)
    queue.turn()
    put(queue, 3, 4)
    assert queue.stats == AuditStats(written=0, dropped=2, failed=0, queued=2)
    sink.error = None
    queue.ask(waits=False, sure=False)
    queue.turn()
    assert [(made.request_id, made.lost) for made in sink.records] == [("1", 2), ("2", 0)]
    assert losses.lost == [("down", 0), ("its queue is full", 1), ("its queue is full", 1)]


class Picky(Kept):
    """Takes all but one record."""

    def write(self, records: Sequence[AuditRecord]) -> int:
        if "2" in [made.request_id for made in records]:
            raise ValueError("not that one")
        return super().write(records)


def test_where_calls_go_on_one_record_that_a_sink_does_not_take_keeps_no_other_from_it() -> None:
    sink = Picky()
    queue = by_hand(sink, strict=False)
    put(queue, 1, 2, 3, 4, 5)
    queue.turn()
    assert numbers(sink.records) == [1]
    queue.ask(waits=False, sure=False)
    queue.turn()
    assert queue.stats == AuditStats(written=4, dropped=0, failed=1, queued=0)
    assert numbers(sink.records) == [1, 3, 4, 5]


class Slow(Kept):
    """Takes two records at a time."""

    def write(self, records: Sequence[AuditRecord]) -> int:
        return super().write(records[:2])


def test_a_sink_may_take_fewer_than_it_is_given() -> None:
    sink = Slow()
    queue = by_hand(sink)
    put(queue, 1, 2, 3, 4, 5)
    queue.turn()
    assert numbers(sink.records) == [1, 2, 3, 4, 5]


def test_a_sink_that_takes_one_at_a_time_is_not_given_many() -> None:
    sizes: list[int] = []

    class One(Kept):
        def write(self, records: Sequence[AuditRecord]) -> int:
            sizes.append(len(records))
            return super().write(records[:1])

    queue = by_hand(One())
    put(queue, 1, 2, 3, 4, 5)
    queue.turn()
    assert sizes == [5, 2, 2, 2, 1]


def test_with_each_record_that_a_slow_callable_takes_those_who_ask_have_an_answer() -> None:
    answered: list[bool] = []
    queue = by_hand(sink_of(lambda made: answered.append(asking.done())))
    put(queue, 1, 2, 3)
    asking = queue.ask(waits=True, sure=True)
    queue.turn()
    assert answered == [False, True, True]


@pytest.mark.parametrize("returned", [None, 0, -1, 3, "2", True])
def test_a_sink_that_does_not_say_how_many_it_took_is_told_so(returned: Any) -> None:
    class Silent(Kept):
        def write(self, records: Sequence[AuditRecord]) -> int:
            result: int = returned
            return result

    losses = Losses()
    queue = by_hand(Silent(), losses)
    put(queue, 1, 2)
    queue.turn()
    assert f"Silent.write returned {returned!r}, and not how many records it has written" in losses.lost[0][0]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), MemoryError(), GeneratorExit()])
@pytest.mark.parametrize("where", ["check", "write"])
def test_whatever_a_sink_raises_the_thread_goes_on(error: BaseException, where: str) -> None:
    class Raising(Kept):
        def check(self) -> None:
            if where == "check":
                raise error

        def write(self, records: Sequence[AuditRecord]) -> int:
            raise error

    queue = by_hand(Raising())
    if where == "write":
        put(queue, 1)
    asking = queue.ask(waits=True, sure=True)
    assert queue.turn()
    assert asking.result() is error
    assert error.__traceback__ is None  # which holds frames, and through them records


def test_more_records_than_fit_into_one_write_come_in_several() -> None:
    sizes: list[int] = []

    class Counting(Kept):
        def write(self, records: Sequence[AuditRecord]) -> int:
            sizes.append(len(records))
            return len(records)

    queue = by_hand(Counting(), size=10_000)
    put(queue, *range(600))
    queue.turn()
    assert sizes == [256, 256, 88]


# With its thread


def started(sink: Sink, losses: Notices | None = None, thread: Any = threading.Thread, **policy: Any) -> Queue:
    policy.setdefault("size", 10)
    return Queue(sink, Policy(**policy), losses or Losses(), thread=thread)


def test_the_thread_begins_with_the_first_record_and_ends_when_it_is_closed() -> None:
    sink = Kept()
    queue = started(sink)
    threads = Threads()
    put(queue, 1)
    assert queue.flush(20)
    assert (numbers(sink.records), threads()) == ([1], 1)
    assert queue.close(20)
    assert (sink.closed, threads()) == (1, 0)
    assert queue.close(20)
    assert put(queue, 2) == ["the audit is closed"]
    assert queue.stats.failed == 1


def test_closing_writes_what_is_queued_first() -> None:
    sink = Kept()
    queue = started(sink, size=5_000)
    put(queue, *range(5_000))
    assert queue.close(20)
    assert numbers(sink.records) == list(range(5_000))


def test_closing_one_that_was_never_used_closes_the_sink_and_starts_no_thread() -> None:
    sink, threads = Kept(), Threads()
    assert started(sink).close(20)
    assert (sink.closed, threads()) == (1, 0)


@pytest.mark.parametrize("strict", [True, False])
def test_closing_waits_for_the_calls_that_have_not_ended_and_writes_what_they_will_have(strict: bool) -> None:
    sink, losses = Kept(), Losses()
    queue = started(sink, losses, strict=strict)
    put(queue, 0)
    assert queue.flush(20)
    first, second = entered(queue), entered(queue)
    assert not queue.close(0)
    [(text, _)] = losses.lost
    assert re.fullmatch(r"it was closed, and after \S+ s 0 records are not written, and 2 calls have not ended", text)
    assert kept(queue, first, 1) is None
    assert sink.closed == 0
    ended: list[bool] = []
    closing = threading.Thread(target=lambda: ended.append(queue.close(20)))
    closing.start()
    assert kept(queue, second, 2) is None
    closing.join(20)
    assert (ended, numbers(sink.records), sink.closed) == ([True], [0, 1, 2], 1)


def test_a_sink_that_blocks_for_ever_is_not_waited_for_and_that_is_told() -> None:
    sink, losses = Stuck(), Losses()
    queue = started(sink, losses)
    put(queue, 1)
    assert sink.begun.wait(20)
    put(queue, 2)
    assert not queue.flush(0)
    assert not queue.close(0)
    [(text, lost)] = losses.lost
    assert re.fullmatch(r"it was closed, and after \S+ s 2 records are not written", text)
    assert lost == 0
    assert queue.stats == AuditStats(written=0, dropped=0, failed=0, queued=2)
    sink.go_on.set()
    until(lambda: sink.closed)
    assert numbers(sink.records) == [1, 2]


def test_what_is_held_when_there_is_no_more_time_is_lost_and_told() -> None:
    sink, losses = Kept(), Losses()
    sink.error = DOWN
    queue = started(sink, losses)
    put(queue, 1, 2)
    assert not queue.close(0)
    until(lambda: sink.closed)
    assert not queue.close(20)
    assert queue.stats == AuditStats(written=0, dropped=0, failed=2, queued=0)
    assert ("the audit was closed while its sink failed", 2) in losses.lost
    assert sink.closed == 1


class Recovering(Kept):
    """Fails a few times, and then works."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def write(self, records: Sequence[AuditRecord]) -> int:
        self.times -= 1
        if self.times >= 0:
            raise DOWN
        return super().write(records)


def test_a_short_outage_while_it_is_closed_loses_nothing() -> None:
    sink = Recovering(5)
    queue = started(sink)
    put(queue, 1, 2, 3)
    assert queue.close(20)
    assert (sorted(numbers(sink.records)), queue.stats.failed) == ([1, 2, 3], 0)


def test_what_a_sink_does_not_take_in_the_end_is_tried_again_as_long_as_there_is_time() -> None:
    clock, sink, losses = Clock(), Kept(), Losses()
    queue = by_hand(sink, losses, clock=clock)
    sink.error = DOWN
    put(queue, 1, 2)
    queue.end(1.0)
    for now in (0.0, 0.5, 0.94):
        clock.now = now
        assert queue.turn()
        assert queue.stats == AuditStats(written=0, dropped=0, failed=0, queued=2)
        queue.end(0)  # rings, and takes no time away
    clock.now = 0.96
    assert not queue.turn()
    assert queue.stats == AuditStats(written=0, dropped=0, failed=2, queued=0)
    assert losses.lost[-1] == ("the audit was closed while its sink failed", 2)


def test_a_sink_that_begins_to_work_again_in_the_end_is_given_the_first_record_once_more() -> None:
    """That it takes the next one shows nothing of the first, which it was given before it worked."""
    sink = Recovering(3)  # both at once, the first alone, and the first a second time
    queue = by_hand(sink)
    put(queue, 1, 2)
    queue.end(20)
    queue.turn()
    queue.turn()
    assert (sorted(numbers(sink.records)), queue.stats.failed) == ([1, 2], 0)


def test_what_a_sink_takes_in_the_end_is_not_lost_with_the_record_that_it_does_not_take() -> None:
    sink = Picky()
    queue = started(sink)
    put(queue, 1, 2, 3)
    queue.close(20)
    assert (numbers(sink.records), queue.stats.failed) == ([1, 3], 1)


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


def test_a_sink_may_close_its_own_audit() -> None:
    """However odd that is, it must not wait for itself."""

    class Closing(Kept):
        def write(self, records: Sequence[AuditRecord]) -> int:
            assert not queue.close(20)
            return super().write(records)

    sink, losses = Closing(), Losses()
    queue = started(sink, losses)
    put(queue, 1)
    until(lambda: sink.closed)
    assert numbers(sink.records) == [1]
    assert "and after 20 s" not in losses.lost[0][0]  # it did not wait


def test_a_sink_that_cannot_be_closed_is_told() -> None:
    class Open(Kept):
        def close(self) -> None:
            raise OSError("no")

    losses = Losses()
    queue = started(Open(), losses)
    put(queue, 1)
    assert queue.close(20)
    assert losses.lost == [("no", 0)]


class NoThread(NotStarted):
    """A thread that the system has no room for."""

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("strict", [True, False])
def test_where_no_thread_can_be_started_that_is_told_and_the_end_writes_what_is_queued(strict: bool) -> None:
    sink, losses = Kept(), Losses()
    queue = started(sink, losses, NoThread, strict=strict)
    assert isinstance(queue.ask(waits=True, sure=True).result(), AuditError)
    put(queue, 1)
    assert losses.lost[0] == ("no thread can be started to write for it", 0)
    assert queue in module._open  # pyright: ignore[reportPrivateUsage]
    assert not queue.flush(0)
    assert queue.close(20)
    assert numbers(sink.records) == [1]
    assert queue not in module._open  # pyright: ignore[reportPrivateUsage]


class InterruptedStart(threading.Thread):
    """A thread that runs, though who starts it is interrupted before he knows."""

    def start(self) -> None:
        super().start()
        raise KeyboardInterrupt


class NeverStarted(threading.Thread):
    """A thread that does not run, because who starts it is interrupted before it does."""

    def start(self) -> None:
        raise KeyboardInterrupt


def test_one_thread_writes_whatever_interrupts_those_who_start_it() -> None:
    kinds = iter([NeverStarted, InterruptedStart, threading.Thread, threading.Thread])
    inside: list[int] = []
    together: list[int] = []

    class Watching(Kept):
        def write(self, records: Sequence[AuditRecord]) -> int:
            inside.append(1)
            together.append(len(inside))
            inside.pop()
            return super().write(records)

    def make(**arguments: Any) -> threading.Thread:
        kind: type[threading.Thread] = next(kinds)
        return kind(**arguments)

    sink, threads = Watching(), Threads()
    queue = started(sink, thread=make, size=100)
    for number in range(20):
        if number < 2:
            with pytest.raises(KeyboardInterrupt):
                put(queue, number)
        else:
            put(queue, number)
    assert queue.flush(20)
    assert (numbers(sink.records), threads(), max(together)) == (list(range(20)), 1, 1)
    assert queue.close(20)
    assert threads() == 0


def test_a_second_thread_that_began_sees_the_first_and_ends() -> None:
    sink = Stuck()
    queue = started(sink)
    put(queue, 1)
    assert sink.begun.wait(20)
    second = threading.Thread(target=queue._serve)  # pyright: ignore[reportPrivateUsage]
    second.start()
    second.join(20)
    assert not second.is_alive()
    sink.go_on.set()
    assert queue.close(20)
    assert numbers(sink.records) == [1]


def fails(*arguments: Any, **facts: Any) -> None:
    raise LookupError("the log's own")


@pytest.mark.parametrize("strict", [True, False])
def test_a_log_that_fails_stops_neither_the_thread_nor_a_call(strict: bool, capsys: pytest.CaptureFixture[str]) -> None:
    sink = Kept()
    sink.error = ValueError("a prompt")
    queue = started(sink, Notices(sink, fails), strict=strict)
    put(queue, 1)
    assert not queue.flush(20)
    sink.error = None
    queue.ask(waits=False, sure=False)
    assert queue.flush(20)
    assert queue.close(20)
    assert numbers(sink.records) == [1]
    shown = capsys.readouterr().err
    assert "LookupError: the log's own" in shown
    assert "a prompt" not in shown


def test_the_steps_of_a_call_are_for_the_driver_of_sync_calls_too() -> None:
    queue = started(Kept())

    def send(request: Request) -> Any:
        raise AssertionError("nothing is sent")

    assert isinstance(run(queue.admit(REQUEST), send), Entry)
    queue.close(0)


def test_a_bell_that_rings_twice_has_rung_once() -> None:
    bell = Bell()
    rings: list[Callable[[], None]] = [bell.ring, bell.ring]
    for ring in rings:
        ring()
    bell.wait(None)
    bell.wait(0)
