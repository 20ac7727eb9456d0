"""Wherever a call hangs, it ends within 50 ms after its deadline, also with a client of the caller's."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import urllib3

from langcache import LangCache, errors
from langcache_transports.testing import FaultServer, faults
from tests.timing import fastest
from tests.transports.programs import output_of
from tests.transports.supplying import MAKERS, through

DEADLINE = 0.3  # seconds
LATEST = DEADLINE + 0.05

OWN: dict[str, dict[str, Any]] = {
    "our urllib3": {"transport": "urllib3"},
    "our requests": {"transport": "requests"},
    "async our aiohttp": {"async_transport": "aiohttp"},
    "async our threads": {"async_transport": "threaded"},
}
KINDS = [*OWN, "httpx", "requests", "urllib3", "async httpx", "async aiohttp"]


def took(kind: str, url: str, proxy: str | None, after: Callable[[], object]) -> float:
    """Make a search that does not end by itself, do what is to be done `after` it, and return how long it took."""
    if kind.startswith("async "):
        return asyncio.run(_took_async(kind, url, proxy, after))
    client = None if kind in OWN else (MAKERS if proxy is None else through(proxy))[kind]({})
    with LangCache(url, "k", "c", **_arguments(kind, proxy, client=client)) as cache:
        begun = time.monotonic()
        with pytest.raises(errors.TimeoutException):
            cache.search(prompt="p")
        seconds = time.monotonic() - begun
        after()
    if client is not None:
        (client.clear if isinstance(client, urllib3.PoolManager) else client.close)()
    return seconds


async def _took_async(kind: str, url: str, proxy: str | None, after: Callable[[], object]) -> float:
    client = None if kind in OWN else (MAKERS if proxy is None else through(proxy))[kind]({})
    async with LangCache(url, "k", "c", **_arguments(kind, proxy, async_client=client)) as cache:
        begun = time.monotonic()
        with pytest.raises(errors.TimeoutException):
            await cache.search_async(prompt="p")
        seconds = time.monotonic() - begun
        after()  # or asyncio would wait for its thread when the event loop ends
    if client is not None:
        close: Callable[[], Awaitable[None]] = getattr(client, "aclose", None) or client.close
        await close()
    return seconds


def _arguments(kind: str, proxy: str | None, **client: Any) -> dict[str, Any]:
    arguments = {"deadline_ms": DEADLINE * 1000}
    if kind not in OWN:
        return {**arguments, **client}
    return {**arguments, **OWN[kind], **({} if proxy is None else {"proxy": proxy})}


def is_in_time(attempt: Callable[[], float]) -> bool:
    """Say whether an attempt takes as long as its deadline."""
    return DEADLINE - 0.05 <= fastest(attempt, LATEST) <= LATEST


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_ends_at_its_deadline_in_a_handshake_of_tls_that_hangs(kind: str) -> None:
    with FaultServer(faults.mute) as server:
        url = server.url.replace("http:", "https:")
        assert is_in_time(lambda: took(kind, url, None, after=lambda: None))
        assert server.connections > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_ends_at_its_deadline_in_a_tunnel_of_a_proxy_that_hangs(kind: str) -> None:
    with FaultServer(faults.silent) as proxy:
        assert is_in_time(lambda: took(kind, "https://cache.invalid", proxy.url, after=lambda: None))
        assert proxy.requests[0].method == "CONNECT"


@pytest.fixture
def hanging_lookup(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Have the system's look-up of a name wait until the event is set."""
    known, released = socket.getaddrinfo, threading.Event()

    def look_up(host: Any, *arguments: Any, **hints: Any) -> Any:
        if host in ("cache.invalid", b"cache.invalid"):
            released.wait(30)
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return known(host, *arguments, **hints)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield released
    released.set()


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_ends_at_its_deadline_in_a_lookup_that_hangs(kind: str, hanging_lookup: threading.Event) -> None:
    def attempt() -> float:
        hanging_lookup.clear()
        return took(kind, "http://cache.invalid", None, after=hanging_lookup.set)

    assert is_in_time(attempt)


FIRST_CALL = """
import asyncio, socket, time
from langcache import LangCache, errors

listening = socket.create_server(("127.0.0.1", 0))
url = f"http://127.0.0.1:{listening.getsockname()[1]}"
client = LangCache(url, "k", "c", deadline_ms=1_000, trust_env=False, ARGUMENTS)
begun = time.monotonic()
try:
    CALL
except errors.DeadlineExceeded:
    print(time.monotonic() - begun)
"""
SYNC_CALL, ASYNC_CALL = 'client.search(prompt="p")', 'asyncio.run(client.search_async(prompt="p"))'


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        ('transport="urllib3"', SYNC_CALL),
        ('transport="requests"', SYNC_CALL),
        ('async_transport="threaded"', ASYNC_CALL),
        ('async_transport="aiohttp"', ASYNC_CALL),
    ],
)
def test_the_first_call_of_a_process_ends_at_its_deadline(arguments: str, call: str) -> None:
    """What it loads first, the models and perhaps an HTTP library, is a part of its time."""
    program = FIRST_CALL.replace("ARGUMENTS", arguments).replace("CALL", call)
    assert 0.95 <= fastest(lambda: float(output_of(program)[0]), 1.05) <= 1.05
