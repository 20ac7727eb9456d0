"""A client's statistics, as a program asks for them."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from langcache import HitSavings, LangCache, Response, RetryPolicy, Statistics, errors
from langcache.errors import ConfigurationError
from langcache_transports.testing import AsyncFakeTransport, FakeTransport
from tests.transports.programs import output_of

HIT = Response(
    200,
    {},
    b'{"data":[{"id":"e1","prompt":"p","response":"r","attributes":{},"similarity":0.9,"searchStrategy":"semantic"}]}',
)
MISS = Response(200, {}, b'{"data":[]}')
STORED = Response(201, {}, b'{"entryId":"e1"}')
BUSY = Response(503)


def cache_of(*replies: Response | BaseException | Callable[..., Response], **arguments: Any) -> LangCache:
    return LangCache("http://cache.example", "k", "c", transport=FakeTransport(replies), **arguments)


def attempt(call: Callable[[], object]) -> None:
    with pytest.raises(errors.LangCacheError):
        call()


def test_a_new_client_has_counted_nothing() -> None:
    found = cache_of().statistics()
    assert (found.total.calls, found.total.hit_rate, found.operations, found.saved) == (0, None, {}, None)
    latency = found.total.latency
    assert (latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.max_ms) == (None, None, None, None)
    assert found.since.tzinfo is timezone.utc


def test_calls_are_counted_by_operation_and_in_total() -> None:
    retries = RetryPolicy(max_attempts=2, initial_ms=0)
    cache = cache_of(HIT, MISS, HIT, STORED, BUSY, STORED, BUSY, BUSY, retry_config=retries)
    for _ in range(3):
        cache.search(prompt="p")
    for _ in range(2):
        cache.set(prompt="p", response="r", retries=RetryPolicy(initial_ms=0, repeat_sets=True))
    attempt(lambda: cache.search(prompt="p"))
    found = cache.statistics()
    search, total = found.operations["search"], found.total
    assert (search.calls, search.hits, search.misses, search.failed, search.retries) == (4, 2, 1, 1, 1)
    assert search.hit_rate == pytest.approx(2 / 3)
    assert search.errors == {"APIError": 1}
    assert list(found.operations) == ["search", "set"]
    assert (found.operations["set"].done, found.operations["set"].retries) == (2, 1)
    assert (total.calls, total.hits, total.misses, total.done, total.failed, total.retries) == (6, 2, 1, 2, 1, 2)
    quantiles = total.latency
    assert quantiles.p50_ms is not None
    assert quantiles.p50_ms <= (quantiles.p90_ms or 0) <= (quantiles.p99_ms or 0) <= (quantiles.max_ms or 0)


def test_calls_that_the_program_goes_on_without_are_degraded() -> None:
    cache = cache_of(BUSY, errors.ConnectError("down"), MISS, on_failure="miss")
    for _ in range(3):
        cache.search(prompt="p")
    total = cache.statistics().total
    assert (total.calls, total.misses, total.degraded, total.failed) == (3, 1, 2, 0)
    assert total.errors == {"APIError": 1, "ConnectError": 1}
    assert total.hit_rate == 0


def test_async_calls_and_those_that_are_cancelled_are_counted_too() -> None:
    begun = asyncio.Event()

    async def never(_: object) -> Response:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    async def main() -> Statistics:
        transport = AsyncFakeTransport([HIT, never])
        async with LangCache("http://cache.example", "k", "c", async_transport=transport) as cache:
            await cache.search_async(prompt="p")
            task = asyncio.ensure_future(cache.search_async(prompt="p"))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return cache.statistics()

    total = asyncio.run(main()).total
    assert (total.calls, total.hits, total.failed, total.errors) == (2, 1, 1, {"CancelledError": 1})


def test_what_hits_save_is_an_estimate_of_the_callers() -> None:
    savings = HitSavings(milliseconds=900, cost=0.25, currency="USD")
    cache = cache_of(HIT, MISS, HIT, HIT, hit_saves=savings)
    for _ in range(4):
        cache.search(prompt="p")
    saved = cache.statistics().saved
    assert saved is not None
    assert (saved.milliseconds, saved.cost, saved.currency) == (2_700, 0.75, "USD")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"milliseconds": -1}, "milliseconds must be a number of 0 or more, not -1"),
        ({"cost": float("nan")}, "cost must be a number of 0 or more, not nan"),
        ({"cost": float("inf")}, "cost must be"),
        ({"cost": "1"}, "cost must be a number of 0 or more, not '1'"),
        ({"milliseconds": True}, "milliseconds must be"),
        ({"currency": 5}, "currency must be a string"),
    ],
)
def test_savings_that_cannot_be_are_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        HitSavings(**arguments)


def test_something_else_than_savings_is_refused() -> None:
    wrong: Any = 5
    with pytest.raises(ConfigurationError, match=r"hit_saves must be a HitSavings, not int; for example HitSavings\("):
        cache_of(hit_saves=wrong)


def test_they_can_be_reset() -> None:
    cache = cache_of(HIT, MISS)
    cache.search(prompt="p")
    before = cache.statistics()
    cache.reset_statistics()
    assert cache.statistics().total.calls == 0
    assert before.since <= cache.statistics().since <= datetime.now(timezone.utc)
    cache.search(prompt="p")
    assert (cache.statistics().total.hits, cache.statistics().total.misses) == (0, 1)
    assert before.total.hits == 1


def test_they_are_a_frozen_model_that_goes_through_json() -> None:
    cache = cache_of(HIT, hit_saves=HitSavings(1, 2))
    cache.search(prompt="p")
    found = cache.statistics()
    assert Statistics.model_validate_json(found.model_dump_json()) == found
    assert json.loads(found.model_dump_json())["operations"]["search"]["hit_rate"] == 1
    with pytest.raises(ValidationError, match="frozen"):
        found.total.hits = 5  # pyright: ignore[reportAttributeAccessIssue]


def test_clients_count_for_themselves() -> None:
    first, second = cache_of(HIT), cache_of(MISS)
    first.search(prompt="p")
    second.search(prompt="p")
    assert (first.statistics().total.hits, second.statistics().total.hits) == (1, 0)


def test_a_client_without_them_says_so() -> None:
    cache = cache_of(MISS, without=["statistics"])
    cache.search(prompt="p")
    for ask in (cache.statistics, cache.reset_statistics):
        with pytest.raises(ConfigurationError, match=r"has no statistics, .*without=\['statistics'\]"):
            ask()


def test_many_threads_share_a_client_and_all_are_counted() -> None:
    cache = LangCache("http://cache.example", "k", "c", transport=FakeTransport(lambda request: MISS))

    def work() -> None:
        for _ in range(20):
            cache.search(prompt="p")

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.statistics().total.misses == 400


def test_a_forked_child_has_statistics_of_its_own() -> None:
    program = """
        import os
        from langcache import LangCache
        cache = LangCache("embedded://", cache_id="c")
        cache.search(prompt="p")
        child = os.fork()
        if child == 0:
            none = cache.statistics().total.calls
            cache.search(prompt="p")
            os._exit(0 if (none, cache.statistics().total.calls) == (0, 1) else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), cache.statistics().total.calls)
    """
    assert output_of(program) == ("0 1\n", "")


def test_nothing_of_them_is_loaded_by_a_client_that_is_not_asked() -> None:
    program = """
        import sys
        from langcache import LangCache
        LangCache("embedded://", cache_id="c").search(prompt="p")
        print("langcache.statistics" in sys.modules)
    """
    assert output_of(program) == ("False\n", "")
