"""The limits of an event loop's exchanges: each ends in its time, whatever others do, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langcache import LangCache, errors
from langcache_transports.aiohttp.limits import Limits


def in_loop(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(main)


async def took(limits: Limits, seconds: float, work: float) -> tuple[bool, float]:
    """Return whether the limit ended the work, and after how many seconds."""
    begun = time.monotonic()
    try:
        with limits.within(seconds):
            await asyncio.sleep(work)
    except asyncio.TimeoutError:
        return True, time.monotonic() - begun
    return False, time.monotonic() - begun


def timers(loop: Any) -> int:
    return sum(not handle.cancelled() for handle in loop._scheduled)


def test_work_that_takes_too_long_is_ended_in_time() -> None:
    async def main() -> tuple[bool, float]:
        return await took(Limits(asyncio.get_running_loop()), 0.02, 10)

    ended, seconds = in_loop(main())
    assert ended
    assert 0.02 <= seconds < 1


def test_work_that_is_done_in_time_is_left_alone() -> None:
    async def main() -> None:
        limits = Limits(asyncio.get_running_loop())
        ended, seconds = await took(limits, 10, 0)
        assert not ended
        assert seconds < 1
        assert timers(asyncio.get_running_loop()) == 1, "one timer, for those to come"
        limits.end()
        assert timers(asyncio.get_running_loop()) == 0

    in_loop(main())


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.01, 0.02, 0.03, 10]), st.sampled_from([0, 0.005, 10])), max_size=12))
def test_each_limit_stands_for_itself_in_whatever_order_they_end(works: list[tuple[float, float]]) -> None:
    """Those that overtake others as well as those that are watched in turn; nothing else is ended."""
    works = [(seconds, work) for seconds, work in works if min(seconds, work) < 1]

    async def main() -> list[tuple[bool, float]]:
        limits = Limits(asyncio.get_running_loop())
        found = await asyncio.gather(*(took(limits, seconds, work) for seconds, work in works))
        assert not any(not each.is_over for each in limits._waiting)  # pyright: ignore[reportPrivateUsage]
        return found

    for (seconds, work), (ended, after) in zip(works, in_loop(main()), strict=True):
        assert ended or work < 1
        assert after >= min(seconds, work)
        assert after < 1


def test_what_is_over_is_forgotten_while_an_old_one_goes_on() -> None:
    async def main() -> None:
        limits = Limits(asyncio.get_running_loop())
        with limits.within(10):
            for _ in range(1_000):
                with limits.within(11):
                    pass
        assert len(limits._waiting) < 300  # pyright: ignore[reportPrivateUsage]

    in_loop(main())


def test_a_cancellation_from_outside_stands() -> None:
    async def main() -> None:
        limits = Limits(asyncio.get_running_loop())
        task = asyncio.ensure_future(took(limits, 10, 10))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    in_loop(main())


def test_an_error_of_the_work_stands_where_its_time_is_over_too() -> None:
    async def work(limits: Limits) -> None:
        with limits.within(0.01):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                raise LookupError from None

    async def main() -> None:
        with pytest.raises(LookupError):
            await work(Limits(asyncio.get_running_loop()))
        await asyncio.sleep(0)  # the task itself is not cancelled

    in_loop(main())


def test_without_a_task_it_is_refused() -> None:
    loop = asyncio.new_event_loop()
    raised: list[BaseException] = []

    def enter() -> None:
        try:
            Limits(loop).within(1).__enter__()
        except RuntimeError as error:
            raised.append(error)

    loop.call_soon(enter)
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert "not run by a task" in str(raised[0])


def test_all_that_goes_on_can_be_ended_at_once() -> None:
    """In order or not, and what has no limit too."""

    async def main() -> list[bool]:
        limits = Limits(asyncio.get_running_loop())

        async def work(seconds: float | None) -> bool:
            try:
                with limits.within(seconds):
                    await asyncio.sleep(10)
            except asyncio.TimeoutError:
                return True
            return False

        tasks = [asyncio.ensure_future(work(seconds)) for seconds in (9, None, 10, 8)]
        await asyncio.sleep(0)
        limits.expire()
        limits.expire()
        return await asyncio.gather(*tasks)

    assert in_loop(main()) == [True] * 4


@pytest.mark.parametrize("timeout_ms", [0, 60_000])
def test_a_call_that_is_still_connecting_ends_when_its_client_is_closed(timeout_ms: float) -> None:
    """Here the server says nothing in the handshake."""

    async def main(port: int) -> None:
        client = LangCache(f"https://127.0.0.1:{port}", "k", "c", timeout_ms=timeout_ms, async_transport="aiohttp")
        call = asyncio.ensure_future(client.search_async(prompt="p"))
        await asyncio.to_thread(select.select, [listening], [], [], 5)  # until it connects
        await client.aclose()
        with pytest.raises(errors.ClientClosedError):
            await asyncio.wait_for(call, 5)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        asyncio.run(main(listening.getsockname()[1]))
