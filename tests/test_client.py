"""LangCache: construction, bad input, timeouts, closing - what a program's author meets first."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import logging
import pickle
import re
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

import langcache
from langcache import (
    BackoffStrategy,
    BreakerPolicy,
    LangCache,
    Next,
    Request,
    Response,
    RetryConfig,
    RetryPolicy,
    Steps,
    errors,
    hookimpl,
    models,
)
from langcache.models import SearchStrategy
from tests.local_server import LocalServer
from tests.transports.programs import output_of
from tests.transports.test_processes import echo

NO_ENTRIES = Response(200, {"Content-Type": "application/json"}, b'{"data":[]}')

Search = Callable[..., Any]


def search_sync(client: LangCache, prompt: Any = "p", **arguments: Any) -> models.SearchResponse:
    return client.search(prompt=prompt, **arguments)


def search_async(client: LangCache, prompt: Any = "p", **arguments: Any) -> models.SearchResponse:
    return asyncio.run(client.search_async(prompt=prompt, **arguments))


both_forms = pytest.mark.parametrize("search", [search_sync, search_async])


class Recording:
    """A transport that remembers what it was sent and that it was closed."""

    def __init__(self) -> None:
        self.sent: list[Request] = []
        self.closed = 0

    def send(self, request: Request) -> Response:
        self.sent.append(request)
        return NO_ENTRIES

    def close(self) -> None:
        self.closed += 1


class AsyncRecording:
    """The same for async calls."""

    def __init__(self) -> None:
        self.sent: list[Request] = []
        self.closed = 0

    async def send(self, request: Request) -> Response:
        self.sent.append(request)
        return NO_ENTRIES

    async def aclose(self) -> None:
        self.closed += 1


def client_of(transport: Recording, **arguments: Any) -> LangCache:
    common: dict[str, Any] = {"server_url": "http://cache.example", "api_key": "k", "cache_id": "c"}
    return LangCache(**(common | arguments), transport=transport)


# Construction


def test_the_constructors_positional_order_is_the_specifications() -> None:
    names = list(inspect.signature(LangCache).parameters.values())
    assert [p.name for p in names if p.kind is p.POSITIONAL_OR_KEYWORD] == [
        "server_url",
        "api_key",
        "cache_id",
        "client",
        "async_client",
        "retry_config",
        "timeout_ms",
        "debug_logger",
    ]


@pytest.mark.parametrize("nothing", [None, ""])
def test_construction_raises_nothing_for_what_the_first_call_checks(nothing: str | None) -> None:
    LangCache("cache.example", nothing, nothing).close()


def test_an_unknown_keyword_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="chache_id"):
        LangCache("http://cache.example", chache_id="c")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_the_environment_fills_what_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGCACHE_SERVER_URL", "http://cache.example")
    monkeypatch.setenv("LANGCACHE_CACHE_ID", "from-environment")
    transport = Recording()
    client = LangCache(transport=transport)
    monkeypatch.setenv("LANGCACHE_API_KEY", "first")
    client.search(prompt="p")
    monkeypatch.setenv("LANGCACHE_API_KEY", "rotated")
    client.search(prompt="p")
    assert transport.sent[0].url == "http://cache.example/v1/caches/from-environment/entries/search"
    assert [request.headers["authorization"] for request in transport.sent] == ["Bearer first", "Bearer rotated"]


@pytest.mark.parametrize("transport", ["urllib3", "requests"])
@both_forms
def test_the_environments_proxies_are_used(
    search: Search, transport: str, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the official SDK, or programs behind a proxy would not reach the service any more."""
    server.answer = lambda request: NO_ENTRIES
    monkeypatch.setenv("HTTP_PROXY" if transport == "requests" else "http_proxy", server.url)
    with LangCache("http://cache.invalid", "k", "c", transport=transport) as client:
        search(client)
    assert server.requests[0].url == "http://cache.invalid/v1/caches/c/entries/search"


# Bad input: a clear error before anything is sent


@both_forms
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cache_id": None}, r"No cache id: give LangCache\(cache_id=...\) or set LANGCACHE_CACHE_ID"),
        ({"cache_id": ""}, "No cache id"),
        ({"cache_id": "c\ud800"}, "cache_id contains a lone surrogate at position 1"),
        ({"api_key": None}, r"No API key: give LangCache\(api_key=...\) or set LANGCACHE_API_KEY"),
        ({"api_key": ""}, "The API key is empty"),
        ({"api_key": "s3cret\n"}, "The API key contains a line break at position 6 of 7; strip it"),
        ({"api_key": SecretStr("s3cret\r\n")}, "line break"),
        ({"api_key": lambda: "s3cret\n"}, "line break"),
        ({"server_url": "cache.example"}, "has no scheme; write for example 'https://cache.example'"),
        ({"server_url": ""}, "No server URL"),
        ({"server_url": "https://"}, "names no host"),
    ],
)
def test_a_setting_that_cannot_work_is_named_by_the_first_call(
    search: Search, arguments: dict[str, Any], message: str
) -> None:
    transport = Recording()
    client = client_of(transport, **arguments)
    with pytest.raises(errors.ConfigurationError, match=message) as caught:
        search(client)
    assert isinstance(caught.value, ValueError)
    assert "s3cret" not in str(caught.value)
    assert transport.sent == []


@both_forms
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attributes": {"language": 5}}, r"attributes.language\n.*valid string.*input_value=5"),
        ({"prompt": "a\ud800"}, r"prompt\n.*lone surrogate \(U\+D800\) at position 1"),
        ({"attributes": {"a": "\udfff"}}, r"lone surrogate \(U\+DFFF\) at position 0"),
        ({"attributes": {"\udfff": "a"}}, r"lone surrogate \(U\+DFFF\) at position 0"),
        ({"prompt": None}, r"prompt\n.*valid string"),
        ({"similarity_threshold": "high"}, r"valid number.*input_value='high'"),
        ({"similarity_threshold": float("nan")}, "finite number"),
        ({"search_strategies": "exact"}, "valid list"),
        ({"max_results": 1.5}, "valid integer"),
    ],
)
def test_an_argument_of_the_wrong_type_is_named_before_anything_is_sent(
    search: Search, arguments: dict[str, Any], message: str
) -> None:
    transport = Recording()
    with pytest.raises(ValidationError, match=message) as caught:
        search(client_of(transport), **arguments)
    assert isinstance(caught.value, ValueError)
    assert transport.sent == []


@both_forms
def test_nothing_is_refused_that_a_newer_service_may_accept(search: Search) -> None:
    """The limits are the service's to enforce, and they move."""
    transport = Recording()
    search(
        client_of(transport),
        prompt="x" * 100_000,
        similarity_threshold=2,
        search_strategies=["hybrid"],
        attributes={f"näme {number}": "a,b/c" * 1_000 for number in range(20)},
        max_results=10**9,
    )
    assert len(transport.sent) == 1


@both_forms
@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (
            {"X-Name": "a\r\nX-Injected: 1"},
            "http_headers: the value of the header 'X-Name' contains a line break at position 1",
        ),
        ({"X Name": "a"}, "http_headers: the header name 'X Name' must be"),
        ({"Content-Length": "0"}, "is set by the transport"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused(search: Search, headers: dict[str, str], message: str) -> None:
    transport = Recording()
    with pytest.raises(errors.ConfigurationError, match=message):
        search(client_of(transport), http_headers=headers)
    assert transport.sent == []


@pytest.mark.parametrize("timeout_ms", [-1, float("nan"), float("inf"), "10", True])
def test_a_timeout_that_is_none_is_refused(timeout_ms: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match="timeout_ms must be"):
        client_of(Recording(), timeout_ms=timeout_ms)
    with pytest.raises(errors.ConfigurationError, match="timeout_ms must be"):
        client_of(Recording()).search(prompt="p", timeout_ms=timeout_ms)


def test_a_retry_configuration_that_is_none_is_refused() -> None:
    wrong: Any = 3
    with pytest.raises(errors.ConfigurationError, match=r"retry_config must be a RetryPolicy.*not int"):
        client_of(Recording(), retry_config=wrong)
    with pytest.raises(errors.ConfigurationError, match=r"retries must be a RetryPolicy.*not int"):
        client_of(Recording()).search(prompt="p", retries=wrong)


@pytest.mark.parametrize("pool_size", [0, -1, 1.5, "8", True])
def test_a_pool_size_that_is_none_is_refused(pool_size: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match="pool_size must be a whole number of 1 or more"):
        client_of(Recording(), pool_size=pool_size)


def test_a_key_of_the_wrong_type_is_refused_without_showing_it() -> None:
    wrong: Any = b"s3cret"
    with pytest.raises(errors.ConfigurationError, match="not bytes") as caught:
        client_of(Recording(), api_key=wrong)
    assert "s3cret" not in str(caught.value)


# One call's own options


@both_forms
def test_an_authorization_header_of_the_call_stands_before_the_key(search: Search) -> None:
    transport = Recording()
    search(client_of(transport), http_headers={"authorization": "Basic eA=="})
    assert transport.sent[0].headers["authorization"] == "Basic eA=="


@both_forms
def test_a_key_that_is_rotated_during_a_call_is_used_by_the_next_attempt(search: Search, server: LocalServer) -> None:
    keys = iter(["old", "new"])
    retries = RetryConfig("backoff", BackoffStrategy(0, 0, 1, 60_000), False)
    server.answer = lambda request: NO_ENTRIES if request.headers["authorization"] == "Bearer new" else Response(503)
    with LangCache(server.url, lambda: next(keys), "c", retry_config=retries) as client:
        search(client)
    assert [request.headers["authorization"] for request in server.requests] == ["Bearer old", "Bearer new"]


def test_repetitions_are_told_to_the_debug_logger() -> None:
    class Lines:
        lines: list[str] = []  # noqa: RUF012 - one test's

        def debug(self, msg: str, *args: object, **kwargs: object) -> None:
            self.lines.append(msg % args)

    class Busy(Recording):
        def send(self, request: Request) -> Response:
            super().send(request)
            return Response(503) if len(self.sent) == 1 else NO_ENTRIES

    retries = RetryConfig("backoff", BackoffStrategy(0, 0, 1, 60_000), False)
    client_of(Busy(), retry_config=retries, debug_logger=Lines()).search(prompt="p")
    [line] = [line for line in Lines.lines if "repeating" in line]
    assert re.fullmatch(r"search: status 503; repeating it in 0\.000 s \[[0-9a-f]{32}\]", line)


def test_all_that_is_told_goes_to_the_debug_logger(caplog: pytest.LogCaptureFixture) -> None:
    """Repetitions, the circuit breaker and fail-open alike, at their own levels where it is a standard logger."""
    caplog.set_level(logging.INFO, "of.the.caller")

    class Busy(Recording):
        def send(self, request: Request) -> Response:
            return Response(503)

    arguments: dict[str, Any] = {
        "retry_config": RetryPolicy(max_attempts=2, initial_ms=0),
        "breaker": BreakerPolicy(consecutive_failures=1),
        "on_failure": "miss",
    }
    client_of(Busy(), debug_logger=logging.getLogger("of.the.caller"), **arguments).search(prompt="p")
    told = [(record.name, record.levelname, record.__dict__["langcache_event"]) for record in caplog.records]
    assert told == [
        ("of.the.caller", "INFO", "retry"),
        ("of.the.caller", "WARNING", "breaker_opened"),
        ("of.the.caller", "WARNING", "degraded"),
    ]


def test_a_log_that_fails_fails_no_call(capsys: pytest.CaptureFixture[str]) -> None:
    """A filter is the application's, and `logging` lets through what it raises; it is reported as that does."""

    def broken(record: logging.LogRecord) -> bool:
        raise LookupError("no such filter")

    logger = logging.Logger("of.the.caller")
    logger.addFilter(broken)
    assert search_sync(client_of(Recording(), debug_logger=logger)) is not None
    assert "LookupError: no such filter" in capsys.readouterr().err


def test_a_debug_logger_need_take_nothing_but_a_line() -> None:
    """That is all that the specification's protocol is used for by others."""
    lines: list[str] = []

    class Plain:
        def debug(self, msg: str, *args: object) -> None:
            lines.append(msg % args)

    class Busy(Recording):
        def send(self, request: Request) -> Response:
            super().send(request)
            return Response(503) if len(self.sent) == 1 else NO_ENTRIES

    plain: Any = Plain()
    retries = RetryConfig("backoff", BackoffStrategy(0, 0, 1, 60_000), False)
    client_of(Busy(), retry_config=retries, debug_logger=plain).search(prompt="p")
    assert [re.split(" -> | \\[", line)[0] for line in lines] == [
        "search: POST http://cache.example/v1/caches/c/entries/search",
        "search: status 503; repeating it in 0.000 s",
        "search: POST http://cache.example/v1/caches/c/entries/search",
    ]


@both_forms
def test_a_call_can_go_elsewhere_with_headers_and_a_timeout_of_its_own(search: Search) -> None:
    transport = Recording()
    client = client_of(transport, timeout_ms=2_000)
    search(client)
    search(client, server_url="https://other.example/prefix/", timeout_ms=500, http_headers={"X-Tenant": "a"})
    search(client, timeout_ms=0)
    default, own, unlimited = transport.sent
    assert default.url == "http://cache.example/v1/caches/c/entries/search"
    assert own.url == "https://other.example/prefix/v1/caches/c/entries/search"
    # In a thread, the wait for it counts.
    assert default.timeout is not None
    assert own.timeout is not None
    assert 1.5 < default.timeout <= 2.0
    assert 0 < own.timeout <= 0.5
    assert own.headers["x-tenant"] == "a"
    assert "x-tenant" not in default.headers
    assert unlimited.timeout is None


def test_an_attempt_takes_ten_seconds_at_most_where_nothing_else_is_said() -> None:
    transport = Recording()
    search_sync(client_of(transport))
    search_sync(client_of(transport, timeout_ms=0))
    assert [request.timeout for request in transport.sent] == [10.0, None]


def test_a_call_cannot_go_where_the_clients_transport_does_not_reach() -> None:
    client = LangCache("embedded://", cache_id="c")
    with pytest.raises(errors.ConfigurationError, match="needs another transport"):
        client.search(prompt="p", server_url="http://cache.example")


@both_forms
def test_the_clients_retries_can_be_turned_off_for_a_call(search: Search, server: LocalServer) -> None:
    retries = RetryConfig("backoff", BackoffStrategy(1, 1, 1, 60_000), False)
    client = LangCache(server.url, "k", "c", retry_config=retries)
    server.answer = lambda request: NO_ENTRIES if len(server.requests) == 3 else Response(503)
    search(client)
    assert len(server.requests) == 3
    server.answer = lambda request: Response(503)
    with pytest.raises(errors.APIError):
        search(client, retries=None)
    assert len(server.requests) == 4
    client.close()


def test_the_arguments_forms_of_the_specification_are_all_taken() -> None:
    transport = Recording()
    client = client_of(transport)
    for strategies in (["exact"], ("exact",), [SearchStrategy.EXACT], (name for name in ["exact"]), {"exact"}):
        client.search(prompt="p", search_strategies=strategies, attributes=None, max_results=None)
    assert {request.content for request in transport.sent} == {b'{"prompt":"p","searchStrategies":["exact"]}'}


@pytest.mark.parametrize("request_argument", [None, {}, models.FlushRequest()])
def test_flush_takes_the_empty_request_that_some_programs_pass(request_argument: Any) -> None:
    transport = Recording()
    client_of(transport).flush(request=request_argument)
    assert transport.sent[0].content is None


# Async


def test_an_async_key_provider_serves_async_calls_and_is_refused_in_sync_ones() -> None:
    async def provider() -> str:
        await asyncio.sleep(0)
        return "from-vault"

    transport = Recording()
    client = client_of(transport, api_key=provider)
    search_async(client)
    assert transport.sent[0].headers["authorization"] == "Bearer from-vault"
    with pytest.raises(errors.UnexpectedAwaitableError, match="provider is async"):
        search_sync(client)
    assert len(transport.sent) == 1


def test_a_plain_key_provider_serves_both() -> None:
    transport = Recording()
    client = client_of(transport, api_key=lambda: SecretStr("k1"))
    search_sync(client)
    search_async(client)
    assert [request.headers["authorization"] for request in transport.sent] == ["Bearer k1"] * 2


def test_an_async_transport_serves_async_calls_only() -> None:
    transport = AsyncRecording()
    client = LangCache("http://cache.example", "k", "c", transport=transport)
    search_async(client)
    with pytest.raises(errors.ConfigurationError, match=r"async calls only; use the \*_async methods"):
        search_sync(client)
    assert len(transport.sent) == 1


def test_sync_and_async_transports_can_be_given_side_by_side() -> None:
    plain, asynchronous = Recording(), AsyncRecording()
    client = client_of(plain, async_transport=asynchronous)
    search_sync(client)
    search_async(client)
    assert (len(plain.sent), len(asynchronous.sent)) == (1, 1)


@pytest.mark.parametrize("wrong", [object(), 5])
def test_what_is_no_transport_is_refused(wrong: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match="is no transport; that is a name, or an object with send"):
        client_of(wrong)
    with pytest.raises(errors.ConfigurationError, match="is no transport"):
        client_of(Recording(), async_transport=wrong)


def test_a_sync_transport_is_refused_as_the_async_one() -> None:
    wrong: Any = Recording()
    with pytest.raises(errors.ConfigurationError, match=r"Recording has no aclose\(\): it is not async"):
        client_of(Recording(), async_transport=wrong)


@pytest.mark.parametrize(("transport", "most"), [("aiohttp", 100), ("threaded", 8)])
def test_many_tasks_share_a_client(server: LocalServer, transport: str, most: int) -> None:
    """And each gets the answer to its own question, over no more connections than calls, or threads."""
    server.answer = echo

    async def main() -> list[models.SearchResponse]:
        async with LangCache(server.url, "k", "c", async_transport=transport, pool_size=8) as client:
            return await asyncio.gather(*(client.search_async(prompt=str(number)) for number in range(100)))

    found = asyncio.run(main())
    assert [result.data[0].prompt for result in found] == [str(number) for number in range(100)]
    assert server.connections <= most


def test_one_client_serves_several_event_loops(server: LocalServer) -> None:
    server.answer = lambda request: NO_ENTRIES
    with LangCache(server.url, "k", "c") as client:
        for _ in range(3):
            search_async(client)
    assert len(server.requests) == 3


def test_a_cancelled_call_leaves_the_client_usable(server: LocalServer) -> None:
    arrived, leave = threading.Event(), threading.Event()

    def answer(request: Request) -> Response:
        arrived.set()
        leave.wait()
        return NO_ENTRIES

    server.answer = answer

    async def main() -> None:
        async with LangCache(server.url, "k", "c") as client:
            task = asyncio.create_task(client.search_async(prompt="p"))
            await asyncio.to_thread(arrived.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            leave.set()
            assert (await client.search_async(prompt="p")).data == []

    asyncio.run(main())


# What a call passes


def test_explain_tells_the_order_and_the_transports() -> None:
    client = client_of(Recording(), timeout_ms=5_000)
    own = f"(langcache {langcache.__version__})"
    assert client.explain().splitlines() == [
        "Once a call:",
        f"  identity         langcache.middleware.identity.RequestIdentity {own}",
        "                     request_id_header='X-Request-ID'",
        f"  statistics       langcache.middleware.statistics.CountCalls {own}",
        f"  fail_open        langcache.middleware.fail_open.FailOpen {own}",
        "                     on_failure='raise'",
        f"  parsing          langcache.middleware.parsing.parse_answer {own}",
        f"  deadline         langcache.middleware.deadline.Deadline {own}",
        "                     deadline_ms=None",
        f"  circuit_breaker  langcache.middleware.circuit_breaker.CircuitBreaker {own}",
        "                     breaker=None",
        f"  retry            langcache.middleware.retry.Retry {own}",
        "                     retry_config=None",
        "Once an attempt:",
        f"  auth             langcache.middleware.auth.BearerAuth {own}",
        "                     from='a string', required=True",
        f"  logging          langcache.middleware.logging.AttemptLog {own}",
        "                     logger='langcache', listens=False",
        f"  error_mapping    langcache.middleware.error_mapping.map_errors {own}",
        f"  redirects        langcache.middleware.redirects.FollowRedirects {own}",
        "Sent by:",
        "  sync calls: tests.test_client.Recording (no distribution), because it was handed in",
        f"  async calls: langcache_transports.threaded.ThreadedTransport {own}, because the one for sync calls has no "
        "async form, so threads run it",
        "  with pool_size=32",
    ]


# Time


@both_forms
def test_a_silent_service_is_given_up_after_the_timeout(search: Search, server: LocalServer) -> None:
    leave = threading.Event()

    def answer(request: Request) -> Response:
        leave.wait()
        return NO_ENTRIES

    server.answer = answer
    with LangCache(server.url, "k", "c", timeout_ms=100) as client:
        with pytest.raises(errors.ReadTimeout):
            search(client)
        leave.set()


# Closing


def test_with_returns_the_client_and_closes_what_it_opened(server: LocalServer) -> None:
    server.answer = lambda request: NO_ENTRIES
    client = LangCache(server.url, "k", "c")
    with client as entered:
        assert entered is client
        client.search(prompt="p")
    with pytest.raises(errors.ClientClosedError, match="This client is closed"):
        client.search(prompt="p")
    with pytest.raises(errors.ClientClosedError):
        client.__enter__()


def test_async_with_returns_the_client_and_closes_what_it_opened(server: LocalServer) -> None:
    server.answer = lambda request: NO_ENTRIES

    async def main() -> None:
        client = LangCache(server.url, "k", "c")
        async with client as entered:
            assert entered is client
            await client.search_async(prompt="p")
        with pytest.raises(errors.ClientClosedError, match="This client is closed"):
            await client.search_async(prompt="p")
        with pytest.raises(errors.ClientClosedError):
            await client.__aenter__()

    asyncio.run(main())


def test_closing_twice_or_in_the_other_form_does_nothing() -> None:
    client = LangCache("embedded://", cache_id="c")
    search_async(client)
    client.close()
    client.close()
    asyncio.run(client.aclose())


def test_a_transport_that_was_handed_in_is_never_closed_by_us() -> None:
    transport, asynchronous = Recording(), AsyncRecording()
    with client_of(transport, async_transport=asynchronous) as client:
        search_sync(client)
    asyncio.run(client_of(transport, async_transport=asynchronous).aclose())
    del client
    gc.collect()
    assert (transport.closed, asynchronous.closed) == (0, 0)


def test_a_dropped_client_is_closed_when_it_is_collected(server: LocalServer) -> None:
    """Its connection is closed on the wire: the server sees the end of it."""
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while b'"p"' not in connection.recv(65536):
                    pass
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + NO_ENTRIES.content)
                assert connection.recv(65536) == b""
                ended.set()

        thread = threading.Thread(target=serve)
        thread.start()
        client = LangCache(f"http://127.0.0.1:{listener.getsockname()[1]}", "k", "c")
        client.search(prompt="p")
        gone = weakref.ref(client)
        del client
        gc.collect()
        assert gone() is None
        assert ended.wait(5)
        thread.join()


def test_an_error_while_closing_one_transport_does_not_keep_the_other_open() -> None:
    class Stubborn(AsyncRecording):
        async def aclose(self) -> None:
            await super().aclose()
            raise OSError("cannot close")

    class Offering:
        sync = Recording()
        asynchronous = Stubborn()

        @hookimpl
        def langcache_transport(self, name: str) -> Recording:
            return self.sync

        @hookimpl
        def langcache_async_transport(self, name: str) -> Stubborn:
            return self.asynchronous

    async def main() -> None:
        client = LangCache("http://cache.example", "k", "c", transport="x", plugins=[Offering()])
        await client.search_async(prompt="p")
        with pytest.raises(OSError, match="cannot close"):
            await client.aclose()

    asyncio.run(main())
    assert (Offering.sync.closed, Offering.asynchronous.closed) == (1, 1)


@both_forms
def test_a_closed_client_sends_nothing_more(search: Search, server: LocalServer) -> None:
    """Not even the next attempt of a call that is under way."""
    retries = RetryConfig("backoff", BackoffStrategy(0, 0, 1, 60_000), False)
    client = LangCache(server.url, "k", "c", retry_config=retries)

    def answer(request: Request) -> Response:
        client.close()
        return Response(503)

    server.answer = answer
    with pytest.raises(errors.ClientClosedError):
        search(client)
    assert len(server.requests) == 1


class OffersAsync:
    """A plugin with an async transport alone."""

    def __init__(self) -> None:
        self.made = AsyncRecording()

    @hookimpl
    def langcache_async_transport(self, name: str) -> AsyncRecording | None:
        return self.made if name == "lonely" else None


def test_an_async_transport_that_a_sync_close_cannot_close_waits_for_the_async_one() -> None:
    plugin = OffersAsync()
    client = LangCache("http://cache.example", "k", "c", transport="lonely", plugins=[plugin])
    search_async(client)
    client.close()
    assert plugin.made.closed == 0
    asyncio.run(client.aclose())
    assert plugin.made.closed == 1


class Opening:
    """Offers transports, and notes when and where the async one is asked for."""

    def __init__(self) -> None:
        self.sync, self.asynchronous = Recording(), AsyncRecording()
        self.opened: list[tuple[float, int]] = []

    @hookimpl
    def langcache_transport(self, name: str) -> Recording:
        return self.sync

    @hookimpl
    def langcache_async_transport(self, name: str) -> AsyncRecording:
        self.opened.append((time.monotonic(), threading.get_ident()))
        return self.asynchronous


def test_what_opening_the_async_transport_takes_counts_for_the_deadline_of_the_first_call() -> None:
    """It loads a whole HTTP library."""
    plugin = Opening()
    client = LangCache("http://cache.example", "k", "c", transport="x", plugins=[plugin], deadline_ms=60_000)

    async def main() -> None:
        await client.search_async(prompt="p")
        await client.aclose()

    asyncio.run(main())
    [(moment, _)] = plugin.opened
    assert plugin.asynchronous.sent[0].options["deadline"] - 60 <= moment


@pytest.mark.parametrize("enters", [True, False])
def test_the_async_transport_is_opened_once_in_the_event_loop(enters: bool) -> None:
    """So that the hook of a plugin has the running loop; ``async with`` opens it before the first call."""
    plugin = Opening()
    client = LangCache("http://cache.example", "k", "c", transport="x", plugins=[plugin])

    async def main() -> None:
        if enters:
            await client.__aenter__()
            assert len(plugin.opened) == 1
        await asyncio.gather(*(client.search_async(prompt="p") for _ in range(5)))
        await client.aclose()

    asyncio.run(main())
    [(_, thread)] = plugin.opened
    assert thread == threading.get_ident()
    assert len(plugin.asynchronous.sent) == 5


def test_the_event_loop_goes_on_while_the_async_transports_library_is_imported() -> None:
    """It takes a tenth of a second."""
    program = """
    import asyncio, importlib, sys, threading
    from langcache import LangCache

    seen = []

    class Importing:
        def find_spec(self, name, path=None, target=None):
            if name in ("aiohttp", "pydantic"):
                seen.append((name, threading.current_thread() is threading.main_thread()))

    sys.meta_path.insert(0, Importing())

    async def main():
        client = LangCache("http://127.0.0.1:9", "k", "c", timeout_ms=2_000)
        await client.search_async(prompt="p", on_failure="miss")
        await client.aclose()

    asyncio.run(main())
    print(sorted(seen))
    """
    out, _ = output_of(program)
    assert out.strip() == "[('aiohttp', False), ('pydantic', False)]"


def test_with_loads_the_models_before_the_first_call() -> None:
    program = """
    import sys
    from langcache import LangCache

    client = LangCache("http://127.0.0.1:9", "k", "c")
    assert "pydantic" not in sys.modules
    with client:
        assert "langcache.models.searchrequest" in sys.modules
    """
    output_of(program)


def test_a_dropped_client_warns_of_an_async_transport_that_nobody_closed() -> None:
    client = LangCache("http://cache.example", "k", "c", transport="lonely", plugins=[OffersAsync()])
    with pytest.warns(ResourceWarning, match=r"AsyncRecording was not closed; use 'async with' or aclose\(\)"):
        del client  # nothing else holds it, so it is gone at once


def test_a_constructor_that_fails_closes_what_it_opened() -> None:
    class Offering:
        sync = Recording()

        @hookimpl
        def langcache_transport(self, name: str) -> Recording | None:
            return self.sync if name == "x" else None

    with pytest.raises(errors.UnknownTransportError):
        LangCache("http://x", "k", "c", transport="x", async_transport="nope", plugins=[Offering()])
    assert Offering.sync.closed == 1


def test_a_client_is_shared_and_neither_copied_nor_pickled() -> None:
    client = client_of(Recording())
    assert copy.copy(client) is client
    for attempt in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied or pickled; make a new one"):
            attempt(client)


# Mistakes of others


def test_a_transport_that_returns_something_else_is_told_so() -> None:
    class Wrong(Recording):
        def send(self, request: Request) -> Any:
            return None

    with pytest.raises(TypeError, match=r"the transport returned NoneType, and not a langcache\.Response"):
        client_of(Wrong()).search(prompt="p")


@both_forms
def test_a_middleware_that_loses_the_response_is_told_how_to_end(search: Search) -> None:
    def forgetful(request: Request, call_next: Next) -> Steps[Any]:
        yield from call_next(request)

    class Plugin:
        @hookimpl
        def langcache_call_middleware(self) -> Any:
            return forgetful

    with pytest.raises(errors.PluginError, match=r"returned NoneType.*'return \(yield from call_next\(request\)\)'"):
        search(client_of(Recording(), plugins=[Plugin()]))


def test_a_transport_class_is_refused_because_an_instance_is_needed() -> None:
    wrong: Any = Recording
    with pytest.raises(errors.ConfigurationError, match="Recording is no transport"):
        client_of(wrong)


@pytest.mark.parametrize("plugins", ["audit", 5])
def test_plugins_that_are_no_list_are_refused(plugins: Any) -> None:
    with pytest.raises(errors.PluginError, match=r"plugins must be a list of plugins or of their names, not (str|int)"):
        client_of(Recording(), plugins=plugins)


def test_the_threaded_transport_is_explained_where_it_cannot_serve() -> None:
    with pytest.raises(errors.UnknownTransportError, match="'threaded' serves async calls only"):
        LangCache("http://x", "k", "c", transport="threaded")


# The package


def test_the_public_names_load_on_first_use_and_are_listed() -> None:
    for name in langcache.__all__:
        assert getattr(langcache, name) is not None
        assert name in dir(langcache)
    assert list(langcache.__all__) == sorted(langcache.__all__, key=lambda name: (not name.isupper(), name))
    with pytest.raises(AttributeError, match="no attribute 'Langcache'"):
        langcache.Langcache  # type: ignore[attr-defined]  # noqa: B018  # pyright: ignore
    assert langcache.__version__ == "1.0.0"


@pytest.mark.parametrize(
    "method", ["set", "search", "conversational_search", "delete_by_id", "delete_query", "flush", "health"]
)
def test_each_method_has_an_async_twin_of_the_same_signature(method: str) -> None:
    plain, twin = getattr(LangCache, method), getattr(LangCache, f"{method}_async")
    assert inspect.iscoroutinefunction(twin)
    assert not inspect.iscoroutinefunction(plain)
    assert inspect.signature(plain) == inspect.signature(twin)
    keywords = list(inspect.signature(plain).parameters.values())[1:]
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in keywords)
    assert [parameter.name for parameter in keywords][-7:] == [
        "retries", "server_url", "timeout_ms", "http_headers", "deadline_ms", "breaker", "on_failure",
    ]  # fmt: skip
