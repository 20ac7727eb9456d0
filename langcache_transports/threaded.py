"""Async calls over any sync transport: each runs in a thread of a bounded pool of its own."""

from __future__ import annotations

import asyncio
import contextvars
from concurrent.futures import ThreadPoolExecutor

from langcache.errors import ClientClosedError
from langcache.hookspecs import hookimpl
from langcache.http import Request, Response
from langcache.transport import Transport, TransportOptions


class ThreadedTransport:
    """Runs a sync transport's `send` in threads, at most `threads` at a time; further calls wait their turn.

    A cancelled call returns at once. Its thread finishes the exchange, for as long as the attempt's timeout lets it.
    The transport itself stays its owner's to close.
    """

    def __init__(self, transport: Transport, threads: int) -> None:
        self._transport = transport
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="langcache")

    async def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        context = contextvars.copy_context()
        try:
            future = self._executor.submit(context.run, self._transport.send, request)
        except RuntimeError as error:
            raise ClientClosedError("This transport is closed") from error
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let the threads end; calls that no thread has begun are cancelled."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def aclose(self) -> None:
        """The same as `close`, which waits for nothing."""
        self.close()


@hookimpl
def langcache_async_transport(
    name: str, options: TransportOptions, transport: Transport | None
) -> ThreadedTransport | None:
    """Answer to "threaded" where there is a sync transport to run."""
    return ThreadedTransport(transport, options.pool_size) if name == "threaded" and transport is not None else None
