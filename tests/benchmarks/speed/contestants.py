"""One contestant in a process of its own, in the virtual environment of its library.

It is run as a script, so that it needs nothing but the standard library and that library: ``contestants.py NAME URL
PROMPT``, where PROMPT is the number of characters to search for, or 0 for a short question. It reads a task as a
line of JSON, does it, and writes what it measured as a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from typing import Any
from urllib.parse import urlsplit

Search = Callable[[], object]
AsyncSearch = Callable[[], Awaitable[object]]

PATH = "/v1/caches/c/entries/search"
BODY = {"prompt": "x" * int(sys.argv[3]) or "How does semantic caching work?"}
HEADERS = {"Authorization": "Bearer k", "Content-Type": "application/json", "Accept": "application/json"}
CONTENT = json.dumps(BODY).encode()
PATIENCE = 60.0  # seconds


# Sync contestants: each returns a function that makes one search and decodes its answer


def ours(url: str, stack: ExitStack, **arguments: Any) -> Search:
    from langcache import LangCache

    client = stack.enter_context(LangCache(url, "k", "c", **arguments))
    return lambda: client.search(prompt=BODY["prompt"])


def ours_requests(url: str, stack: ExitStack) -> Search:
    return ours(url, stack, transport="requests")


def ours_null(url: str, stack: ExitStack) -> Search:
    """Our own work alone: the transport has the answer already."""
    from langcache import Response

    class Null:
        answer = Response(200, {"Content-Type": "application/json"}, b'{"data":[]}')

        def send(self, request: object) -> Response:
            return self.answer

        def close(self) -> None:
            pass

    return ours(url, stack, transport=Null())


def official(url: str, stack: ExitStack, **arguments: Any) -> Search:
    from langcache import LangCache

    client = stack.enter_context(LangCache(server_url=url, api_key="k", cache_id="c", **arguments))
    return lambda: client.search(prompt=BODY["prompt"])


def official_null(url: str, stack: ExitStack) -> Search:
    import httpx

    def answer(request: object) -> httpx.Response:
        return httpx.Response(200, json={"data": []})

    return official(url, stack, client=httpx.Client(transport=httpx.MockTransport(answer)))


def bare_urllib3(url: str, stack: ExitStack) -> Search:
    import urllib3

    pool = urllib3.PoolManager(maxsize=64)
    stack.callback(pool.clear)
    return lambda: json.loads(pool.request("POST", url + PATH, body=CONTENT, headers=HEADERS).data)


def bare_requests(url: str, stack: ExitStack) -> Search:
    import requests

    session = stack.enter_context(requests.Session())
    return lambda: session.post(url + PATH, data=CONTENT, headers=HEADERS).json()


def bare_http_client(url: str, stack: ExitStack) -> Search:
    import http.client

    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    stack.callback(connection.close)

    def search() -> object:
        connection.request("POST", parts.path + PATH, CONTENT, HEADERS)
        return json.loads(connection.getresponse().read())

    return search


def bare_httpx(url: str, stack: ExitStack) -> Search:
    import httpx

    client = stack.enter_context(httpx.Client())
    return lambda: client.post(url + PATH, content=CONTENT, headers=HEADERS).json()


SYNC: dict[str, Callable[[str, ExitStack], Search]] = {
    "langcache urllib3": ours,
    "langcache requests": ours_requests,
    "langcache null": ours_null,
    "official": official,
    "official null": official_null,
    "bare urllib3": bare_urllib3,
    "bare requests": bare_requests,
    "bare http.client": bare_http_client,
    "bare httpx": bare_httpx,
}


# Async contestants


async def ours_async(url: str, stack: AsyncExitStack, **arguments: Any) -> AsyncSearch:
    from langcache import LangCache

    client = await stack.enter_async_context(LangCache(url, "k", "c", **arguments))
    return lambda: client.search_async(prompt=BODY["prompt"])


async def ours_threaded(url: str, stack: AsyncExitStack) -> AsyncSearch:
    return await ours_async(url, stack, async_transport="threaded")


async def ours_null_async(url: str, stack: AsyncExitStack) -> AsyncSearch:
    """Our own work alone, in async calls."""
    from langcache import Response

    class Null:
        answer = Response(200, {"Content-Type": "application/json"}, b'{"data":[]}')

        async def send(self, request: object) -> Response:
            return self.answer

        async def aclose(self) -> None:
            pass

    return await ours_async(url, stack, async_transport=Null())


async def official_async(url: str, stack: AsyncExitStack) -> AsyncSearch:
    from langcache import LangCache

    # Of 300 calls some wait for one of its 100 connections for longer than the 5 s that httpx allows by itself.
    client = await stack.enter_async_context(
        LangCache(server_url=url, api_key="k", cache_id="c", timeout_ms=int(PATIENCE * 1000))
    )
    return lambda: client.search_async(prompt=BODY["prompt"])


async def bare_aiohttp(url: str, stack: AsyncExitStack) -> AsyncSearch:
    import aiohttp

    session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))

    async def search() -> object:
        async with session.post(url + PATH, data=CONTENT, headers=HEADERS) as answer:
            return json.loads(await answer.read())

    return search


async def bare_httpx_async(url: str, stack: AsyncExitStack) -> AsyncSearch:
    import httpx

    client = await stack.enter_async_context(httpx.AsyncClient(timeout=PATIENCE))

    async def search() -> object:
        return (await client.post(url + PATH, content=CONTENT, headers=HEADERS)).json()

    return search


ASYNC: dict[str, Callable[[str, AsyncExitStack], Awaitable[AsyncSearch]]] = {
    "langcache aiohttp": ours_async,
    "langcache threaded": ours_threaded,
    "langcache null async": ours_null_async,
    "official async": official_async,
    "bare aiohttp": bare_aiohttp,
    "bare httpx async": bare_httpx_async,
}


# Tasks


def latency(search: Search, calls: int) -> dict[str, Any]:
    """Make calls one after another; return how long each took, in nanoseconds."""
    took: list[int] = []
    for _ in range(calls):
        begun = time.perf_counter_ns()
        search()
        took.append(time.perf_counter_ns() - begun)
    return {"took": took}


def threads(search: Search, calls: int, width: int) -> dict[str, Any]:
    """Make calls in `width` threads that share the client; return calls a second, and how long each took."""
    took: list[int] = []

    def work() -> None:
        took.extend(latency(search, calls // width)["took"])

    workers = [threading.Thread(target=work) for _ in range(width)]
    begun = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return {"per_second": len(took) / (time.perf_counter() - begun), "took": took}


async def tasks(search: AsyncSearch, calls: int, width: int = 1) -> dict[str, Any]:
    """Make calls in `width` tasks at a time; return calls a second, and how long each took."""
    took: list[int] = []

    async def work() -> None:
        for _ in range(calls // width):
            begun = time.perf_counter_ns()
            await search()
            took.append(time.perf_counter_ns() - begun)

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(width)))
    return {"per_second": len(took) / (time.perf_counter() - begun), "took": took}


def serve_sync(name: str, url: str) -> None:
    with ExitStack() as stack:
        search = SYNC[name](url, stack)
        latency(search, 20)
        answer({"ready": True})
        for line in sys.stdin:
            task = json.loads(line)
            answer(latency(search, **task) if "width" not in task else threads(search, **task))


async def serve_async(name: str, url: str) -> None:
    async with AsyncExitStack() as stack:
        search = await ASYNC[name](url, stack)
        await tasks(search, 20, 1)
        answer({"ready": True})
        # The loop is to do nothing else while it waits for the next task.
        while line := sys.stdin.readline():
            answer(await tasks(search, **json.loads(line)))


def answer(measured: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(measured) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1] in SYNC:
        serve_sync(*sys.argv[1:3])
    else:
        asyncio.run(serve_async(*sys.argv[1:3]))
