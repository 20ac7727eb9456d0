"""A small forward proxy over real sockets: whole URLs for http, CONNECT for https (RFC 9110, section 9.3.6)."""

from __future__ import annotations

import base64
import socket
import threading
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit

from typing_extensions import Self

from langcache.http import Request

from .server import Connection, FaultServer

_OF_THE_HOP = frozenset({"connection", "proxy-authorization", "proxy-connection", "keep-alive"})
_PIECE = 65536


class ForwardProxy:
    """Passes requests on; with `user` and `password`, only of those who show them, and the others get a 407.

    `requests` are those that came to the proxy itself: with a whole URL, or ``CONNECT`` with a host and a port.
    """

    def __init__(self, user: str | None = None, password: str = "") -> None:
        self._expected = None
        if user is not None:
            self._expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self._server = FaultServer(self._serve)
        self.url = self._server.url
        self.port = self._server.port

    @property
    def requests(self) -> list[Request]:
        """What the proxy was asked for."""
        return self._server.requests

    @property
    def connections(self) -> int:
        """How many connections to the proxy were made."""
        return self._server.connections

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop()

    def _serve(self, connection: Connection) -> None:
        while (request := connection.request()) is not None:
            if self._expected is not None and request.headers.get("proxy-authorization") != self._expected:
                connection.send(
                    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                    b'Proxy-Authenticate: Basic realm="test"\r\nContent-Length: 0\r\n\r\n'
                )
            elif request.method == "CONNECT":
                self._tunnel(connection, request.url)
                return
            else:
                self._forward(connection, request)

    def _tunnel(self, connection: Connection, target: str) -> None:
        host, _, port = target.rpartition(":")
        try:
            origin = socket.create_connection((host, int(port)), timeout=10)
        except OSError:
            connection.send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with origin:
            origin.settimeout(None)
            connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pour, args=(origin, connection))
            back.start()
            try:
                connection.pour_into(origin)
            finally:
                _shut(origin)  # ends the other direction too
                back.join()

    def _forward(self, connection: Connection, request: Request) -> None:
        target = urlsplit(request.url)
        try:
            origin = socket.create_connection((target.hostname or "", target.port or 80), timeout=10)
        except OSError:
            connection.send(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        with origin:
            path = target._replace(scheme="", netloc="").geturl() or "/"
            fields = [f"{name}: {value}" for name, value in request.headers.items() if name.lower() not in _OF_THE_HOP]
            head = "\r\n".join([f"{request.method} {path} HTTP/1.1", *fields, "Connection: close", "", ""])
            origin.sendall(head.encode("latin-1") + (request.content or b""))
            _pour_answer(origin, connection)


def _pour_answer(origin: socket.socket, connection: Connection) -> None:
    """Pass one answer on that has a Content-Length, as those of test servers have."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _received(origin)
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    length = int(fields.get(b"content-length", b"0"))
    while len(body) < length:
        body += _received(origin)
    connection.send(head + b"\r\n\r\n" + body)


def _received(origin: socket.socket) -> bytes:
    piece = origin.recv(_PIECE)
    if not piece:
        raise ConnectionResetError("the origin hung up within its answer")
    return piece


def _pour(origin: socket.socket, connection: Connection) -> None:
    with suppress(OSError):  # one of the two hung up: the tunnel is at its end
        while piece := origin.recv(_PIECE):
            connection.send(piece)
    connection.hang_up()


def _shut(origin: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        origin.shutdown(socket.SHUT_RDWR)
