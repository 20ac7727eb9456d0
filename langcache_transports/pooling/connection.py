"""Connections: made in the time that there is, and told whether they can be used again."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple, cast

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.connection import allowed_gai_family
from urllib3.util.wait import wait_for_read

from langcache.errors import ConfigurationError
from langcache.tls import TLSConfig

from .answer import Answer
from .names import addresses_of

_ENDS = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""What TLS says of a connection that has ended."""


class TunnelError(OSError):
    """The proxy did not open a tunnel to the server."""


class Deadlines(NamedTuple):
    """By when a connection is to be made, and by when the answer is to be there, on the monotonic clock."""

    connect: float | None
    total: float | None


def left_until(deadline: float | None) -> float | None:
    """Return how many seconds there are until then; raises TimeoutError where there are none."""
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


class TimedConnection(HTTPConnection):
    """What plain connections and those with TLS share; each is connected once, and not again after it was closed."""

    deadline: float | None = None
    """By when what is under way is to be done: connecting at first, and then the exchange."""
    idle_since: float = 0.0
    answer: Answer | None = None
    sent: bool = False
    """Whether the request was sent to its end."""
    _held: list[bytes] | None = None
    """The pieces of a request that is being written; http.client would send each by itself."""

    def open(self, deadline: float | None) -> None:
        """Connect, with everything that this takes: the proxy's tunnel and TLS."""
        self.deadline = deadline
        self.connect()

    def exchange(
        self, method: str, target: str, headers: Mapping[str, str], content: bytes | None, deadline: float | None
    ) -> Answer:
        """Send a request and read the head of its answer."""
        self.deadline, self.answer, self.sent, self._held = deadline, None, False, []
        try:
            # urllib3's own would add headers, and its response reads further than it should.
            http.client.HTTPConnection.request(self, method, target, content, dict(headers))
            request, self._held = b"".join(self._held), None
            self.send(request)
        except (ConnectionError, ssl.SSLError) as error:
            return self._early_answer(error)
        except (UnicodeError, http.client.InvalidURL):
            raise
        except ValueError:
            # Its own text would show the value, which may be a key.
            raise ConfigurationError("a header or the URL has a character that HTTP cannot carry") from None
        self.sent = True
        return self._read_answer()

    def _early_answer(self, failure: OSError) -> Answer:
        """Read what the server said before it stopped to listen, or raise why the request could not be sent."""
        self._HTTPConnection__state = "Request-sent"
        try:
            return self._read_answer()
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, ssl.SSLError) and not isinstance(error, _ENDS):
                raise  # it says why: a certificate that the server refuses, say
            raise failure from None
        finally:
            del failure  # its traceback holds this frame: with it, a reference cycle

    def _read_answer(self) -> Answer:
        return cast(Answer, http.client.HTTPConnection.getresponse(self))

    def response_class(self, sock: Any, *_: Any, method: str | None = None, **__: Any) -> Answer:  # type: ignore[override]
        """Make the reader of an answer, the server's or a proxy's; http.client asks for it."""
        self.answer = Answer(sock, self.deadline, method)
        return self.answer

    def send(self, data: Any) -> None:
        """Send bytes in the time that is left, however slowly the other side takes them."""
        if self._held is not None:
            self._held.append(data)
            return
        view = memoryview(data)
        while view:
            self.sock.settimeout(left_until(self.deadline))
            view = view[self.sock.send(view) :]

    def abandon(self) -> None:
        """End the connection, whatever holds it open: an unread answer, an error's frames, a copy in a forked child."""
        if self.answer is not None:
            self.answer.close()
        if hasattr(self.sock, "shutdown"):  # TLS within TLS has none
            with suppress(OSError):  # it is broken already
                self.sock.shutdown(socket.SHUT_RDWR)
        self.close()

    def is_usable(self, idle_timeout: float) -> bool:
        """Say whether an idle connection may carry another exchange: not idle for too long, and nothing came on it."""
        if time.monotonic() - self.idle_since > idle_timeout or self.sock is None:
            return False
        # Bytes that came unasked, or the server's end of the connection; TLS may have read them already.
        return not _has_read_ahead(self.sock) and not wait_for_read(self.sock, timeout=0.0)

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that takes it, in the time that there is for all of them."""
        addresses = addresses_of(self._dns_host, self.port, allowed_gai_family(), left_until(self.deadline))
        for number, (family, kind, protocol, _, address) in enumerate(addresses):
            sock = socket.socket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                # An address where nobody answers must leave time for the others.
                left = left_until(self.deadline)
                sock.settimeout(None if left is None else left / (len(addresses) - number))
                sock.connect(address)
                sock.settimeout(left_until(self.deadline))  # TLS has no more than what is left
            except OSError:
                sock.close()
                if number == len(addresses) - 1:
                    raise
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise OSError("the name has no address")

    def _tunnel(self) -> None:
        try:
            super()._tunnel()
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise TunnelError(str(error)) from error
        self.sock.settimeout(left_until(self.deadline))


class PlainConnection(TimedConnection):
    """A connection without TLS."""


class TLSConnection(TimedConnection, HTTPSConnection):  # pyright: ignore[reportIncompatibleVariableOverride]
    """A connection with TLS, whose context is the newest at the time at which it is made."""

    def __init__(self, tls: TLSConfig, **arguments: Any) -> None:
        context = tls.context()
        # Where the context does not compare the names, urllib3 would do it itself, unless it is told not to.
        name_check: dict[str, Any] = {} if context.check_hostname else {"assert_hostname": False}
        initialize: Any = super().__init__  # pyright: ignore
        initialize(ssl_context=context, **name_check, **arguments)

    def _connect_tls_proxy(self, hostname: str, sock: socket.socket) -> Any:
        connect: Any = super()._connect_tls_proxy  # pyright: ignore
        outer: Any = connect(hostname, sock)
        return TimedLayer(outer, self) if self._tunnel_host is not None else outer


class TimedLayer:
    """The TLS to a proxy, within which urllib3 speaks the TLS to the server, in what is left of the connection's time.

    For one operation of the inner TLS there may be many of the outer one.
    """

    def __init__(self, sock: Any, connection: TimedConnection) -> None:
        self._sock = sock
        self._connection = connection

    def recv(self, size: int) -> bytes:
        """Receive up to `size` bytes."""
        self._sock.settimeout(left_until(self._connection.deadline))
        received: bytes = self._sock.recv(size)
        return received

    def send(self, data: Any) -> int:
        """Send some of the bytes, and return how many."""
        self._sock.settimeout(left_until(self._connection.deadline))
        sent: int = self._sock.send(data)
        return sent

    def sendall(self, data: Any) -> None:
        """Send all of the bytes."""
        view = memoryview(data)
        while view:
            view = view[self.send(view) :]

    @property
    def _io_refs(self) -> int:
        count: int = self._sock._io_refs
        return count

    @_io_refs.setter
    def _io_refs(self, count: int) -> None:
        self._sock._io_refs = count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def _has_read_ahead(sock: Any) -> bool:
    """Say whether TLS, or the TLS around it, has read bytes that nobody has asked for yet."""
    pending = getattr(sock, "pending", None)
    if pending is not None:
        return bool(pending())
    inner = getattr(sock, "sslobj", None)  # of urllib3's TLS within TLS
    return inner is not None and bool(inner.pending() or sock.incoming.pending or sock.socket.pending())
