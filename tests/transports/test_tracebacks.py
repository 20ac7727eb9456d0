"""A traceback with the variables of its frames, as error trackers make it, shows no key and no password of a proxy.

And what forgets them is not in the way of the call that follows.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import httpx
import pytest
import requests
import urllib3

from langcache import BackoffStrategy, LangCache, Request, RetryConfig, TransportOptions, errors
from langcache_transports.requests import RequestsTransport
from langcache_transports.supplied import HttpxClient, RequestsSession, Urllib3Pool
from langcache_transports.testing import Conversation, FaultServer, ForwardProxy, faults
from langcache_transports.urllib3 import Urllib3Transport
from tests.transports.in_loop import AiohttpInLoop

SECRET = "canary-in-a-coal-mine"  # noqa: S105 - it protects nothing
SECRETS = (SECRET, base64.b64encode(f"user:{SECRET}".encode()).decode())

KEYS: dict[str, Any] = {
    "string": SECRET,
    "provider": lambda: SECRET,
    "wrong string": f"{SECRET}\n",
    "wrong provider": lambda: f"{SECRET}\n",
}

OPTIONS: dict[str, dict[str, Any]] = {
    "urllib3": {"transport": "urllib3"},
    "requests": {"transport": "requests"},
    "threaded": {"transport": "urllib3", "async_transport": "threaded"},
    "aiohttp": {"async_transport": "aiohttp"},
}
CLIENTS: dict[str, Callable[[], Any]] = {
    "httpx": httpx.Client,
    "requests.Session": requests.Session,
    "urllib3.PoolManager": urllib3.PoolManager,
    "async httpx": httpx.AsyncClient,
    "aiohttp.ClientSession": aiohttp.ClientSession,
}
SYNC = ["urllib3", "requests", "httpx", "requests.Session", "urllib3.PoolManager"]
ASYNC = ["threaded", "aiohttp", "async httpx", "aiohttp.ClientSession"]
FOUND = faults.response(b'{"data":[]}', headers=[("Content-Type", "application/json")])


def search(sender: str, url: str, key: str = "string", **options: Any) -> object:
    """Make one call; nothing here has a variable with the key in it."""
    given: dict[str, Any] = {"timeout_ms": 300, "trust_env": False, **OPTIONS.get(sender, {}), **options}
    if sender in ASYNC:
        return asyncio.run(search_async(sender, url, key, given))
    client = CLIENTS[sender]() if sender in CLIENTS else None
    try:
        with LangCache(url, KEYS[key], "c", client=client, **given) as cache:
            return cache.search(prompt="p").data
    finally:
        if client is not None:
            (getattr(client, "clear", None) or client.close)()


async def search_async(sender: str, url: str, key: str, given: dict[str, Any]) -> object:
    client = CLIENTS[sender]() if sender in CLIENTS else None
    try:
        async with LangCache(url, KEYS[key], "c", async_client=client, **given) as cache:
            return (await cache.search_async(prompt="p")).data
    finally:
        if client is not None:
            await (getattr(client, "aclose", None) or client.close)()


def variables(told: traceback.TracebackException | None) -> Iterator[str]:
    """Give the variables of all frames but those of the program, which knows its secrets, also of what is not shown."""
    if told is not None:
        for frame in told.stack:
            for name, value in () if frame.filename == __file__ else (frame.locals or {}).items():
                yield f"{frame.filename}:{frame.lineno} {frame.name} {name}={value}"
        for behind in (told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())):
            yield from variables(behind)


def secrets_of(error: BaseException) -> list[str]:
    """Return where a traceback shows a secret."""
    lines = list(variables(traceback.TracebackException.from_exception(error, capture_locals=True)))
    assert any("/langcache/client.py:" in line for line in lines), "our own frames do have variables"
    return [line for line in (*lines, *traceback.format_exception(error)) if any(each in line for each in SECRETS)]


FAULTS: dict[str, Conversation | None] = {
    "not there": None,
    "resets": faults.reset_before_answer,
    "breaks off": faults.close_within_body,
    "drips": faults.dripping_body,
    "sends no HTTP": faults.not_http,
    "refuses": faults.answer(faults.response(b'{"title":"no"}', status="401 Unauthorized")),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("sender", SYNC + ASYNC)
def test_a_traceback_shows_no_key(sender: str, fault: str) -> None:
    with FaultServer(FAULTS[fault] or faults.OK) as server:
        if FAULTS[fault] is None:
            server.stop()
        with pytest.raises(errors.LangCacheError) as caught:
            search(sender, server.url)
    assert secrets_of(caught.value) == []


@pytest.mark.parametrize("sender", SYNC + ASYNC)
def test_a_traceback_shows_no_key_of_a_provider(sender: str) -> None:
    with FaultServer(faults.reset_before_answer) as server, pytest.raises(errors.ReadError) as caught:
        search(sender, server.url, "provider")
    assert secrets_of(caught.value) == []


@pytest.mark.parametrize("sender", ["urllib3", "threaded"])
@pytest.mark.parametrize("key", ["wrong string", "wrong provider"])
def test_a_traceback_shows_no_key_that_cannot_be_sent(sender: str, key: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="The API key contains a line break") as caught:
        search(sender, "http://cache.example", key)
    assert secrets_of(caught.value) == []


def test_a_traceback_of_the_constructor_shows_no_key() -> None:
    with pytest.raises(errors.ConfigurationError) as caught:
        LangCache("http://cache.example", KEYS["string"], "c", transport="none such")
    assert secrets_of(caught.value) == []


# Proxies


def nobody() -> str:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


def with_password(proxy: str, scheme: str = "http") -> dict[str, str]:
    return {"proxy": proxy.replace("http://", f"{scheme}://user:{SECRET}@")}


@pytest.mark.parametrize("url", ["http://cache.invalid", "https://cache.invalid"])
@pytest.mark.parametrize("sender", ["urllib3", "requests", "threaded", "aiohttp"])
@pytest.mark.parametrize("fault", ["not there", "resets", "drips", "sends no HTTP", "refuses"])
def test_a_traceback_shows_no_password_of_a_proxy(sender: str, url: str, fault: str) -> None:
    if fault == "refuses":
        with ForwardProxy("somebody", "else") as proxy, pytest.raises(errors.RequestError) as caught:
            search(sender, url, **with_password(proxy.url))
    else:
        with FaultServer(FAULTS[fault] or faults.OK) as server:
            place = nobody() if FAULTS[fault] is None else server.url
            with pytest.raises(errors.RequestError) as caught:
                search(sender, url, **with_password(place))
    assert secrets_of(caught.value) == []


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4"])
@pytest.mark.parametrize("fault", ["not there", "resets", "drips", "sends no HTTP"])
def test_a_traceback_shows_no_password_of_a_socks_proxy(scheme: str, fault: str) -> None:
    with FaultServer(FAULTS[fault] or faults.OK) as server:
        place = nobody() if FAULTS[fault] is None else server.url
        with pytest.raises(errors.RequestError) as caught:
            search("urllib3", "http://127.0.0.1:9", **with_password(place, scheme))
    assert secrets_of(caught.value) == []


@pytest.mark.parametrize("sender", ["urllib3", "requests", "aiohttp"])
def test_a_traceback_shows_no_password_of_a_proxy_of_the_environment(
    sender: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have a form that no URL has, or lack what it needs."""
    monkeypatch.setenv("http_proxy", f"http://user:{SECRET}@proxy.example:not-a-port")
    with pytest.raises(errors.ConfigurationError) as caught:
        search(sender, "http://cache.invalid", trust_env=True)
    assert secrets_of(caught.value) == []


# The next attempt

AGAIN = RetryConfig("backoff", BackoffStrategy(1, 1, 1, 10_000), retry_connection_errors=True)


@pytest.mark.parametrize("fault", ["resets", "drips", "sends no HTTP"])
@pytest.mark.parametrize("sender", SYNC + ASYNC)
def test_a_call_is_repeated_after_such_an_error(sender: str, fault: str) -> None:
    """The middleware that repeats it is a generator which waits meanwhile, and goes on."""
    conversation = FAULTS[fault]
    assert conversation is not None
    with FaultServer(conversation, FOUND) as server:
        if fault == "sends no HTTP":
            with pytest.raises(errors.RemoteProtocolError):
                search(sender, server.url, retry_config=AGAIN)
        assert search(sender, server.url, retry_config=AGAIN) == []
        assert server.connections == 2


TRANSPORTS: dict[str, Callable[[], Any]] = {
    "urllib3": lambda: Urllib3Transport(TransportOptions()),
    "requests": lambda: RequestsTransport(TransportOptions()),
    "aiohttp": lambda: AiohttpInLoop(TransportOptions()),
    "httpx": lambda: HttpxClient(httpx.Client()),
    "requests.Session": lambda: RequestsSession(requests.Session()),
    "urllib3.PoolManager": lambda: Urllib3Pool(urllib3.PoolManager()),
}


@pytest.mark.parametrize("sender", TRANSPORTS)
@pytest.mark.parametrize("wrong", ["\u2603", "\r\nX: y"], ids=["a snowman", "a line break"])
def test_a_traceback_shows_no_header_that_http_cannot_carry(sender: str, wrong: str) -> None:
    """The libraries' own texts do, or those of what encodes their headers."""
    transport = TRANSPORTS[sender]()
    with FaultServer(FOUND) as server:
        request = Request("POST", server.url, {"X-Name": "\xe4", "Authorization": f"Bearer {SECRET}{wrong}"}, b"{}", 5)
        with pytest.raises(errors.ConfigurationError) as caught:
            transport.send(request)
    transport.close()
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("impatient", [True, False], ids=["the program's own limit", "cancelled"])
@pytest.mark.parametrize("sender", ["threaded", "aiohttp"])
def test_a_traceback_of_a_cancellation_shows_no_key(sender: str, impatient: bool) -> None:
    async def cancelled(server: FaultServer) -> BaseException:
        call = asyncio.ensure_future(
            search_async(sender, server.url, "string", {**OPTIONS[sender], "trust_env": False})
        )
        assert await asyncio.to_thread(server.wait_for_requests, 1)
        if impatient:
            with pytest.raises(asyncio.TimeoutError) as late:
                await asyncio.wait_for(call, 0.01)
            return late.value
        call.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await call
        return caught.value

    with FaultServer(faults.silent) as server:
        error = asyncio.run(cancelled(server))
        assert len(server.requests) == 1
    assert secrets_of(error) == []
