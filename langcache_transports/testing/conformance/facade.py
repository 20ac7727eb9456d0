"""An async transport behind the sync seam, so that every test is written once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from langcache.http import Request, Response
from langcache.transport import AsyncTransport

T = TypeVar("T")


class AsyncFacade:
    """Awaits each call in an event loop that runs in a thread of its own; threads may share it."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="langcache-conformance", daemon=True)
        self._thread.start()

    def send(self, request: Request) -> Response:
        """Await the transport's answer."""
        return self._await(self._transport.send(request))

    def close(self) -> None:
        """Await the end of the transport; `stop` ends the loop, so that a transport can be closed twice."""
        self._await(self._transport.aclose())

    def stop(self) -> None:
        """End the event loop and its thread."""
        self._await(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
