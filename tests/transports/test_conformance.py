"""The built-in transports keep every promise of a transport, over real sockets."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from langcache import AsyncTransport, Transport, TransportOptions
from langcache_transports.aiohttp.transport import AiohttpTransport
from langcache_transports.requests import RequestsTransport
from langcache_transports.testing import AsyncTransportConformance, TransportConformance
from langcache_transports.threaded import ThreadedTransport
from langcache_transports.urllib3 import Urllib3Transport


class TestUrllib3(TransportConformance):
    def make_transport(self, options: TransportOptions) -> Transport:
        return Urllib3Transport(options)


class TestRequests(TransportConformance):
    def make_transport(self, options: TransportOptions) -> Transport:
        return RequestsTransport(options)


class TestAiohttp(AsyncTransportConformance):
    def make_transport(self, options: TransportOptions) -> AsyncTransport:
        return AiohttpTransport(options)


class TestAiohttpBySession(AsyncTransportConformance):
    """With a session, as where a program watches its requests."""

    @pytest.fixture(autouse=True)
    def _watched(self, monkeypatch: pytest.MonkeyPatch) -> None:
        original: Any = vars(aiohttp.ClientSession)["_request"]

        async def watched(*given: Any, **more: Any) -> Any:
            return await original(*given, **more)

        monkeypatch.setattr(aiohttp.ClientSession, "_request", watched)

    def make_transport(self, options: TransportOptions) -> AsyncTransport:
        return AiohttpTransport(options)


class _Owning(ThreadedTransport):
    """Closes the transport that it runs, which is otherwise its owner's to close."""

    def __init__(self, transport: Transport, threads: int) -> None:
        super().__init__(transport, threads)
        self._owned = transport

    async def aclose(self) -> None:
        await super().aclose()
        self._owned.close()


class TestThreaded(AsyncTransportConformance):
    def make_transport(self, options: TransportOptions) -> AsyncTransport:
        return _Owning(Urllib3Transport(options), options.pool_size)
