"""What the pools of the sync transports do with a hostile peer, beyond what the suite for transports asks of all."""

from __future__ import annotations

import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from langcache import Request, Response, TLSConfig, TransportOptions, errors
from langcache_transports.testing import Certificates, FaultServer, faults
from langcache_transports.testing.server import Connection
from tests.cycles import freed_at_once
from tests.transports.making import Make


def asking(url: str, **fields: object) -> Request:
    return Request("POST", f"{url}/path", {}, b"{}", **{"timeout": 5.0, **fields})  # type: ignore[arg-type]  # pyright: ignore


# Framing: what is said twice, or in another way than most say it


def framed(*fields: str, body: bytes = b"") -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *fields, "", ""]).encode() + body


CHUNKED = b"2\r\n{}\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "fields",
    [
        ["Transfer-Encoding: chunked "],
        ["Transfer-Encoding:\tChunked\t"],
        ["Transfer-Encoding: chunked ", "Content-Length: 2"],
    ],
)
def test_a_coding_is_read_whatever_white_space_is_around_it(make: Make, fields: list[str]) -> None:
    with FaultServer(framed(*fields, body=CHUNKED)) as server:
        assert make(TransportOptions()).send(asking(server.url)).content == b"{}"


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        (["Transfer-Encoding: chunked", "Transfer-Encoding: gzip"], CHUNKED),
        (["Transfer-Encoding: chunked, chunked"], CHUNKED),
        (["Transfer-Encoding: xchunked"], CHUNKED),
        (["Content-Length: 2", "Content-Length: 3"], b"{}}"),
        (["Content-Length: 2, 3"], b"{}}"),
        (["Content-Length: +2"], b"{}"),
        (["Content-Length: "], b"{}"),
        (["X-First: 1", "no colon in this line", "Content-Length: 2"], b"{}"),
        (["Transfer-Encoding: chunked"], b"2\r\n{}XX0\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"0x2\r\n{}\r\n0\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"-2\r\n{}\r\n0\r\n\r\n"),
    ],
)
def test_a_body_whose_end_can_be_read_in_two_ways_is_refused(make: Make, fields: list[str], body: bytes) -> None:
    with FaultServer(framed(*fields, body=body)) as server:
        with pytest.raises(errors.RemoteProtocolError):
            make(TransportOptions()).send(asking(server.url))
        assert len(server.requests) == 1


def test_a_body_without_its_last_line_is_not_complete(make: Make) -> None:
    half = framed("Transfer-Encoding: chunked", body=b"2\r\n{}\r\n0\r\n")
    with FaultServer(faults.closing(half)) as server, pytest.raises(errors.ReadError):
        make(TransportOptions()).send(asking(server.url))


@pytest.mark.parametrize(
    "first",
    [
        framed("Content-Length: 2", "Connection: keep-alive", "Connection: close", body=b"{}"),
        framed("Content-Length: 2", "Connection: x-hop, Close", body=b"{}"),
        framed("Content-Length: 2", "Transfer-Encoding: chunked", body=CHUNKED),
        b"HTTP/1.1 204 No Content\r\nContent-Length: 45\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 45\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
def test_a_connection_that_is_not_to_be_used_again_is_not(make: Make, first: bytes) -> None:
    transport = make(TransportOptions())
    with FaultServer(first) as server:
        for _ in range(2):
            assert transport.send(asking(server.url)).status_code in (200, 204, 304)
        assert server.connections == 2


@pytest.mark.parametrize(
    "first",
    [
        framed("Content-Length: 2, 2", body=b"{}"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\n{}",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_connection_that_can_be_used_again_is(make: Make, first: bytes) -> None:
    transport = make(TransportOptions())
    with FaultServer(first) as server:
        for _ in range(2):
            transport.send(asking(server.url))
        assert server.connections == 1


def test_headers_that_go_on_in_the_next_line_are_one_line(make: Make) -> None:
    with FaultServer(framed("X-Long: one\r\n two", "Content-Length: 2", body=b"{}")) as server:
        assert make(TransportOptions()).send(asking(server.url)).headers["x-long"].split() == ["one", "two"]


def test_another_protocol_that_nobody_asked_for_is_refused(make: Make) -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    with FaultServer(switching) as server, pytest.raises(errors.RemoteProtocolError):
        make(TransportOptions()).send(asking(server.url))


def test_a_server_is_quoted_in_one_short_line(make: Make) -> None:
    said = faults.closing(b"\x1b[31m" + b"x" * 60_000 + b"\r\n")
    with FaultServer(said) as server, pytest.raises(errors.RemoteProtocolError) as caught:
        make(TransportOptions()).send(asking(server.url))
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


# Over TLS


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "trusted")


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_refused_certificate_is_told_although_the_request_could_not_be_sent(
    make: Make, certificates: Certificates, size: int
) -> None:
    transport = make(TransportOptions(tls=TLSConfig(ca=certificates.ca)))
    context = certificates.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificates.ca)
    with FaultServer(faults.OK, ssl_context=context) as server:
        for _ in range(5):
            request = Request("POST", f"{server.url}/path", {}, b"x" * size, 5.0)
            with pytest.raises(errors.ConnectError, match="refused a client without certificate") as caught:
                transport.send(request)
            assert caught.value.retryable is False


def test_plain_bytes_within_an_encrypted_answer_are_no_failure_to_connect(
    make: Make, certificates: Certificates
) -> None:
    """The request was sent, and may have been done."""

    def crash(connection: Connection) -> None:
        connection.request()
        socket.socket.send(connection._socket, b"HTTP/1.1 500 plain\r\n\r\n")  # pyright: ignore[reportPrivateUsage]
        connection.hold()

    transport = make(TransportOptions(tls=TLSConfig(ca=certificates.ca)))
    with FaultServer(crash, ssl_context=certificates.server_context()) as server, pytest.raises(errors.ReadError):
        transport.send(asking(server.url))


class TLSWithinTLS:
    """A TLS proxy that opens a tunnel to nowhere and is the server itself, so that it decides about every record."""

    def __init__(self, certificates: Certificates, answer: Callable[[ssl.SSLObject], object]) -> None:
        self._context = certificates.server_context()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._answer = answer
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                raw, _ = self._listener.accept()
            except OSError:
                return
            raw.settimeout(10)  # a caller that fails may keep its end open for as long as its error is there
            thread = threading.Thread(target=self._serve, args=(raw,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, raw: socket.socket) -> None:
        with self._context.wrap_socket(raw, server_side=True) as outer:
            while b"\r\n\r\n" not in outer.recv(65536):
                pass
            outer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            inner = self._context.wrap_bio(incoming, outgoing, server_side=True)

            def step(work: Callable[[], object]) -> object:
                with suppress(ssl.SSLWantReadError):
                    return work()
                outer.sendall(outgoing.read())
                piece = outer.recv(65536)
                if not piece:
                    raise ConnectionResetError
                incoming.write(piece)
                return step(work)

            try:
                step(inner.do_handshake)
                outer.sendall(outgoing.read())
                while step(lambda: inner.read(65536)):
                    self._answer(inner)
                    outer.sendall(outgoing.read())  # all inner records in one outer record
            except (OSError, ssl.SSLError):
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        for thread in self._threads:
            thread.join()


def test_a_second_answer_within_tls_within_tls_is_nobodys(make: Make, certificates: Certificates) -> None:
    """The outer TLS has read it together with the first, so that the socket looks quiet."""

    def answer(inner: ssl.SSLObject) -> None:
        inner.write(faults.response(b'"asked"'))
        inner.write(faults.response(b'"unasked"'))

    proxy = TLSWithinTLS(certificates, answer)
    options = TransportOptions(tls=TLSConfig(ca=certificates.ca), proxies={"all": proxy.url})
    transport = make(options)
    try:
        for _ in range(3):
            answered: Response = transport.send(asking("https://localhost:1"))
            assert answered.content == b'"asked"'
    finally:
        transport.close()
        proxy.close()


def test_codings_that_stand_in_several_headers_are_all_looked_at(make: Make) -> None:
    twice = framed("Content-Encoding: gzip", "Content-Encoding: gzip", "Content-Length: 2", body=b"{}")
    with FaultServer(twice) as server, pytest.raises(errors.DecodingError, match="'gzip, gzip'"):
        make(TransportOptions()).send(asking(server.url))


# Time


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_server_that_does_not_take_the_request_is_a_write_timeout(
    make: Make, certificates: Certificates, secure: bool
) -> None:
    leave = threading.Event()

    def ignore(connection: Connection) -> None:
        leave.wait(10)

    transport = make(TransportOptions(tls=TLSConfig(ca=certificates.ca)))
    context = certificates.server_context() if secure else None
    with FaultServer(ignore, ssl_context=context) as server:
        begun = time.monotonic()
        with pytest.raises(errors.WriteTimeout):
            transport.send(Request("POST", f"{server.url}/path", {}, bytes(20_000_000), 0.5))
        assert time.monotonic() - begun < 1
        leave.set()
    assert server.requests == []


def test_an_address_where_nobody_answers_leaves_time_for_the_next(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultServer(faults.OK) as server, socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        # Connections beyond the backlog are not answered, as in a network that drops packets.
        waiting = [socket.socket() for _ in range(8)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        places = [full.getsockname(), ("127.0.0.1", server.port)]

        def addresses(*_: object) -> list[tuple[object, ...]]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", place) for place in places]

        monkeypatch.setattr("langcache_transports.pooling.connection.socket.getaddrinfo", addresses)
        assert make(TransportOptions()).send(asking(server.url, timeout=2.0)).status_code == 200
        for each in waiting:
            each.close()


def drip_socks(connection: Connection) -> None:
    """Choose no authentication, and then answer the request to connect byte by byte."""
    connection._exactly(3)  # pyright: ignore[reportPrivateUsage]
    connection.send(b"\x05\x00")
    connection.drip(b"\x05\x00\x00\x03\xff" + bytes(257))


def test_a_socks_proxy_that_drips_is_cut_off(make: Make) -> None:
    with FaultServer(drip_socks) as proxy:
        transport = make(TransportOptions(proxies={"all": proxy.url.replace("http:", "socks5:")}))
        with pytest.raises(errors.ConnectTimeout):
            transport.send(asking("http://127.0.0.1:1", timeout=0.3))


def test_a_socks_proxy_that_is_not_there_is_a_proxy_error(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"socks5h://user:secret@127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(errors.ProxyError) as caught:
        make(TransportOptions(proxies={"all": nobody})).send(asking("http://cache.invalid"))
    assert "secret" not in str(caught.value)


def test_requests_pass_a_socks_proxy(make: Make) -> None:
    """RFC 1928, with a user name and a password (RFC 1929)."""
    seen: list[bytes] = []

    def serve(connection: Connection) -> None:
        connection._exactly(4)  # pyright: ignore[reportPrivateUsage]
        connection.send(b"\x05\x02")
        seen.append(connection._exactly(1 + 1 + 4 + 1 + 6))  # pyright: ignore[reportPrivateUsage]
        connection.send(b"\x01\x00")
        seen.append(connection._exactly(4 + 1 + len("cache.invalid") + 2))  # pyright: ignore[reportPrivateUsage]
        connection.send(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        faults.echo(connection)

    with FaultServer(serve) as proxy:
        url = proxy.url.replace("http://", "socks5h://user:secret@")
        transport = make(TransportOptions(proxies={"all": url}))
        for _ in range(2):
            assert transport.send(asking("http://cache.invalid:8000")).content == b"{}"
        transport.close()
        assert proxy.connections == 1
    assert seen == [b"\x01\x04user\x06secret", b"\x05\x01\x00\x03\x0dcache.invalid" + (8000).to_bytes(2, "big")]


# What errors say, and leave behind


def test_an_error_that_the_caller_was_handling_says_nothing_about_the_next(make: Make) -> None:
    """As where a program turns to another server, because of the first one's certificate."""
    untrusted = ssl.SSLCertVerificationError(1, "certificate verify failed")
    untrusted.verify_code, untrusted.verify_message = 20, "unable to get local issuer certificate"
    with FaultServer(lambda connection: connection.close()) as server:
        try:
            raise untrusted
        except ssl.SSLError:
            with pytest.raises(errors.ConnectError) as caught:
                make(TransportOptions()).send(asking(server.url.replace("http:", "https:")))
    assert caught.value.retryable is True
    assert "certificate" not in str(caught.value)


@pytest.mark.parametrize("fault", [faults.closing(), faults.bad_status, None], ids=["closed", "no HTTP", "refused"])
def test_a_failed_call_leaves_no_reference_cycle(make: Make, fault: Callable[[Connection], None] | None) -> None:
    """It would hold the request with its key and its prompt until the next collection."""
    transport = make(TransportOptions())
    with FaultServer(fault or faults.OK) as server:
        url = server.url
        if fault is None:
            server.stop()

        def fail() -> weakref.ref[Request]:
            request = asking(url)
            with suppress(errors.RequestError):
                transport.send(request)
            return weakref.ref(request)

        assert freed_at_once(fail)
