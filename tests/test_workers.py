"""Threads that wait for what cannot be interrupted, so that the caller need not."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import signal
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from langcache import errors, workers
from langcache.processes import PerProcess
from langcache.workers import (
    Reply,
    Workers,
    abandonable,
    bounded,
    bounded_async,
    in_thread,
    is_async,
    once_in_thread,
    result_of,
    result_of_async,
)
from tests.cycles import freed_at_once
from tests.interruptions import interrupted
from tests.transports.programs import output_of

T = TypeVar("T")

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


@pytest.mark.parametrize("form", ["sync", "async"])
def test_the_time_in_which_a_thread_is_started_counts(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where hundreds of threads start others at the same time, it is longer than many a limit."""
    now, known = 0.0, in_thread

    def start_slowly(work: Callable[[], T]) -> Future[T]:
        nonlocal now
        now += 3.0
        return known(work)

    def left(future: Future[Any], seconds: float, spent: float = 0.0) -> float:
        return seconds - spent

    async def left_async(future: Future[Any], seconds: float, spent: float = 0.0) -> float:
        return seconds - spent

    monkeypatch.setattr(workers, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(workers, "in_thread", start_slowly)
    monkeypatch.setattr(workers, "result_of", left)
    monkeypatch.setattr(workers, "result_of_async", left_async)
    waited: object = bounded(str, 10) if form == "sync" else asyncio.run(bounded_async(functools.partial(str), 10))
    assert waited == 7.0


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


def test_a_signals_handler_may_submit_something_wherever_it_interrupts_that() -> None:
    """It would wait for its own thread, for ever, if the lock were not reentrant."""
    pool, found = Workers(), set[int]()

    def handler() -> None:
        found.add(pool.submit(lambda: len(found)).result())

    def submit() -> None:
        assert pool.submit(lambda: "done").result() == "done"

    assert interrupted(submit, handler, Workers) == len(found) > 4
    pool.close()


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


def test_work_that_is_not_begun_in_time_is_never_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it, and another one may have done it since."""
    one_thread = Workers(limit=1)
    monkeypatch.setattr(workers, "_of_process", PerProcess(lambda: one_thread))
    released, done = threading.Event(), list[str]()
    busy = in_thread(lambda: released.wait(10))
    with pytest.raises(TimeoutError):
        bounded(lambda: done.append("too late"), 0.01)
    released.set()
    result_of(busy, 10)
    assert bounded(lambda: "the next", 10) == "the next"
    assert done == []
    one_thread.close()


async def never_run() -> str:
    raise AssertionError("never run")


def test_a_coroutine_that_comes_too_late_is_closed() -> None:
    """Nobody can await it any more; Python warns of one that never was, and the tests take that for an error."""
    released, ended = threading.Event(), threading.Event()

    class Told:
        """Says when it is closed, as a coroutine is."""

        def __await__(self) -> Generator[Any, Any, str]:
            raise AssertionError("never awaited")

        def close(self) -> None:
            ended.set()

    def work() -> Told:
        released.wait(10)
        return Told()

    with pytest.raises(TimeoutError):
        bounded(work, 0.01)
    assert not ended.is_set()
    released.set()
    assert ended.wait(10)


def test_a_coroutine_that_comes_in_time_is_returned() -> None:
    coroutine = bounded(never_run, 10)
    coroutine.close()  # which it would be already


# Threads that are left alone


ABANDONED = "threads are still busy with what took too long and was given up"


class Hanging:
    """Work that does not end until it is released; it counts how many threads are at it."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.begun = 0
        self._lock = threading.Lock()

    def __call__(self) -> bool:
        with self._lock:
            self.begun += 1
        return self.released.wait(30)


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    monkeypatch.setattr(workers, "_abandoned", PerProcess(set[Future[Any]]))
    monkeypatch.setattr(workers, "MOST_ABANDONED", 3)
    work = Hanging()
    yield work
    work.released.set()


def in_a_loop(work: Callable[[], object], seconds: float) -> object:
    return asyncio.run(limited(work, seconds))


def cancelled(work: Callable[[], object], seconds: float) -> object:
    return asyncio.run(asyncio.wait_for(abandonable(work), seconds))


@pytest.mark.parametrize("leave", [bounded, in_a_loop, cancelled])
def test_threads_that_are_left_alone_do_not_pile_up(hanging: Hanging, leave: Callable[..., object]) -> None:
    """Beyond the bound nothing is begun, at once and in words, until some of them have ended."""
    for _ in range(3):
        with pytest.raises((TimeoutError, asyncio.TimeoutError)):
            leave(hanging, 0.01)
    for refused in (bounded, in_a_loop, cancelled):
        with pytest.raises(errors.PoolTimeout, match=f"^3 {ABANDONED}") as caught:
            refused(hanging, 10)
        assert caught.value.nothing_sent
        assert caught.value.retryable
    assert hanging.begun <= 3
    hanging.released.set()
    while True:  # a moment later the threads have ended
        with suppress(errors.PoolTimeout):
            assert bounded(lambda: "done", 10) == "done"
            break


def test_work_that_ends_in_time_is_not_counted(hanging: Hanging) -> None:
    for _ in range(10):
        assert bounded(lambda: 42, 10) == 42
        with pytest.raises(LookupError):
            bounded(failing, 10)
    with pytest.raises(TimeoutError):
        bounded(hanging, 0.01)


def failing() -> str:
    raise LookupError("no vault")


@pytest.mark.parametrize("wait", [lambda: bounded(failing, 10), lambda: result_of(in_thread(failing), 10)])
def test_a_failure_holds_no_frames(wait: Callable[[], str]) -> None:
    """It would hold the frames of the caller until the next collection."""

    class Held:
        """Something that a frame holds."""

    def fail() -> weakref.ref[Held]:
        held = Held()
        with pytest.raises(LookupError):
            wait()
        return weakref.ref(held)

    assert freed_at_once(fail)


# Futures


def test_a_future_is_waited_for() -> None:
    future = Future[int]()
    threading.Timer(0.01, future.set_result, (42,)).start()
    assert result_of(future, None) == 42


def test_a_future_that_takes_too_long_is_left_alone() -> None:
    future = Future[int]()
    with pytest.raises(TimeoutError, match=r"not done after 0\.01 s"):
        result_of(future, 0.01)
    assert not future.cancelled()


# Async


class Complaints:
    """What asyncio tells of failures that nobody has asked for."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run `main` in a loop of its own; nothing may be told of it."""

        async def listened() -> T:
            asyncio.get_running_loop().set_exception_handler(lambda _, context: self.told.append(context))
            return await main

        result = asyncio.run(listened())
        gc.collect()  # it is told by what is collected
        assert self.told == []
        return result


def run(main: Coroutine[Any, Any, T]) -> T:
    return Complaints().run(main)


def limited(work: Callable[[], Any], seconds: float) -> Coroutine[Any, Any, Any]:
    return bounded_async(work, seconds)


async def ready() -> str:
    await asyncio.sleep(0)
    return "ready"


class Callable_:  # noqa: N801 - the word is taken
    """An object that is called and awaited."""

    async def __call__(self) -> str:
        return await ready()


@pytest.mark.parametrize("work", [ready, functools.partial(ready), Callable_(), lambda: ready(), lambda: "ready"])
def test_what_is_awaitable_is_awaited(work: Callable[[], Awaitable[str] | str]) -> None:
    assert run(limited(work, 10)) == "ready"


def test_what_is_known_to_be_async_is_called_in_the_loop() -> None:
    """It may need the loop from its first line on."""
    assert [is_async(work) for work in (ready, functools.partial(ready), Callable_())] == [True] * 3
    assert not is_async(lambda: ready())


def test_a_plain_function_is_called_in_another_thread_with_the_callers_context() -> None:
    async def main() -> Any:
        VARIABLE.set("the task's")
        return await limited(lambda: (VARIABLE.get(), threading.get_ident()), 10)

    value, thread = run(main())
    assert value == "the task's"
    assert thread != threading.get_ident()


@pytest.mark.parametrize("work", [failing, lambda: failing_async(), lambda: bounded(failing, 10)])
def test_what_it_raises_is_raised(work: Callable[[], Any]) -> None:
    with pytest.raises(LookupError, match="no vault"):
        run(limited(work, 10))


async def failing_async() -> str:
    await asyncio.sleep(0)
    return failing()


def test_a_stop_iteration_is_an_error_like_others_in_a_loop_too() -> None:
    def work() -> str:
        raise StopIteration("early")

    with pytest.raises(RuntimeError, match="StopIteration was raised: early"):
        run(limited(work, 10))


class Stubborn:
    """A coroutine function that is told when it is cancelled, and goes on where it is to."""

    def __init__(self, goes_on: bool = False, fails: bool = False) -> None:
        self.cancelled = 0
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.goes_on = goes_on
        self.fails = fails
        self.ended = asyncio.Event()

    async def __call__(self) -> str:
        self.begun.set()
        try:
            while True:
                try:
                    await self.go_on.wait()
                    break
                except asyncio.CancelledError:
                    self.cancelled += 1
                    if not self.goes_on:
                        raise
            return failing() if self.fails else "at last"
        finally:
            self.ended.set()


def test_a_coroutine_that_takes_too_long_is_cancelled() -> None:
    async def main() -> int:
        work = Stubborn()
        with pytest.raises(TimeoutError, match=r"not done after 0\.0\d+ s"):
            await limited(work, 0.01)
        assert work.ended.is_set()
        return work.cancelled

    assert run(main()) == 1


@pytest.mark.parametrize("fails", [False, True])
def test_a_coroutine_that_will_not_be_cancelled_is_left_alone(fails: bool) -> None:
    """What comes of it then, nobody is told, and it is no failure that nobody has asked for."""

    async def main() -> int:
        work = Stubborn(goes_on=True, fails=fails)
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            await limited(work, 0.01)
        assert time.monotonic() - begun < 5
        assert not work.ended.is_set()
        work.go_on.set()
        await work.ended.wait()
        return work.cancelled

    assert run(main()) == 1


@pytest.mark.parametrize("fails", [False, True])
def test_a_coroutine_that_fails_when_it_is_cancelled_is_too_late(fails: bool) -> None:
    async def work() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return failing() if fails else "too late"
        raise AssertionError("unreachable")

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await limited(work, 0.01)

    run(main())


def test_a_caller_that_is_cancelled_cancels_the_coroutine() -> None:
    async def main() -> int:
        work = Stubborn()
        caller = asyncio.create_task(limited(work, 10))
        await work.begun.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert work.ended.is_set()
        return work.cancelled

    assert run(main()) == 1


def test_a_caller_that_is_cancelled_leaves_the_thread_alone() -> None:
    begun, released, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> str:
        begun.set()
        released.wait(10)
        ended.set()
        return failing()

    async def main() -> None:
        caller = asyncio.create_task(limited(work, 10))
        assert await asyncio.to_thread(begun.wait, 10)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        released.set()
        assert await asyncio.to_thread(ended.wait, 10)

    run(main())


@pytest.mark.parametrize("steps", range(8))
@pytest.mark.parametrize("kind", ["coroutine", "future"])
def test_a_failure_while_the_caller_is_cancelled_is_not_told_by_asyncio(kind: str, steps: int) -> None:
    """Whichever of the two comes first: the failure is nobody's then, and no accident either."""

    async def main() -> None:
        future, work = Future[str](), Stubborn(fails=True)
        future.set_running_or_notify_cancel()
        wait = limited(work, 10) if kind == "coroutine" else result_of_async(future, 10)
        caller = asyncio.create_task(wait)
        await (work.begun.wait() if kind == "coroutine" else asyncio.sleep(0))
        work.go_on.set()
        future.set_exception(LookupError("no vault"))
        for _ in range(steps):
            await asyncio.sleep(0)
        caller.cancel()
        with pytest.raises((asyncio.CancelledError, LookupError)):
            await caller

    run(main())


def test_a_coroutine_that_comes_too_late_to_be_awaited_is_closed() -> None:
    released, closed = threading.Event(), threading.Event()

    class Told:
        def __await__(self) -> Generator[Any, Any, str]:
            raise AssertionError("never awaited")

        def close(self) -> None:
            closed.set()

    def work() -> Told:
        released.wait(10)
        return Told()

    with pytest.raises(TimeoutError):
        run(limited(work, 0.01))
    released.set()
    assert closed.wait(10)


def test_a_call_that_is_closed_cancels_the_coroutine_and_waits_for_nothing() -> None:
    """As when its loop ends without it: what is closed cannot wait any more."""

    async def main() -> int:
        work = Stubborn()
        call = limited(work, 10)
        call.send(None)
        await work.begun.wait()
        call.close()
        await work.ended.wait()
        return work.cancelled

    assert run(main()) == 1


def test_many_tasks_wait_for_one_future() -> None:
    async def main() -> list[int]:
        future = Future[int]()
        future.set_running_or_notify_cancel()
        tasks = [asyncio.create_task(result_of_async(future, None)) for _ in range(20)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        threading.Thread(target=future.set_result, args=(42,)).start()
        return await asyncio.gather(*tasks[1:])

    assert run(main()) == [42] * 19


def test_a_task_that_waits_too_long_leaves_the_future_alone() -> None:
    future = Future[int]()
    future.set_running_or_notify_cancel()
    with pytest.raises(TimeoutError, match=r"not done after 0\.01 s"):
        run(result_of_async(future, 0.01))
    assert future.running()
    future.set_exception(LookupError("when the loop is closed"))


def test_a_thread_of_its_own_ends_with_its_work_and_has_the_callers_context() -> None:
    """It is not one of those that wait for more work."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("the caller's")
    seen: list[threading.Thread] = []

    def work() -> str:
        seen.append(threading.current_thread())
        return variable.get()

    assert once_in_thread(work).result(10) == "the caller's"
    [thread] = seen
    assert thread is not threading.current_thread()
    thread.join(10)
    assert not thread.is_alive()


def test_where_no_thread_starts_the_work_is_done_in_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert once_in_thread(threading.get_ident).result(0) == threading.get_ident()


# Interrupts


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this operating system has no such alarm")
@pytest.mark.parametrize("made", ["Future()", "Reply()"])
def test_an_interrupt_leaves_nothing_locked(made: str) -> None:
    """It may come between any two lines of Python code: also just when a condition's lock is taken."""
    program = f"""
import faulthandler, signal, sys, threading
from concurrent.futures import Future
from langcache.workers import Reply, result_of

faulthandler.dump_traceback_later(30, exit=True)
real = threading.Condition.__enter__


def interrupted(condition):
    real(condition)
    if sys._getframe(1).f_code.co_name == "wait":
        raise KeyboardInterrupt


def alarm(number, frame):
    raise KeyboardInterrupt


threading.Condition.__enter__ = interrupted
signal.signal(signal.SIGALRM, alarm)
future = {made}
signal.setitimer(signal.ITIMER_REAL, 0.02)
try:
    result_of(future, 60)
except KeyboardInterrupt:
    print("interrupted")
future.tell(7) if isinstance(future, Reply) else future.set_result(7)
print(future.result())
"""
    assert output_of(program) == ("interrupted\n7\n", "")


def test_what_is_told_comes_to_all_who_wait_and_who_come_later() -> None:
    reply: Reply[int] = Reply()
    told: list[int] = []
    threads = [threading.Thread(target=lambda: told.append(result_of(reply, 20))) for _ in range(5)]
    for thread in threads:
        thread.start()

    async def main() -> list[int]:
        waiting = asyncio.gather(*(result_of_async(reply, 20) for _ in range(5)))
        await asyncio.sleep(0)
        reply.tell(7)
        return [*await waiting, await result_of_async(reply, 20)]

    assert asyncio.run(main()) == [7] * 6
    for thread in threads:
        thread.join(20)
    assert told == [7] * 5
    assert (reply.done(), reply.wait(0)) == (True, 7)


def test_who_waits_too_long_for_a_reply_is_told_so_and_told_nothing_later() -> None:
    reply: Reply[int] = Reply()

    async def main() -> None:
        with pytest.raises(TimeoutError, match="not done after 0 s"):
            await result_of_async(reply, 0)
        task = asyncio.ensure_future(result_of_async(reply, None))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    with pytest.raises(TimeoutError, match="not done after 0 s"):
        result_of(reply, 0)
    reply.tell(7)  # though the loop is closed
    assert reply.result() == 7
