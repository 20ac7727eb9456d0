"""The server that fails: it does what it is told, says what it saw, and leaves nothing behind."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
from pathlib import Path

import pytest

from langcache_transports.testing import Certificates, Connection, Conversation, FaultServer, ForwardProxy, faults

_REQUEST = b"POST /x HTTP/1.1\r\nHost: h\r\nX-A: \xe4\r\nContent-Length: 2\r\n\r\nab"


def exchanged(port: int, data: bytes = _REQUEST) -> bytes:
    """Send `data` and return all that comes until the server hangs up."""
    with socket.create_connection(("127.0.0.1", port)) as caller:
        caller.sendall(data)
        return b"".join(iter(lambda: caller.recv(65536), b""))


def test_each_connection_has_its_conversation_and_the_last_serves_the_rest() -> None:
    with FaultServer(faults.closing(b"first"), faults.closing(b"others")) as server:
        assert [exchanged(server.port) for _ in range(3)] == [b"first", b"others", b"others"]
    assert server.connections == 3
    [seen, *_] = server.requests
    assert (seen.method, seen.url, seen.headers["x-a"], seen.content) == ("POST", "/x", "\xe4", b"ab")


def test_a_chunked_request_is_complete_when_its_last_chunk_came() -> None:
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    with FaultServer(faults.closing(b"done")) as server:
        assert exchanged(server.port, head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n") == b"done"
    assert server.requests[0].content == b"abcde"


def test_half_a_request_does_not_count() -> None:
    with FaultServer(faults.OK) as server, socket.create_connection(("127.0.0.1", server.port)) as caller:
        caller.sendall(_REQUEST[:-1])
        caller.shutdown(socket.SHUT_WR)
        assert caller.recv(1) == b""
    assert (server.connections, server.requests) == (1, [])


def test_a_reset_is_a_reset() -> None:
    with FaultServer(faults.reset_before_answer) as server, pytest.raises(ConnectionResetError):
        exchanged(server.port)


@pytest.mark.parametrize("conversation", [faults.silent, faults.mute, faults.dripping_body, faults.unasked(b"x")])
def test_stopping_ends_threads_whatever_they_do(conversation: Conversation) -> None:
    before = set(threading.enumerate())
    with FaultServer(conversation) as server:
        caller = socket.create_connection(("127.0.0.1", server.port))
        caller.sendall(_REQUEST)
        if conversation is not faults.mute:
            assert server.wait_for_requests(1)
    caller.close()
    assert set(threading.enumerate()) == before


def test_what_goes_wrong_in_a_conversation_is_raised_where_the_server_stops() -> None:
    def wrong(connection: Connection) -> None:
        raise AssertionError("the test's own mistake")

    with pytest.raises(AssertionError, match="own mistake"), FaultServer(wrong) as server:
        assert exchanged(server.port, b"") == b""


def test_tls_is_spoken_and_refused_handshakes_are_told(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    trusting, doubting = ssl.create_default_context(cafile=certificates.ca), ssl.create_default_context()
    with FaultServer(faults.OK, ssl_context=certificates.server_context("localhost")) as server:
        address = ("127.0.0.1", server.port)
        with (
            socket.create_connection(address) as plain,
            trusting.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            tls.sendall(_REQUEST)
            assert tls.recv(65536) == faults.OK
        with socket.create_connection(address) as plain, pytest.raises(ssl.SSLCertVerificationError):
            doubting.wrap_socket(plain, server_hostname="localhost")
        assert server.wait_until_closed()
    assert (len(server.requests), len(server.refused)) == (1, 1)


def test_the_bomb_is_good_gzip() -> None:
    head = b"HTTP/1.1 200 OK\r\n"
    with (
        FaultServer(faults.gzip_bomb(3 * 1024 * 1024)) as server,
        socket.create_connection(("127.0.0.1", server.port)) as caller,
    ):
        caller.sendall(_REQUEST)
        caller.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: caller.recv(65536), b""))
    assert answer.startswith(head)
    packed = answer.partition(b"\r\n\r\n")[2]
    assert len(packed) < 10_000
    assert gzip.decompress(packed) == bytes(3 * 1024 * 1024)


def test_the_proxy_forwards_and_asks_for_credentials() -> None:
    with FaultServer(faults.response(b"from the origin")) as origin, ForwardProxy("user", "pass") as proxy:
        request = f"GET {origin.url}/a?b=c HTTP/1.1\r\nHost: h\r\n%s\r\n".encode()
        with socket.create_connection(("127.0.0.1", proxy.port)) as caller:
            caller.sendall(request % b"")
            assert caller.recv(65536).startswith(b"HTTP/1.1 407 ")
            caller.sendall(request % b"Proxy-Authorization: Basic dXNlcjpwYXNz\r\n")
            assert caller.recv(65536).endswith(b"from the origin")
    assert [seen.url for seen in origin.requests] == ["/a?b=c"]
    assert len(proxy.requests) == 2
