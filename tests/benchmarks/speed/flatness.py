"""Whether memory stays flat: one client makes many calls, and its memory is looked at on the way.

It is run as a script, in the environment of this package: ``flatness.py URL CALLS``. It writes what it saw as a line of
JSON: resident KiB after each tenth of the calls, over sockets, sync and async; and the bytes that Python holds
(`tracemalloc`) after each tenth of as many calls without a network.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langcache import LangCache, Response

TENTHS = 10
WARM_UP = 0.1
"""The share of the calls that is made before: pools fill, and caches of the interpreter."""

THREADS = TASKS = 8


def resident() -> int:
    """Return the resident memory of this process, in KiB."""
    gc.collect()
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") // 1024


def traced() -> int:
    """Return how many bytes Python's objects hold."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def looked_at(make: Callable[[int], None], calls: int, look: Callable[[], int]) -> list[int]:
    """Make the calls, in tenths, and return what was seen before them and after each tenth."""
    make(int(calls * WARM_UP))
    seen = [look()]
    for _ in range(TENTHS):
        make(calls // TENTHS)
        seen.append(look())
    return seen


def in_threads(client: LangCache, calls: int) -> None:
    """Make calls in threads that share the client."""

    def work() -> None:
        for _ in range(calls // THREADS):
            client.search(prompt="How does semantic caching work?")

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def over_sockets(url: str, calls: int) -> list[int]:
    with LangCache(url, "k", "c") as client:
        return looked_at(lambda number: in_threads(client, number), calls, resident)


def over_sockets_async(url: str, calls: int) -> list[int]:
    with asyncio.Runner() if sys.version_info >= (3, 11) else _Runner() as runner:
        client = LangCache(url, "k", "c")

        async def some(number: int) -> None:
            for _ in range(number // TASKS):
                await client.search_async(prompt="How does semantic caching work?")

        async def make(number: int) -> None:
            await asyncio.gather(*(some(number) for _ in range(TASKS)))

        seen = looked_at(lambda number: runner.run(make(number)), calls, resident)
        runner.run(client.aclose())
        return seen


class _Runner:
    """asyncio.Runner, where Python has none yet."""

    def __enter__(self) -> _Runner:
        self._loop = asyncio.new_event_loop()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.close()

    def run(self, coroutine: Any) -> Any:
        return self._loop.run_until_complete(coroutine)


class Null:
    """A transport that makes a new answer for each request, as one with a network does."""

    def send(self, request: object) -> Response:
        return Response(200, {"Content-Type": "application/json"}, b'{"data":[]}')

    def close(self) -> None:
        pass


def without_network(calls: int) -> list[int]:
    client = LangCache("http://cache.example", "k", "c", transport=Null())
    tracemalloc.start()
    try:
        return looked_at(lambda number: in_threads(client, number), calls, traced)
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    url, calls = sys.argv[1], int(sys.argv[2])
    seen = {
        "sync, resident KiB": over_sockets(url, calls),
        "async, resident KiB": over_sockets_async(url, calls),
        "no network, bytes of Python objects": without_network(calls),
    }
    sys.stdout.write(json.dumps(seen) + "\n")
