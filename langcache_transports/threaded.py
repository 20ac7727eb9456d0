"""Async calls over any sync transport: each runs in a thread of a bounded pool of its own."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable
from typing import Final

from langcache.errors import PoolTimeout, ReadTimeout
from langcache.hookspecs import hookimpl
from langcache.http import Request, Response, display_url
from langcache.processes import PerProcess
from langcache.transport import Transport, TransportOptions
from langcache.workers import Workers

_GRACE = 0.02
"""How many seconds later than the transport we give up: its own error says better what was slow."""

Call = Callable[[], Response]


class ThreadedTransport:
    """Runs a sync transport's `send` in threads, at most `threads` at a time; further calls wait their turn.

    The wait for a thread counts for the attempt's timeout; where the transport knows another limit than the request's
    (its method ``limit(request)``, in seconds or None), that one holds. A cancelled call returns at once; its thread
    finishes the exchange, for as long as the timeout lets it, but keeps neither the client nor the process alive. The
    transport itself stays its owner's to close.
    """

    ends_in_time: Final = True
    """Whatever happens; see `langcache.sending`."""

    def __init__(self, transport: Transport, threads: int) -> None:
        self._transport = transport
        self._limit: Callable[[Request], float | None] = getattr(transport, "limit", _timeout)
        self._workers = PerProcess(lambda: Workers(threads))  # threads do not survive a fork

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
            return context.run(transport.send, left)

        return call

    def close(self) -> None:
        """Let the threads end; calls that no thread has begun fail with ClientClosedError."""
        self._workers.get().close()

    async def aclose(self) -> None:
        """The same as `close`, which waits for nothing."""
        self.close()


def _timeout(request: Request) -> float | None:
    return request.timeout


@hookimpl
def langcache_async_transport(
    name: str, options: TransportOptions, transport: Transport | None
) -> ThreadedTransport | None:
    """Answer to "threaded" where there is a sync transport to run."""
    return ThreadedTransport(transport, options.pool_size) if name == "threaded" and transport is not None else None
