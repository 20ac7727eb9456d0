"""The writer, with its thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from langcache.audit import AuditRecord, AuditStats
from langcache.audit.room import Room
from langcache.audit.sinks import Sink
from langcache.audit.writer import Writer
from langcache.errors import AuditError
from tests.audit.recording import Kept, Losses, Stuck, Threads, numbers, record, until


def put(writer: Writer, *given: int) -> None:
    for number in given:
        assert writer.put([record(number)], has_room=False)


def started(sink: Sink, size: int = 10, holds: bool = True, tell: Any = None) -> Writer:
    return Writer(sink, Room(size, 1.0 if holds else None, drops=False), holds, tell or Losses())


def test_the_thread_begins_with_the_first_record_and_ends_when_it_is_closed() -> None:
    sink = Kept()
    writer = started(sink)
    threads = Threads()
    put(writer, 1)
    assert writer.flush(20)
    assert (numbers(sink.records), threads()) == ([1], 1)
    assert writer.close(20)
    assert (sink.closed, threads()) == (1, 0)
    assert writer.close(20)
    assert not writer.put([record(2)], has_room=False)
    assert writer.room.stats.failed == 1


def test_closing_writes_what_is_queued_first() -> None:
    sink = Kept()
    writer = started(sink, size=5_000)
    put(writer, *range(5_000))
    assert writer.close(20)
    assert numbers(sink.records) == list(range(5_000))


def test_closing_one_that_was_never_used_closes_the_sink() -> None:
    sink = Kept()
    assert started(sink).close(20)
    assert sink.closed == 1


def test_a_sink_that_blocks_for_ever_is_not_waited_for() -> None:
    sink = Stuck()
    writer = started(sink)
    put(writer, 1)
    assert sink.begun.wait(20)
    put(writer, 2)
    assert not writer.flush(0)
    assert not writer.close(0)
    assert writer.room.stats == AuditStats(written=0, dropped=0, failed=0, queued=2)
    sink.go_on.set()
    until(lambda: sink.closed)
    assert numbers(sink.records) == [1, 2]


def test_what_is_held_when_it_is_closed_is_lost_and_told() -> None:
    sink, told = Kept(), Losses()
    sink.error = AuditError("down")
    writer = started(sink, tell=told)
    put(writer, 1, 2)
    assert not writer.close(20)
    assert writer.room.stats == AuditStats(written=0, dropped=0, failed=2, queued=0)
    assert told.lost[-1] == ("the audit was closed while its sink failed", 2)
    assert sink.closed == 1


def test_flushing_tells_whether_all_is_written() -> None:
    sink = Kept()
    writer = started(sink)
    assert writer.flush(0)
    sink.error = AuditError("down")
    put(writer, 1)
    assert not writer.flush(20)
    sink.error = None
    writer.ask(waits=False, sure=True)
    assert writer.flush(20)
    assert writer.close(20)
    assert writer.flush(20)


def test_a_sink_may_close_its_own_audit() -> None:
    """However odd that is, it must not wait for itself."""

    class Closing(Kept):
        def write(self, records: Sequence[AuditRecord]) -> int:
            assert not writer.close(20)
            return super().write(records)

    sink = Closing()
    writer = started(sink)
    put(writer, 1)
    until(lambda: sink.closed)
    assert numbers(sink.records) == [1]


def test_a_sink_that_cannot_be_closed_is_told() -> None:
    class Open(Kept):
        def close(self) -> None:
            raise OSError("no")

    told = Losses()
    writer = started(Open(), tell=told)
    put(writer, 1)
    assert writer.close(20)
    assert told.lost == [("no", 0)]


def no_thread(serve: Callable[[], None]) -> threading.Thread:
    raise RuntimeError("can't start new thread")


def test_where_no_thread_can_be_started_who_asks_is_told_and_the_end_writes_what_is_queued() -> None:
    sink = Kept()
    writer = Writer(sink, Room(10, 1.0, drops=False), holds=True, tell=Losses(), start=no_thread)
    asked = writer.ask(waits=True, sure=True)
    assert isinstance(asked.result(0), RuntimeError)
    put(writer, 1)
    assert not writer.flush(0)
    assert writer.close(20)
    assert numbers(sink.records) == [1]
