"""Sending: an attempt ends at the deadline of its call, over whatever transport."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any

import pytest

from langcache import LangCache, Request, Response, errors
from langcache.workers import is_in_asyncio
from tests.timing import fastest

NO_ENTRIES = Response(200, {"Content-Type": "application/json"}, b'{"data":[]}')
URL = "http://cache.example"
where: ContextVar[str] = ContextVar("where", default="nowhere")


class Own:
    """A transport of a program's, which does not look at the timeout."""

    def __init__(self, answer: Callable[[Request], Any]) -> None:
        self.answer = answer
        self.threads: list[int] = []

    def send(self, request: Request) -> Response:
        self.threads.append(threading.get_ident())
        answer: Response = self.answer(request)
        return answer

    def close(self) -> None:
        pass


class OwnAsync:
    """The same for async calls."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self.answer = answer
        self.tasks: list[object] = []

    async def send(self, request: Request) -> Response:
        self.tasks.append(asyncio.current_task() if is_in_asyncio() else None)
        return await self.answer(request)

    async def aclose(self) -> None:
        pass


def raising(error: BaseException) -> Callable[[Request], Any]:
    def answer(request: Request) -> Any:
        raise error

    return answer


def test_a_sync_transport_that_does_not_keep_to_its_time_is_left_alone() -> None:
    released = threading.Event()
    cache = LangCache(URL, "k", "c", transport=Own(lambda request: released.wait(60)), deadline_ms=200)

    def attempt() -> float:
        begun = time.monotonic()
        with pytest.raises(errors.DeadlineExceeded, match=r"during request 1, POST http://cache\.example/") as caught:
            cache.search(prompt="p")
        assert isinstance(caught.value.__cause__, errors.ReadTimeout)
        assert (caught.value.during, caught.value.nothing_sent) == ("send", False)
        return time.monotonic() - begun

    with cache:  # which loads what the first call would have to
        assert 0.19 <= fastest(attempt, 0.25) <= 0.25
    released.set()


def test_an_async_transport_that_does_not_keep_to_its_time_is_cancelled() -> None:
    cancelled: list[bool] = []

    async def never(request: Request) -> Response:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        raise AssertionError("nobody sets it")

    async def search() -> float:
        async with LangCache(URL, "k", "c", async_transport=OwnAsync(never), deadline_ms=200) as cache:
            begun = time.monotonic()
            with pytest.raises(errors.DeadlineExceeded) as caught:
                await cache.search_async(prompt="p")
            took = time.monotonic() - begun
        assert isinstance(caught.value.__cause__, errors.ReadTimeout)
        assert cancelled.pop()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return took

    assert 0.19 <= fastest(lambda: asyncio.run(search()), 0.25) <= 0.25


def test_the_timeout_of_an_attempt_ends_it_too_where_there_is_a_deadline() -> None:
    released = threading.Event()
    answers: list[Callable[[], Any]] = [lambda: released.wait(60), lambda: NO_ENTRIES]
    transport = Own(lambda request: answers.pop(0)())
    with LangCache(URL, "k", "c", transport=transport, timeout_ms=50, deadline_ms=60_000) as cache:
        with pytest.raises(errors.ReadTimeout, match=r"^POST \S+: the transport gave no answer in 0.05 s$"):
            cache.search(prompt="p")
        assert cache.search(prompt="p", timeout_ms=60_000).data == []
    released.set()


def test_a_call_without_a_deadline_is_sent_in_the_callers_thread() -> None:
    transport = Own(lambda request: NO_ENTRIES)
    LangCache(URL, "k", "c", transport=transport).search(prompt="p")
    assert transport.threads == [threading.get_ident()]


def test_so_is_one_over_a_transport_that_ends_in_time() -> None:
    transport = Own(lambda request: NO_ENTRIES)
    transport.ends_in_time = True  # type: ignore[attr-defined]
    LangCache(URL, "k", "c", transport=transport, deadline_ms=60_000).search(prompt="p")
    assert transport.threads == [threading.get_ident()]


def test_an_async_call_without_a_deadline_is_sent_in_the_callers_task() -> None:
    async def answer(request: Request) -> Response:
        return NO_ENTRIES

    transport = OwnAsync(answer)
    cache = LangCache(URL, "k", "c", async_transport=transport)

    async def main() -> None:
        await cache.search_async(prompt="p")
        assert transport.tasks == [asyncio.current_task()]

    asyncio.run(main())


def test_the_context_of_the_caller_is_there() -> None:
    seen: list[str] = []

    def answer(request: Request) -> Response:
        seen.append(where.get())
        return NO_ENTRIES

    async def answer_async(request: Request) -> Response:
        return answer(request)

    cache = LangCache(URL, "k", "c", transport=Own(answer), async_transport=OwnAsync(answer_async), deadline_ms=60_000)
    before = where.set("here")
    cache.search(prompt="p")
    asyncio.run(cache.search_async(prompt="p"))
    where.reset(before)
    assert seen == ["here", "here"]


@pytest.mark.parametrize("error", [errors.ConnectError("nobody is there"), TimeoutError("its own"), KeyError("x")])
def test_what_the_transport_raises_in_time_is_raised(error: Exception) -> None:
    async def answer_async(request: Request) -> Response:
        raise error

    cache = LangCache(
        URL, "k", "c", transport=Own(raising(error)), async_transport=OwnAsync(answer_async), deadline_ms=60_000
    )
    with pytest.raises(type(error)) as caught:
        cache.search(prompt="p")
    assert caught.value is error
    with pytest.raises(type(error)) as caught:
        asyncio.run(cache.search_async(prompt="p"))
    assert caught.value is error


def test_a_call_that_is_cancelled_takes_its_attempt_along() -> None:
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def never(request: Request) -> Response:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError("nobody sets it")

    cache = LangCache(URL, "k", "c", async_transport=OwnAsync(never), deadline_ms=60_000)

    async def main() -> None:
        call = asyncio.ensure_future(cache.search_async(prompt="p"))
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert cancelled.is_set()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_an_event_loop_that_is_not_asyncios_has_the_limits_of_the_transport_alone() -> None:
    """What another one does with a coroutine is what this test does."""

    async def answer(request: Request) -> Response:
        return NO_ENTRIES

    cache = LangCache(URL, "k", "c", async_transport=OwnAsync(answer), deadline_ms=60_000)
    with pytest.raises(StopIteration) as done:
        cache.search_async(prompt="p").send(None)
    assert done.value.value.data == []


def test_what_a_transport_raises_late_by_any_name_of_pythons_is_the_deadlines() -> None:
    """Before Python 3.11 the time limits of asyncio and of futures raise errors of their own."""
    never: Future[Response] = Future()

    async def wait_for(request: Request) -> Response:
        await asyncio.wait_for(asyncio.Event().wait(), request.timeout)
        raise AssertionError("nobody sets it")

    transport = Own(lambda request: never.result(request.timeout))
    cache = LangCache(URL, "k", "c", transport=transport, deadline_ms=200)
    with cache, pytest.raises(errors.DeadlineExceeded):
        cache.search(prompt="p")

    async def main() -> None:
        async with LangCache(URL, "k", "c", async_transport=OwnAsync(wait_for), deadline_ms=200) as client:
            with pytest.raises(errors.DeadlineExceeded):
                await client.search_async(prompt="p")

    asyncio.run(main())


def test_a_call_that_is_closed_after_its_event_loop_leaves_nothing_to_tell() -> None:
    async def never(request: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    with LangCache(URL, "k", "c", async_transport=OwnAsync(never), deadline_ms=60_000) as cache:
        loop = asyncio.new_event_loop()
        call = cache.search_async(prompt="p")

        async def begin() -> None:
            call.send(None)
            await asyncio.sleep(0)

        loop.run_until_complete(begin())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        call.close()


def test_a_provider_is_asked_on_an_event_loop_that_is_not_asyncios() -> None:
    async def answer(request: Request) -> Response:
        return NO_ENTRIES

    async def key() -> str:
        return "k"

    for provider in (key, lambda: "k"):
        cache = LangCache(URL, provider, "c", async_transport=OwnAsync(answer), deadline_ms=60_000)
        with pytest.raises(StopIteration) as done:
            cache.search_async(prompt="p").send(None)
        assert done.value.value.data == []
