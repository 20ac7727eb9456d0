"""Writing, turn by turn: the thread's work is done by the test."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from langcache.audit import AuditRecord, AuditStats, inbox
from langcache.audit.inbox import Told
from langcache.audit.writer import Writer
from langcache.errors import AuditError
from tests.audit.recording import Kept, Losses, by_hand, numbers, record


def put(writer: Writer, *given: int) -> None:
    for number in given:
        assert writer.put([record(number)], has_room=False)


def test_what_is_put_is_written_in_order_in_one_turn() -> None:
    sink = Kept()
    writer = by_hand(sink)
    put(writer, 1, 2, 3)
    assert writer.writing.turn()
    assert numbers(sink.records) == [1, 2, 3]
    assert writer.room.stats == AuditStats(written=3, dropped=0, failed=0, queued=0)
    assert sink.checks == 0


def test_who_asks_has_the_sink_looked_at_where_nothing_is_to_be_written() -> None:
    sink = Kept()
    writer = by_hand(sink)
    asked = writer.ask(waits=True, sure=True)
    writer.writing.turn()
    assert (asked.result(0), sink.checks) == ("room", 1)
    put(writer, 1)
    asked = writer.ask(waits=True, sure=True)
    writer.writing.turn()
    assert (asked.result(0), sink.checks) == ("room", 1)  # that it was written says more


def test_a_writer_that_holds_tries_again_and_loses_nothing() -> None:
    sink, told = Kept(), Losses()
    writer = by_hand(sink, tell=told)
    sink.error = AuditError("down")
    put(writer, 1, 2)
    writer.writing.turn()
    assert writer.room.stats == AuditStats(written=0, dropped=0, failed=0, queued=2)
    put(writer, 3)
    asked = writer.ask(waits=True, sure=True)
    writer.writing.turn()
    assert asked.result(0) is sink.error
    sink.error = None
    asked = writer.ask(waits=True, sure=True)
    writer.writing.turn()
    assert asked.result(0) == "room"
    assert numbers(sink.records) == [1, 2, 3]
    assert [made.lost for made in sink.records] == [0, 0, 0]
    assert told.lost == [("down", 0), ("down", 0)]


def test_what_is_held_is_tried_again_after_a_while_though_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "RETRY_SECONDS", 0.001)
    sink = Kept()
    writer = by_hand(sink)
    sink.error = AuditError("down")
    put(writer, 1)
    writer.writing.turn()
    sink.error = None
    writer.writing.turn()
    assert numbers(sink.records) == [1]


def test_another_writer_gives_up_what_the_sink_does_not_take_and_the_next_record_tells_of_it() -> None:
    sink, told = Kept(), Losses()
    writer = by_hand(sink, holds=False, tell=told)
    sink.error = AuditError("down")
    put(writer, 1, 2)
    writer.writing.turn()
    assert writer.room.stats == AuditStats(written=0, dropped=0, failed=2, queued=0)
    sink.error = None
    put(writer, 3, 4)
    writer.writing.turn()
    assert [(made.request_id, made.lost) for made in sink.records] == [("3", 2), ("4", 0)]
    assert told.lost == [("down", 1), ("down", 1)]


class Picky(Kept):
    """Takes all but one record."""

    def write(self, records: Sequence[AuditRecord]) -> int:
        if "2" in [made.request_id for made in records]:
            raise ValueError("not that one")
        return super().write(records)


def test_one_record_that_a_sink_does_not_take_keeps_no_other_from_it() -> None:
    sink = Picky()
    writer = by_hand(sink, holds=False)
    put(writer, 1, 2, 3, 4, 5)
    writer.writing.turn()
    assert writer.room.stats == AuditStats(written=4, dropped=0, failed=1, queued=0)
    assert numbers(sink.records) == [1, 3, 4, 5]


class Slow(Kept):
    """Takes two records at a time."""

    def write(self, records: Sequence[AuditRecord]) -> int:
        return super().write(records[:2])


def test_a_sink_may_take_fewer_than_it_is_given() -> None:
    sink = Slow()
    writer = by_hand(sink)
    put(writer, 1, 2, 3, 4, 5)
    writer.writing.turn()
    assert numbers(sink.records) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("returned", [None, 0, -1, 3, "2"])
def test_a_sink_that_does_not_say_how_many_it_took_is_told_so(returned: Any) -> None:
    class Silent(Kept):
        def write(self, records: Sequence[AuditRecord]) -> int:
            result: int = returned
            return result

    told = Losses()
    writer = by_hand(Silent(), holds=False, tell=told)
    put(writer, 1, 2)
    writer.writing.turn()
    assert f"Silent.write returned {returned!r}, and not how many records it has written" in told.lost[0][0]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), MemoryError(), GeneratorExit()])
@pytest.mark.parametrize("where", ["check", "write"])
def test_whatever_a_sink_raises_the_thread_goes_on(error: BaseException, where: str) -> None:
    class Raising(Kept):
        def check(self) -> None:
            if where == "check":
                raise error

        def write(self, records: Sequence[AuditRecord]) -> int:
            raise error

    writer = by_hand(Raising())
    if where == "write":
        put(writer, 1)
    asked = writer.ask(waits=True, sure=True)
    assert writer.writing.turn()
    assert asked.result(0) is error


def test_who_wants_to_know_is_told_when_a_record_is_written_or_not() -> None:
    sink = Kept()
    for holds in (True, False):
        writer = by_hand(sink, holds=holds)
        told: list[Told] = [Future(), Future()]
        sink.error = None
        writer.put([record(1)], has_room=False, told=told[0])
        writer.writing.turn()
        sink.error = AuditError("down")
        writer.put([record(2)], has_room=False, told=told[1])
        writer.writing.turn()
        assert [future.result(0) for future in told] == [None, sink.error]


def test_more_records_than_fit_into_one_write_come_in_several() -> None:
    sizes: list[int] = []

    class Counting(Kept):
        def write(self, records: Sequence[AuditRecord]) -> int:
            sizes.append(len(records))
            return len(records)

    writer = by_hand(Counting(), size=10_000)
    put(writer, *range(600))
    writer.writing.turn()
    assert sizes == [256, 256, 88]
