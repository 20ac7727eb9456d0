"""Async calls over a sync transport, in threads."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import threading
import weakref

import pytest

from langcache import Request, Response
from langcache.errors import ClientClosedError, ConnectError, PoolTimeout, ReadTimeout
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
        # A fourth would enter while three are in; it is given the time of many exchanges to do so.
        assert not await asyncio.to_thread(gate.entered.acquire, True, 0.2)
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


def test_a_call_that_waits_for_a_thread_is_refused_when_the_client_is_closed() -> None:
    """By an error of ours; a cancellation that nobody asked for would be taken for the task's own."""

    async def main() -> None:
        gate = Gate()
        transport = ThreadedTransport(gate, 1)
        begun, waiting = (asyncio.ensure_future(transport.send(REQUEST)) for _ in range(2))
        await asyncio.to_thread(gate.entered.acquire)
        await transport.aclose()
        with pytest.raises(ClientClosedError, match="before this call was begun"):
            await waiting
        gate.open.set()
        assert (await begun).status_code == 200

    asyncio.run(main())


def test_the_wait_for_a_thread_counts_for_the_timeout() -> None:
    async def main() -> None:
        gate = Gate()
        transport = ThreadedTransport(gate, 1)
        first = asyncio.ensure_future(transport.send(REQUEST))
        await asyncio.to_thread(gate.entered.acquire)
        with pytest.raises(PoolTimeout, match=r"GET http://cache.example/: nothing after 0.05 s"):
            await transport.send(REQUEST.with_timeout(0.05))
        gate.open.set()
        assert (await first).status_code == 200
        await transport.aclose()

    asyncio.run(main())


def test_the_transport_is_given_the_time_that_is_left() -> None:
    seen: list[float | None] = []

    class Timed(Told):
        def send(self, request: Request) -> Response:
            seen.append(request.timeout)
            return Response(200)

    transport = ThreadedTransport(Timed(), 1)
    asyncio.run(transport.send(REQUEST.with_timeout(5)))
    asyncio.run(transport.send(REQUEST))
    limited, unlimited = seen
    assert limited is not None
    assert 0 < limited < 5
    assert unlimited is None
    transport.close()


def test_a_transport_that_does_not_mind_the_timeout_is_given_up() -> None:
    async def main() -> None:
        gate = Gate()
        with pytest.raises(ReadTimeout):
            await ThreadedTransport(gate, 1).send(REQUEST.with_timeout(0.05))
        gate.open.set()

    asyncio.run(main())


def test_a_stop_iteration_of_the_transport_is_an_error_and_no_hang() -> None:
    class Exhausted(Told):
        def send(self, request: Request) -> Response:
            raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(ThreadedTransport(Exhausted(), 1).send(REQUEST))


def test_a_failed_call_leaves_no_reference_cycle() -> None:
    """So that a dropped client is freed at once, with its threads and its connections."""

    class Down(Told):
        def send(self, request: Request) -> Response:
            raise ConnectError("down")

    async def fail_and_drop() -> bool:
        others = threading.enumerate()
        transport = ThreadedTransport(Down(), 1)
        with contextlib.suppress(ConnectError):
            await transport.send(REQUEST)
        started = [thread for thread in threading.enumerate() if thread not in others]
        transport.close()
        for thread in started:
            thread.join()
        gone = weakref.ref(transport)
        del transport
        return gone() is None

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(fail_and_drop())
    finally:
        gc.enable()


def test_threads_are_started_as_they_are_needed_and_used_again() -> None:
    transport = ThreadedTransport(Told(), 8)
    names = {asyncio.run(transport.send(REQUEST)).headers["thread"] for _ in range(20)}
    # A thread may not have come back for the next call yet, so there can be a few; but never one for each call.
    assert len(names) < 5
    transport.close()


def test_a_thread_that_cannot_be_started_costs_one_call_and_not_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = ThreadedTransport(Told(), 1)
    with monkeypatch.context() as patch:

        def refuse(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(PoolTimeout, match="no thread can be started"):
            asyncio.run(transport.send(REQUEST))
    assert asyncio.run(transport.send(REQUEST)).status_code == 200
    transport.close()


class Patient(Gate):
    """A sync transport with a timeout of its own, which is longer than the request's."""

    def limit(self, request: Request) -> float | None:
        return None


def test_a_transport_with_a_limit_of_its_own_is_waited_for() -> None:
    """A caller's client brings its own timeout, which holds where no other was set."""

    async def main() -> Response:
        gate = Patient()
        transport = ThreadedTransport(gate, 1)
        call = asyncio.ensure_future(transport.send(REQUEST.with_timeout(0.001)))
        done, _ = await asyncio.wait([call], timeout=0.2)
        assert not done
        gate.open.set()
        return await call

    assert asyncio.run(main()).status_code == 200


def test_a_call_whose_time_is_over_before_a_thread_is_free_is_not_sent() -> None:
    """Nobody would learn that a set was done."""

    async def main() -> tuple[BaseException | Response, int]:
        gate = Gate()
        transport = ThreadedTransport(gate, 1)
        first = asyncio.ensure_future(transport.send(REQUEST))
        await asyncio.to_thread(gate.entered.acquire)
        [late] = await asyncio.gather(transport.send(REQUEST.with_timeout(0.01)), return_exceptions=True)
        gate.open.set()
        await first
        await transport.send(REQUEST)  # behind the late one
        return late, gate.most

    late, most = asyncio.run(main())
    assert isinstance(late, PoolTimeout)
    assert most == 1
