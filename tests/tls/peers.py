"""Both ends of TLS connections over loopback, and what they show each other."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import trustme
from cryptography.hazmat.primitives import serialization
from typing_extensions import Self

from tests.serving import Serving


def pem(identity: trustme.LeafCert) -> bytes:
    """Return an identity's certificate and chain."""
    return b"".join(blob.bytes() for blob in identity.cert_chain_pems)


def key_of(identity: trustme.LeafCert) -> bytes:
    """Return an identity's key."""
    return identity.private_key_pem.bytes()


def encrypted(key: bytes, password: bytes, traditional: bool = False) -> bytes:
    """Return a key encrypted with a password."""
    form = serialization.PrivateFormat.TraditionalOpenSSL if traditional else serialization.PrivateFormat.PKCS8
    return serialization.load_pem_private_key(key, None).private_bytes(
        serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(password)
    )


class Identity:
    """The files of a client's certificate and key."""

    def __init__(self, folder: Path, issuer: trustme.CA, name: str = "client") -> None:
        self.cert = folder / f"{name}.pem"
        self.key = folder / f"{name}.key"
        self.leaf = issuer.issue_cert(common_name=name)
        self.cert.write_bytes(pem(self.leaf))
        self.key.write_bytes(key_of(self.leaf))


class TLSServer:
    """Says to each client by which name it knows it ("stranger" without a certificate), over TLS.

    With `clients` it refuses all that have no certificate of that authority. `identity` may be replaced at any time.
    """

    def __init__(self, identity: trustme.LeafCert, *clients: trustme.CA) -> None:
        self.identity = identity
        self.clients = clients
        self.version = ssl.TLSVersion.MAXIMUM_SUPPORTED
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                connection = server._context().wrap_socket(
                    self.request, server_side=True, do_handshake_on_connect=False
                )
                try:
                    connection.do_handshake()
                    connection.recv(1)
                    connection.sendall(_name(connection).encode())
                except OSError:
                    """The client is told by an alert, or is gone already; the test sees that."""
                finally:
                    _hang_up(connection)

        self._server = Serving(Handler)
        self.address = self._server.address

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = self.version
        cast("Any", self.identity).configure_cert(context)  # its type is not known without pyOpenSSL
        for authority in self.clients:
            context.verify_mode = ssl.CERT_REQUIRED
            cast("Any", authority).configure_trust(context)
        return context

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop()

    def greet(self, context: ssl.SSLContext, host: str = "localhost") -> str:
        """Connect anew and return what the server says."""
        with (
            socket.create_connection(self.address, timeout=30) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            connection.sendall(b"?")
            return connection.recv(100).decode()


def _hang_up(connection: ssl.SSLSocket) -> None:
    """Close without a reset, which could overtake the last alert on its way to the client."""
    with socket.socket(fileno=connection.detach()) as plain, contextlib.suppress(OSError):
        plain.settimeout(30)
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(1000):
            pass


def _name(connection: ssl.SSLSocket) -> str:
    shown = connection.getpeercert()
    if not shown:
        return "stranger"
    subject = shown["subject"]
    return next(str(part[1]) for parts in subject for part in parts if part[0] == "commonName")
