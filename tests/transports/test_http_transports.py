"""What every transport over HTTP does with a request and with an answer, over real sockets."""

from __future__ import annotations

import base64
import gzip
import socket
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from langcache import Request, Response, Transport, TransportOptions, errors
from langcache_transports.requests import RequestsTransport
from langcache_transports.urllib3 import Urllib3Transport
from tests.local_server import LocalServer
from tests.transports.in_loop import AiohttpInLoop


@pytest.fixture(params=[Urllib3Transport, RequestsTransport, AiohttpInLoop])
def transport(request: pytest.FixtureRequest) -> Iterator[Transport]:
    made: Transport = request.param(TransportOptions())
    yield made
    made.close()


class OneAnswer:
    """A server that accepts one connection, reads a request's head, answers with raw bytes and closes or waits."""

    def __init__(self, answer: bytes, reset: bool = False, hold: bool = False) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._answer = answer
        self._reset = reset
        self._done = threading.Event()
        self._hold = hold
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            while b"\r\n\r\n" not in connection.recv(65536):
                pass
            connection.sendall(self._answer)
            if self._hold:
                self._done.wait()
            if self._reset:
                # SO_LINGER of no time: the connection is reset instead of closed.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def close(self) -> None:
        self._done.set()
        self._thread.join()
        self._listener.close()


def raised(transport: Transport, answer: bytes, *, reset: bool = False, hold: bool = False) -> errors.RequestError:
    """Return what `transport` raises when a server answers with these bytes."""
    server = OneAnswer(answer, reset, hold)
    try:
        with pytest.raises(errors.RequestError) as caught:
            transport.send(Request("GET", server.url + "/path?key=secret", timeout=0.2 if hold else 5))
    finally:
        server.close()
    assert caught.value.__cause__ is not None
    assert f"GET {server.url}/path: " in str(caught.value)
    assert "secret" not in str(caught.value).partition(": ")[0]
    return caught.value


def test_the_request_reaches_the_server_as_it_is(transport: Transport, server: LocalServer) -> None:
    server.answer = lambda request: Response(200)
    path = "/v1/caches/%2E%2E/entries/..%2Fx%3Fy%23z/%7Euser/a%20b"
    transport.send(Request("DELETE", server.url + path, {"X-Custom": "ä"}, b'{"a":1}'))
    [seen] = server.requests
    assert (seen.method, seen.url, seen.content) == ("DELETE", path, b'{"a":1}')
    assert seen.headers["x-custom"] == "ä"
    assert seen.headers["content-length"] == "7"
    assert seen.headers["accept-encoding"] == "gzip, deflate"


def test_no_header_is_added_that_tells_more_than_is_needed(transport: Transport, server: LocalServer) -> None:
    server.answer = lambda request: Response(200)
    transport.send(Request("GET", server.url + "/", {"User-Agent": "mine"}))
    assert {name.lower() for name in server.requests[0].headers} <= {
        "host",
        "accept-encoding",
        "user-agent",
        "connection",
    }
    assert server.requests[0].headers["user-agent"] == "mine"


def test_a_post_without_a_body_says_so(transport: Transport, server: LocalServer) -> None:
    """RFC 9110, section 8.6: some servers answer 411 without."""
    server.answer = lambda request: Response(204)
    transport.send(Request("POST", server.url + "/flush"))
    assert server.requests[0].headers["content-length"] == "0"


@pytest.mark.parametrize("status", [200, 204, 301, 404, 429, 500, 503])
def test_every_answer_is_returned_whatever_its_status(transport: Transport, server: LocalServer, status: int) -> None:
    server.answer = lambda request: Response(status, {"X-Request-Id": "r1"}, b"" if status == 204 else b"body")
    answer = transport.send(Request("POST", server.url + "/"))
    assert (answer.status_code, answer.headers["x-request-id"]) == (status, "r1")
    assert answer.text == ("" if status == 204 else "body")
    assert answer.native is not None


def test_nothing_is_repeated(transport: Transport, server: LocalServer) -> None:
    server.answer = lambda request: Response(503, {"Retry-After": "0"})
    assert transport.send(Request("GET", server.url + "/")).status_code == 503
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_returned_and_not_followed(transport: Transport, server: LocalServer, status: int) -> None:
    server.answer = lambda request: Response(status, {"Location": "/elsewhere"})
    answer = transport.send(Request("GET", server.url + "/"))
    assert (answer.status_code, answer.headers["location"]) == (status, "/elsewhere")
    assert len(server.requests) == 1


def test_cookies_are_not_kept(transport: Transport, server: LocalServer) -> None:
    server.answer = lambda request: Response(200, {"Set-Cookie": "session=1; Path=/"})
    transport.send(Request("GET", server.url + "/"))
    transport.send(Request("GET", server.url + "/"))
    assert "cookie" not in server.requests[1].headers


def test_netrc_never_replaces_the_token(
    transport: Transport, server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.answer = lambda request: Response(200)
    transport.send(Request("GET", server.url + "/", {"Authorization": "Bearer k1"}))
    transport.send(Request("GET", server.url + "/"))
    assert server.requests[0].headers["authorization"] == "Bearer k1"
    assert "authorization" not in server.requests[1].headers


def test_a_connection_is_used_again(transport: Transport, server: LocalServer) -> None:
    server.answer = lambda request: Response(200, {}, b"body")
    for _ in range(5):
        transport.send(Request("POST", server.url + "/", content=b"x"))
    assert server.connections == 1


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressed_body_is_decoded(transport: Transport, server: LocalServer, coding: str) -> None:
    body = b'{"data":[]}'
    packed = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    server.answer = lambda request: Response(200, {"Content-Encoding": coding}, packed)
    assert transport.send(Request("GET", server.url + "/")).content == body


def test_a_body_that_is_not_encoded_as_it_says_is_a_decoding_error(transport: Transport, server: LocalServer) -> None:
    server.answer = lambda request: Response(200, {"Content-Encoding": "gzip"}, b"not gzip at all")
    with pytest.raises(errors.DecodingError):
        transport.send(Request("GET", server.url + "/"))


def test_nobody_listening_is_a_connect_error(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    with pytest.raises(errors.ConnectError, match=f"POST {url}") as caught:
        transport.send(Request("POST", url, timeout=5))
    assert caught.value.retryable is True
    assert caught.value.status_code == 0


def test_a_host_that_does_not_exist_is_a_connect_error(transport: Transport) -> None:
    """RFC 6761, section 6.4: names under .invalid never resolve."""
    with pytest.raises(errors.ConnectError):
        transport.send(Request("GET", "http://cache.invalid/", timeout=5))


def test_a_server_that_does_not_speak_tls_is_a_connect_error(transport: Transport, server: LocalServer) -> None:
    with pytest.raises(errors.ConnectError):
        transport.send(Request("GET", server.url.replace("http:", "https:") + "/", timeout=5))


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"])
def test_silence_is_a_read_timeout(transport: Transport, answer: bytes) -> None:
    assert isinstance(raised(transport, answer, hold=True), errors.ReadTimeout)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ],
)
def test_a_connection_that_breaks_is_a_read_error(transport: Transport, answer: bytes, reset: bool) -> None:
    assert isinstance(raised(transport, answer, reset=reset), errors.ReadError)


_LONG_HEADER = b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n"
_MANY_HEADERS = b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(200)) + b"\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"-ERR wrong protocol\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        _LONG_HEADER,
        _MANY_HEADERS,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
    ],
    ids=["ssh", "redis", "status", "long header", "many headers", "negative chunk"],
)
def test_what_is_not_http_is_a_protocol_error_and_not_worth_a_repetition(transport: Transport, answer: bytes) -> None:
    error = raised(transport, answer)
    assert isinstance(error, errors.RemoteProtocolError)
    assert error.retryable is None


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_a_length_that_is_none_is_an_error_of_ours(transport: Transport, answer: bytes) -> None:
    """Which of the two it is the libraries do not always tell."""
    kinds = (errors.RemoteProtocolError, errors.ReadError, errors.ResponseTooLargeError)
    assert isinstance(raised(transport, answer), kinds)


@pytest.mark.parametrize("url", ["ftp://cache.example/", "http://a..b/", "http://[::1/"])
def test_a_url_that_leads_nowhere_is_a_configuration_error(transport: Transport, url: str) -> None:
    with pytest.raises(errors.ConfigurationError) as caught:
        transport.send(Request("GET", url, timeout=5))
    assert caught.value.retryable is False


def proxied(transport: Transport, **proxies: str) -> Transport:
    """Return a transport of the same kind with these proxies."""
    return type(transport)(TransportOptions(proxies=proxies))  # type: ignore[call-arg]  # pyright: ignore


def test_a_proxy_is_asked_for_the_whole_url_with_its_credentials(transport: Transport, server: LocalServer) -> None:
    """RFC 9112, section 3.2.2; the bearer token is the service's and the password the proxy's."""
    server.answer = lambda request: Response(200)
    through = proxied(transport, http=server.url.replace("//", "//user:p%40ss@"))
    through.send(Request("GET", "http://cache.invalid/v1/x", {"Authorization": "Bearer k1"}))
    through.close()
    [seen] = server.requests
    assert seen.url == "http://cache.invalid/v1/x"
    assert seen.headers["authorization"] == "Bearer k1"
    assert base64.b64decode(seen.headers["proxy-authorization"].partition(" ")[2]) == b"user:p@ss"


def test_a_host_that_needs_no_proxy_is_asked_directly(transport: Transport, server: LocalServer) -> None:
    server.answer = lambda request: Response(200)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    through = proxied(transport, http=nobody, no="cache.example,127.0.0.1")
    assert through.send(Request("GET", server.url + "/")).status_code == 200
    through.close()


def test_a_proxy_that_is_not_there_is_an_error_of_ours(transport: Transport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"127.0.0.1:{closed.getsockname()[1]}"  # without a scheme, as some environments have it
    through = proxied(transport, all=nobody)
    with pytest.raises((errors.ProxyError, errors.ConnectError)):
        through.send(Request("GET", "http://cache.invalid/", timeout=5))
    through.close()


def test_closing_twice_does_nothing(transport: Transport) -> None:
    transport.close()
    transport.close()


def test_threads_share_a_transport(transport: Transport, server: LocalServer) -> None:
    """Each gets the answer to its own request."""
    server.answer = lambda request: Response(200, {}, (request.content or b"") * 2)
    answers: dict[int, bytes] = {}

    def work(number: int) -> None:
        for _ in range(20):
            content = f"{number};".encode()
            answers[number] = transport.send(Request("POST", server.url + "/", content=content)).content
            assert answers[number] == content * 2

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 16
    assert len(server.requests) == 320


INTERIM = b"HTTP/1.1 103 Early Hints\r\n\r\n"


def test_a_flood_of_interim_answers_is_refused(transport: Transport) -> None:
    """Somebody would read them for as long as the server sends them."""
    assert isinstance(raised(transport, INTERIM * 21 + b"HTTP/1.1 204 Empty\r\n\r\n"), errors.RemoteProtocolError)


def test_some_interim_answers_are_passed_over(transport: Transport) -> None:
    server = OneAnswer(INTERIM * 20 + b"HTTP/1.1 204 Empty\r\n\r\n")
    try:
        assert transport.send(Request("GET", server.url, timeout=5)).status_code == 204
    finally:
        server.close()
