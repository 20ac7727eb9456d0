"""What a client promises when the service fails, over real sockets, in both forms and on every transport."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import requests

from langcache import (
    BackoffStrategy,
    BreakerPolicy,
    LangCache,
    Middleware,
    Next,
    Request,
    Response,
    RetryConfig,
    RetryPolicy,
    Steps,
    errors,
    hookimpl,
)
from langcache_transports.testing import Connection, Conversation, FakeTransport, FaultServer, faults
from tests.timing import fastest

NO_ENTRIES = faults.response(b'{"data":[]}')
BUSY = faults.response(b"{}", status="503 Service Unavailable")

Search = Callable[[LangCache, dict[str, Any]], object]


def search_sync(cache: LangCache, options: dict[str, Any]) -> object:
    return cache.search(prompt="p", **options)


def search_async(cache: LangCache, options: dict[str, Any]) -> object:
    async def main() -> object:
        return await cache.search_async(prompt="p", **options)

    return asyncio.run(main())


both_forms = pytest.mark.parametrize("search", [search_sync, search_async])

TRANSPORTS: dict[str, tuple[Search, Callable[[], dict[str, Any]]]] = {
    "urllib3": (search_sync, lambda: {"transport": "urllib3"}),
    "requests": (search_sync, lambda: {"transport": "requests"}),
    "aiohttp": (search_async, dict),
    "threaded": (search_async, lambda: {"async_transport": "threaded"}),
    "httpx": (search_sync, lambda: {"client": httpx.Client()}),
    "requests.Session": (search_sync, lambda: {"client": requests.Session()}),
    "async httpx": (search_async, lambda: {"async_client": httpx.AsyncClient()}),
}
every_transport = pytest.mark.parametrize("name", TRANSPORTS)


@contextmanager
def cache_of(server: FaultServer, **arguments: Any) -> Generator[LangCache, None, None]:
    with LangCache(server.url, "k", "c", **arguments) as cache:
        yield cache


def failed(call: Callable[[], object]) -> tuple[errors.LangCacheError, float]:
    """Return the error that a call ends with, and how many seconds it took."""
    begun = time.monotonic()
    with pytest.raises(errors.LangCacheError) as caught:
        call()
    return caught.value, time.monotonic() - begun


def busy_for_ever(connection: Connection) -> None:
    """Answer 503 to everything."""
    while connection.request():
        connection.send(BUSY)


@every_transport
@pytest.mark.parametrize(
    "fault", [faults.silent, faults.dripping_headers, faults.dripping_body], ids=["silent", "headers", "body"]
)
def test_the_deadline_holds_within_50_ms(name: str, fault: Conversation) -> None:
    """Whatever the timeout of an attempt is."""
    search, arguments = TRANSPORTS[name]
    with FaultServer(fault) as server, cache_of(server, timeout_ms=5_000, **arguments()) as cache:

        def attempt() -> float:
            error, seconds = failed(lambda: search(cache, {"deadline_ms": 200}))
            assert isinstance(error, errors.DeadlineExceeded)
            assert error.during == "send"
            return seconds

        assert 0.19 <= fastest(attempt, 0.25) <= 0.25


@both_forms
def test_a_deadline_ends_repetitions(search: Search) -> None:
    """Retries go on for as long as there is time, and no call is repeated for the sake of one that comes too late."""
    policy = RetryPolicy(max_attempts=1_000, initial_ms=20, max_ms=20, burst=1_000)
    with FaultServer(busy_for_ever) as server, cache_of(server, retry_config=policy) as cache:
        cache.explain()  # opens the async transport too: to load its library takes longer than this deadline may be
        repeated: list[int] = []

        def attempt() -> float:
            before = len(server.requests)
            error, seconds = failed(lambda: search(cache, {"deadline_ms": 300}))
            sent = len(server.requests) - before
            assert error.attempts is not None
            assert sent <= error.attempts <= sent + 1, "the last may have had no time"
            repeated.append(sent)
            assert isinstance(error, errors.DeadlineExceeded) or error.status_code == 503
            assert error.elapsed is not None
            assert error.elapsed <= seconds
            return seconds

        assert fastest(attempt, 0.35) <= 0.35
        assert max(repeated) > 1


@both_forms
def test_a_wait_that_is_longer_than_the_deadline_is_not_begun(search: Search) -> None:
    """The caller gets the service's own word instead, at once."""
    answer = faults.response(b"{}", status="429 Too Many Requests", headers=[("Retry-After", "10")])
    with FaultServer(answer) as server, cache_of(server, retry_config=RetryPolicy(), deadline_ms=8_000) as cache:
        error, seconds = failed(lambda: search(cache, {}))
        assert (error.status_code, error.retry_after, error.attempts) == (429, 10.0, 1)
        assert seconds < 5
        assert len(server.requests) == 1


SPECIFIED = RetryConfig("backoff", BackoffStrategy(10, 60_000, 1.5, 3_600_000), True)


@both_forms
def test_a_wait_that_is_longer_than_the_deadline_is_not_begun_with_a_retry_config_either(search: Search) -> None:
    answer = faults.response(b"{}", status="429 Too Many Requests", headers=[("Retry-After", "10")])
    with FaultServer(answer) as server, cache_of(server, retry_config=SPECIFIED, deadline_ms=8_000) as cache:
        error, seconds = failed(lambda: search(cache, {}))
        assert (error.status_code, error.retry_after, error.attempts) == (429, 10.0, 1)
        assert seconds < 5
        assert len(server.requests) == 1


@both_forms
def test_a_total_outage_opens_the_circuit_under_a_deadline_and_a_retry_config(search: Search) -> None:
    """Each call ends with the service's own word, whenever its deadline leaves no time for another attempt."""
    policy = BreakerPolicy(consecutive_failures=3)
    arguments: dict[str, Any] = {"retry_config": SPECIFIED, "deadline_ms": 500, "breaker": policy}
    with FaultServer(busy_for_ever) as server, cache_of(server, **arguments) as cache:
        cache.explain()  # opens the async transport
        for _ in range(3):
            assert failed(lambda: search(cache, {}))[0].status_code in (503, 0)
        error, _ = failed(lambda: search(cache, {}))
    assert isinstance(error, errors.CircuitOpen)


class Late:
    """A plugin whose middleware uses up the whole time before each attempt."""

    @hookimpl
    def langcache_attempt_middleware(self) -> Middleware:
        """Wait in its own code, where it cannot be interrupted."""
        return self._attempt

    def _attempt(self, request: Request, call_next: Next) -> Steps[Response]:
        time.sleep(0.06)
        return (yield from call_next(request))


@both_forms
def test_a_circuit_does_not_open_where_nothing_was_ever_sent(search: Search) -> None:
    policy = BreakerPolicy(consecutive_failures=2)
    with FaultServer(NO_ENTRIES) as server, cache_of(server, breaker=policy, plugins=[Late()]) as cache:
        cache.explain()  # opens the async transport
        for _ in range(4):
            error, _ = failed(lambda: search(cache, {"deadline_ms": 50}))
            assert isinstance(error, errors.DeadlineExceeded)
            assert (error.begun, error.nothing_sent) == (False, True)
        search(cache, {})
        assert len(server.requests) == 1


@both_forms
def test_a_call_that_recovers_is_answered_and_tells_its_attempts(search: Search) -> None:
    with FaultServer(faults.answer(BUSY, BUSY, NO_ENTRIES)) as server:
        with cache_of(server, retry_config=RetryPolicy(initial_ms=1)) as cache:
            result: Any = search(cache, {})
        assert result.metadata.attempts == 3
        assert len({request.headers["X-Request-ID"] for request in server.requests}) == 1


def set_sync(cache: LangCache) -> object:
    return cache.set(prompt="p", response="r")


def set_async(cache: LangCache) -> object:
    return asyncio.run(cache.set_async(prompt="p", response="r"))


@pytest.mark.parametrize("store", [set_sync, set_async])
def test_a_set_that_may_have_arrived_is_sent_once(store: Callable[[LangCache], object]) -> None:
    with FaultServer(faults.close_before_answer) as server, cache_of(server, retry_config=RetryPolicy()) as cache:
        error, _ = failed(lambda: store(cache))
        assert isinstance(error, errors.ReadError)
        assert (error.attempts, len(server.requests)) == (1, 1)
        error, _ = failed(lambda: cache.search(prompt="p"))
        assert (error.attempts, len(server.requests)) == (3, 4)


@both_forms
def test_an_outage_is_not_made_worse(search: Search) -> None:
    """At most 1.1 times the calls; and with a breaker hardly any."""
    with FaultServer(busy_for_ever) as server:
        with cache_of(server, retry_config=RetryPolicy(initial_ms=0)) as cache:
            many(cache, search, 100)
        assert len(server.requests) <= 110
    with FaultServer(busy_for_ever) as server:
        with cache_of(server, retry_config=RetryPolicy(initial_ms=0), breaker=BreakerPolicy()) as cache:
            many(cache, search, 100)
        assert len(server.requests) <= 15


def many(cache: LangCache, search: Search, times: int) -> None:
    if search is search_sync:
        for _ in range(times):
            failed(lambda: search(cache, {}))
        return

    async def main() -> None:
        for _ in range(times):
            with pytest.raises(errors.LangCacheError):
                await cache.search_async(prompt="p")

    asyncio.run(main())


@both_forms
def test_a_service_that_comes_back_is_used_again(search: Search) -> None:
    policy = BreakerPolicy(consecutive_failures=2, open_ms=50)
    busy = faults.closing(BUSY)  # each call makes a connection of its own
    with FaultServer(busy, busy, NO_ENTRIES) as server, cache_of(server, breaker=policy) as cache:
        for _ in range(2):
            failed(lambda: search(cache, {}))
        error, _ = failed(lambda: search(cache, {}))
        assert isinstance(error, errors.CircuitOpen)
        assert error.until is not None
        assert len(server.requests) == 2
        threading.Event().wait(error.retry_after)
        search(cache, {})
        search(cache, {})
        assert len(server.requests) == 4


FAULTS: dict[str, Conversation] = {
    "close": faults.close_before_answer,
    "reset": faults.reset_within_headers,
    "truncated": faults.close_within_body,
    "not HTTP": faults.not_http,
    "bad gzip": faults.bad_gzip,
    "bomb": faults.endless_body,
    "silent": faults.silent,
    "busy": busy_for_ever,
    "page": faults.closing(faults.response(b"<html>sign in</html>")),
}


@both_forms
@pytest.mark.parametrize("name", FAULTS)
def test_a_search_is_a_miss_whatever_the_service_does(name: str, search: Search) -> None:
    """An application that fails open is not told of it by an exception."""
    arguments: dict[str, Any] = {"on_failure": "miss", "deadline_ms": 300, "max_response_bytes": 100_000}
    with FaultServer(FAULTS[name]) as server, cache_of(server, **arguments) as cache:
        result: Any = search(cache, {})
    assert result.data == []
    assert isinstance(result.metadata.degraded, errors.LangCacheError)


@both_forms
def test_a_service_that_is_not_there_is_a_miss(search: Search) -> None:
    with FaultServer(faults.OK) as server:
        url = server.url
    with LangCache(url, "k", "c", on_failure="miss") as cache:
        result: Any = search(cache, {})
    assert isinstance(result.metadata.degraded, errors.ConnectError)


def test_a_cancelled_call_leaves_nothing_behind() -> None:
    """Not an attempt, not a probe: the next call is served."""
    started: list[asyncio.Task[object]] = []

    async def main(cache: LangCache, server: FaultServer) -> None:
        def call() -> Coroutine[Any, Any, object]:
            return cache.search_async(prompt="p", deadline_ms=10_000)

        task = asyncio.create_task(call())
        started.append(task)
        assert await asyncio.to_thread(server.wait_for_requests, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await call()

    with FaultServer(faults.silent, NO_ENTRIES) as server:
        with cache_of(server, breaker=BreakerPolicy(), retry_config=RetryPolicy()) as cache:
            asyncio.run(main(cache, server))
        assert len(server.requests) == 2


# A part of one's own in the place of a built-in one: what is promised then is the plugin's


class Own:
    """A plugin that has one middleware for calls, made of a function."""

    name = "own"

    def __init__(self, middleware: Middleware) -> None:
        self._middleware = middleware

    @hookimpl
    def langcache_call_middleware(self) -> Middleware:
        """Return it."""
        return self._middleware


def replaced(name: str, middleware: Middleware, service: Any, **arguments: Any) -> LangCache:
    """Return a client with `middleware` at the place of the built-in part of that name, which is left out."""
    place = {"deadline": "before:circuit_breaker", "circuit_breaker": "before:retry", "fail_open": "after:statistics"}
    order = {"own": place[name]} if name in place else {"own": "before:statistics"}
    cache = LangCache(
        "http://cache.example",
        "k",
        "c",
        transport=FakeTransport(service),
        plugins=[Own(middleware)],
        without=[name],
        order=order,
        **arguments,
    )
    assert f" {name} " not in cache.explain()
    assert " own " in cache.explain()
    return cache


def busy(_: Request) -> Response:
    return Response(503)


def test_a_deadline_of_ones_own_takes_the_place_of_the_built_in_one() -> None:
    """It bounds what is inside of it as it likes, and the built-in one does nothing any more."""

    def own(request: Request, call_next: Next) -> Steps[Response]:
        if request.options["deadline"] is not None:
            raise errors.DeadlineExceeded("own: no call may have a deadline")
        return (yield from call_next(request))

    cache = replaced("deadline", own, busy, retry_config=RetryPolicy(initial_ms=0))
    error, _ = failed(lambda: cache.search(prompt="p"))
    assert (error.status_code, error.attempts) == (503, 3)
    error, _ = failed(lambda: cache.search(prompt="p", deadline_ms=10_000))
    assert isinstance(error, errors.DeadlineExceeded)
    assert str(error) == "own: no call may have a deadline"


def test_a_circuit_breaker_of_ones_own_takes_the_place_of_the_built_in_one() -> None:
    """It counts calls and not attempts, as that does, and fail-open excuses what it raises."""

    class Trip:
        is_open = False

        def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
            if self.is_open:
                raise errors.CircuitOpen("own: open")
            try:
                return (yield from call_next(request))
            except errors.LangCacheError:
                self.is_open = True
                raise

    cache = replaced("circuit_breaker", Trip(), busy, breaker=BreakerPolicy(), retry_config=RetryPolicy(initial_ms=0))
    assert failed(lambda: cache.search(prompt="p"))[0].attempts == 3
    assert isinstance(failed(lambda: cache.search(prompt="p"))[0], errors.CircuitOpen)
    assert isinstance(cache.search(prompt="p", on_failure="miss").metadata.degraded, errors.CircuitOpen)


def test_a_fail_open_of_ones_own_takes_the_place_of_the_built_in_one() -> None:
    """It may excuse what the built-in one does not, with an answer of its own."""

    def own(request: Request, call_next: Next) -> Steps[Response]:
        try:
            return (yield from call_next(request))
        except errors.LangCacheError as error:
            return Response(200, {}, request.options["substitute"](request), extensions={"degraded": error})

    cache = replaced("fail_open", own, [Response(404)])
    found = cache.search(prompt="p")
    assert found.data == []
    assert isinstance(found.metadata.degraded, errors.NotFoundError)
    assert cache.statistics().total.degraded == 1


def test_an_identity_of_ones_own_takes_the_place_of_the_built_in_one() -> None:
    """Its id is sent, is on results and errors, and in the lines of the log."""
    sent: list[Request] = []

    def answer(request: Request) -> Response:
        sent.append(request)
        return Response(503 if len(sent) == 2 else 200, {}, b'{"data": []}')

    def own(request: Request, call_next: Next) -> Steps[Response]:
        request = request.with_options(request_id="own 1").with_headers({"X-Trace": "own 1"})
        try:
            response = yield from call_next(request)
        except errors.LangCacheError as error:
            error.client_request_id = "own 1"
            raise
        return response.with_extensions(request_id="own 1")

    cache = replaced("identity", own, answer)
    assert cache.search(prompt="p").metadata.request_id == "own 1"
    error, _ = failed(lambda: cache.search(prompt="p"))
    assert error.client_request_id == "own 1"
    assert cache.search(prompt="p", on_failure="miss").metadata.request_id == "own 1"
    assert {request.headers["X-Trace"] for request in sent} == {"own 1"}
    assert not any("X-Request-ID" in request.headers for request in sent)
