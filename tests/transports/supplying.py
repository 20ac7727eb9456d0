"""The callers' clients with which their tests make calls: of every library, bare and wrapped."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import aiohttp
import httpx
import pytest
import requests
import urllib3

from langcache import LangCache
from langcache.httpclient import AsyncHttpClient, HttpClient
from langcache_transports.testing import Certificates

CUSTOM = {"X-Custom-Header": "someValue"}

AUTHORITIES = ssl.create_default_context()
"""What httpx's clients are given, each of which would read the authorities anew: that takes longer than most tests."""


class WrappedClient(HttpClient):
    """A wrapper as the specification describes it, for sync calls."""

    client: httpx.Client

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def send(self, request: Any, *, stream: bool = False, auth: Any = None, follow_redirects: Any = False) -> Any:
        request.headers["Client-Level-Header"] = "added by client"
        return self.client.send(request, stream=stream, auth=auth, follow_redirects=follow_redirects)

    def build_request(self, method: str, url: Any, **arguments: Any) -> Any:
        return self.client.build_request(method, url, **arguments)

    def close(self) -> None:
        self.client.close()


class WrappedAsyncClient(AsyncHttpClient):
    """The same for async calls."""

    client: httpx.AsyncClient

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def send(self, request: Any, *, stream: bool = False, auth: Any = None, follow_redirects: Any = False) -> Any:
        request.headers["Client-Level-Header"] = "added by client"
        return await self.client.send(request, stream=stream, auth=auth, follow_redirects=follow_redirects)

    def build_request(self, method: str, url: Any, **arguments: Any) -> Any:
        return self.client.build_request(method, url, **arguments)

    async def aclose(self) -> None:
        await self.client.aclose()


def with_headers(session: requests.Session, headers: Mapping[str, str]) -> requests.Session:
    session.headers.update(headers)
    return session


MAKERS: dict[str, Callable[[Mapping[str, str]], Any]] = {
    "httpx": lambda headers: httpx.Client(headers=headers, verify=AUTHORITIES),
    "httpx wrapper": lambda headers: WrappedClient(httpx.Client(headers=headers, verify=AUTHORITIES)),
    "requests": lambda headers: with_headers(requests.Session(), headers),
    "urllib3": lambda headers: urllib3.PoolManager(headers=headers),
    "async httpx": lambda headers: httpx.AsyncClient(headers=headers, verify=AUTHORITIES),
    "async httpx wrapper": lambda headers: WrappedAsyncClient(httpx.AsyncClient(headers=headers, verify=AUTHORITIES)),
    # aiohttp keeps the cookies of an IP address only where it is told to.
    "async aiohttp": lambda headers: aiohttp.ClientSession(headers=headers, cookie_jar=aiohttp.CookieJar(unsafe=True)),
}


Prepare = Callable[[Any], object]


def call(
    kind: str,
    server_url: str,
    prepare: Prepare = lambda client: None,
    after: Prepare = lambda client: None,
    method: str = "search",
    settings: Mapping[str, Any] = MappingProxyType({}),
    **arguments: Any,
) -> Any:
    """Make a client of that kind, `prepare` it, make one call with it through LangCache, and do `after` with it."""
    given: dict[str, Any] = {"api_key": "k", "cache_id": "c", **settings}
    arguments = arguments or {"prompt": "p"}
    if kind.startswith("async "):
        return asyncio.run(call_async(kind, server_url, prepare, after, method, given, arguments))
    client = MAKERS[kind](CUSTOM)
    prepare(client)
    try:
        with LangCache(server_url, **given, client=client) as cache:
            result = getattr(cache, method)(**arguments)
        after(client)
        return result
    finally:
        (client.clear if isinstance(client, urllib3.PoolManager) else client.close)()


async def call_async(
    kind: str,
    server_url: str,
    prepare: Prepare,
    after: Prepare,
    method: str,
    given: dict[str, Any],
    arguments: dict[str, Any],
) -> Any:
    client = MAKERS[kind](CUSTOM)
    prepare(client)
    try:
        async with LangCache(server_url, **given, async_client=client) as cache:
            result = await getattr(cache, f"{method}_async")(**arguments)
        after(client)
        return result
    finally:
        await (getattr(client, "aclose", None) or client.close)()


every_kind = pytest.mark.parametrize("kind", MAKERS)


every_library = pytest.mark.parametrize("kind", ["httpx", "requests", "urllib3", "async httpx", "async aiohttp"])


def through(proxy: str) -> dict[str, Callable[[Mapping[str, str]], Any]]:
    """Return what makes clients that go through a proxy."""

    def session(headers: Mapping[str, str]) -> requests.Session:
        made = requests.Session()
        made.proxies.update(http=proxy, https=proxy)
        return made

    return {
        "httpx": lambda headers: httpx.Client(proxy=proxy),
        "requests": session,
        "urllib3": lambda headers: urllib3.ProxyManager(proxy),
        "async httpx": lambda headers: httpx.AsyncClient(proxy=proxy),
        "async aiohttp": lambda headers: aiohttp.ClientSession(proxy=proxy),
    }


def secured(certificates: Certificates, shown: bool) -> dict[str, Callable[[Mapping[str, str]], Any]]:
    """Return what makes clients that trust an authority of their owner's, and show a certificate or none."""
    context = ssl.create_default_context(cafile=certificates.ca)
    cert, key = certificates.client_files()
    if shown:
        context.load_cert_chain(cert, key)

    def session(headers: Mapping[str, str]) -> requests.Session:
        made = requests.Session()
        made.trust_env = False  # or a bundle of the environment would stand before the session's own
        made.verify, made.cert = certificates.ca, (cert, key) if shown else None
        return made

    return {
        "httpx": lambda headers: httpx.Client(verify=context),
        "requests": session,
        "urllib3": lambda headers: urllib3.PoolManager(ssl_context=context),
        "async httpx": lambda headers: httpx.AsyncClient(verify=context),
        "async aiohttp": lambda headers: aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)),
    }
