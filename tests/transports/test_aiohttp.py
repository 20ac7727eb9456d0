"""The transport on aiohttp: what `test_http_transports` does not show of it, over real sockets."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
import select
import socket
import ssl
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
import trustme

from langcache import LangCache, Request, Response, TransportOptions, errors
from langcache.tls import TLSConfig
from langcache_transports.aiohttp import langcache_async_transport
from langcache_transports.aiohttp.transport import AiohttpTransport
from tests.local_server import LocalServer

Talk = Callable[["RawServer", socket.socket, int], None]


class RawServer:
    """Runs `talk(self, connection, number)` in a thread for each connection; counts what `read` reads."""

    def __init__(self, talk: Talk, tls: ssl.SSLContext | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self._tls = tls
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._port}"
        self._talk = talk
        self.requests: list[bytes] = []
        self.connections = 0
        self.leave = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self.leave.is_set():
                connection.close()
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._serve, args=(connection, self.connections)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        # Or what a test waits for to be sent would wait in this process for an acknowledgement of what was sent before.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(ConnectionError, ssl.SSLError), connection:
            if self._tls is None:
                self._talk(self, connection, number)
                return
            with connection.dup() as plain:
                try:
                    with self._tls.wrap_socket(connection, server_side=True) as secured:
                        self._talk(self, secured, number)
                except ssl.SSLError:
                    while plain.recv(65536):  # or the connection would be reset, and the client not learn why
                        pass

    def read(self, connection: socket.socket) -> bytes:
        """Return the next request, or b"" where the client has hung up."""
        got = b""
        while b"\r\n\r\n" not in got:
            piece = connection.recv(65536)
            if not piece:
                return b""
            got += piece
        head, _, body = got.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += connection.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]

    def close(self) -> None:
        self.leave.set()
        socket.create_connection(("127.0.0.1", self._port)).close()
        for thread in self._threads:
            thread.join()
        self._listener.close()


Serving = Callable[..., RawServer]


@pytest.fixture
def serving() -> Iterator[Serving]:
    started: list[RawServer] = []

    def serve(talk: Talk, tls: ssl.SSLContext | None = None) -> RawServer:
        started.append(RawServer(talk, tls))
        return started[-1]

    yield serve
    for server in started:
        server.close()


def answer(body: bytes, *more: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *more, b"", body])


def post(url: str, timeout: float | None = 5, *, idempotent: bool = False, method: str = "POST") -> Request:
    content = b"{}" if method == "POST" else None
    return Request(method, url + "/path?key=secret", {}, content, timeout, idempotent=idempotent)


def options(**changes: Any) -> TransportOptions:
    return TransportOptions(**changes)


def run(work: Callable[[AiohttpTransport], Coroutine[Any, Any, Any]], **changes: Any) -> Any:
    """Do `work` with a transport, in a loop that is then ended in good order."""
    transport = AiohttpTransport(options(**changes))

    async def main() -> Any:
        try:
            return await work(transport)
        finally:
            await transport.aclose()

    return asyncio.run(main())


def wires(transport: AiohttpTransport) -> list[Any]:
    """Return the connections of the one session there is."""
    [known] = transport._homes._known.get().homes.values()  # pyright: ignore[reportPrivateUsage]
    home = known()
    assert home is not None
    return list(home.connector._wires)  # pyright: ignore[reportPrivateUsage]


# Being chosen


def test_it_is_chosen_by_name(server: LocalServer) -> None:
    server.answer = lambda request: Response(200, {"Content-Type": "application/json"}, b'{"data":[]}')

    async def main() -> None:
        async with LangCache(server.url, "k", "c", transport="aiohttp") as client:
            assert (await client.search_async(prompt="p")).data == []
            assert "AiohttpTransport" in client.explain()

    asyncio.run(main())
    assert server.requests[0].headers["user-agent"].startswith("langcache/")


def test_without_aiohttp_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    for name in [name for name in sys.modules if name.startswith("langcache_transports.aiohttp.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(errors.ConfigurationError, match=r"pip install 'langcache\[aiohttp\]'"):
        langcache_async_transport("aiohttp", options())


def test_it_is_loaded_only_when_it_is_chosen() -> None:
    program = "import sys, langcache_transports.aiohttp as a; a.langcache_async_transport('other', None); "
    done = subprocess.run([sys.executable, "-c", program + "print('aiohttp' in sys.modules)"], capture_output=True)
    assert done.stdout.strip() == b"False", done.stderr


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4"])
def test_socks_is_refused_with_the_transports_that_have_it(scheme: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=r"proxy.*urllib3 and requests.*langcache\[socks\]") as caught:
        AiohttpTransport(options(proxies={"https": f"{scheme}://user:secret@proxy.example:1080"}))
    assert "secret" not in str(caught.value)


# One call, one answer


def then(*writes: bytes) -> tuple[Talk, threading.Event, threading.Event]:
    """Make a talk that answers the first request of the first connection with `writes`, the rest of them when told.

    Any other connection gets the answer b"own" each time.
    """
    go, sent = threading.Event(), threading.Event()

    def talk(server: RawServer, connection: socket.socket, number: int) -> None:
        if number == 1:
            server.read(connection)
            connection.sendall(writes[0])
            if len(writes) > 1:
                go.wait()
                connection.sendall(writes[1])
                sent.set()
        while server.read(connection):
            connection.sendall(answer(b"own"))

    return talk, go, sent


EXTRA = [
    answer(b"another's"),
    answer(b"x" * 600_000),
    answer(b"another's")[:30],
    answer(b"another's")[:-4],
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nanother's\r\n0\r\n\r\n",
]
every_extra = pytest.mark.parametrize(
    "extra", EXTRA, ids=["whole", "larger than a read", "part of a head", "part of a body", "chunked"]
)
every_first = pytest.mark.parametrize(
    "first",
    [answer(b"first"), b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n"],
    ids=["length", "chunks"],
)


@every_first
@every_extra
def test_an_answer_that_comes_with_another_is_nobodys(serving: Serving, first: bytes, extra: bytes) -> None:
    server = serving(then(first + extra)[0])

    async def work(transport: AiohttpTransport) -> None:
        assert (await transport.send(post(server.url))).content == b"first"
        assert (await transport.send(post(server.url))).content == b"own"

    run(work)
    assert (server.connections, len(server.requests)) == (2, 2)


@every_first
@every_extra
def test_an_answer_that_comes_on_an_idle_connection_closes_it(serving: Serving, first: bytes, extra: bytes) -> None:
    talk, go, _ = then(first, extra)
    server = serving(talk)

    async def work(transport: AiohttpTransport) -> None:
        assert (await transport.send(post(server.url))).content == b"first"
        [wire] = wires(transport)
        go.set()
        while wire.link is not None:  # which the arrival ends
            await asyncio.sleep(0.001)
        assert (await transport.send(post(server.url))).content == b"own"

    run(work)
    assert (server.connections, len(server.requests)) == (2, 2)


@every_extra
def test_an_answer_that_the_loop_has_not_read_yet_is_nobodys(serving: Serving, extra: bytes) -> None:
    """The loop does something else while it arrives, and the next request is begun before the loop looks."""
    talk, go, sent = then(answer(b"first"), extra[:60_000])
    server = serving(talk)

    async def work(transport: AiohttpTransport) -> None:
        assert (await transport.send(post(server.url))).content == b"first"
        go.set()
        assert sent.wait(5)  # blocks the loop
        assert (await transport.send(post(server.url))).content == b"own"

    run(work)
    assert (server.connections, len(server.requests)) == (2, 2)


def test_a_connection_that_the_server_closed_meanwhile_costs_nothing(serving: Serving) -> None:
    """Also where the request is not safe to repeat: it is not sent on it."""
    closed = threading.Event()

    def talk(server: RawServer, connection: socket.socket, number: int) -> None:
        while server.read(connection):
            connection.sendall(answer(b"own"))
            if number == 1:
                connection.shutdown(socket.SHUT_RDWR)
                closed.set()

    server = serving(talk)

    async def work(transport: AiohttpTransport) -> None:
        await transport.send(post(server.url))
        assert closed.wait(5)  # blocks the loop, so that it does not know
        await transport.send(post(server.url))

    run(work)
    assert (server.connections, len(server.requests)) == (2, 2)


# How often a request is sent


def hangs_up_on_the_second(server: RawServer, connection: socket.socket, number: int) -> None:
    """Answer the first request on a connection, and hang up on the next when it has been read."""
    if server.read(connection):
        connection.sendall(answer(b"own"))
        server.read(connection)


def hangs_up(server: RawServer, connection: socket.socket, number: int) -> None:
    server.read(connection)


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_a_request_that_is_safe_to_repeat_survives_a_stale_connection(serving: Serving, method: str) -> None:
    """On a new connection, although another idle one may be as stale."""
    server = serving(hangs_up_on_the_second)

    async def work(transport: AiohttpTransport) -> None:
        await asyncio.gather(*(transport.send(post(server.url)) for _ in range(3)))
        again = await transport.send(post(server.url, idempotent=True, method=method))
        assert again.content == b"own"

    run(work)
    assert (server.connections, len(server.requests)) == (4, 5)


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_any_other_request_is_sent_once(serving: Serving, method: str) -> None:
    """Also where aiohttp would repeat it."""
    server = serving(hangs_up_on_the_second)

    async def work(transport: AiohttpTransport) -> None:
        await transport.send(post(server.url))
        with pytest.raises(errors.ReadError) as caught:
            await transport.send(post(server.url, method=method))
        assert caught.value.__cause__ is not None

    run(work)
    assert (server.connections, len(server.requests)) == (1, 2)


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_nothing_is_repeated_where_the_connection_was_new(serving: Serving, method: str) -> None:
    server = serving(hangs_up)

    async def work(transport: AiohttpTransport) -> None:
        with pytest.raises(errors.ReadError, match="disconnected"):
            await transport.send(post(server.url, idempotent=True, method=method))

    run(work)
    assert len(server.requests) == 1


def test_nothing_is_repeated_after_a_byte_of_the_answer(serving: Serving) -> None:
    def talk(server: RawServer, connection: socket.socket, number: int) -> None:
        server.read(connection)
        connection.sendall(answer(b"own"))
        server.read(connection)
        connection.sendall(b"H")

    server = serving(talk)

    async def work(transport: AiohttpTransport) -> None:
        await transport.send(post(server.url))
        with pytest.raises(errors.ReadError):
            await transport.send(post(server.url, idempotent=True))

    run(work)
    assert len(server.requests) == 2


def test_a_stale_connection_is_tried_again_once(serving: Serving) -> None:
    def talk(server: RawServer, connection: socket.socket, number: int) -> None:
        if server.read(connection) and number == 1:
            connection.sendall(answer(b"own"))
            server.read(connection)

    server = serving(talk)

    async def work(transport: AiohttpTransport) -> None:
        await transport.send(post(server.url))
        with pytest.raises(errors.ReadError):
            await transport.send(post(server.url, idempotent=True))

    run(work)
    assert len(server.requests) == 3


# Exchanges that break off


def test_what_is_sent_for_each_method(serving: Serving) -> None:
    """As the transport urllib3 sends it."""

    def talk(server: RawServer, connection: socket.socket, number: int) -> None:
        while server.read(connection):
            connection.sendall(answer(b""))

    server = serving(talk)

    async def work(transport: AiohttpTransport) -> None:
        for method in ("GET", "DELETE", "POST"):
            await transport.send(Request(method, server.url + "/a%2Fb?c=%20d", {"X": "ä"}))
        await transport.send(
            Request("POST", server.url + "/", {"accept-encoding": "identity", "X": "ä"}, b"\xff\r\n\r\n")
        )

    run(work)
    host = server.url[7:].encode()
    common = b"Host: %s\r\nX: \xe4\r\nAccept-Encoding: gzip, deflate\r\n" % host
    assert server.requests == [
        b"GET /a%2Fb?c=%20d HTTP/1.1\r\n" + common + b"\r\n",
        b"DELETE /a%2Fb?c=%20d HTTP/1.1\r\n" + common + b"\r\n",
        b"POST /a%2Fb?c=%20d HTTP/1.1\r\n" + common + b"Content-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: " + host + b"\r\naccept-encoding: identity\r\nX: \xe4\r\n"
        b"Content-Length: 5\r\n\r\n\xff\r\n\r\n",
    ]  # fmt: skip


def drips(head: bytes, drop: bytes) -> Talk:
    def talk(server: RawServer, connection: socket.socket, number: int) -> None:
        server.read(connection)
        connection.sendall(head)
        while not server.leave.wait(0.1):
            connection.sendall(drop)

    return talk


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (b"HTTP/1.1 200 ", b"O"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["status", "headers", "body", "chunks"],
)
def test_the_timeout_is_for_the_whole_attempt(serving: Serving, head: bytes, drop: bytes) -> None:
    """However steadily something arrives, and to a quarter of a second."""
    server = serving(drips(head, drop))

    async def work(transport: AiohttpTransport) -> None:
        begun = time.monotonic()
        with pytest.raises(errors.ReadTimeout) as caught:
            await transport.send(post(server.url, 0.35))
        assert 0.35 <= time.monotonic() - begun < 0.35 + 0.25
        assert "secret" not in str(caught.value)

    run(work)


def waits(server: RawServer, connection: socket.socket, number: int) -> None:
    server.leave.wait()


def test_a_connection_that_is_not_made_in_time_is_a_connect_timeout(serving: Serving) -> None:
    """Making it includes TLS: here is a server that accepts, and never answers the handshake."""
    server = serving(waits)
    url = server.url.replace("http:", "https:")

    async def work(transport: AiohttpTransport, timeout: float) -> None:
        with pytest.raises(errors.ConnectTimeout) as caught:
            await transport.send(post(url, timeout))
        assert str(caught.value).startswith(f"POST {url}/path: ")
        assert "secret" not in str(caught.value)

    run(lambda transport: work(transport, 0.2))
    run(lambda transport: work(transport, 30), connect_timeout=0.2)


def test_a_cancelled_call_closes_its_connection_and_leaves_the_pool_usable(serving: Serving) -> None:
    arrived, hung_up = threading.Event(), threading.Event()

    def talk(server: RawServer, connection: socket.socket, number: int) -> None:
        if number == 1:
            server.read(connection)
            connection.sendall(answer(b"own"))
            server.read(connection)
            connection.sendall(answer(b"cancelled's")[:30])
            arrived.set()
            assert connection.recv(1) == b""
            hung_up.set()
        while server.read(connection):
            connection.sendall(answer(b"own"))

    server = serving(talk)

    async def work(transport: AiohttpTransport) -> None:
        await transport.send(post(server.url))
        call = asyncio.create_task(transport.send(post(server.url)))
        await asyncio.to_thread(arrived.wait, 5)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await transport.send(post(server.url))).content == b"own"
        await asyncio.to_thread(hung_up.wait, 5)

    run(work)
    assert hung_up.is_set()
    assert (server.connections, len(server.requests)) == (2, 3)


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        (answer(b"x" * 2000), errors.ResponseTooLargeError),
        (answer(b"x" * 400_000), errors.ResponseTooLargeError),
        (answer(b"not gzip", b"Content-Encoding: gzip"), errors.DecodingError),
        (answer(b"", b"Content-Encoding: zstd"), errors.DecodingError),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", errors.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", errors.RemoteProtocolError),
    ],
    ids=["too large", "much too large", "not gzip", "zstd", "status", "chunk"],
)
def test_a_broken_answer_closes_its_connection(
    serving: Serving, broken: bytes, kind: type[errors.RequestError]
) -> None:
    hung_up = threading.Event()

    def talk(server: RawServer, connection: socket.socket, number: int) -> None:
        server.read(connection)
        connection.sendall(broken if number == 1 else answer(b"own"))
        with suppress(ConnectionError):
            assert connection.recv(1) == b""
        hung_up.set()

    server = serving(talk)

    async def work(transport: AiohttpTransport) -> None:
        with pytest.raises(kind, match=f"^POST {server.url}/path: ") as caught:
            await transport.send(post(server.url))
        assert caught.value.__cause__ is not None
        assert "secret" not in str(caught.value)
        await asyncio.to_thread(hung_up.wait, 5)
        assert (await transport.send(post(server.url))).content == b"own"

    run(work, max_response_bytes=1000)
    assert server.connections == 2


def test_an_early_answer_to_a_request_that_is_still_being_written_is_returned(serving: Serving) -> None:
    """And the connection, on which the rest of the request would follow, is not used for another."""

    def talk(server: RawServer, connection: socket.socket, number: int) -> None:
        connection.recv(1000)
        connection.sendall(answer(b"too large" if number == 1 else b"own"))
        if number == 1:
            server.leave.wait()

    server = serving(talk)

    async def work(transport: AiohttpTransport) -> None:
        large = Request("POST", server.url + "/", {}, b"x" * 20_000_000, 5)
        assert (await transport.send(large)).content == b"too large"
        assert (await transport.send(post(server.url))).content == b"own"

    run(work)
    assert server.connections == 2


# The pool


class Gate:
    """A server that answers when as many requests are there as it waits for."""

    def __init__(self, serving: Serving) -> None:
        self.barrier = threading.Barrier(1)
        self.server = serving(self._talk)

    def _talk(self, server: RawServer, connection: socket.socket, number: int) -> None:
        while server.read(connection):
            self.barrier.wait(20)
            connection.sendall(answer(b"own"))


def test_as_many_connections_as_calls_in_flight_and_no_more_idle_than_are_kept(serving: Serving) -> None:
    gate = Gate(serving)

    async def work(transport: AiohttpTransport) -> None:
        for calls in (1, 12, 4, 3):
            gate.barrier = threading.Barrier(calls)
            await asyncio.gather(*(transport.send(post(gate.server.url)) for _ in range(calls)))
            while len(wires(transport)) > 3:
                await asyncio.sleep(0.001)

    run(work, pool_size=3)
    assert gate.server.connections == 1 + 11 + 1


@pytest.mark.parametrize(("idle_timeout", "connections"), [(0.0, 2), (0.05, 2), (50.0, 1)])
def test_a_connection_is_not_used_after_the_idle_timeout(
    server: LocalServer, idle_timeout: float, connections: int
) -> None:
    server.answer = lambda request: Response(200)

    async def work(transport: AiohttpTransport) -> None:
        await transport.send(post(server.url))
        while wires(transport) and idle_timeout < 1:  # aiohttp closes it by itself
            await asyncio.sleep(0.001)
        await transport.send(post(server.url))

    run(work, idle_timeout=idle_timeout)
    assert server.connections == connections


# Event loops, threads and processes


async def calls(transport: AiohttpTransport, url: str, count: int = 3) -> None:
    for _ in range(count):
        await transport.send(post(url))


def in_a_closed_loop(transport: AiohttpTransport, url: str) -> Any:
    """Make calls in a loop that is closed without ado; return a weak reference to it."""
    loop = asyncio.new_event_loop()
    loop.run_until_complete(calls(transport, url))
    loop.close()
    return weakref.ref(loop)


def test_loops_one_after_another_have_a_session_each_and_are_not_kept_alive(server: LocalServer) -> None:
    """However they end; a socket or a session that is left open would warn when it is collected."""
    server.answer = lambda request: Response(200)
    transport = AiohttpTransport(options())
    loops = [in_a_closed_loop(transport, server.url) for _ in range(3)]
    for _ in range(3):
        asyncio.run(calls(transport, server.url))
    gc.collect()
    assert [loop() for loop in loops] == [None] * 3
    assert server.connections == 6
    assert len(transport._homes._known.get().homes) == 0  # pyright: ignore[reportPrivateUsage]
    transport.close()


def test_loops_at_the_same_time_have_a_session_each(serving: Serving) -> None:
    def talk(server: RawServer, connection: socket.socket, number: int) -> None:
        while request := server.read(connection):
            connection.sendall(answer(request.partition(b"\r\n\r\n")[2]))

    server = serving(talk)
    transport = AiohttpTransport(options())
    failures: list[BaseException] = []

    async def main(number: int) -> None:
        async def call(index: int) -> None:
            content = f"{number}.{index}".encode()
            assert (await transport.send(Request("POST", server.url + "/", {}, content, 20))).content == content

        for _ in range(5):
            await asyncio.gather(*(call(index) for index in range(5)))

    def work(number: int) -> None:
        try:
            asyncio.run(main(number))
        except BaseException as error:  # noqa: BLE001 - the test's thread tells
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert server.connections <= 8 * 5
    transport.close()


@pytest.mark.parametrize("form", ["close", "aclose"])
def test_closing_closes_the_connections_of_every_loop(serving: Serving, form: str) -> None:
    hung_up = threading.Semaphore(0)

    def talk(server: RawServer, connection: socket.socket, number: int) -> None:
        while server.read(connection):
            connection.sendall(answer(b"own"))
        hung_up.release()

    server = serving(talk)
    transport = AiohttpTransport(options())
    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(calls(transport, server.url), other).result()

    async def main() -> None:
        await calls(transport, server.url)
        if form == "close":
            transport.close()
        else:
            await transport.aclose()
        await asyncio.to_thread(hung_up.acquire)
        await asyncio.to_thread(hung_up.acquire)
        with pytest.raises(errors.ClientClosedError):
            await transport.send(post(server.url))

    asyncio.run(main())
    other.call_soon_threadsafe(other.stop)
    thread.join()
    other.close()


def test_closing_outside_of_any_loop_and_twice(server: LocalServer) -> None:
    server.answer = lambda request: Response(200)
    transport = AiohttpTransport(options())
    loop = asyncio.new_event_loop()
    loop.run_until_complete(calls(transport, server.url))
    transport.close()
    transport.close()
    loop.run_until_complete(transport.aclose())
    assert [known() for known in transport._homes._known.get().homes.values()] == [None]  # pyright: ignore[reportPrivateUsage]
    loop.close()
    transport.close()


def test_closing_fails_the_calls_in_flight(serving: Serving) -> None:
    arrived = threading.Event()

    def talk(server: RawServer, connection: socket.socket, number: int) -> None:
        server.read(connection)
        connection.sendall(answer(b"0123456789")[:-5])
        arrived.set()
        server.leave.wait()

    server = serving(talk)

    async def work(transport: AiohttpTransport) -> None:
        call = asyncio.create_task(transport.send(post(server.url, None, idempotent=True)))
        await asyncio.to_thread(arrived.wait, 5)
        await transport.aclose()
        with pytest.raises(errors.ClientClosedError):
            await call

    run(work)
    assert len(server.requests) == 1


def test_clients_that_are_dropped_in_a_living_loop_leave_nothing(server: LocalServer) -> None:
    server.answer = lambda request: Response(200)

    async def main() -> None:
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for _ in range(20):
            transport = AiohttpTransport(options())
            await calls(transport, server.url, 1)
            transport.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(os.listdir("/proc/self/fd")) <= before + 25  # noqa: PTH208 - the server's end is in this process
        loop: Any = asyncio.get_running_loop()
        assert sum(not handle.cancelled() for handle in loop._scheduled) < 3

    if os.path.exists("/proc/self/fd"):  # noqa: PTH110
        asyncio.run(main())


_FORK = """
import asyncio, os, sys
from langcache import Request, TransportOptions
from langcache_transports.aiohttp.transport import AiohttpTransport

transport = AiohttpTransport(TransportOptions())
loop = asyncio.new_event_loop()

async def echoed(name):
    for number in range(20):
        content = f"{name} {number}".encode()
        answer = await transport.send(Request("POST", sys.argv[1], {}, content, 5))
        if answer.content != content:
            return False
    return True

assert loop.run_until_complete(echoed("parent before"))
children = []
for number in range(4):
    child = os.fork()
    if child == 0:
        good = asyncio.run(echoed(f"child {number}"))
        transport.close()
        os._exit(0 if good else 3)
    children.append(child)
good = loop.run_until_complete(echoed("parent after"))
print(good, [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
print(loop.run_until_complete(echoed("parent at the end")))
loop.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this operating system does not fork")
def test_a_forked_child_has_a_session_of_its_own(server: LocalServer) -> None:
    server.answer = lambda request: Response(200, {}, request.content or b"")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", _FORK, server.url],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("True [0, 0, 0, 0]\nTrue\n", "")
    assert server.connections == 5


# TLS


AUTHORITY = trustme.CA()


def server_context(*, demands: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1", "localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    if demands:
        AUTHORITY.configure_trust(context)  # pyright: ignore[reportUnknownMemberType]
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class Trust:
    """Has a `config` whose context stays the same until it is rotated."""

    def __init__(self, *, known: bool = True) -> None:
        self._known = known
        self.rotate()
        self.config = TLSConfig(ssl_context=self.context, reload_interval=0)

    def rotate(self) -> None:
        self._context = ssl.create_default_context()
        if self._known:
            AUTHORITY.configure_trust(self._context)  # pyright: ignore[reportUnknownMemberType]

    def context(self) -> ssl.SSLContext:
        return self._context


def owns(server: RawServer, connection: socket.socket, number: int) -> None:
    while server.read(connection):
        connection.sendall(answer(b"own"))


def test_tls_connections_are_used_again_and_new_ones_have_the_newest_context(serving: Serving) -> None:
    server = serving(owns, server_context())
    trust = Trust()

    async def work(transport: AiohttpTransport) -> None:
        for _ in range(3):
            await calls(transport, server.url)
            trust.rotate()
        assert len(wires(transport)) == 2  # the one that was idle for longest had to go

    run(work, tls=trust.config, pool_size=2)
    assert (server.connections, len(server.requests)) == (3, 9)


def test_a_certificate_that_cannot_be_verified_is_not_worth_a_repetition(serving: Serving) -> None:
    server = serving(owns, server_context())

    async def work(transport: AiohttpTransport) -> None:
        with pytest.raises(errors.ConnectError, match="is of an unknown issuer") as caught:
            await transport.send(post(server.url))
        assert caught.value.retryable is False

    run(work, tls=Trust(known=False).config)
    assert server.requests == []


def hangs_up_in_the_handshake(server: RawServer, connection: socket.socket, number: int) -> None:
    connection.recv(65536)


def test_a_server_that_hangs_up_in_the_handshake_is_named_with_the_reason(serving: Serving) -> None:
    """aiohttp's own text is "ssl:<ssl.SSLContext object at 0x7f42e1baecc0> [None]"."""
    server = serving(hangs_up_in_the_handshake)
    place = server.url.partition("://")[2]

    async def main(transport: AiohttpTransport) -> None:
        with pytest.raises(errors.ConnectError) as caught:
            await transport.send(post(f"https://{place}"))
        said = str(caught.value)
        assert said.startswith(f"POST https://{place}/path: cannot connect to {place}: ")
        assert "object at" not in said
        assert "None" not in said

    run(main)


def test_a_server_that_refuses_a_stranger_is_a_connect_error(serving: Serving) -> None:
    """With TLS 1.3 the client learns of it only when it reads the answer."""
    server = serving(owns, server_context(demands=True))

    async def work(transport: AiohttpTransport) -> None:
        with pytest.raises(errors.ConnectError, match="the server refused the client certificate"):
            await transport.send(post(server.url))

    run(work, tls=Trust().config)


def test_a_tls_session_ends_with_its_loop(serving: Serving) -> None:
    server = serving(owns, server_context())
    transport = AiohttpTransport(options(tls=Trust().config))
    loops = [in_a_closed_loop(transport, server.url) for _ in range(2)]
    asyncio.run(calls(transport, server.url))
    gc.collect()
    assert [loop() for loop in loops] == [None, None]
    transport.close()


@every_extra
def test_over_tls_too_an_answer_that_comes_on_an_idle_connection_is_nobodys(serving: Serving, extra: bytes) -> None:
    talk, go, sent = then(answer(b"first"), extra[:60_000])
    server = serving(talk, server_context())

    async def work(transport: AiohttpTransport) -> None:
        assert (await transport.send(post(server.url))).content == b"first"
        go.set()
        assert sent.wait(5)  # blocks the loop
        assert (await transport.send(post(server.url))).content == b"own"

    run(work, tls=Trust().config)
    assert server.connections == 2


# Proxies


def forwards(status: bytes) -> Talk:
    """Make the talk of a proxy that answers CONNECT with `status`, and forwards bytes where that is 200."""

    def talk(server: RawServer, connection: socket.socket, number: int) -> None:
        target = server.read(connection).split(b" ")[1]
        connection.sendall(b"HTTP/1.1 " + status + b"\r\n\r\n")
        if not status.startswith(b"200"):
            return
        host, _, port = target.rpartition(b":")
        with socket.create_connection((host.decode(), int(port))) as service:
            other = {connection: service, service: connection}
            while True:
                waiting = connection.pending() if isinstance(connection, ssl.SSLSocket) else 0
                ready = [connection] if waiting else select.select([connection, service], [], [])[0]
                for side in ready:
                    piece = side.recv(65536)
                    if not piece:
                        return
                    other[side].sendall(piece)

    return talk


def test_https_goes_through_a_tunnel_and_the_token_stays_in_it(serving: Serving) -> None:
    service = serving(owns, server_context())
    proxy = serving(forwards(b"200 OK"))

    async def work(transport: AiohttpTransport) -> None:
        for _ in range(3):
            request = post(service.url).with_headers({"Authorization": "Bearer token", "User-Agent": "mine"})
            assert (await transport.send(request)).content == b"own"

    run(work, tls=Trust().config, proxies={"https": proxy.url.replace("//", "//user:p%40ss@")})
    [connect] = proxy.requests
    assert connect.startswith(b"CONNECT " + service.url[8:].encode() + b" HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in connect
    assert b"User-Agent: mine\r\n" in connect
    assert b"token" not in connect
    assert b"aiohttp" not in connect
    assert len(service.requests) == 3
    assert all(b"Proxy-Authorization" not in request for request in service.requests)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio has no TLS within TLS before Python 3.11")
def test_a_proxy_may_be_spoken_to_with_tls(serving: Serving) -> None:
    service = serving(owns, server_context())
    plain = serving(owns)
    proxy = serving(forwards(b"200 OK"), server_context())
    forward = serving(owns, server_context())

    async def work(transport: AiohttpTransport) -> None:
        await calls(transport, service.url)
        await calls(transport, plain.url)

    run(work, tls=Trust().config, proxies={"https": proxy.url, "http": forward.url})
    assert (len(service.requests), service.connections) == (3, 1)
    assert (len(forward.requests), len(plain.requests)) == (3, 0)


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="asyncio has TLS within TLS since Python 3.11")
def test_a_proxy_that_asyncio_cannot_speak_to_is_refused() -> None:
    with pytest.raises(errors.ConfigurationError, match=r"proxy.*urllib3 and requests"):
        AiohttpTransport(options(proxies={"https": "https://proxy.example"}))


@pytest.mark.parametrize("status", [b"407 Proxy Authentication Required", b"502 Bad Gateway"])
def test_a_proxy_that_refuses_is_a_proxy_error(serving: Serving, status: bytes) -> None:
    proxy = serving(forwards(status + b"\r\nContent-Length: 0"))

    async def work(transport: AiohttpTransport) -> None:
        with pytest.raises(errors.ProxyError, match=status.decode()) as caught:
            await transport.send(post("https://cache.invalid"))
        shown = f"{caught.value} {caught.value!r} {caught.value.__cause__}"
        assert "secret" not in str(caught.value)
        assert "p%40ss" not in shown
        assert "p@ss" not in shown

    run(work, tls=Trust().config, proxies={"https": proxy.url.replace("//", "//user:p%40ss@")})
    assert len(proxy.requests) == 1


uvloop = pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="uvloop is not there")


@uvloop
def test_uvloop_serves_as_well(serving: Serving) -> None:
    import uvloop as library  # type: ignore[import-not-found,unused-ignore]  # pyright: ignore

    talk, go, sent = then(answer(b"first"), answer(b"another's"))
    server = serving(talk)
    transport = AiohttpTransport(options())

    async def main() -> None:
        assert (await transport.send(post(server.url))).content == b"first"
        go.set()
        assert sent.wait(5)
        assert (await transport.send(post(server.url))).content == b"own"

    loop = library.new_event_loop()  # pyright: ignore
    loop.run_until_complete(main())  # pyright: ignore
    loop.run_until_complete(loop.shutdown_asyncgens())  # pyright: ignore
    loop.close()  # pyright: ignore


# Without a session


def test_the_native_answer_is_aiohttps_and_complete(serving: Serving) -> None:
    def talk(server: RawServer, connection: socket.socket, number: int) -> None:
        server.read(connection)
        connection.sendall(answer(b'{"a":1}', b"Content-Type: application/json").replace(b"200 OK", b"503 Busy"))

    server = serving(talk)

    async def work(transport: AiohttpTransport) -> None:
        request = post(server.url).with_headers({"Authorization": "Bearer secret-key"})
        native = (await transport.send(request)).native
        assert isinstance(native, aiohttp.ClientResponse)
        assert (native.status, native.reason, native.method) == (503, "Busy", "POST")
        assert str(native.url) == request.url
        assert native.headers["content-length"] == "7"
        assert await native.json() == {"a": 1}
        with pytest.raises(aiohttp.ClientResponseError) as caught:
            native.raise_for_status()
        assert "secret-key" not in repr(caught.value)
        native.close()
        assert native.closed

    run(work)


def test_what_stands_in_for_the_requests_of_sessions_does_so_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """As packages for tests do it, which replace this method."""

    class StandInError(Exception):
        pass

    async def stand_in(session: aiohttp.ClientSession, method: str, url: Any, **_: Any) -> Any:
        raise StandInError(method)

    monkeypatch.setattr(aiohttp.ClientSession, "_request", stand_in)

    async def work(transport: AiohttpTransport) -> None:
        with pytest.raises(StandInError, match="POST"):
            await transport.send(post("http://cache.invalid"))

    run(work)


_MOCK = "mock.AsyncMock(side_effect=LookupError('stand-in'))"
_WRAPPER = "Wrapper(aiohttp.ClientSession._request)"


@pytest.mark.parametrize("stand_in", [_MOCK, _WRAPPER], ids=["a mock", "a wrapper"])
def test_what_stood_in_before_the_transport_was_loaded_does_so_too(stand_in: str) -> None:
    """Also where it shows the attributes of what it wraps, as tracers do."""
    code = """
import asyncio, aiohttp
from unittest import mock

class Wrapper:
    def __init__(self, wrapped):
        self.__wrapped__ = wrapped

    def __getattr__(self, name):
        return getattr(self.__wrapped__, name)

    def __get__(self, instance, owner):
        return self

    async def __call__(self, *arguments, **keywords):
        raise LookupError("stand-in")

async def main():
    from langcache_transports.aiohttp.transport import AiohttpTransport
    from langcache import Request, TransportOptions
    await AiohttpTransport(TransportOptions()).send(Request("GET", "http://cache.invalid/", timeout=5))

with mock.patch.object(aiohttp.ClientSession, "_request", STAND_IN):
    try:
        asyncio.run(main())
    except LookupError as error:
        print(error)
"""
    code = code.replace("STAND_IN", stand_in)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "stand-in"


def test_an_answer_that_comes_before_the_request_is_sent_ends_its_connection(serving: Serving) -> None:
    """What the server has not read would be the beginning of the next request."""
    done = threading.Event()

    def talk(server: RawServer, connection: socket.socket, number: int) -> None:
        connection.recv(1000)
        connection.sendall(answer(b"early"))
        done.wait(10)

    server = serving(talk)

    async def work(transport: AiohttpTransport) -> None:
        large = Request("POST", server.url, {}, bytes(32_000_000), 5)
        for _ in range(2):
            assert (await transport.send(large)).content == b"early"
        done.set()

    run(work)
    assert server.connections == 2


def test_a_path_that_http_cannot_carry_is_a_configuration_error(serving: Serving) -> None:
    async def work(transport: AiohttpTransport) -> None:
        for path in ("/a b", "/\u2603", "/a\r\nX: y"):
            with pytest.raises(errors.ConfigurationError, match=r"^GET "):
                await transport.send(Request("GET", "http://cache.invalid" + path, timeout=5))

    run(work)
