"""Connections: made in the time that there is, and told whether they can be used again."""

from __future__ import annotations

import http.client
import socket
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

    def open(self, deadline: float | None) -> None:
        """Connect, with everything that this takes: the proxy's tunnel and TLS."""
        self.deadline = deadline
        self.connect()

    def exchange(
        self, method: str, target: str, headers: Mapping[str, str], content: bytes | None, deadline: float | None
    ) -> Answer:
        """Send a request and read the head of its answer."""
        self.deadline, self.answer, self.sent = deadline, None, False
        try:
            # urllib3's own would add headers, and its response reads further than it should.
            http.client.HTTPConnection.request(self, method, target, content, dict(headers))
        except ConnectionError as error:
            return self._early_answer(error)
        except (UnicodeError, http.client.InvalidURL):
            raise
        except ValueError:
            # Its own text would show the value, which may be a key.
            raise ConfigurationError("a header or the URL has a character that HTTP cannot carry") from None
        self.sent = True
        return self._read_answer()

    def _early_answer(self, failure: ConnectionError) -> Answer:
        """Read what the server said before it stopped to listen, or raise why the request could not be sent."""
        self._HTTPConnection__state = "Request-sent"
        try:
            return self._read_answer()
        except (OSError, http.client.HTTPException):
            raise failure from None

    def _read_answer(self) -> Answer:
        return cast(Answer, http.client.HTTPConnection.getresponse(self))

    def response_class(self, sock: Any, *_: Any, method: str | None = None, **__: Any) -> Answer:  # type: ignore[override]
        """Make the reader of an answer, the server's or a proxy's; http.client asks for it."""
        self.answer = Answer(sock, self.deadline, method)
        return self.answer

    def send(self, data: Any) -> None:
        """Send bytes in the time that is left, however slowly the other side takes them."""
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
        pending = getattr(self.sock, "pending", None)
        return not (pending is not None and pending()) and not wait_for_read(self.sock, timeout=0.0)

    def _new_conn(self) -> socket.socket:
        """Connect to the first address that takes it, in the time that there is for all of them."""
        failure: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(
            self._dns_host, self.port, allowed_gai_family(), socket.SOCK_STREAM
        ):
            sock = socket.socket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                sock.settimeout(left_until(self.deadline))
                sock.connect(address)
                sock.settimeout(left_until(self.deadline))  # TLS has no more than what is left
            except OSError as error:
                sock.close()
                failure = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise failure or OSError("the name has no address")

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
