"""The thread: it begins once, whatever interrupts that, and ends when all is written."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from langcache.audit import AuditRecord, AuditStats
from langcache.audit.exit import _open  # pyright: ignore[reportPrivateUsage]
from langcache.audit.notices import Notices
from langcache.errors import AuditError
from tests.audit.recording import (
    Kept,
    Losses,
    NotStarted,
    Picky,
    Recovering,
    Stuck,
    Threads,
    entered,
    kept,
    numbers,
    put,
    started,
    until,
)

DOWN = AuditError("down")


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


def test_each_of_two_that_close_one_that_was_never_used_waits_until_the_sink_is_closed() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Kept):
        def close(self) -> None:
            begun.set()
            assert go_on.wait(30)
            super().close()

    sink = Slow()
    queue = started(sink)
    closed: list[int] = []

    def close() -> None:
        queue.close(60)
        closed.append(sink.closed)

    both = [threading.Thread(target=close) for _ in range(2)]
    both[0].start()
    assert begun.wait(30)
    both[1].start()
    until(lambda: bool(closed) or len(queue._thread._ending) == 2)  # pyright: ignore[reportPrivateUsage]
    go_on.set()
    for each in both:
        each.join(60)
    assert closed == [1, 1]


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


def test_a_short_outage_while_it_is_closed_loses_nothing() -> None:
    sink = Recovering(5)
    queue = started(sink)
    put(queue, 1, 2, 3)
    assert queue.close(20)
    assert (sorted(numbers(sink.records)), queue.stats.failed) == ([1, 2, 3], 0)


def test_what_a_sink_takes_in_the_end_is_not_lost_with_the_record_that_it_does_not_take() -> None:
    sink = Picky()
    queue = started(sink)
    put(queue, 1, 2, 3)
    queue.close(20)
    assert (numbers(sink.records), queue.stats.failed) == ([1, 3], 1)


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
    assert queue._thread in _open  # pyright: ignore[reportPrivateUsage]
    assert not queue.flush(0)
    assert queue.close(20)
    assert numbers(sink.records) == [1]
    assert queue._thread not in _open  # pyright: ignore[reportPrivateUsage]


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
    second = threading.Thread(target=queue._thread.serve)  # pyright: ignore[reportPrivateUsage]
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
