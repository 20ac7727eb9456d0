"""The caller's own HTTP clients, over real sockets: what they are set up for takes effect, and they stay open."""

from __future__ import annotations

import asyncio
import gc
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock, create_autospec
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from yarl import URL

from langcache import LangCache, Request, Response, TransportOptions, errors
from langcache.httpclient import AsyncHttpClient, HttpClient
from langcache_transports.embedded import DataPlane
from langcache_transports.supplied import HttpxClient, RequestsSession, Urllib3Pool, langcache_transport
from langcache_transports.testing import Certificates, FaultServer, ForwardProxy, faults
from tests.local_server import LocalServer
from tests.transports.supplying import (
    CUSTOM,
    MAKERS,
    WrappedAsyncClient,
    WrappedClient,
    call,
    every_kind,
    every_library,
    secured,
    through,
)

NO_ENTRIES = Response(200, {"Content-Type": "application/json"}, b'{"data":[]}')


@contextmanager
def closing_listener() -> Generator[tuple[str, list[None]], None, None]:
    """Give the URL of a server that reads a request and closes the connection, and a list with an item for each."""
    connections: list[None] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connections.append(None)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", connections
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


@pytest.fixture
def answering(server: LocalServer) -> LocalServer:
    server.answer = lambda request: NO_ENTRIES
    return server


@every_kind
def test_every_operation_goes_through_the_callers_client(kind: str, server: LocalServer) -> None:
    server.answer = DataPlane().handle
    entry_id = call(kind, server.url, method="set", prompt="p", response="r", attributes={"a": "b"}).entry_id
    assert call(kind, server.url, prompt="p").data[0].id == entry_id
    assert call(kind, server.url, method="conversational_search", prompt="p").actual_prompt == "p"
    assert call(kind, server.url, method="delete_by_id", entry_id=entry_id) is None
    assert call(kind, server.url, method="delete_query", attributes={"a": "b"}).deleted_entries_count == 0
    assert call(kind, server.url, method="flush", request=None) is None
    assert len(server.requests) == 6
    assert {request.headers["x-custom-header"] for request in server.requests} == {"someValue"}
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer k"}
    assert ("client-level-header" in server.requests[0].headers) == ("wrapper" in kind)


@every_kind
def test_the_callers_client_is_never_closed(kind: str, answering: LocalServer) -> None:
    """Its connection is still open, and serves the caller's next request."""

    def use_again(client: Any) -> None:
        inner: Any = getattr(client, "client", client)
        assert not getattr(inner, "is_closed", False)
        assert not getattr(inner, "closed", False)
        if isinstance(inner, (httpx.Client, requests.Session)):
            inner.get(answering.url)
            assert answering.connections == 1
        if isinstance(inner, urllib3.PoolManager):
            inner.request("GET", answering.url)
            assert answering.connections == 1

    call(kind, answering.url, after=use_again)


@every_kind
def test_a_path_argument_stays_one_segment(kind: str, server: LocalServer) -> None:
    server.answer = lambda request: Response(204)
    for entry_id in ("..", ".", "../x?y#z"):
        call(kind, server.url, method="delete_by_id", entry_id=entry_id)
    assert [request.url.removeprefix("/v1/caches/c/entries/") for request in server.requests] == [
        "%2E%2E",
        "%2E",
        "..%2Fx%3Fy%23z",
    ]


@every_kind
def test_the_callers_cookies_are_sent(kind: str, answering: LocalServer) -> None:
    def set_cookie(client: Any) -> None:
        inner: Any = getattr(client, "client", client)
        if isinstance(inner, aiohttp.ClientSession):
            inner.cookie_jar.update_cookies({"session": "1"}, URL(answering.url))
        elif isinstance(inner, urllib3.PoolManager):
            inner.headers = {**inner.headers, "Cookie": "session=1"}  # it has no other place for them
        else:
            inner.cookies.set("session", "1")

    call(kind, answering.url, prepare=set_cookie)
    assert answering.requests[0].headers["cookie"] == "session=1"


@every_library
def test_the_callers_proxy_is_used(kind: str, answering: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain proxy is asked for the whole URL (RFC 9112, section 3.2.2)."""
    monkeypatch.setitem(MAKERS, kind, through(answering.url)[kind])
    call(kind, "http://cache.invalid")
    assert answering.requests[0].url == "http://cache.invalid/v1/caches/c/entries/search"


@every_library
def test_a_proxy_that_wants_other_credentials_is_not_worth_a_repetition(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ForwardProxy("user", "password") as proxy:
        monkeypatch.setitem(MAKERS, kind, through(proxy.url)[kind])
        with pytest.raises(errors.ProxyError, match="407") as caught:
            call(kind, "https://cache.invalid")
    assert caught.value.retryable is False


def test_event_hooks_of_httpx_run(answering: LocalServer) -> None:
    seen: list[str] = []

    def on_request(request: httpx.Request) -> None:
        seen.append(request.url.path)

    def on_response(response: httpx.Response) -> None:
        seen.append(str(response.status_code))

    def hook(client: httpx.Client) -> None:
        client.event_hooks = {"request": [on_request], "response": [on_response]}

    call("httpx", answering.url, prepare=hook)
    assert seen == ["/v1/caches/c/entries/search", "200"]


@pytest.mark.parametrize(("kind", "read_first"), [("httpx", True), ("httpx", False), ("requests", False)])
def test_a_hook_that_raises_for_status_gives_the_class_of_the_status(
    kind: str, read_first: bool, server: LocalServer
) -> None:
    """Whether it has read the body or not; httpx runs it before, and then there is none."""
    server.answer = lambda request: Response(404, {}, b'{"title":"none such"}')

    def check(response: Any, **_: Any) -> None:
        if read_first:
            response.read()
        response.raise_for_status()

    def hook(client: Any) -> None:
        if kind == "httpx":
            client.event_hooks = {"response": [check]}
        else:
            client.hooks["response"].append(check)

    with pytest.raises(errors.NotFoundError) as caught:
        call(kind, server.url, prepare=hook)
    assert caught.value.data.title == ("Not Found" if kind == "httpx" and not read_first else "none such")
    assert type(caught.value.__cause__).__name__ in ("HTTPStatusError", "HTTPError")


def test_adapters_of_requests_are_used(answering: LocalServer) -> None:
    class Stamping(HTTPAdapter):
        def add_headers(self, request: requests.PreparedRequest, **kwargs: Any) -> None:
            request.headers["X-Adapter"] = "stamped"

    def mount(session: requests.Session) -> None:
        session.mount("http://", Stamping())

    call("requests", answering.url, prepare=mount)
    assert answering.requests[0].headers["x-adapter"] == "stamped"


@every_kind
def test_the_authentication_may_be_the_callers(kind: str, answering: LocalServer) -> None:
    """Without a key, what the client itself sends is enough, and nothing is required."""
    call(kind, answering.url, settings={"api_key": None})
    assert "authorization" not in answering.requests[0].headers


def test_netrc_never_replaces_the_token(
    answering: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    call("requests", answering.url)
    call("requests", answering.url, settings={"api_key": None})
    assert [request.headers.get("authorization") for request in answering.requests] == ["Bearer k", None]


def test_the_sessions_own_auth_takes_effect(answering: LocalServer) -> None:
    def set_auth(session: requests.Session) -> None:
        session.auth = ("user", "password")

    call("requests", answering.url, prepare=set_auth, settings={"api_key": None})
    assert answering.requests[0].headers["authorization"].startswith("Basic ")


@every_kind
@pytest.mark.parametrize("of_the_call", [True, False])
def test_a_timeout_of_ours_holds(kind: str, server: LocalServer, of_the_call: bool) -> None:
    leave = threading.Event()

    def answer(request: Request) -> Response:
        leave.wait()
        return NO_ENTRIES

    server.answer = answer
    settings = {} if of_the_call else {"timeout_ms": 100}
    arguments: dict[str, Any] = {"prompt": "p", "timeout_ms": 100} if of_the_call else {"prompt": "p"}
    try:
        with pytest.raises(errors.TimeoutException) as caught:
            call(kind, server.url, settings=settings, **arguments)
    finally:
        leave.set()
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("kind", ["httpx", "urllib3", "async httpx", "async aiohttp"])
def test_a_timeout_of_the_callers_client_holds_where_we_have_none(
    kind: str, server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave = threading.Event()

    def answer(request: Request) -> Response:
        leave.wait()
        return NO_ENTRIES

    server.answer = answer
    impatient: dict[str, Callable[[Mapping[str, str]], Any]] = {
        "httpx": lambda headers: httpx.Client(timeout=0.1),
        "urllib3": lambda headers: urllib3.PoolManager(timeout=0.1),
        "async httpx": lambda headers: httpx.AsyncClient(timeout=0.1),
        "async aiohttp": lambda headers: aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.1)),
    }
    monkeypatch.setitem(MAKERS, kind, impatient[kind])
    try:
        with pytest.raises(errors.TimeoutException):
            call(kind, server.url)
    finally:
        leave.set()


@every_kind
def test_nobody_listening_is_a_connect_error_from_the_original(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(errors.ConnectError, match=f"POST {url}") as caught:
        call(kind, url)
    assert type(caught.value.__cause__).__module__.partition(".")[0] in ("httpx", "requests", "urllib3", "aiohttp")


@pytest.mark.parametrize("timeout_ms", [0, 5000])
@pytest.mark.parametrize("kind", ["httpx", "requests", "urllib3"])
def test_a_failed_call_leaves_no_reference_cycle(kind: str, timeout_ms: int) -> None:
    """It would hold the request with its key and its prompt until the next collection."""
    client = MAKERS[kind]({})
    transport = langcache_transport("supplied", TransportOptions(client=client))
    assert transport is not None
    options = {"timeout_ms": timeout_ms}
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"

    def fail() -> weakref.ref[Request]:
        request = Request("POST", url, content=b"{}", timeout=timeout_ms / 1000 or None, options=options)
        with suppress(errors.ConnectError):
            transport.send(request)
        return weakref.ref(request)

    fail()
    gc.collect()
    gc.disable()
    try:
        gone = fail()
        for _ in range(100):  # a thread that made it lets go of it a moment later
            if gone() is not None:
                fail()
        assert gone() is None
    finally:
        gc.enable()


@every_kind
@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b""]
)
def test_a_broken_exchange_is_a_request_error_from_the_original(kind: str, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(2):  # urllib3 and aiohttp may try again on a connection that was closed at once
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with pytest.raises(errors.RequestError) as caught:
            call(kind, f"http://127.0.0.1:{listener.getsockname()[1]}")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert caught.value.__cause__ is not None


@every_kind
def test_an_exception_that_is_the_callers_own_passes(kind: str, answering: LocalServer) -> None:
    class PolicyError(Exception):
        pass

    def refuse(client: Any) -> None:
        def raising(*arguments: Any, **keywords: Any) -> Any:
            raise PolicyError("not today")

        inner: Any = getattr(client, "client", client)
        name = "build_request" if hasattr(inner, "build_request") else "request"
        setattr(inner, "prepare_request" if isinstance(inner, requests.Session) else name, raising)

    with pytest.raises(PolicyError, match="not today"):
        call(kind, answering.url, prepare=refuse)


@every_kind
def test_redirects_are_not_followed_for_the_caller(kind: str, server: LocalServer) -> None:
    server.answer = lambda request: Response(307, {"Location": "/elsewhere"})
    with pytest.raises(errors.APIError, match="redirect"):
        call(kind, server.url)
    assert len(server.requests) == 1


def test_a_client_for_sync_calls_serves_async_ones_in_threads(answering: LocalServer) -> None:
    async def main(client: httpx.Client) -> int:
        async with LangCache(answering.url, "k", "c", client=client) as cache:
            return len((await cache.search_async(prompt="p")).data)

    with httpx.Client(headers=CUSTOM) as client:
        assert asyncio.run(main(client)) == 0
    assert answering.requests[0].headers["x-custom-header"] == "someValue"


def test_an_async_client_leaves_sync_calls_to_our_own_transport(answering: LocalServer) -> None:
    client = httpx.AsyncClient(headers=CUSTOM)
    with LangCache(answering.url, "k", "c", async_client=client) as cache:
        cache.search(prompt="p")
    assert "x-custom-header" not in answering.requests[0].headers
    asyncio.run(client.aclose())


@pytest.mark.parametrize("make", [httpx.Client, requests.Session, urllib3.PoolManager])
def test_a_sync_client_is_refused_for_async_calls_by_name(make: Callable[[], Any]) -> None:
    with pytest.raises(errors.ConfigurationError, match=r"async_client: \S+ is no async HTTP client"):
        asyncio.run(LangCache("http://cache.example", "k", "c", async_client=make()).search_async(prompt="p"))


def test_an_async_client_is_refused_for_sync_calls_by_name() -> None:
    client = httpx.AsyncClient()
    with pytest.raises(errors.ConfigurationError, match=r"client: httpx\S+ is no .* pass it as async_client"):
        LangCache("http://cache.example", "k", "c", client=client)
    asyncio.run(client.aclose())


@pytest.mark.parametrize("given", [object(), "urllib3", 5, {}])
def test_what_is_no_client_is_refused_in_words(given: object) -> None:
    with pytest.raises(errors.ConfigurationError, match=r"client: \S+ is no HTTP client that is known"):
        LangCache("http://cache.example", "k", "c", client=given)


@pytest.mark.parametrize("argument", ["client", "async_client"])
@pytest.mark.parametrize("given", [httpx.Client, httpx.AsyncClient, requests.Session, urllib3.PoolManager])
def test_a_class_is_refused_in_words(argument: str, given: type) -> None:
    arguments: dict[str, Any] = {argument: given}
    with pytest.raises(errors.ConfigurationError, match=rf"^{argument}: \S+{given.__name__} is a class; give an inst"):
        asyncio.run(LangCache("http://cache.example", "k", "c", **arguments).search_async(prompt="p"))


def test_a_wrapper_may_have_what_other_libraries_have_too(answering: LocalServer) -> None:
    class Everything(WrappedClient):
        request = urlopen = prepare_request = merge_environment_settings = ws_connect = None

        def __init__(self, client: httpx.Client) -> None:
            super().__init__(client)
            for name in ("request", "urlopen", "prepare_request", "merge_environment_settings", "ws_connect"):
                setattr(self, name, client.request)

    with httpx.Client() as client, LangCache(answering.url, "k", "c", client=Everything(client)) as cache:
        assert cache.search(prompt="p").data == []
    assert answering.requests[0].headers["client-level-header"] == "added by client"


def test_an_async_wrapper_needs_no_more_than_a_result_to_await(answering: LocalServer) -> None:
    """Its `send` may be a plain function, and it may be closed in any way."""

    class Plain:
        def __init__(self, client: httpx.AsyncClient) -> None:
            self._client = client

        def build_request(self, method: str, url: Any, **arguments: Any) -> httpx.Request:
            return self._client.build_request(method, url, **arguments)

        def send(self, request: httpx.Request, *, stream: bool) -> Awaitable[httpx.Response]:
            return asyncio.ensure_future(self._client.send(request, stream=stream))

        async def close(self) -> None:
            await self._client.aclose()

    async def main() -> int:
        client = Plain(httpx.AsyncClient())
        async with LangCache(answering.url, "k", "c", async_client=client) as cache:
            found = len((await cache.search_async(prompt="p")).data)
        await client.close()
        return found

    assert asyncio.run(main()) == 0


def test_a_wrapper_of_the_other_kind_is_named_by_the_call_at_the_latest(answering: LocalServer) -> None:
    class Undecided:
        def __init__(self, answer: Callable[[], Any]) -> None:
            self._answer = answer

        def build_request(self, method: str, url: Any, **arguments: Any) -> str:
            return method

        def send(self, request: Any, *, stream: bool) -> Any:
            return self._answer()

    async def answer() -> None:
        raise AssertionError("nobody awaits it")

    cache = LangCache(answering.url, "k", "c", client=Undecided(answer))
    with pytest.raises(errors.ConfigurationError, match=r"client: \S+Undecided serves async calls"):
        cache.search(prompt="p")
    with pytest.raises(
        errors.ConfigurationError, match=r"async_client: what \S+Undecided.send\(\) .* pass it as client"
    ):
        asyncio.run(LangCache(answering.url, "k", "c", async_client=Undecided(str)).search_async(prompt="p"))


def test_a_wrapper_that_says_to_be_for_sync_calls_is_refused_for_async_ones_before_it_sends() -> None:
    with httpx.Client() as client, pytest.raises(errors.ConfigurationError, match="is no async HTTP client"):
        LangCache("http://cache.example", "k", "c", async_client=WrappedClient(client))


def configured(mock: Any) -> Any:
    """Set up a mock's answer as tests of programs do."""
    answer = MagicMock(status_code=200, headers={"content-type": "application/json"}, text='{"data":[]}')
    mock.send.return_value = answer
    return mock


@pytest.mark.parametrize(
    "make",
    [
        MagicMock,
        Mock,
        lambda: MagicMock(spec=httpx.Client),
        lambda: create_autospec(httpx.Client, instance=True),
        lambda: create_autospec(WrappedClient, instance=True),
    ],
    ids=["MagicMock", "Mock", "of a spec", "autospec", "autospec of a wrapper"],
)
def test_a_mock_serves_sync_calls(make: Callable[[], Any]) -> None:
    mock = configured(make())
    with LangCache("http://cache.example", "k", "c", client=mock) as cache:
        assert cache.search(prompt="p").data == []
    assert mock.build_request.call_args.args == ("POST", "http://cache.example/v1/caches/c/entries/search")
    mock.send.assert_called_once_with(mock.build_request.return_value, stream=False)
    mock.close.assert_not_called()


@pytest.mark.parametrize(
    "make",
    [
        AsyncMock,
        lambda: MagicMock(send=AsyncMock()),
        lambda: MagicMock(spec=httpx.AsyncClient),
        lambda: create_autospec(httpx.AsyncClient, instance=True),
        lambda: create_autospec(WrappedAsyncClient, instance=True),
    ],
    ids=["AsyncMock", "async send", "of a spec", "autospec", "autospec of a wrapper"],
)
def test_a_mock_serves_async_calls(make: Callable[[], Any]) -> None:
    async def main(mock: Any) -> int:
        async with LangCache("http://cache.example", "k", "c", async_client=mock) as cache:
            return len((await cache.search_async(prompt="p")).data)

    mock = configured(make())
    assert asyncio.run(main(mock)) == 0
    mock.send.assert_awaited_once()


def test_a_mock_whose_answer_is_not_set_up_is_named() -> None:
    cache = LangCache("http://cache.example", "k", "c", client=MagicMock())
    with pytest.raises(errors.ConfigurationError, match=r"MagicMock.send\(\) .* status_code is no int, but Mag"):
        cache.search(prompt="p")


@pytest.mark.parametrize("make", [AsyncMock, lambda: create_autospec(httpx.AsyncClient, instance=True)])
def test_a_mock_of_an_async_client_is_refused_for_sync_calls(make: Callable[[], Any]) -> None:
    with pytest.raises(errors.ConfigurationError, match="pass it as async_client"):
        LangCache("http://cache.example", "k", "c", client=make())


def test_a_wrapper_of_an_aiohttp_session_needs_no_more_than_its_requests(answering: LocalServer) -> None:
    class Wrapper:
        def __init__(self, session: aiohttp.ClientSession) -> None:
            self.request = session.request
            self.ws_connect = session.ws_connect

    async def main() -> int:
        async with (
            aiohttp.ClientSession() as session,
            LangCache(answering.url, "k", "c", async_client=Wrapper(session)) as cache,
        ):
            return len((await cache.search_async(prompt="p")).data)

    assert asyncio.run(main()) == 0


def test_a_client_and_a_transport_cannot_both_be_given() -> None:
    with pytest.raises(errors.ConfigurationError, match="but not both"):
        LangCache("http://cache.example", "k", "c", client=requests.Session(), transport="requests")


def test_the_protocols_are_runtime_checkable() -> None:
    assert issubclass(WrappedClient, HttpClient)
    client, async_client = httpx.Client(), httpx.AsyncClient()
    assert isinstance(client, HttpClient)
    assert not isinstance(requests.Session(), HttpClient)
    assert isinstance(async_client, AsyncHttpClient)
    client.close()
    asyncio.run(async_client.aclose())


@pytest.mark.parametrize("library", ["requests", "urllib3"])
def test_recognising_a_client_imports_no_library(library: str) -> None:
    program = (
        f"import sys, {library}; from langcache import LangCache; "
        f"LangCache('http://x', 'k', 'c', client={library}.{'Session' if library == 'requests' else 'PoolManager'}()); "
        "sys.exit(bool({'httpx', 'aiohttp', 'yarl'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_headers_of_a_pool_are_replaced_whatever_their_case(answering: LocalServer) -> None:
    def set_headers(pool: urllib3.PoolManager) -> None:
        pool.headers = {"authorization": "Bearer pool", "user-agent": "pool", "X-Team": "support"}

    call("urllib3", answering.url, prepare=set_headers)
    [seen] = answering.requests
    assert seen.headers["authorization"] == "Bearer k"
    assert "," not in seen.headers["user-agent"]
    assert seen.headers["x-team"] == "support"


NAMED = {"user-agent": "app/1"}


@every_kind
def test_the_callers_user_agent_stands_before_ours(
    kind: str, answering: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the case of its name; that of the call stands before both."""
    make = MAKERS[kind]
    monkeypatch.setitem(MAKERS, kind, lambda headers: make(NAMED))
    call(kind, answering.url)
    call(kind, answering.url, prompt="p", http_headers={"User-Agent": "call/1"})
    assert [request.headers["user-agent"] for request in answering.requests] == ["app/1", "call/1"]


@every_kind
def test_our_user_agent_stands_before_a_librarys_default(kind: str, answering: LocalServer) -> None:
    call(kind, answering.url)
    assert re.fullmatch(r"langcache/\S+ python/[\d.]+", answering.requests[0].headers["user-agent"])


def test_our_user_agent_stands_in_for_one_that_the_caller_took_away(answering: LocalServer) -> None:
    def take_away(client: Any) -> None:
        del client.headers["User-Agent"]

    for kind in ("httpx", "requests"):
        call(kind, answering.url, prepare=take_away)
    call("urllib3", answering.url, prepare=lambda pool: setattr(pool, "headers", None))
    assert {request.headers["user-agent"].partition("/")[0] for request in answering.requests} == {"langcache"}


def test_a_user_agent_that_a_session_adds_to_a_request_stands(answering: LocalServer) -> None:
    class Polite(requests.Session):
        def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
            kwargs["headers"].setdefault("User-Agent", "app/1")
            return super().request(method, url, *args, **kwargs)

    with LangCache(answering.url, "k", "c", client=Polite()) as cache:
        cache.search(prompt="p")
    assert answering.requests[0].headers["user-agent"] == "app/1"


def test_an_async_client_does_not_excuse_a_sync_call_from_the_key(answering: LocalServer) -> None:
    async def main() -> None:
        async with httpx.AsyncClient() as client, LangCache(answering.url, cache_id="c", async_client=client) as cache:
            with pytest.raises(errors.ConfigurationError, match="No API key"):
                cache.search(prompt="p")
            await cache.search_async(prompt="p")

    asyncio.run(main())
    assert len(answering.requests) == 1


def test_a_longer_timeout_of_ours_stands_before_the_sessions(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave = threading.Event()

    def answer(request: Request) -> Response:
        leave.wait(0.3)
        return NO_ENTRIES

    server.answer = answer
    timeout = aiohttp.ClientTimeout(total=0.1)
    monkeypatch.setitem(MAKERS, "async aiohttp", lambda headers: aiohttp.ClientSession(timeout=timeout))
    for timeout_ms in (5_000, 0):
        assert call("async aiohttp", server.url, prompt="p", timeout_ms=timeout_ms).data == []


def test_a_session_that_raises_for_status_gives_the_class_of_the_status(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = lambda request: Response(404, {}, b'{"title":"none such"}')
    monkeypatch.setitem(MAKERS, "async aiohttp", lambda headers: aiohttp.ClientSession(raise_for_status=True))
    with pytest.raises(errors.NotFoundError) as caught:
        call("async aiohttp", server.url)
    assert caught.value.data.title == "none such"


@contextmanager
def dripping() -> Generator[str, None, None]:
    """Give the URL of a server whose answer drips: no wait for the socket is long, and the whole never ends."""
    left = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while not left.wait(0.02):
                    connection.sendall(b" ")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            left.set()
            thread.join()


@every_kind
@pytest.mark.parametrize("of_the_call", [True, False])
def test_a_timeout_of_ours_holds_for_the_whole_of_a_call(kind: str, of_the_call: bool) -> None:
    settings = {} if of_the_call else {"timeout_ms": 200}
    arguments: dict[str, Any] = {"prompt": "p", "timeout_ms": 200} if of_the_call else {"prompt": "p"}
    with dripping() as url, pytest.raises(errors.ReadTimeout, match=f"^POST {url}/") as caught:
        call(kind, url, settings=settings, **arguments)
    assert caught.value.__cause__ is not None


actor: ContextVar[str] = ContextVar("actor")

HOOKED: dict[str, Callable[[Callable[..., None]], Any]] = {
    "httpx": lambda hook: httpx.Client(event_hooks={"request": [hook]}),
    "requests": lambda hook: with_hook(requests.Session(), hook),
    "urllib3": lambda hook: told(urllib3.PoolManager(timeout=5), hook),
}


def with_hook(session: requests.Session, hook: Callable[..., None]) -> requests.Session:
    session.hooks["response"].append(hook)
    return session


def told(pool: urllib3.PoolManager, hook: Callable[..., None]) -> urllib3.PoolManager:
    """Have a pool tell of each request, for which it has no hook."""
    original = pool.request

    def request(*arguments: Any, **keywords: Any) -> Any:
        hook()
        return original(*arguments, **keywords)

    pool.request = request  # type: ignore[method-assign]
    return pool


@pytest.mark.parametrize(
    ("kind", "timeout_ms", "elsewhere"),
    [
        ("httpx", None, False),
        ("httpx", 5000, True),
        ("urllib3", None, False),
        ("urllib3", 5000, True),
        ("requests", None, True),
        ("requests", 0, False),
    ],
)
def test_with_a_limit_of_ours_hooks_run_in_another_thread_in_the_callers_context(
    kind: str, timeout_ms: int | None, elsewhere: bool, answering: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And without one in the caller's thread, as the library itself runs them."""
    seen: list[tuple[bool, str]] = []

    def hook(*_: Any, **__: Any) -> None:
        seen.append((threading.current_thread() is not caller, actor.get("nobody")))

    caller, token = threading.current_thread(), actor.set("Ada")
    monkeypatch.setitem(MAKERS, kind, lambda headers: HOOKED[kind](hook))
    call(kind, answering.url, prompt="p", timeout_ms=timeout_ms)
    actor.reset(token)
    assert seen == [(elsewhere, "Ada")]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_the_wait_for_an_exchange_can_be_interrupted(server: LocalServer) -> None:
    leave = threading.Event()

    def answer(request: Request) -> Response:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
        leave.wait()
        return NO_ENTRIES

    server.answer = answer
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            call("requests", server.url)
    finally:
        signal.signal(signal.SIGALRM, before)
        leave.set()


def test_an_exchange_that_was_given_up_keeps_no_thread_of_the_async_calls(answering: LocalServer) -> None:
    """Or a few servers that drip would be the end of all async calls."""

    async def main(url: str) -> int:
        with requests.Session() as client:
            async with LangCache(url, "k", "c", client=client, pool_size=1) as cache:
                with pytest.raises(errors.ReadTimeout):
                    await cache.search_async(prompt="p", timeout_ms=100)
                return len((await cache.search_async(prompt="p", server_url=answering.url)).data)

    with dripping() as url:
        assert asyncio.run(main(url)) == 0


class Endless:
    """A wrapper whose answer never comes; it notes that it was cancelled."""

    def __init__(self) -> None:
        self.sending = asyncio.Event()
        self.cancelled = False

    def build_request(self, method: str, url: Any, **arguments: Any) -> str:
        return method

    async def send(self, request: Any, *, stream: bool) -> Any:
        self.sending.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # closing a connection takes a turn of the loop too
            self.cancelled = True


def test_a_call_that_is_cancelled_takes_its_exchange_along() -> None:
    async def main() -> None:
        client = Endless()
        cache = LangCache("http://cache.example", "k", "c", async_client=client)
        waiting = asyncio.ensure_future(cache.search_async(prompt="p", timeout_ms=60_000))
        await client.sending.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert client.cancelled
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_call_that_took_too_long_leaves_no_exchange_behind() -> None:
    async def main() -> None:
        client = Endless()
        cache = LangCache("http://cache.example", "k", "c", async_client=client)
        with pytest.raises(
            errors.ReadTimeout, match=r"^POST http://cache.example/\S+: no complete answer after 0.01 s$"
        ):
            await cache.search_async(prompt="p", timeout_ms=10)
        assert client.cancelled
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_a_cancellation_is_not_lost_in_the_moment_of_the_answer() -> None:
    async def main() -> None:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        client = Mock(send=Mock(return_value=answer))
        cache = LangCache("http://cache.example", "k", "c", async_client=client)
        waiting = asyncio.ensure_future(cache.search_async(prompt="p", timeout_ms=60_000))
        for _ in range(5):
            await asyncio.sleep(0)
        answer.set_result(MagicMock(status_code=200, text='{"data":[]}'))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())


def test_a_call_outside_of_asyncio_has_the_limits_of_its_client_alone() -> None:
    """httpx runs on other event loops too; what they do with a coroutine is what this test does."""
    client = configured(Mock(send=AsyncMock()))
    cache = LangCache("http://cache.example", "k", "c", async_client=client)
    with pytest.raises(StopIteration) as done:
        cache.search_async(prompt="p", timeout_ms=1000).send(None)
    assert done.value.value.data == []
    assert client.build_request.call_args.kwargs["timeout"] == 1


@pytest.mark.filterwarnings("ignore:.*deprecated and will be removed in:DeprecationWarning")
def test_a_sessions_own_auth_stands_before_the_key(answering: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = aiohttp.BasicAuth("user", "password")
    monkeypatch.setitem(MAKERS, "async aiohttp", lambda headers: aiohttp.ClientSession(auth=auth))
    call("async aiohttp", answering.url)
    assert answering.requests[0].headers["authorization"].startswith("Basic ")


def test_a_read_timeout_of_a_session_is_a_timeout(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    leave = threading.Event()

    def answer(request: Request) -> Response:
        leave.wait()
        return NO_ENTRIES

    server.answer = answer
    timeout = aiohttp.ClientTimeout(sock_read=0.1)
    monkeypatch.setitem(MAKERS, "async aiohttp", lambda headers: aiohttp.ClientSession(timeout=timeout))
    try:
        with pytest.raises(errors.ReadTimeout):
            call("async aiohttp", server.url)
    finally:
        leave.set()


def test_a_pools_own_retries_end_in_the_error_that_they_met(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.setitem(MAKERS, "urllib3", lambda headers: urllib3.PoolManager(retries=urllib3.Retry(1)))
    with pytest.raises(errors.ConnectError):
        call("urllib3", url)


def pool_of(server: LocalServer, **options: Any) -> urllib3.HTTPConnectionPool:
    address = urlsplit(server.url)
    return urllib3.HTTPConnectionPool(str(address.hostname), address.port, **options)


def test_the_pool_of_one_host_will_do(answering: LocalServer) -> None:
    with pool_of(answering, headers=CUSTOM) as pool, LangCache(answering.url, "k", "c", client=pool) as cache:
        assert cache.search(prompt="p").data == []
        answering.answer = lambda request: Response(204)
        cache.delete_by_id(entry_id="..")
    paths = [request.url for request in answering.requests]
    assert paths == ["/v1/caches/c/entries/search", "/v1/caches/c/entries/%2E%2E"]
    assert answering.requests[0].headers["x-custom-header"] == "someValue"


def test_the_pool_of_another_host_is_refused_in_words(answering: LocalServer) -> None:
    cache = LangCache("http://cache.example", "k", "c", client=pool_of(answering))
    with pytest.raises(errors.ConfigurationError, match=r"the pool is for http://127\.0\.0\.1:\d+, and not for"):
        cache.search(prompt="p")
    assert answering.requests == []


def test_the_pool_of_one_host_that_is_closed_is_named(answering: LocalServer) -> None:
    pool = pool_of(answering)
    pool.close()
    cache = LangCache(answering.url, "k", "c", client=pool)
    with pytest.raises(errors.ClientClosedError, match="the caller's own HTTP client is closed"):
        cache.search(prompt="p")


@pytest.mark.parametrize("timeout", [0.1, urllib3.Timeout(read=0.1), urllib3.Timeout(total=0.1)])
def test_the_timeout_of_the_pool_of_one_host_holds(timeout: Any, server: LocalServer) -> None:
    leave = threading.Event()

    def answer(request: Request) -> Response:
        leave.wait()
        return NO_ENTRIES

    server.answer = answer
    try:
        with pool_of(server, timeout=timeout) as pool, pytest.raises(errors.ReadTimeout, match=r"timeout=0\.[01]"):
            LangCache(server.url, "k", "c", client=pool).search(prompt="p")
    finally:
        leave.set()


@pytest.mark.parametrize(
    ("options", "tries"),
    [
        ({}, 1),
        ({"retries": None}, 1),
        ({"retries": False}, 1),
        ({"retries": urllib3.Retry(2, allowed_methods=None)}, 3),
    ],
)
@pytest.mark.parametrize("of_one_host", [True, False])
def test_the_retries_of_a_pool_are_those_that_it_was_set_up_for(
    of_one_host: bool, options: dict[str, Any], tries: int
) -> None:
    with closing_listener() as (url, connections):
        address = urlsplit(url)
        pool: Any = (
            urllib3.HTTPConnectionPool(str(address.hostname), address.port, **options)
            if of_one_host
            else urllib3.PoolManager(**options)
        )
        with pool, LangCache(url, "k", "c", client=pool) as cache, pytest.raises(errors.ReadError):
            cache.search(prompt="p")
    assert len(connections) == tries


@pytest.mark.parametrize("of_one_host", [True, False])
def test_a_pools_own_retries_follow_no_redirect(of_one_host: bool, server: LocalServer) -> None:
    server.answer = lambda request: Response(307, {"Location": "/elsewhere"})
    retries = urllib3.Retry(redirect=3)
    pool: Any = pool_of(server, retries=retries) if of_one_host else urllib3.PoolManager(retries=retries)
    with pool, pytest.raises(errors.APIError, match="a redirect to '/elsewhere', which was not followed"):
        LangCache(server.url, "k", "c", client=pool).search(prompt="p")
    assert len(server.requests) == 1


def test_a_wrapper_whose_send_is_decorated_serves_async_calls(answering: LocalServer) -> None:
    class Decorated:
        def __init__(self, client: httpx.AsyncClient) -> None:
            self._client = client

        def build_request(self, method: str, url: Any, **arguments: Any) -> Any:
            return self._client.build_request(method, url, **arguments)

        def send(self, request: Any, *, stream: bool) -> Any:
            return self._client.send(request, stream=stream)

        async def aclose(self) -> None:
            await self._client.aclose()

    async def main() -> int:
        client = Decorated(httpx.AsyncClient())
        async with LangCache(answering.url, "k", "c", async_client=client) as cache:
            found = len((await cache.search_async(prompt="p")).data)
        await client.aclose()
        return found

    assert asyncio.run(main()) == 0


def test_an_answer_of_a_wrappers_own_kind_needs_no_more_than_its_text(answering: LocalServer) -> None:
    class Answer:
        status_code = 200
        headers: dict[str, str] = {}  # noqa: RUF012 - as a wrapper may have it
        text = '{"data":[]}'

    class Offline:
        def build_request(self, method: str, url: Any, **arguments: Any) -> str:
            return method

        def send(self, request: Any, *, stream: bool = False) -> Answer:
            return Answer()

    with LangCache(answering.url, "k", "c", client=Offline()) as cache:
        assert cache.search(prompt="p").data == []
    assert answering.requests == []


def test_errors_of_the_callers_own_hooks_pass(answering: LocalServer) -> None:
    """A file that is missing, or an identity provider that is down, says nothing about the service."""

    def missing(request: httpx.Request) -> None:
        raise FileNotFoundError("no token file")

    def down(request: httpx.Request) -> None:
        other = httpx.Request("POST", "https://identity.example/token")
        raise httpx.HTTPStatusError("down", request=other, response=httpx.Response(503, request=other))

    for hook, kind in ((missing, FileNotFoundError), (down, httpx.HTTPStatusError)):

        def prepare(client: httpx.Client, hook: Any = hook) -> None:
            client.event_hooks = {"request": [hook]}

        with pytest.raises(kind):
            call("httpx", answering.url, prepare=prepare)


def without_tokens(request: Request) -> Response:
    return Response(404, {}, b'{"title":"no tokens"}') if request.url == "/token" else NO_ENTRIES


class HttpxToken(httpx.Auth):
    """Asks for a token first, which httpx offers to do in the middle of a request."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        answer = yield httpx.Request("GET", request.url.copy_with(raw_path=b"/token"))
        answer.raise_for_status()
        yield request


def ask_for_a_token(client: Any, url: str) -> None:
    """Have the client ask for a token first, each in its own way."""

    def with_token(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        requests.get(url, timeout=5).raise_for_status()
        return prepared

    def with_token_async(session: aiohttp.ClientSession) -> Any:
        original = session.request

        @asynccontextmanager
        async def request(method: str, where: Any, **arguments: Any) -> AsyncGenerator[aiohttp.ClientResponse, None]:
            async with original("GET", url) as token:
                token.raise_for_status()
            async with original(method, where, **arguments) as answer:
                yield answer

        return request

    if isinstance(client, aiohttp.ClientSession):
        setattr(client, "request", with_token_async(client))  # noqa: B010 - the class forbids it to type checkers
    elif isinstance(client, requests.Session):
        client.auth = with_token
    else:
        client.auth = HttpxToken()


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("httpx", httpx.HTTPStatusError),
        ("async httpx", httpx.HTTPStatusError),
        ("requests", requests.HTTPError),
        ("async aiohttp", aiohttp.ClientResponseError),
    ],
)
def test_an_answer_to_a_request_of_the_callers_own_is_none_of_the_service(
    kind: str, own: type[Exception], server: LocalServer
) -> None:
    """Also where both are on one host: that there is no token says nothing about the cache."""
    server.answer = without_tokens
    with pytest.raises(own):
        call(kind, server.url, prepare=lambda client: ask_for_a_token(client, f"{server.url}/token"))
    assert [request.url for request in server.requests] == ["/token"]


@pytest.mark.parametrize("kind", ["httpx", "requests"])
def test_an_answer_is_known_though_the_request_was_rewritten(kind: str, server: LocalServer) -> None:
    server.answer = lambda request: Response(404, {}, b'{"title":"none such"}')

    def rewrite(request: httpx.Request) -> None:
        request.url = request.url.copy_with(raw_path=b"/gateway" + request.url.raw_path)

    def check(response: Any, **_: Any) -> None:
        response.read() if kind == "httpx" else None
        response.raise_for_status()

    def auth(prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        prepared.url = f"{server.url}/gateway{prepared.path_url}"
        return prepared

    def prepare(client: Any) -> None:
        if kind == "httpx":
            client.event_hooks = {"request": [rewrite], "response": [check]}
        else:
            client.auth, client.hooks = auth, {"response": [check]}

    with pytest.raises(errors.NotFoundError) as caught:
        call(kind, server.url, prepare=prepare)
    assert caught.value.data.title == "none such"
    assert server.requests[0].url == "/gateway/v1/caches/c/entries/search"


def test_an_answer_is_known_though_the_request_was_copied(server: LocalServer) -> None:
    """As a wrapper does that sends another request for ours, and raises for the status itself."""
    server.answer = lambda request: Response(404, {}, b'{"title":"none such"}')

    class Copying(WrappedClient):
        def send(self, request: Any, **arguments: Any) -> Any:
            copy = httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
            return self.client.send(copy).raise_for_status()

    with (
        httpx.Client() as client,
        LangCache(server.url, "k", "c", client=Copying(client)) as cache,
        pytest.raises(errors.NotFoundError),
    ):
        cache.search(prompt="p")


def test_a_session_that_raises_for_the_status_by_itself_gives_the_error_of_the_status(server: LocalServer) -> None:
    """Of an aiohttp error there are the status and the headers, and no body."""
    server.answer = lambda request: Response(429, {"Retry-After": "7"}, b'{"title":"slow down"}')

    def strict(session: aiohttp.ClientSession) -> None:
        original = session.request

        @asynccontextmanager
        async def request(*arguments: Any, **options: Any) -> AsyncGenerator[aiohttp.ClientResponse, None]:
            async with original(*arguments, **{**options, "raise_for_status": True}) as answer:
                yield answer

        setattr(session, "request", request)  # noqa: B010 - as above

    with pytest.raises(errors.TooManyRequestsError) as caught:
        call("async aiohttp", server.url, prepare=strict)
    assert caught.value.retry_after == 7


def test_an_exception_of_the_callers_own_passes_with_the_answer_that_it_carries(answering: LocalServer) -> None:
    class RefusedError(Exception):
        def __init__(self, response: requests.Response) -> None:
            self.response = response

    def check(response: requests.Response, **_: Any) -> None:
        raise RefusedError(response)

    def hook(session: requests.Session) -> None:
        session.hooks = {"response": [check]}

    with pytest.raises(RefusedError):
        call("requests", answering.url, prepare=hook)


@pytest.mark.parametrize("kind", ["httpx", "httpx wrapper", "async httpx", "async httpx wrapper", "async aiohttp"])
def test_a_client_that_its_owner_has_closed_is_named(kind: str) -> None:
    async def use_async() -> None:
        client = MAKERS[kind](CUSTOM)
        await (getattr(client, "aclose", None) or client.close)()
        await LangCache("http://cache.example", "k", "c", async_client=client).search_async(prompt="p")

    def use() -> None:
        if kind.startswith("async "):
            asyncio.run(use_async())
        else:
            call(kind, "http://cache.example", prepare=lambda client: client.close())

    with pytest.raises(errors.ClientClosedError, match="the caller's own HTTP client is closed") as caught:
        use()
    assert type(caught.value.__cause__) is RuntimeError


def test_a_runtime_error_of_the_callers_own_passes(answering: LocalServer) -> None:
    def refuse(request: httpx.Request) -> None:
        raise RuntimeError("the shop is closed")

    def prepare(client: httpx.Client) -> None:
        client.event_hooks = {"request": [refuse]}

    with pytest.raises(RuntimeError, match=r"^the shop is closed$"):
        call("httpx", answering.url, prepare=prepare)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.CookieConflict("two of that name"), errors.ConfigurationError),
        (httpx.InvalidURL("no URL"), errors.ConfigurationError),
        (httpx.ResponseNotRead(), errors.RequestError),
        (httpx.StreamConsumed(), errors.RequestError),
        (httpx.StreamClosed(), errors.RequestError),
        (httpx.TooManyRedirects("round and round"), errors.RequestError),
        (requests.exceptions.MissingSchema("no scheme"), errors.ConfigurationError),
        (requests.exceptions.InvalidSchema("no adapter"), errors.ConfigurationError),
        (requests.exceptions.InvalidProxyURL("no proxy"), errors.ConfigurationError),
        (requests.TooManyRedirects("round and round"), errors.RequestError),
        (urllib3.exceptions.LocationParseError("no URL"), errors.ConfigurationError),
        (aiohttp.InvalidURL("no URL"), errors.ConfigurationError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_exception_of_a_library_becomes_one_of_ours(error: Exception, kind: type[Exception]) -> None:
    client = Mock(send=Mock(side_effect=error))
    with pytest.raises(kind) as caught:
        LangCache("http://cache.example", "k", "c", client=client).search(prompt="p")
    assert type(caught.value) is kind
    assert caught.value.__cause__ is error


def test_a_session_that_overrides_request_takes_effect(answering: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Subclasses override `request` to add a header, a base URL or a log line to every exchange."""

    class Tagged(requests.Session):
        def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
            kwargs["headers"] = {**kwargs["headers"], "X-Tag": "mine"}
            return super().request(method, url, *args, **kwargs)

    monkeypatch.setitem(MAKERS, "requests", lambda headers: Tagged())
    call("requests", answering.url)
    assert answering.requests[0].headers["x-tag"] == "mine"


def test_an_auth_that_signs_sees_the_url_that_is_sent(answering: LocalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Signature(AuthBase):
        def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
            prepared.headers["X-Signed"] = prepared.path_url
            return prepared

    def sign(session: requests.Session) -> None:
        session.auth = Signature()

    call("requests", answering.url, prepare=sign, method="delete_by_id", entry_id="..")
    [seen] = answering.requests
    assert seen.headers["x-signed"] == seen.url
    assert seen.url.endswith("/%2E%2E")


class RewritingAuth(AuthBase):
    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        prepared.url = str(prepared.url).replace("/v1/caches/", "/by/auth/")
        return prepared


def rewriting(step: str) -> requests.Session:
    """Return a session that rewrites the URL at one of the places where requests lets it."""

    class Rewriting(requests.Session):
        def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
            url = url.replace("/v1/caches/", "/by/request/") if step == "request" else url
            return super().request(method, url, *args, **kwargs)

        def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
            if step == "before":
                request.url = str(request.url).replace("/v1/caches/", "/by/before/")
            if step == "prefix":
                request.url = str(request.url).replace("/v1/caches/", "/by/prefix/v1/caches/")
            prepared = super().prepare_request(request)
            if step == "after":
                prepared.url = str(prepared.url).replace("/v1/caches/", "/by/after/")
            return prepared

    session = Rewriting()
    if step == "auth":
        session.auth = RewritingAuth()
    return session


@pytest.mark.parametrize(
    ("step", "sent"),
    [
        ("request", "/by/request/c/entries/search"),
        ("before", "/by/before/c/entries/search"),
        ("prefix", "/by/prefix/v1/caches/c/entries/search"),
        ("after", "/by/after/c/entries/search"),
        ("auth", "/by/auth/c/entries/search"),
    ],
)
def test_a_session_may_rewrite_the_url(step: str, sent: str, answering: LocalServer) -> None:
    with rewriting(step) as session, LangCache(answering.url, "k", "c", client=session) as cache:
        cache.search(prompt="p")
    assert [request.url for request in answering.requests] == [sent]


@pytest.mark.parametrize("step", ["request", "before", "prefix", "after", "auth"])
def test_a_path_argument_stays_one_segment_in_a_url_that_a_session_rewrites(step: str, server: LocalServer) -> None:
    server.answer = lambda request: Response(204)
    with rewriting(step) as session, LangCache(server.url, "k", "c", client=session) as cache:
        cache.delete_by_id(entry_id="..")
    assert server.requests[0].url.startswith(f"/by/{step}/")
    assert server.requests[0].url.endswith("/c/entries/%2E%2E")


@pytest.mark.parametrize(
    ("transport", "limit"),
    [
        (HttpxClient(object()), None),
        (RequestsSession(requests.Session()), 10),
        (Urllib3Pool(urllib3.PoolManager(timeout=60)), None),
        (Urllib3Pool(urllib3.PoolManager()), 10),
        (Urllib3Pool(urllib3.HTTPConnectionPool("x", timeout=60)), None),
        (Urllib3Pool(urllib3.HTTPConnectionPool("x", timeout=urllib3.Timeout(connect=5))), None),
        (Urllib3Pool(urllib3.HTTPConnectionPool("x")), 10),
    ],
    ids=[
        "httpx",
        "requests",
        "manager with a timeout",
        "manager without",
        "pool with a timeout",
        "pool with one part",
        "pool without",
    ],
)
def test_the_limit_of_an_attempt_is_the_clients_own_where_it_has_one(transport: Any, limit: float | None) -> None:
    """So that an async call, which waits for a thread, does not give up before the client does."""
    assert transport.limit(Request("GET", "http://x/", timeout=10)) == limit
    assert transport.limit(Request("GET", "http://x/", timeout=1, options={"timeout_ms": 1000})) == 1
    assert transport.limit(Request("GET", "http://x/", timeout=1, options={"deadline": 12_345.0})) == 1


@every_library
def test_the_callers_certificates_are_used(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An authority of the caller's own, and a certificate that the server asks for."""
    certificates = Certificates(tmp_path / "own")
    monkeypatch.setitem(MAKERS, kind, secured(certificates, shown=True)[kind])
    answer = faults.response(b'{"data":[]}', headers=[("Content-Type", "application/json")])
    with FaultServer(answer, ssl_context=certificates.server_context(clients=certificates)) as server:
        assert call(kind, server.url).data == []
        assert len(server.requests) == 1


@every_library
def test_a_server_whose_certificate_is_not_accepted_is_not_worth_a_repetition(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MAKERS, kind, secured(Certificates(tmp_path / "own"), shown=False)[kind])
    with FaultServer(faults.OK, ssl_context=Certificates(tmp_path / "other").server_context()) as server:
        with pytest.raises(errors.ConnectError) as caught:
            call(kind, server.url)
        assert server.requests == []
    assert caught.value.retryable is False


@pytest.mark.parametrize("alert", ["TLSV13_ALERT_CERTIFICATE_REQUIRED", "TLSV1_ALERT_UNKNOWN_CA"])
@pytest.mark.parametrize("error", [httpx.ReadError("broken"), aiohttp.ClientOSError(1, "broken")])
def test_a_server_that_refuses_the_callers_certificate_is_not_worth_a_repetition(error: Exception, alert: str) -> None:
    """In TLS 1.3 it says so in the place of the answer; where a library keeps no word of that, the connection broke."""
    refused = ssl.SSLError(1, "alert")
    refused.reason = alert
    error.__cause__ = refused
    client = Mock(send=Mock(side_effect=error))
    with pytest.raises(errors.ConnectError) as caught:
        LangCache("http://cache.example", "k", "c", client=client).search(prompt="p")
    assert caught.value.retryable is False
