"""TLS that breaks after the handshake and in the place of the answer, for `FaultServer`."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TypeVar

from .server import Connection, Conversation

T = TypeVar("T")

_UNREADABLE = b"\x17\x03\x03\x00\x20" + bytes(32)
"""A record of application data (RFC 8446, section 5.2) that no key has encrypted."""


def breaking_tls(context: ssl.SSLContext, *, alert: bool) -> Conversation:
    """Read one request by TLS, and answer with a record that cannot be decrypted, or with a fatal `alert`.

    It speaks TLS itself, with `context` for the server's side: the server that runs it is to be without one.
    """

    def converse(connection: Connection) -> None:
        secured = _Secured(connection, context)
        connection.read_from(secured)
        if connection.request():
            if alert:
                secured.provoke_alert()
            else:
                connection.send(_UNREADABLE)
            connection.signal()

    return converse


class _Secured:
    """The server's side of TLS on a plain connection; it decrypts what comes."""

    def __init__(self, connection: Connection, context: ssl.SSLContext) -> None:
        self._connection = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._receive = connection.receive
        self._performed(self._tls.do_handshake)

    def __call__(self) -> bytes:
        """Return what comes next, decrypted, or nothing where the caller has hung up."""
        return self._performed(self._tls.read)

    def provoke_alert(self) -> None:
        """Have TLS see a broken record, of which it tells the caller by an alert that ends the connection."""
        self._incoming.write(_UNREADABLE)
        try:
            self._tls.read()
        except ssl.SSLError:
            self._connection.send(self._outgoing.read())

    def _performed(self, operation: Callable[[], T]) -> T:
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:  # noqa: PERF203 - a few times in a handshake
                self._flush()
                self._take()
            finally:
                self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._connection.send(self._outgoing.read())

    def _take(self) -> None:
        piece = self._receive()
        if not piece:
            raise ConnectionResetError("the caller hung up")
        self._incoming.write(piece)
