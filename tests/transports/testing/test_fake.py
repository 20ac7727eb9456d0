"""The fake transports: scripted replies, remembered requests."""

from __future__ import annotations

import asyncio
import threading
from itertools import repeat

import pytest

from langcache import LangCache, Request, Response, errors
from langcache_transports.testing import AsyncFakeTransport, FakeTransport, NoReplyLeftError

_EMPTY = Response(200, {}, b'{"data":[]}')


def client(transport: FakeTransport | AsyncFakeTransport) -> LangCache:
    return LangCache("http://cache.test", "k", "c", transport=transport)


def test_replies_are_given_in_order_and_requests_remembered() -> None:
    transport = FakeTransport([_EMPTY, errors.ReadTimeout("slow"), lambda request: Response(200, {}, b'{"data":[]}')])
    cache = client(transport)
    assert cache.search(prompt="1").data == []
    with pytest.raises(errors.ReadTimeout, match="slow"):
        cache.search(prompt="2")
    assert cache.search(prompt="3").data == []
    assert [request.content for request in transport.requests] == [b'{"prompt":"%d"}' % number for number in (1, 2, 3)]


def test_a_used_up_script_names_the_request_without_its_query() -> None:
    transport = FakeTransport([_EMPTY])
    transport.send(Request("GET", "http://cache.test/"))
    with pytest.raises(NoReplyLeftError) as caught:
        transport.send(Request("POST", "http://cache.test/v1/x?key=secret", operation="search"))
    assert str(caught.value).startswith("No reply is left for request 2, POST http://cache.test/v1/x (search)")
    assert "the script had 1" in str(caught.value)


def test_a_used_up_script_is_no_error_of_the_packages_and_is_not_repeated() -> None:
    transport = FakeTransport()
    with pytest.raises(AssertionError, match=r"request 1, POST .* \(set\): the script had none"):
        client(transport).set(prompt="p", response="r")
    assert not issubclass(NoReplyLeftError, errors.LangCacheError)


def test_replies_can_be_added_endless_or_made_by_one_function() -> None:
    transport = FakeTransport()
    transport.add(Response(201), Response(202))
    request = Request("GET", "http://cache.test/")
    assert [transport.send(request).status_code for _ in range(2)] == [201, 202]
    assert {FakeTransport(repeat(_EMPTY)).send(request).status_code for _ in range(9)} == {200}
    made = FakeTransport(lambda seen: Response(200, {}, seen.method.encode()))
    assert [made.send(request).content for _ in range(2)] == [b"GET", b"GET"]


def test_threads_share_a_script_and_each_reply_is_given_once() -> None:
    transport = FakeTransport(Response(200, {}, str(number).encode()) for number in range(800))
    seen: list[bytes] = []

    def work() -> None:
        seen.extend(transport.send(Request("GET", "http://cache.test/")).content for _ in range(100))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 800


def test_the_sync_one_serves_async_calls_too() -> None:
    async def main() -> None:
        async with client(FakeTransport([_EMPTY])) as cache:
            assert (await cache.search_async(prompt="p")).data == []

    asyncio.run(main())


def test_the_async_one_takes_coroutine_functions_and_is_cancelled_in_them() -> None:
    async def main() -> None:
        begun = asyncio.Event()

        async def never(request: Request) -> Response:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

        transport = AsyncFakeTransport([_EMPTY, errors.ConnectError("no"), never, lambda request: _EMPTY])
        cache = client(transport)
        assert (await cache.search_async(prompt="p")).data == []
        with pytest.raises(errors.ConnectError):
            await cache.search_async(prompt="p")
        call = asyncio.create_task(cache.search_async(prompt="p"))
        await begun.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await cache.search_async(prompt="p")).data == []
        assert len(transport.requests) == 4
        await transport.aclose()
        assert transport.closed

    asyncio.run(main())


def test_closing_is_remembered() -> None:
    transport = FakeTransport()
    transport.close()
    assert transport.closed
