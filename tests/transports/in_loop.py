"""An async transport as a sync one, so that the same tests run over both."""

from __future__ import annotations

import asyncio
import threading

from langcache import Request, Response, TransportOptions
from langcache_transports.aiohttp.transport import AiohttpTransport


class AiohttpInLoop:
    """The transport on aiohttp, in an event loop that runs in a thread of its own."""

    def __init__(self, options: TransportOptions) -> None:
        self.transport = AiohttpTransport(options)
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        self.loop.run_forever()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        return asyncio.run_coroutine_threadsafe(self.transport.send(request), self.loop).result()

    def close(self) -> None:
        """Close the transport and its loop."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self.transport.aclose(), self.loop).result()
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
