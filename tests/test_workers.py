"""Threads that wait for what cannot be interrupted, so that the caller need not."""

from __future__ import annotations

import contextvars
import gc
import threading
import time
import weakref
from concurrent.futures import Future

import pytest

from langcache import errors, workers
from langcache.processes import PerProcess
from langcache.workers import Workers, bounded, in_thread, result_of

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE")


def test_the_result_of_the_work_is_returned() -> None:
    assert bounded(lambda: 42, 10) == 42


def test_what_the_work_raises_is_raised() -> None:
    """Its own TimeoutError too, which is another thing than that it takes too long."""

    def work() -> None:
        raise TimeoutError("the work's own")

    with pytest.raises(TimeoutError, match="the work's own"):
        bounded(work, 10)


def test_work_that_takes_too_long_is_left_alone() -> None:
    released, ended = threading.Event(), threading.Event()

    def work() -> None:
        released.wait(10)
        ended.set()

    begun = time.monotonic()
    with pytest.raises(TimeoutError, match=r"not done after 0\.05 s"):
        bounded(work, 0.05)
    assert time.monotonic() - begun < 5
    released.set()
    assert ended.wait(10)


def test_without_another_thread_the_work_is_done_in_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python 3.12 on none can be started when the interpreter ends, where programs may still say good-bye."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    def fail() -> None:
        raise KeyError("the work's own")

    monkeypatch.setattr(workers, "_of_process", PerProcess(Workers))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert bounded(threading.current_thread, 10) is threading.current_thread()
    with pytest.raises(KeyError) as caught:
        bounded(fail, 10)
    assert caught.value.__context__ is None


def test_a_failure_leaves_no_reference_cycle() -> None:
    """So that what the work held, a connection for example, is freed at once."""

    class FailedError(Exception):
        pass

    def work() -> None:
        raise FailedError

    gc.collect()
    gc.disable()
    try:
        with pytest.raises(FailedError) as caught:
            bounded(work, 10)
        gone = weakref.ref(caught.value)
        del caught
        assert gone() is None
    finally:
        gc.enable()


def test_the_work_has_the_callers_context() -> None:
    VARIABLE.set("the caller's")
    assert bounded(VARIABLE.get, 10) == "the caller's"


def test_stop_iteration_is_an_error_like_others() -> None:
    """PEP 479: a future of asyncio's cannot carry it, and would never be done."""

    def work() -> None:
        raise StopIteration("early")

    with pytest.raises(RuntimeError, match="StopIteration was raised: early"):
        bounded(work, 10)


def test_any_number_of_works_go_on_at_the_same_time() -> None:
    together = threading.Barrier(20)
    for future in [in_thread(lambda: together.wait(10)) for _ in range(20)]:
        result_of(future, 10)


def test_a_thread_is_used_again_and_ends_when_it_is_idle() -> None:
    workers = Workers(idle=0.05)
    first = result_of(workers.submit(threading.current_thread), 10)
    first.join(10)
    assert not first.is_alive()
    second = result_of(workers.submit(threading.current_thread), 10)
    assert second is not first


def test_work_is_never_lost_while_threads_end() -> None:
    """With no patience at all, a thread may be about to end whenever work comes."""
    workers = Workers(idle=0.0)
    for number in range(500):
        assert result_of(workers.submit(lambda number=number: number), 10) == number  # type: ignore[misc]


def test_no_more_threads_run_than_the_limit() -> None:
    workers, names = Workers(limit=2), set[str]()
    futures: list[Future[None]] = [
        workers.submit(lambda: names.add(threading.current_thread().name)) for _ in range(50)
    ]
    for future in futures:
        result_of(future, 10)
    workers.close()
    assert len(names) <= 2


def test_closed_workers_take_nothing_and_fail_what_is_not_begun() -> None:
    workers, begun, released = Workers(limit=1), threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        return released.wait(10)

    running, waiting = workers.submit(work), workers.submit(work)
    assert begun.wait(10)
    workers.close()
    workers.close()
    released.set()
    assert result_of(running, 10)
    with pytest.raises(errors.ClientClosedError):
        result_of(waiting, 10)
    with pytest.raises(errors.ClientClosedError):
        workers.submit(work)
