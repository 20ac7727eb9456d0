"""What goes wrong with the callers' own clients: no set is done twice, and a program that fails open goes on."""

from __future__ import annotations

import asyncio
import gc
import inspect
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import requests.auth

from langcache import LangCache, RetryPolicy, errors
from langcache_transports.testing import Certificates, Connection, Conversation, FaultServer, faults
from langcache_transports.testing.broken_tls import breaking_tls
from tests.timing import fastest
from tests.transports.supplying import MAKERS, call, every_library, secured, through

EAGER = {"retry_config": RetryPolicy(initial_ms=0, max_ms=0)}
OPEN = {"on_failure": "miss", "retry_config": None, "timeout_ms": 200}


before_python_3_11 = pytest.mark.filterwarnings(
    "ignore:.*_SSLProtocolTransport:pytest.PytestUnraisableExceptionWarning"
)
"""asyncio warns there that TLS which a caller's session of aiohttp has lost was left open."""


def setting(kind: str, url: str) -> errors.LangCacheError:
    """Make a set that may be repeated where nothing was sent, and return the error that it ends with."""
    with pytest.raises(errors.RequestError) as caught:
        call(kind, url, method="set", settings=EAGER, prompt="p", response="r")
    return caught.value


@before_python_3_11
@every_library
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("alert", [False, True], ids=["a broken record", "an alert"])
def test_a_set_is_sent_once_where_tls_breaks_in_the_place_of_the_answer(
    kind: str, alert: bool, version: ssl.TLSVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = Certificates(tmp_path)
    monkeypatch.setitem(MAKERS, kind, secured(certificates, shown=False)[kind])
    context = certificates.server_context()
    context.maximum_version = version
    with FaultServer(breaking_tls(context, alert=alert)) as server:
        error = setting(kind, server.url.replace("http:", "https:"))
        assert len(server.requests) == 1
    assert type(error) is errors.ReadError


@every_library
def test_a_set_is_sent_again_where_the_handshake_failed(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was sent: the server hung up, or spoke no TLS, before there was anything to encrypt with."""

    def plain(connection: Connection) -> None:
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.hold()

    monkeypatch.setitem(MAKERS, kind, secured(Certificates(tmp_path), shown=False)[kind])
    with FaultServer(plain) as server:
        error = setting(kind, server.url.replace("http:", "https:"))
        assert server.connections == 3
    assert isinstance(error, errors.ConnectError)


BEHIND_A_PROXY = {
    "closes": faults.close_before_answer,
    "resets": faults.reset_before_answer,
    "closes within the headers": faults.close_within_headers,
    "closes within the body": faults.close_within_body,
    "speaks another protocol": faults.not_http,
    "is silent": faults.silent,
}


@every_library
@pytest.mark.parametrize("what", BEHIND_A_PROXY)
def test_a_set_is_sent_once_where_a_forward_proxy_breaks_off(
    kind: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read the request, and may have passed it on (RFC 9112, section 3.2.2)."""
    with FaultServer(BEHIND_A_PROXY[what]) as proxy:
        monkeypatch.setitem(MAKERS, kind, through(proxy.url)[kind])
        settings = {**EAGER, "timeout_ms": 300 if what == "is silent" else 30_000}
        with pytest.raises(errors.LangCacheError) as caught:
            call(kind, "http://cache.invalid", method="set", settings=settings, prompt="p", response="r")
        assert len(proxy.requests) == 1
    assert caught.value.nothing_sent is False
    if what in ("closes", "resets"):
        assert type(caught.value) is errors.ReadError
    if what == "is silent":
        assert type(caught.value) is errors.ReadTimeout


@every_library
@pytest.mark.parametrize("what", ["is not there", "hangs up", "refuses"])
def test_a_set_is_sent_again_where_the_proxy_opened_no_tunnel(
    kind: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = faults.closing(faults.response(status="503 Busy")) if what == "refuses" else faults.closing()
    with FaultServer(answer) as proxy:
        if what == "is not there":
            proxy.stop()
        monkeypatch.setitem(MAKERS, kind, through(proxy.url)[kind])
        error = setting(kind, "https://cache.invalid")
        assert len(proxy.requests) in {"is not there": (0,), "refuses": (3,), "hangs up": (1, 3)}[what]
    if what != "hangs up":  # some libraries do not tell that from the end of any other connection
        assert isinstance(error, (errors.ProxyError, errors.ConnectError))


@pytest.mark.parametrize("kind", ["httpx", "requests", "async httpx"])
def test_a_set_is_sent_once_where_a_request_of_a_hooks_own_fails_after_it(kind: str) -> None:
    """That this one was not sent says nothing of the set, which had been answered."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"

    def report(*_: Any, **__: Any) -> None:
        httpx.get(nobody) if "httpx" in kind else requests.get(nobody, timeout=10)

    async def report_async(_: Any) -> None:
        report()

    def prepare(client: Any) -> None:
        if kind == "requests":
            client.hooks = {"response": [report]}
        else:
            client.event_hooks = {"response": [report_async if kind == "async httpx" else report]}

    with FaultServer(faults.OK) as server:
        with pytest.raises(errors.ConnectError) as caught:
            call(kind, server.url, prepare=prepare, method="set", settings=EAGER, prompt="p", response="r")
        assert len(server.requests) == 1
    assert caught.value.nothing_sent is False


def ending(head: str) -> bytes:
    return f"HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")


NONSENSE = {
    "a negative chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 11\r\n\r\n{}",
    "a cookie beyond ASCII": ending("500 Broken\r\nSet-Cookie: \xff=\xfe"),
    "a location with half an address": ending("307 Moved\r\nLocation: http://[::1"),
    "a location with a large port": ending("307 Moved\r\nLocation: //127.0.0.1:99999999/"),
    "a location with a port that is none": ending("307 Moved\r\nLocation: http://127.0.0.1:abc/"),
}


@every_library
@pytest.mark.parametrize("what", NONSENSE)
def test_what_a_library_stumbles_over_is_an_error_of_ours(kind: str, what: str) -> None:
    """Also where it lets an exception of Python's through, which a program that fails open would not expect."""
    with FaultServer(faults.closing(NONSENSE[what])) as server, pytest.raises(errors.LangCacheError):
        call(kind, server.url, settings=EAGER)  # a cookie is met again by the next attempt


@pytest.mark.parametrize("attribute", ["verify", "cert"])
def test_certificates_that_are_not_there_are_no_miss(attribute: str) -> None:
    """The session is set up wrongly, which says nothing of the service."""

    def prepare(session: requests.Session) -> None:
        session.trust_env = False
        setattr(session, attribute, "/nowhere/certificates.pem")

    with pytest.raises(errors.ConfigurationError, match=r"/nowhere/certificates\.pem"):
        call("requests", "https://cache.invalid", prepare=prepare, settings=OPEN)


@before_python_3_11
@pytest.mark.parametrize("alert", [False, True], ids=["a broken record", "an alert"])
@every_library
def test_a_search_is_a_miss_where_tls_breaks_in_the_place_of_the_answer(
    kind: str, alert: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates = Certificates(tmp_path)
    monkeypatch.setitem(MAKERS, kind, secured(certificates, shown=False)[kind])
    with FaultServer(breaking_tls(certificates.server_context(), alert=alert)) as server:
        assert call(kind, server.url.replace("http:", "https:"), settings=OPEN).data == []


def ready_made() -> dict[str, Conversation]:
    """Return every conversation of `faults`, and some that its functions make."""
    found: dict[str, Any] = {name: value for name, value in vars(faults).items() if is_conversation(value)}
    made = {"dropping_second": faults.dropping_second(), "gzip_bomb": faults.gzip_bomb(1024 * 1024)}
    return {**found, **made}


def is_conversation(value: object) -> bool:
    return inspect.isfunction(value) and list(inspect.signature(value).parameters) == ["connection"]


FAULTS = ready_made()


@every_library
@pytest.mark.parametrize("fault", FAULTS)
def test_a_search_is_a_miss_whatever_the_server_does(kind: str, fault: str) -> None:
    with FaultServer(FAULTS[fault]) as server:
        assert call(kind, server.url, settings=OPEN).data == []


@every_library
def test_errors_of_python_that_a_hook_raises_pass(kind: str) -> None:
    """They are the caller's own, also of a class that libraries let through."""

    def refuse(client: Any) -> None:
        def raising(*arguments: Any, **keywords: Any) -> Any:
            int("no number")

        setattr(client, "build_request" if "httpx" in kind else "request", raising)

    with FaultServer(faults.OK) as server, pytest.raises(ValueError, match="no number"):
        call(kind, server.url, prepare=refuse)


@every_library
@pytest.mark.parametrize("lengths", ["Content-Length: 5\r\nContent-Length: 11", "Content-Length: 5, 11"])
def test_an_answer_with_two_lengths_is_the_servers_mistake(kind: str, lengths: str) -> None:
    """Some libraries say of it what they say of a request's header that cannot be sent."""
    answer = f'HTTP/1.1 200 OK\r\n{lengths}\r\n\r\n{{"data":[]}}'.encode()
    with FaultServer(faults.answer(answer)) as server:
        assert call(kind, server.url, settings=OPEN).data == []


@pytest.mark.parametrize("realm", ["Digest realm=", 'Digest realm="r"'])
@pytest.mark.parametrize("client", ["requests", "httpx"])
def test_a_challenge_that_is_none_is_the_servers_mistake(client: str, realm: str) -> None:
    """The library's own authentication stumbles over it."""
    session: Any = requests.Session() if client == "requests" else httpx.Client(auth=httpx.DigestAuth("u", "p"))
    if client == "requests":
        session.auth = requests.auth.HTTPDigestAuth("u", "p")
    challenge = faults.response(b"{}", status="401 Unauthorized", headers=[("WWW-Authenticate", realm)])
    with FaultServer(faults.answer(challenge)) as server, session:
        cache = LangCache(server.url, cache_id="c", client=session, trust_env=False)
        with pytest.raises(errors.LangCacheError):
            cache.search(prompt="p")


def test_a_failure_while_the_caller_is_cancelled_twice_is_not_told_by_asyncio() -> None:
    """As anyio does it, for as long as a task goes on. The failure is nobody's then, and no accident either."""
    told: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        begun, ended = asyncio.Event(), asyncio.Event()

        class Client(httpx.AsyncClient):
            async def send(self, *arguments: Any, **keywords: Any) -> Any:
                begun.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    for _ in range(3):
                        await asyncio.sleep(0)
                    ended.set()
                    raise httpx.ReadError("the connection broke while it was closed") from None

        async with Client() as client, LangCache("http://cache.invalid", "k", "c", async_client=client) as cache:
            caller = asyncio.create_task(cache.search_async(prompt="p", timeout_ms=10_000))
            await begun.wait()
            for _ in range(2):
                caller.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await caller
            await ended.wait()
            await asyncio.sleep(0)
        gc.collect()

    asyncio.run(main())
    assert told == []


class Stubborn(httpx.AsyncBaseTransport):
    """Does not end when it is cancelled, until it is released."""

    def __init__(self) -> None:
        self.released = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            await asyncio.Event().wait()
        finally:
            await self.released.wait()
        raise AssertionError("nobody sets it")


def test_an_exchange_that_does_not_end_when_it_is_cancelled_is_not_waited_for() -> None:
    async def search() -> float:
        stubborn = Stubborn()
        async with (
            httpx.AsyncClient(transport=stubborn) as client,
            LangCache("http://cache.invalid", "k", "c", async_client=client, deadline_ms=200) as cache,
        ):
            begun = time.monotonic()
            with pytest.raises(errors.DeadlineExceeded):
                await cache.search_async(prompt="p")
            took = time.monotonic() - begun
            stubborn.released.set()
            await asyncio.sleep(0)
        return took

    assert 0.19 <= fastest(lambda: asyncio.run(search()), 0.25) <= 0.25


def test_a_call_that_is_closed_half_way_is_closed() -> None:
    """As by an event loop that ends."""

    async def main() -> None:
        async with httpx.AsyncClient(transport=Stubborn()) as client:
            cache = LangCache("http://cache.invalid", "k", "c", async_client=client)
            async with cache:
                call = cache.search_async(prompt="p", timeout_ms=10_000)
                call.send(None)
                call.close()

    asyncio.run(main())
