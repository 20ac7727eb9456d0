"""Async calls over a sync transport, in threads."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from langcache import Request, Response
from langcache.errors import ClientClosedError, ConnectError
from langcache_transports.threaded import ThreadedTransport

REQUEST = Request("GET", "http://cache.example/")

actor: contextvars.ContextVar[str] = contextvars.ContextVar("actor")


class Gate:
    """A sync transport whose exchanges wait until the test opens it."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.now = 0
        self.most = 0
        self._lock = threading.Lock()

    def send(self, request: Request) -> Response:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.entered.release()
        self.open.wait()
        with self._lock:
            self.now -= 1
        return Response(200)

    def close(self) -> None:
        raise AssertionError("a transport that is handed in stays its owner's to close")


class Told:
    """A sync transport that answers with what the context and the thread tell it."""

    def send(self, request: Request) -> Response:
        return Response(200, {"actor": actor.get("nobody"), "thread": threading.current_thread().name})

    def close(self) -> None:
        """Nothing is open."""


def test_the_exchange_runs_in_a_thread_with_the_callers_context() -> None:
    async def main() -> Response:
        actor.set("Ada")
        return await ThreadedTransport(Told(), 1).send(REQUEST)

    answer = asyncio.run(main())
    assert answer.headers["actor"] == "Ada"
    assert answer.headers["thread"].startswith("langcache")


def test_no_more_exchanges_run_at_once_than_there_are_threads() -> None:
    async def main() -> Gate:
        gate = Gate()
        transport = ThreadedTransport(gate, 3)
        calls = [asyncio.ensure_future(transport.send(REQUEST)) for _ in range(10)]
        for _ in range(3):
            await asyncio.to_thread(gate.entered.acquire)
        gate.open.set()
        await asyncio.gather(*calls)
        await transport.aclose()
        return gate

    assert asyncio.run(main()).most == 3


def test_an_error_of_the_transport_is_the_calls() -> None:
    class Down(Told):
        def send(self, request: Request) -> Response:
            raise ConnectError("down")

    with pytest.raises(ConnectError, match="down"):
        asyncio.run(ThreadedTransport(Down(), 1).send(REQUEST))


def test_a_cancelled_call_returns_at_once_and_leaves_the_transport_usable() -> None:
    async def main() -> None:
        gate = Gate()
        transport = ThreadedTransport(gate, 2)
        call = asyncio.ensure_future(transport.send(REQUEST))
        await asyncio.to_thread(gate.entered.acquire)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not gate.open.is_set()
        gate.open.set()
        assert (await transport.send(REQUEST)).status_code == 200
        await transport.aclose()

    asyncio.run(main())


def test_one_transport_serves_several_event_loops() -> None:
    transport = ThreadedTransport(Told(), 2)
    for _ in range(3):
        assert asyncio.run(transport.send(REQUEST)).status_code == 200
    transport.close()


def test_after_closing_a_call_is_refused() -> None:
    transport = ThreadedTransport(Told(), 1)
    asyncio.run(transport.aclose())
    transport.close()
    with pytest.raises(ClientClosedError):
        asyncio.run(transport.send(REQUEST))
