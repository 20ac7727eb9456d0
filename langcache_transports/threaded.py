"""Async calls over any sync transport: each runs in a thread of a bounded pool of its own."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from langcache.errors import ClientClosedError, PoolTimeout, ReadTimeout
from langcache.hookspecs import hookimpl
from langcache.http import Request, Response, display_url
from langcache.processes import PerProcess
from langcache.transport import Transport, TransportOptions

_GRACE = 0.05
"""How many seconds later than the transport we give up: its own error says better what was slow."""

Call = Callable[[], Response]


class ThreadedTransport:
    """Runs a sync transport's `send` in threads, at most `threads` at a time; further calls wait their turn.

    The wait for a thread counts for the attempt's timeout; where the transport knows another limit than the request's
    (its method ``limit(request)``, in seconds or None), that one holds. A cancelled call returns at once; its thread
    finishes the exchange, for as long as the timeout lets it, but keeps neither the client nor the process alive. The
    transport itself stays its owner's to close.
    """

    def __init__(self, transport: Transport, threads: int) -> None:
        self._transport = transport
        self._limit: Callable[[Request], float | None] = getattr(transport, "limit", _timeout)
        self._workers = PerProcess(lambda: _Workers(threads))  # threads do not survive a fork

    async def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        limit = self._limit(request)
        submitted = self._workers.get().submit(self._call(request, limit))
        future = asyncio.wrap_future(submitted)
        try:
            await asyncio.wait([future], timeout=None if limit is None else limit + _GRACE)
            if future.done():
                return future.result()
            kind = ReadTimeout if submitted.running() else PoolTimeout
            raise kind(f"{request.method} {display_url(request.url)}: nothing after {limit} s")
        finally:
            future.cancel()  # where it is not done, nobody waits for it any more
            # Its exception's traceback holds this frame: without this, a failed call would be a reference cycle.
            del future, submitted

    def _call(self, request: Request, limit: float | None) -> Call:
        """Return what a thread is to do: the exchange, in the caller's context and in the time that is then left."""
        context, transport, submitted = contextvars.copy_context(), self._transport, time.monotonic()

        def call() -> Response:
            left = request
            if limit is not None:
                seconds = limit - (time.monotonic() - submitted)
                if seconds <= 0:  # nobody waits for the answer any more, and a set must not be done unseen
                    raise PoolTimeout(f"{request.method} {display_url(request.url)}: no thread became free in time")
                left = request.with_timeout(seconds)
            try:
                return context.run(transport.send, left)
            except StopIteration as error:  # PEP 479: a future cannot carry it, and would never be done
                raise RuntimeError("the transport raised StopIteration") from error

        return call

    def close(self) -> None:
        """Let the threads end; calls that no thread has begun fail with ClientClosedError."""
        self._workers.get().close()

    async def aclose(self) -> None:
        """The same as `close`, which waits for nothing."""
        self.close()


def _timeout(request: Request) -> float | None:
    return request.timeout


class _Workers:
    """Daemon threads, started as they are needed and `limit` at the most.

    The standard library's pool joins its threads when the process ends, so that a silent server would hold up its end.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._calls: queue.SimpleQueue[tuple[Future[Response], Call] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._started = 0
        self._idle = 0  # threads that wait for a call that nobody has submitted yet
        self._closed = False

    def submit(self, call: Call) -> Future[Response]:
        """Have a thread do `call`; the future carries what comes of it."""
        future: Future[Response] = Future()
        with self._lock:
            if self._closed:
                raise ClientClosedError("This transport is closed")
            if self._idle:
                self._idle -= 1
            elif self._started < self._limit:
                self._start()
            self._calls.put((future, call))
        return future

    def _start(self) -> None:
        try:
            threading.Thread(target=self._work, name=f"langcache-{self._started + 1}", daemon=True).start()
        except RuntimeError as error:  # the system has no more threads; those that run will do the call
            if not self._started:
                raise PoolTimeout("no thread can be started for the call") from error
        else:
            self._started += 1

    def close(self) -> None:
        """Fail the calls that are not begun, and end the threads; a second time does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            while not self._calls.empty():
                waiting = self._calls.get()
                if waiting is not None and waiting[0].set_running_or_notify_cancel():
                    waiting[0].set_exception(ClientClosedError("The client was closed before this call was begun"))
            for _ in range(self._started):
                self._calls.put(None)

    def _work(self) -> None:
        while (item := self._calls.get()) is not None:
            _perform(*item)
            del item  # or an idle thread would keep the last call and its answer alive
            with self._lock:
                self._idle += 1


def _perform(future: Future[Response], call: Call) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        response = call()
    except BaseException as error:  # noqa: BLE001 - it is raised where the future is awaited
        future.set_exception(error)
        del future  # the error's traceback holds this frame: with it, a reference cycle
    else:
        future.set_result(response)


@hookimpl
def langcache_async_transport(
    name: str, options: TransportOptions, transport: Transport | None
) -> ThreadedTransport | None:
    """Answer to "threaded" where there is a sync transport to run."""
    return ThreadedTransport(transport, options.pool_size) if name == "threaded" and transport is not None else None
