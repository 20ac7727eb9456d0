"""The system's look-up of a host name cannot be interrupted, and may take long; the timeout of an attempt holds."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from langcache import Request, TransportOptions, errors, workers
from langcache.processes import PerProcess
from langcache_transports.aiohttp.transport import AiohttpTransport
from langcache_transports.pooling.names import is_address
from langcache_transports.testing import FaultServer, faults
from langcache_transports.testing.server import Connection
from tests.transports.making import Make

NAME = "cache.example"
REQUEST = Request("POST", f"http://{NAME}/", content=b"{}")


class LookUp:
    """Stands in for the system's: it knows one name, and can be told to say nothing of it."""

    def __init__(self) -> None:
        self._known = socket.getaddrinfo
        self.answers = threading.Event()
        self.answers.set()
        self.threads: list[threading.Thread] = []

    def __call__(self, host: Any, *arguments: Any, **hints: Any) -> Any:
        if host == NAME:
            self.threads.append(threading.current_thread())
            self.answers.wait(30)
        return self._known("127.0.0.1" if host == NAME else host, *arguments, **hints)


@pytest.fixture
def look_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[LookUp]:
    made = LookUp()
    monkeypatch.setattr(socket, "getaddrinfo", made)
    yield made
    made.answers.set()


def named(server: FaultServer) -> str:
    return server.url.replace("127.0.0.1", NAME)


def test_a_look_up_that_hangs_is_a_connect_timeout(make: Make, look_up: LookUp) -> None:
    look_up.answers.clear()
    begun = time.monotonic()
    with pytest.raises(errors.ConnectTimeout, match=r"^POST http://cache.example/: timed out while connecting$"):
        make(TransportOptions()).send(REQUEST.with_timeout(0.2))
    assert 0.15 < time.monotonic() - begun < 5


def test_where_too_many_look_ups_hang_no_more_are_begun(
    make: Make, look_up: LookUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each holds a thread, for as long as the system takes; the call fails at once, and nothing was sent."""
    monkeypatch.setattr(workers, "_abandoned", PerProcess(set[Future[Any]]))
    monkeypatch.setattr(workers, "MOST_ABANDONED", 2)
    look_up.answers.clear()
    transport = make(TransportOptions())
    for _ in range(2):
        with pytest.raises(errors.ConnectTimeout):
            transport.send(REQUEST.with_timeout(0.1))
    with pytest.raises(errors.PoolTimeout, match="2 threads are still busy") as caught:
        transport.send(REQUEST.with_timeout(30))
    assert caught.value.nothing_sent
    assert len(look_up.threads) == 2


def test_the_limit_of_connecting_holds_for_the_look_up(make: Make, look_up: LookUp) -> None:
    look_up.answers.clear()
    with pytest.raises(errors.ConnectTimeout):
        make(TransportOptions(connect_timeout=0.1)).send(REQUEST)


@pytest.mark.parametrize(("timeout", "elsewhere"), [(5.0, True), (None, False)])
def test_with_a_limit_another_thread_looks_up(
    make: Make, look_up: LookUp, timeout: float | None, elsewhere: bool
) -> None:
    with FaultServer(faults.OK) as server:
        assert make(TransportOptions()).send(Request("GET", named(server), timeout=timeout)).status_code == 200
    [thread] = look_up.threads
    assert (thread is not threading.current_thread()) == elsewhere


def test_an_address_costs_no_other_thread(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("there is nothing to wait for")

    monkeypatch.setattr("langcache_transports.pooling.names.bounded", refuse)
    with FaultServer(faults.OK) as server:
        assert make(TransportOptions()).send(Request("GET", server.url, timeout=5)).status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1%eth0"])
def test_an_address_is_told_from_a_name(host: str) -> None:
    assert is_address(host)


@pytest.mark.parametrize("host", ["localhost", "cache.example", "127.0.0.1.example", "1.2.3", "ä", "a..b", "", "\0"])
def test_a_name_is_told_from_an_address(host: str) -> None:
    assert not is_address(host)


def test_a_proxy_whose_name_hangs_is_a_connect_timeout(make: Make, look_up: LookUp) -> None:
    look_up.answers.clear()
    transport = make(TransportOptions(proxies={"all": f"http://{NAME}:3128"}))
    with pytest.raises(errors.ConnectTimeout):
        transport.send(Request("GET", "http://other.example/", timeout=0.1))


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "socks5h"])
def test_a_socks_proxy_whose_name_hangs_is_a_connect_timeout(make: Make, look_up: LookUp, scheme: str) -> None:
    look_up.answers.clear()
    transport = make(TransportOptions(proxies={"all": f"{scheme}://{NAME}:1080"}))
    with pytest.raises(errors.ConnectTimeout):
        transport.send(Request("GET", "http://other.example/", timeout=0.1))


@pytest.mark.parametrize("scheme", ["socks4", "socks5"])
def test_where_the_client_looks_up_for_a_socks_proxy_a_name_that_hangs_is_a_connect_timeout(
    make: Make, look_up: LookUp, scheme: str
) -> None:
    look_up.answers.clear()
    with FaultServer(faults.mute) as proxy:
        transport = make(TransportOptions(proxies={"all": proxy.url.replace("http", scheme)}))
        with pytest.raises(errors.ConnectTimeout):
            transport.send(REQUEST.with_timeout(0.1))


@pytest.mark.parametrize(
    ("scheme", "asked", "granted"),
    [
        ("socks4", b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", b"\x00\x5a" + bytes(6)),
        ("socks5", b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50", b"\x05\x00\x00\x01" + bytes(6)),
    ],
)
def test_a_socks_proxy_is_told_the_address_that_was_looked_up(
    make: Make, look_up: LookUp, scheme: str, asked: bytes, granted: bytes
) -> None:
    """In the form of SOCKS 4 and of RFC 1928, section 4; the proxy itself has a name too."""
    seen: list[bytes] = []

    def serve(connection: Connection) -> None:
        if scheme == "socks5":
            connection._exactly(3)  # pyright: ignore[reportPrivateUsage]
            connection.send(b"\x05\x00")
        seen.append(connection._exactly(len(asked)))  # pyright: ignore[reportPrivateUsage]
        connection.send(granted)
        faults.echo(connection)

    with FaultServer(serve) as proxy:
        transport = make(TransportOptions(proxies={"all": named(proxy).replace("http", scheme)}))
        assert transport.send(REQUEST.with_timeout(5)).content == b"{}"
        transport.close()
    assert seen == [asked]


def test_a_name_that_does_not_exist_is_said_so(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(errors.ConnectError, match="no such name") as caught:
        make(TransportOptions()).send(REQUEST.with_timeout(5))
    assert isinstance(caught.value.__cause__, socket.gaierror)


async def asked_with_aiohttp(request: Request) -> int:
    transport = AiohttpTransport(TransportOptions())
    try:
        return (await transport.send(request)).status_code
    finally:
        await transport.aclose()


def test_a_look_up_that_hangs_holds_up_neither_an_async_call_nor_the_end_of_its_loop(look_up: LookUp) -> None:
    """asyncio waits for its own threads when a loop ends."""
    look_up.answers.clear()
    begun = time.monotonic()
    with pytest.raises(errors.ConnectTimeout):
        asyncio.run(asked_with_aiohttp(REQUEST.with_timeout(0.2)))
    assert 0.15 < time.monotonic() - begun < 5


def test_a_name_is_looked_up_for_async_calls_in_a_thread_of_ours(look_up: LookUp) -> None:
    with FaultServer(faults.OK) as server:
        assert asyncio.run(asked_with_aiohttp(Request("GET", named(server), timeout=5))) == 200
    assert [thread.name.startswith("langcache") for thread in look_up.threads] == [True]
