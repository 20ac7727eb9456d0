"""What became of a call, as those that count, log, trace or audit it read it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from langcache import LangCache, Middleware, Next, Request, Response, RetryPolicy, Steps, hookimpl
from langcache.errors import ConnectError, LangCacheError
from langcache.outcomes import Outcome, outcome_of, outcome_of_error
from langcache_transports.testing import AsyncFakeTransport, FakeTransport

HIT = (
    b'{"data":[{"id":"e1","prompt":"p","response":"r","attributes":{},"similarity":0.9,"searchStrategy":"semantic"},'
    b'{"id":"e2","prompt":"q","response":"s","attributes":{},"similarity":0.8,"searchStrategy":"new"}]}'
)


class Watching:
    """A plugin that stands outside, and keeps what becomes of each call."""

    def __init__(self) -> None:
        self.seen: list[Outcome] = []

    @hookimpl(tryfirst=True)
    def langcache_call_middleware(self) -> Middleware:
        return self._watch

    def _watch(self, request: Request, call_next: Next) -> Steps[Response]:
        try:
            response = yield from call_next(request)
        except BaseException as error:
            self.seen.append(outcome_of_error(request, error))
            raise
        self.seen.append(outcome_of(request, response))
        return response


def outcome(call: Callable[[LangCache], object], *replies: Response | Exception, on_failure: str = "raise") -> Outcome:
    watching = Watching()
    cache = LangCache(
        "http://cache.example",
        "k",
        "c1",
        transport=FakeTransport(replies),
        plugins=[watching],
        retry_config=RetryPolicy(initial_ms=0),
        on_failure="miss" if on_failure == "miss" else "raise",
    )
    try:
        call(cache)
    except LangCacheError:
        assert on_failure == "raise"
    [seen] = watching.seen
    assert (seen.cache_id, len(seen.request_id or "")) == ("c1", 32)
    return seen


def search(cache: LangCache) -> object:
    return cache.search(prompt="p")


def test_a_hit_tells_of_its_entries() -> None:
    seen = outcome(search, Response(200, {"X-Request-ID": "theirs"}, HIT))
    assert (seen.kind, seen.operation, seen.status_code, seen.attempts) == ("hit", "search", 200, 1)
    assert (seen.entry_ids, seen.similarity, seen.strategy) == (("e1", "e2"), 0.9, "semantic")
    assert (seen.server_request_id, seen.error) == ("theirs", None)
    assert (seen.request_bytes, seen.response_bytes) == (len(b'{"prompt":"p"}'), len(HIT))


def test_a_search_that_finds_nothing_is_a_miss() -> None:
    seen = outcome(search, Response(503), Response(200, {}, b'{"data":[]}'))
    assert (seen.kind, seen.attempts, seen.entry_ids, seen.similarity) == ("miss", 2, (), None)


def store(cache: LangCache) -> object:
    return cache.set(prompt="p", response="r")


def delete(cache: LangCache) -> object:
    return cache.delete_query(attributes={"a": "b"})


@pytest.mark.parametrize(
    ("call", "reply", "entry_ids", "deleted"),
    [
        (store, b'{"entryId":"e9"}', ("e9",), None),
        (delete, b'{"deletedEntriesCount":3}', (), 3),
        (LangCache.flush, b"", (), None),
    ],
)
def test_other_operations_are_done(
    call: Callable[[LangCache], object], reply: bytes, entry_ids: tuple[str, ...], deleted: int | None
) -> None:
    seen = outcome(call, Response(200, {}, reply))
    assert (seen.kind, seen.entry_ids, seen.deleted) == ("done", entry_ids, deleted)


@pytest.mark.parametrize("entry_id", ["e1", "a/b?c", "ä %2F", ".."])
@pytest.mark.parametrize("reply", [Response(204), Response(404, {}, b"{}"), ConnectError("down")], ids=repr)
def test_a_deletion_tells_which_entry_it_was_for_whatever_became_of_it(
    entry_id: str, reply: Response | Exception
) -> None:
    replies = [reply] * 3 if isinstance(reply, Exception) else [reply]
    seen = outcome(lambda cache: cache.delete_by_id(entry_id=entry_id), *replies)
    assert seen.entry_ids == (entry_id,)


def test_the_transport_is_named_for_sync_and_async_calls() -> None:
    watching = Watching()
    cache = LangCache(
        "http://cache.example",
        "k",
        "c1",
        transport=FakeTransport([Response(200, {}, HIT)]),
        async_transport=AsyncFakeTransport([Response(404)]),
        plugins=[watching],
    )
    search(cache)
    with pytest.raises(LangCacheError):
        asyncio.run(cache.search_async(prompt="p"))
    module = "langcache_transports.testing.fake"
    assert [seen.transport for seen in watching.seen] == [f"{module}.FakeTransport", f"{module}.AsyncFakeTransport"]


def test_a_failure_tells_its_error() -> None:
    seen = outcome(search, Response(404, {"X-Request-ID": "theirs"}, b"{}"))
    assert (seen.kind, seen.status_code, seen.attempts) == ("failed", 404, 1)
    assert (seen.server_request_id, seen.response_bytes) == ("theirs", 2)
    assert isinstance(seen.error, LangCacheError)


def test_a_failure_without_an_answer_has_no_status() -> None:
    seen = outcome(search, *[ConnectError("down")] * 3)
    assert (seen.kind, seen.status_code, seen.attempts, seen.response_bytes) == ("failed", None, 3, None)


def test_what_is_served_by_nobody_is_degraded() -> None:
    seen = outcome(search, *[ConnectError("down")] * 3, on_failure="miss")
    assert (seen.kind, seen.status_code, seen.attempts) == ("degraded", None, 3)
    assert isinstance(seen.error, ConnectError)


def test_an_exception_of_the_callers_own_is_a_failure() -> None:
    error = KeyboardInterrupt()
    seen = outcome_of_error(Request("GET", "http://cache.example/", operation="health"), error)
    assert (seen.kind, seen.operation, seen.error, seen.status_code) == ("failed", "health", error, None)
