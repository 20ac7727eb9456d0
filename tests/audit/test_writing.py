"""Writing: what the thread does in its turns, which are taken by the test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from langcache.audit import AuditRecord, AuditStats, writing
from langcache.audit.entries import Entry
from langcache.audit.sinks import sink_of
from langcache.errors import AuditError
from tests.audit.recording import (
    Kept,
    Losses,
    Picky,
    Recovering,
    by_hand,
    numbers,
    put,
    record,
)
from tests.middleware.stepping import Clock

DOWN = AuditError("down")


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
    monkeypatch.setattr(writing, "GATHER_SECONDS", 3600)
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
    monkeypatch.setattr(writing, "RETRY_SECONDS", 0.001)
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


async def none() -> int:
    raise AssertionError("nobody awaits it")


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (lambda: None, "None"),
        (lambda: 0, "0"),
        (lambda: -1, "-1"),
        (lambda: 3, "3"),
        (lambda: True, "True"),
        (lambda: ["a prompt"], "list"),
        (none, "coroutine"),
    ],
)
def test_a_sink_that_does_not_say_how_many_it_took_is_told_so(make: Callable[[], Any], shown: str) -> None:
    """And nothing is quoted of what it returns instead, which may be records."""

    class Silent(Kept):
        def write(self, records: Sequence[AuditRecord]) -> int:
            result: int = make()
            return result

    losses = Losses()
    queue = by_hand(Silent(), losses)
    put(queue, 1, 2)
    queue.turn()
    assert f"Silent.write returned {shown}, and not how many records it has written" in losses.lost[0][0]


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
