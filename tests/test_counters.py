"""Counters: exact with many threads, kept in little room, and each process's own."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from datetime import datetime, timezone

from langcache import Response, send
from langcache.counters import Counters
from langcache.errors import ConnectError
from langcache.http import Request
from langcache.middleware.parsing import Parsed
from langcache.middleware.statistics import CountCalls
from langcache.models import SearchResponse
from langcache.tallies import BATCH
from tests.middleware.stepping import fail, finish
from tests.transports.programs import output_of

MISS = {"parsed": Parsed(b"", SearchResponse(data=[]))}
SEARCH = Request("POST", "http://cache.example/", operation="search")


def in_threads(count: int, work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_fifty_threads_are_counted_exactly() -> None:
    middleware, start = CountCalls(), threading.Barrier(50)

    def work() -> None:
        start.wait()
        for _ in range(100):
            steps = middleware(SEARCH, send)
            next(steps)
            finish(steps, Response(200, extensions=MISS))
            steps = middleware(SEARCH, send)
            next(steps)
            fail(steps, ConnectError("down"))

    in_threads(50, work)
    _, operations = middleware.counters.counts()
    counts = operations["search"]
    assert (counts.misses, counts.failed, counts.errors) == (5_000, 5_000, {"ConnectError": 5_000})


def test_counts_that_are_asked_for_meanwhile_only_grow() -> None:
    counters, seen, is_over = Counters(), list[int](), threading.Event()

    def count() -> None:
        for number in range(500):
            counters.answered(f"op{number % 5}", {}, 0.001)

    def ask() -> None:
        while not is_over.is_set():
            seen.append(calls(counters))

    asking = threading.Thread(target=ask)
    asking.start()
    in_threads(8, count)
    is_over.set()
    asking.join()
    assert seen == sorted(seen)
    assert calls(counters) == 4_000


def calls(counters: Counters) -> int:
    """Return how many calls were counted."""
    return sum(counts.calls for counts in counters.counts()[1].values())


def test_what_is_kept_does_not_grow_with_the_calls() -> None:
    counters = Counters()
    for number in range(20 * BATCH):
        counters.answered("search", MISS, 0.001)
        counters.raised("search", ConnectError("down"), 0.001)
        counters.answered("search", {**MISS, "degraded": ConnectError("down"), "attempts": 2}, 0.001)
        assert number < 0 or all(len(waiting) <= 2 * BATCH for waiting in waiting_of(counters))


def waiting_of(counters: Counters) -> list[list[object]]:
    """Return all lists of what is not counted yet."""
    return [
        list(waiting)
        for tally in counters.tallies.values()
        for waiting in (tally.hits, tally.misses, tally.done, tally.degraded, tally.failed, tally.errors, tally.retries)
    ]


def test_it_begins_anew_when_it_is_reset() -> None:
    counters = Counters()
    counters.answered("search", MISS, 0.001)
    in_threads(2, lambda: counters.answered("search", MISS, 0.001))
    before, _ = counters.counts()
    counters.reset()
    since, operations = counters.counts()
    assert operations == {}
    assert before <= since <= datetime.now(timezone.utc)
    counters.answered("search", MISS, 0.0005)
    assert (counters.counts()[1]["search"].calls, counters.counts()[1]["search"].longest) == (1, 0.0005)


def test_it_can_be_reset_while_threads_count() -> None:
    counters = Counters()

    def work() -> None:
        for _ in range(300):
            counters.answered("flush", {}, 0.001)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        counters.reset()
    for thread in threads:
        thread.join()
    assert 0 <= calls(counters) <= 1_800
    counters.reset()
    work()
    assert calls(counters) == 300


def test_it_goes_with_the_client_that_holds_it() -> None:
    """At once, without the garbage collector."""
    counters = Counters()
    counters.answered("search", MISS, 0.001)
    counters.counts()
    gone = weakref.ref(counters)
    gc.disable()
    try:
        del counters
        assert gone() is None
    finally:
        gc.enable()


def test_a_forked_child_begins_anew_whatever_its_parents_threads_do() -> None:
    """One of them counts all the time."""
    program = """
        import os, threading
        from langcache.counters import Counters
        counters = Counters()
        counters.answered("flush", {}, 0.001)
        held, done = threading.Event(), threading.Event()
        def hold():
            with counters.tallies["flush"]._lock.get():
                held.set()
                done.wait(30)
        holder = threading.Thread(target=hold)
        holder.start()
        held.wait(30)
        child = os.fork()
        if child == 0:
            before = counters.counts()[1]
            counters.answered("flush", {}, 0.001)
            counters.answered("flush", {}, 0.001)
            os._exit(0 if before == {} and counters.counts()[1]["flush"].calls == 2 else 1)
        status = os.waitpid(child, 0)[1]
        done.set()
        holder.join()
        print(os.waitstatus_to_exitcode(status), counters.counts()[1]["flush"].calls)
    """
    assert output_of(program) == ("0 1\n", "")
