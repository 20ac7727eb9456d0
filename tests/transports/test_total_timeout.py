"""Whatever sends it, an attempt ends within 50 ms after its timeout, also where the answer drips."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiohttp
import httpx
import pytest
import requests
import urllib3

from langcache import AsyncTransport, Request, Transport, TransportOptions, errors
from langcache_transports.aiohttp.transport import AiohttpTransport
from langcache_transports.requests import RequestsTransport
from langcache_transports.supplied import AiohttpSession, AsyncHttpxClient, HttpxClient, RequestsSession, Urllib3Pool
from langcache_transports.testing import Conversation, FaultServer, faults
from langcache_transports.threaded import ThreadedTransport
from langcache_transports.urllib3 import Urllib3Transport
from tests.timing import fastest

TIMEOUT = 0.3  # seconds
LATEST = TIMEOUT + 0.05

Attempt = Callable[[Request], float]


def times_out(make: Callable[[], Transport]) -> Attempt:
    """Return what makes an attempt with a new transport, and says how long it took."""

    def attempt(request: Request) -> float:
        transport = make()
        begun = time.monotonic()
        with pytest.raises(errors.ReadTimeout):
            transport.send(request)
        took = time.monotonic() - begun
        transport.close()
        return took

    return attempt


def times_out_async(make: Callable[[], AsyncTransport]) -> Attempt:
    """The same for an async transport; it is made where the event loop runs."""

    async def main(request: Request) -> float:
        transport = make()
        begun = time.monotonic()
        with pytest.raises(errors.ReadTimeout):
            await transport.send(request)
        took = time.monotonic() - begun
        await transport.aclose()
        return took

    return lambda request: asyncio.run(main(request))


class OwnHttpx(AsyncHttpxClient):
    async def aclose(self) -> None:
        await self._client.aclose()


class OwnSession(AiohttpSession):
    async def aclose(self) -> None:
        await self._session.close()


ATTEMPTS = {
    "urllib3": times_out(lambda: Urllib3Transport(TransportOptions())),
    "requests": times_out(lambda: RequestsTransport(TransportOptions())),
    "threaded": times_out_async(lambda: ThreadedTransport(Urllib3Transport(TransportOptions()), 1)),
    "aiohttp": times_out_async(lambda: AiohttpTransport(TransportOptions())),
    "supplied httpx": times_out(lambda: HttpxClient(httpx.Client())),
    "supplied requests": times_out(lambda: RequestsSession(requests.Session())),
    "supplied urllib3": times_out(lambda: Urllib3Pool(urllib3.PoolManager())),
    "supplied requests in threads": times_out_async(lambda: ThreadedTransport(RequestsSession(requests.Session()), 4)),
    "supplied async httpx": times_out_async(lambda: OwnHttpx(httpx.AsyncClient())),
    "supplied aiohttp": times_out_async(lambda: OwnSession(aiohttp.ClientSession())),
}


@pytest.mark.parametrize("sender", ATTEMPTS)
@pytest.mark.parametrize("fault", [faults.dripping_headers, faults.dripping_chunks], ids=["headers", "chunks"])
def test_an_attempt_ends_at_the_latest_50_ms_after_its_timeout(sender: str, fault: Conversation) -> None:
    with FaultServer(fault) as server:
        request = Request("POST", f"{server.url}/", {}, b"{}", TIMEOUT, options={"timeout_ms": TIMEOUT * 1000})
        took = fastest(lambda: ATTEMPTS[sender](request), LATEST)
    assert TIMEOUT - 0.05 <= took <= LATEST
