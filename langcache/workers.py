"""Threads of our own: they wait for what cannot be interrupted, so that the caller need not.

They are daemons, started as they are needed. The standard library's pool joins its threads when the process ends, so
that a silent server would hold up its end.
"""

from __future__ import annotations

import contextvars
import inspect
import queue
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

from .errors import ClientClosedError, PoolTimeout
from .processes import PerProcess

T = TypeVar("T")

IDLE_SECONDS = 30.0
"""How long a thread of `bounded` waits for something more to do."""

MOST_ABANDONED = 64
"""How many threads may be left alone with what does not end: a provider or a look-up that hangs, say."""

_GRACE = 0.01
"""How many seconds a cancelled coroutine has to tidy up before it is left alone."""


class Workers:
    """Daemon threads, `limit` at the most, or any number for None; further work waits its turn.

    A thread that had nothing to do for `idle` seconds ends, or none does where that is None.
    """

    def __init__(self, limit: int | None = None, idle: float | None = None) -> None:
        self._limit = limit
        self._idle_seconds = idle
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        # Reentrant: a signal's handler or a finalizer may submit something while its own thread has it.
        self._lock = threading.RLock()
        self._running = 0
        self._started = 0  # in all, for their names
        self._idle = 0  # threads that wait for work that nobody has submitted yet
        self._closed = False

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have a thread do `work`; the future carries what comes of it."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise ClientClosedError("This transport is closed")
            if self._idle:
                self._idle -= 1
            elif self._limit is None or self._running < self._limit:
                self._start()
            self._work.put((future, work))
        return future

    def _start(self) -> None:
        try:
            threading.Thread(target=self._serve, name=f"langcache-{self._started + 1}", daemon=True).start()
        except RuntimeError as error:  # the system has no more threads; those that run will do the work
            if not self._running:
                raise PoolTimeout("no thread can be started for the call") from error
        else:
            self._running += 1
            self._started += 1

    def close(self) -> None:
        """Fail the work that is not begun, and end the threads; a second time does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            while not self._work.empty():
                waiting = self._work.get()
                if waiting is not None and waiting[0].set_running_or_notify_cancel():
                    waiting[0].set_exception(ClientClosedError("The client was closed before this call was begun"))
            for _ in range(self._running):
                self._work.put(None)

    def _serve(self) -> None:
        while (item := self._next()) is not None:
            _perform(*item)
            del item  # or an idle thread would keep the last work and its result alive
            with self._lock:
                self._idle += 1

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        """Return what is to be done, or None where the thread is to end."""
        while True:
            try:
                return self._work.get(timeout=self._idle_seconds)
            except queue.Empty:  # noqa: PERF203 - once in many seconds
                with self._lock:
                    if self._idle:  # where none is idle, one has just been counted on: there is work for this one
                        self._idle -= 1
                        self._running -= 1
                        return None


def _perform(future: Future[T], work: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except StopIteration as error:  # PEP 479: an asyncio future cannot carry it, and would never be done
        future.set_exception(RuntimeError(f"StopIteration was raised: {error}"))
    except BaseException as error:  # noqa: BLE001 - it is raised where the future is awaited
        future.set_exception(error)
        del future  # the error's traceback holds this frame: with it, a reference cycle
    else:
        future.set_result(result)


_of_process = PerProcess(lambda: Workers(idle=IDLE_SECONDS))  # threads do not survive a fork


def in_thread(work: Callable[[], T]) -> Future[T]:
    """Do `work` in a thread, in a copy of the caller's context, and return the future of its result."""
    context = contextvars.copy_context()
    return _of_process.get().submit(lambda: context.run(work))


def once_in_thread(work: Callable[[], T]) -> Future[T]:
    """Do `work` in a thread that ends with it, in a copy of the caller's context; in the caller's where none starts."""
    future: Future[T] = Future()
    perform = partial(_perform, future, partial(contextvars.copy_context().run, work))
    try:
        threading.Thread(target=perform, name="langcache-once", daemon=True).start()
    except RuntimeError:  # the system has no more threads, or the interpreter ends
        perform()
    return future


def bounded(work: Callable[[], T], seconds: float) -> T:
    """Return what `work` returns, or raise TimeoutError after that many seconds.

    It is done in another thread, in a copy of the caller's context. Where it takes too long, the thread is left alone
    with it; what comes of it then, nobody is told. Where no thread can be started, as when the interpreter ends, it is
    done in the caller's, however long it takes. Where there are too many threads that were left alone, it is not done:
    PoolTimeout is raised.
    """
    begun = time.monotonic()
    _require_room()
    future = None
    with suppress(PoolTimeout):
        future = in_thread(work)
    if future is None:
        return work()
    try:
        # To start a thread takes time too: where there are hundreds, each waits for the others.
        return result_of(future, seconds, spent=time.monotonic() - begun)
    except BaseException:
        _abandon(future)
        raise
    finally:
        del future  # its exception's traceback holds this frame: with it, a reference cycle


_abandoned = PerProcess(set[Future[Any]])
"""What threads are left alone with."""


def _require_room() -> None:
    """Raise PoolTimeout where another thread cannot be afforded, which might have to be left alone like the others."""
    count = len(_abandoned.get())
    if count >= MOST_ABANDONED:
        raise PoolTimeout(
            f"{count} threads are still busy with what took too long and was given up, such as a key provider, a "
            "look-up of a host name or a transport that hangs; no more are started until some of them end"
        )


def _abandon(future: Future[Any]) -> None:
    """Cancel `future` where it is not begun; where it is, see to a coroutine that comes of it and nobody awaits."""
    if not future.cancel():
        abandoned = _abandoned.get()
        abandoned.add(future)
        future.add_done_callback(abandoned.discard)  # at once, where it is done by now
        future.add_done_callback(_close_result)


def _close_result(future: Future[Any]) -> None:
    if future.exception() is None:
        discard(future.result())


def discard(awaitable: object) -> None:
    """Close what was to be awaited and is not, where it has a `close`, or Python warns that it never was awaited."""
    close = getattr(awaitable, "close", None)
    if inspect.isawaitable(awaitable) and callable(close):
        close()


async def abandonable(work: Callable[[], T]) -> T:
    """Return what `work` returns, which is done in another thread, in a copy of the caller's context.

    Where the caller is cancelled, the thread is left alone with it. Where there are too many of those, PoolTimeout is
    raised.
    """
    _require_room()
    future = in_thread(work)
    try:
        return await result_of_async(future, None)
    except BaseException:
        _abandon(future)
        raise
    finally:
        del future


class Reply(Generic[T]):
    """What another thread tells, once, to who waits for it.

    A Future does the same with a lock in Python code. KeyboardInterrupt may come between any two lines of that, and
    leaves the lock taken: who tells the future hangs then, for ever. Nothing is locked here that an interrupt could
    leave so. A waiter that has given up is told nothing, and leaves nothing behind.
    """

    def __init__(self) -> None:
        self._told: list[T] = []
        self._wakers: list[Callable[[], object]] = []

    def done(self) -> bool:
        """Say whether it is told."""
        return bool(self._told)

    def result(self) -> T:
        """Return what was told; it is done."""
        return self._told[0]

    def tell(self, value: T) -> None:
        """Tell `value`; it is for one thread to do, and once."""
        self._told.append(value)  # before the waiters are looked at, and they look at it after they have come
        while self._wakers:
            self._wakers.pop()()

    def wait(self, seconds: float | None) -> T:
        """Return what is told, or raise TimeoutError after that many seconds; None is no limit."""
        gate = threading.Lock()
        gate.acquire()
        self._wakers.append(gate.release)
        if not self._told and not _passed(gate, seconds):
            raise TimeoutError(f"not done after {seconds} s")
        return self._told[0]

    async def wait_async(self, seconds: float | None) -> T:
        """The same for async programs."""
        import asyncio

        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop is closed, and with it who waited
                loop.call_soon_threadsafe(waiter.cancel)

        self._wakers.append(wake)
        if not self._told:
            await asyncio.wait([waiter], timeout=seconds)  # which does not mind that it is cancelled, even twice
        if not self._told:
            raise TimeoutError(f"not done after {seconds} s")
        return self._told[0]


def _passed(gate: threading.Lock, seconds: float | None) -> bool:
    """Wait until another thread releases `gate`, and say whether it has in that time; None is no limit."""
    return gate.acquire(timeout=-1 if seconds is None else min(max(seconds, 0.0), threading.TIMEOUT_MAX))


def result_of(future: Future[T] | Reply[T], seconds: float | None, spent: float = 0.0) -> T:
    """Return the result of `future`, or raise TimeoutError after that many seconds; None is no limit.

    So many of them are `spent` already, where it is no reply.
    """
    if isinstance(future, Reply):
        return future.wait(seconds)
    # Not future.result(timeout): its TimeoutError cannot be told from one that the work raised. And not an Event, whose
    # lock a KeyboardInterrupt can leave taken, so that whoever finishes or cancels the future would hang.
    gate = threading.Lock()
    gate.acquire()
    future.add_done_callback(lambda _: gate.release())
    if not _passed(gate, None if seconds is None else seconds - spent):
        raise TimeoutError(f"not done after {seconds} s")
    try:
        return future.result()
    finally:
        del future  # its exception's traceback holds this frame: with it, a reference cycle


async def bounded_async(work: Callable[[], Awaitable[T] | T], seconds: float) -> T:
    """Return what `work` returns, awaited where it is awaitable, or raise TimeoutError after that many seconds.

    A plain function is called in another thread, as by `bounded`, so that it cannot hold up the event loop; a
    coroutine is cancelled. Where there are too many threads that were left alone, PoolTimeout is raised.
    """
    begun = time.monotonic()
    value: Any
    if is_async(work):
        value = work()
    else:
        _require_room()
        future = in_thread(work)
        try:
            value = await result_of_async(future, seconds, spent=time.monotonic() - begun)
        except BaseException:
            _abandon(future)
            raise
        finally:
            del future
    return await awaited(value, seconds - (time.monotonic() - begun)) if inspect.isawaitable(value) else value


def is_timeout(error: BaseException) -> bool:
    """Say whether `error` is Python's word for the end of a time limit, of which there are three before Python 3.11."""
    asyncio_errors: Any = sys.modules.get("asyncio.exceptions")  # not imported: a sync program never needs it
    kinds = (TimeoutError, FutureTimeoutError)
    return isinstance(error, kinds) or (asyncio_errors is not None and isinstance(error, asyncio_errors.TimeoutError))


def is_in_asyncio() -> bool:
    """Say whether an event loop of asyncio's runs in this thread: async calls may be made on another library's too."""
    import asyncio  # on first use: a sync program never needs it

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def awaited(value: Awaitable[T], seconds: float) -> T:
    """Return what `value` gives, or cancel it after that many seconds, and raise TimeoutError."""
    import asyncio  # on first use: a sync program never needs it

    task = asyncio.ensure_future(value)
    grace = _GRACE
    try:
        # Neither asyncio.timeout, which needs Python 3.11, nor wait_for, which loses a cancellation before Python 3.12.
        await asyncio.wait([task], timeout=seconds)
        if task.done():
            return task.result()
        raise TimeoutError(f"not done after {seconds} s")
    except GeneratorExit:
        grace = 0.0  # who is closed cannot wait any more
        raise
    finally:
        try:
            is_cancelled = task.cancel()
        except RuntimeError:  # the event loop is closed, and the task with it
            is_cancelled = False
        if is_cancelled:
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else asks for it
            if grace:
                await asyncio.wait([task], timeout=grace)
        del task  # an exception's traceback holds this frame: without this, a failure would be a reference cycle


async def result_of_async(future: Future[T] | Reply[T], seconds: float | None, spent: float = 0.0) -> T:
    """The same as `result_of`, for async programs. A caller that is cancelled does not cancel a running future."""
    if isinstance(future, Reply):
        return await future.wait_async(seconds)
    import asyncio

    waiter = asyncio.wrap_future(future)
    try:
        await asyncio.wait([waiter], timeout=None if seconds is None else seconds - spent)
        if waiter.done():
            return waiter.result()
        raise TimeoutError(f"not done after {seconds} s")
    finally:
        waiter.cancel()
        del waiter, future


def is_async(work: Callable[[], object]) -> bool:
    """Say whether `work` is known to return a coroutine."""
    return inspect.iscoroutinefunction(work) or inspect.iscoroutinefunction(type(work).__call__)
