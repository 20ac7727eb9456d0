"""What is promised of transports is kept with the caller's own clients too, but for what is a matter of their library.

The clients are set up as the promises want them where that is their owner's choice: they keep no cookies, look at no
variables of the environment, and keep as many connections as they are told.
"""

from __future__ import annotations

from dataclasses import replace
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any
from unittest.mock import create_autospec

import aiohttp
import httpx
import requests
import urllib3
from requests.adapters import HTTPAdapter

from langcache import AsyncTransport, Request, Response, Transport, TransportOptions
from langcache_transports.supplied import langcache_async_transport, langcache_transport
from langcache_transports.testing import AsyncTransportConformance, TransportConformance
from langcache_transports.testing.conformance import OPTIONS

_NO_COOKIES = DefaultCookiePolicy(allowed_domains=[])

_HTTP_CLIENT = frozenset({"strict_framing", "exact_target", "interim_answers"})
"""Python's http.client takes headers that are cut off for complete, a length that is none for no length, and an early
hint for the answer; urllib3 and requests tidy up the path."""

_NO_COMMON = frozenset({"repeats_stale", "strict_coding"})
"""Only aiohttp repeats by itself, and no library minds a compressed body that is cut off."""


def limited(request: Request) -> Request:
    """Return the request of a caller who has set its timeout; 0 is none."""
    return replace(request, options={"timeout_ms": (request.timeout or 0) * 1000})


class _Owned:
    """Closes the client, as its owner would."""

    def __init__(self, transport: Transport, client: Any) -> None:
        self._transport = transport
        self.close = getattr(client, "clear", None) or client.close

    def send(self, request: Request) -> Response:
        return self._transport.send(limited(request))


class _Supplied(TransportConformance):
    def make_client(self, size: int) -> Any:
        """Return a client that keeps up to `size` connections."""
        raise NotImplementedError

    def make_transport(self, options: TransportOptions) -> Transport:
        client = self.make_client(options.pool_size)
        made = langcache_transport("supplied", replace(options, client=client))
        assert made is not None
        return _Owned(made, client)


class TestRequestsSession(_Supplied):
    unsupported = OPTIONS | _HTTP_CLIENT | _NO_COMMON

    def make_client(self, size: int) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.cookies.set_policy(_NO_COOKIES)
        session.mount("http://", HTTPAdapter(pool_maxsize=size))
        return session


class TestPoolManager(_Supplied):
    unsupported = OPTIONS | _HTTP_CLIENT | _NO_COMMON

    def make_client(self, size: int) -> urllib3.PoolManager:
        return urllib3.PoolManager(maxsize=size, headers={"Accept-Encoding": "gzip, deflate"})


_HTTPX = frozenset({"exact_target", "surplus_bytes"})
"""httpx removes dot segments, and takes a second answer that comes with the first for that of the next request."""


class TestHttpxClient(_Supplied):
    unsupported = OPTIONS | _HTTPX | _NO_COMMON

    def make_client(self, size: int) -> httpx.Client:
        limits = httpx.Limits(max_keepalive_connections=size)
        return httpx.Client(trust_env=False, cookies=CookieJar(_NO_COOKIES), limits=limits)


class _OfOneLoop:
    """Makes the client in the event loop that uses it first, and closes it there, as its owner would."""

    def __init__(self, suite: _SuppliedAsync, options: TransportOptions) -> None:
        self._suite = suite
        self._options = options
        self._client: Any = None
        self._adapted(create_autospec(httpx.AsyncClient, instance=True))  # refuses options at once

    async def send(self, request: Request) -> Response:
        if self._client is None:
            self._client = self._suite.make_client(self._options.pool_size)
        return await self._adapted(self._client).send(limited(request))

    async def aclose(self) -> None:
        if self._client is not None:
            await (getattr(self._client, "aclose", None) or self._client.close)()

    def _adapted(self, client: Any) -> AsyncTransport:
        made = langcache_async_transport("supplied", replace(self._options, async_client=client))
        assert made is not None
        return made


class _SuppliedAsync(AsyncTransportConformance):
    def make_client(self, size: int) -> Any:
        """Return a client that keeps up to `size` connections; an event loop runs."""
        raise NotImplementedError

    def make_transport(self, options: TransportOptions) -> AsyncTransport:
        return _OfOneLoop(self, options)


class TestHttpxAsyncClient(_SuppliedAsync):
    unsupported = OPTIONS | _HTTPX | _NO_COMMON | {"several_loops"}

    def make_client(self, size: int) -> httpx.AsyncClient:
        limits = httpx.Limits(max_keepalive_connections=size)
        return httpx.AsyncClient(trust_env=False, cookies=CookieJar(_NO_COOKIES), limits=limits)


class TestAiohttpSession(_SuppliedAsync):
    # aiohttp repeats a GET and a DELETE on new connections too, takes what comes unasked for the next request's answer,
    # and sends headers as UTF-8.
    unsupported = OPTIONS | {
        "several_loops",
        "repeats_nothing_else",
        "unasked_bytes",
        "latin_headers",
        "strict_coding",
    }

    def make_client(self, size: int) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=size))
