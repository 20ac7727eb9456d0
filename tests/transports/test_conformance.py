"""The built-in transports keep every promise of a transport, over real sockets."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
import requests
import urllib3

from langcache import AsyncTransport, Transport, TransportOptions
from langcache_transports.aiohttp.transport import AiohttpTransport
from langcache_transports.requests import RequestsTransport
from langcache_transports.supplied import langcache_transport
from langcache_transports.testing import AsyncTransportConformance, TransportConformance
from langcache_transports.testing.conformance.failures import Failures
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


class _Supplied(Failures):
    """What becomes of failures with a client of the caller's; how it connects and reads is its own matter."""

    unsupported = frozenset({"strict_framing", "content_coding"})

    def make_client(self) -> Any:
        raise NotImplementedError

    def _made(self, options: TransportOptions) -> Transport:
        client = self.make_client()
        made = langcache_transport("supplied", replace(options, client=client))
        assert made is not None
        return _ClosingClient(made, getattr(client, "clear", None) or client.close)


class _ClosingClient:
    """Closes the caller's client, as the caller would."""

    def __init__(self, transport: Transport, close: Callable[[], None]) -> None:
        self.send = transport.send
        self.close = close


class TestSuppliedRequests(_Supplied):
    def make_client(self) -> Any:
        return requests.Session()


class TestSuppliedUrllib3(_Supplied):
    def make_client(self) -> Any:
        return urllib3.PoolManager(headers={"Accept-Encoding": "gzip, deflate"})


_AUTHORITIES = ssl.create_default_context()  # each client would read them anew


class TestSuppliedHttpx(_Supplied):
    @pytest.mark.parametrize("url", ["ftp://cache.example/", "http://[::1/"])
    def test_a_url_that_leads_nowhere_is_a_configuration_error(self, transport: Transport, url: str) -> None:
        """For a host that no name can be httpx raises Python's own UnicodeError, which could be a hook's."""
        super().test_a_url_that_leads_nowhere_is_a_configuration_error(transport, url)

    def make_client(self) -> Any:
        return httpx.Client(verify=_AUTHORITIES)
