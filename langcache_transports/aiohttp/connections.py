"""The connections of one event loop: which of them may be used again, and which never.

What is promised here, and by what:

1. A connection is pooled when its exchange is known to be complete (`Connector.keep`), and not already, as aiohttp does
   it, when the last byte of an answer is parsed. An exchange that broke off closes its connection.
2. A connection on which anything arrived beyond its answer is closed. Bytes after the answer are counted when it is
   complete; bytes that arrive on an idle connection close it at once; and bytes that the event loop has not read yet
   are looked for when it is taken from the pool. The end of the connection is found in the same way.
3. No more than `size` idle connections are kept; the one that is idle for longest goes first.
4. aiohttp never repeats a request by itself.

aiohttp itself looks at an idle connection only for whether it is still connected, and what arrived on it is then the
answer of the next request. It has no public place to hook in, so this overrides methods of `TCPConnector` and
`ResponseHandler` that are not documented. The tests for each promise run with aiohttp's lowest and newest version.
"""

from __future__ import annotations

import asyncio
import select
import socket
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError

from langcache.workers import abandonable

from .limits import time_limit

if TYPE_CHECKING:
    import ssl

    from aiohttp.connector import Connection
    from yarl import URL

_HEAD_END = b"\r\n\r\n"
_BODILESS = (204, 304)
_MOST_PLACES = 16
_MOST_INTERIM = 20


class Place(NamedTuple):
    """Where requests go, to one origin."""

    request: aiohttp.ClientRequest
    """One of aiohttp's, which is never sent: it makes a connection to where such a request goes."""
    key: Any
    """aiohttp's key of the pool."""
    host: str
    """What the header Host says."""


class Exchange:
    """What is known of an exchange."""

    __slots__ = ("fresh", "loan", "rewrites", "wire")

    def __init__(self) -> None:
        self.rewrites = False
        """Whether a header has characters beyond ASCII, and a session sends it."""
        self.loan: Connection | None = None
        """What aiohttp has lent a new connection by, until it is given back."""
        self.fresh = False
        """Whether it needs a connection that was not used before."""
        self.wire: Wire | None = None
        """The connection, once there is one."""

    @property
    def stale(self) -> bool:
        """Whether the connection had been used before and no byte of an answer came on it."""
        return self.wire is not None and self.wire.served > 0 and not self.wire.received

    def again(self) -> None:
        """Begin anew, on a connection that was not used before."""
        self.fresh, self.wire = True, None


EXCHANGE: ContextVar[Exchange] = ContextVar("langcache_aiohttp_exchange")


class Wire(ResponseHandler):
    """aiohttp's protocol of one connection, which also counts what arrives."""

    served = 0
    """How many answers came on it before this one."""
    received = 0
    """How many bytes have arrived since its request was begun."""
    idle = False
    """Whether it is in the pool."""
    idle_since = 0.0
    """When it came there, on the monotonic clock."""
    complete = False
    """Whether its answer is known to be complete, so that it may be pooled."""
    key: Any = None
    """aiohttp's key of its pool, once aiohttp has given it back."""
    link: asyncio.Transport | None = None
    """Its asyncio transport, also after aiohttp has forgotten it."""
    failure: BaseException | None = None
    """What it broke with."""
    connector: Connector | None = None
    """The pool of its event loop, once it has been begun on."""
    _interim = 0
    _head = 0
    _last = b""
    _poll: Any = None

    def begin(self, connector: Connector) -> None:
        """Get ready for an exchange."""
        self.connector = connector
        self.idle = self.complete = False
        self.key = None
        self.received = self._head = self._interim = 0
        self._last = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        super().connection_made(transport)
        self.link = self.transport

    def data_received(self, data: bytes) -> None:
        """Count the bytes, or hang up where nobody asked for any."""
        if data:  # aiohttp calls with none to go on after a pause
            if self.idle:
                self.cut()
                return
            known = self._last + data
            if not self._head:
                end = known.find(_HEAD_END)
                if end >= 0:
                    self._head = self.received - len(self._last) + end + len(_HEAD_END)
            self.received += len(data)
            self._last = known[-len(_HEAD_END) :]
        super().data_received(data)

    async def read(self) -> Any:
        """Return the next answer, which may be an interim one (RFC 9110, section 15.2), of which there may be some.

        Those that have arrived are read without a turn of the event loop, so that no time limit would end a flood.
        """
        answer: Any = await super().read()
        if 100 <= answer[0].code < 200:
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                raise HttpProcessingError(message=f"more than {_MOST_INTERIM} interim answers")
        return answer

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Keep what the connection broke with."""
        self.failure = exc
        super().set_exception(exc, *(() if exc_cause is None else (exc_cause,)))

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave the pool."""
        link, self.link = self.link, None
        if link is not None:
            link.abort()  # it is lost, but TLS before Python 3.11 has to be told, or would warn that it was left open
        if self.connector is not None:
            self.connector.forget(self)
        super().connection_lost(exc)

    def cut(self) -> None:
        """Hang up; whoever waits for something on it learns it from asyncio."""
        if self.link is not None:
            self.link.abort()

    def close(self) -> None:
        """Hang up at once: TLS would wait for the server to agree, and may outlive the event loop."""
        self.cut()
        super().close()

    def quiet(self) -> bool:
        """Say whether neither bytes nor the connection's end are waiting to be read."""
        if self.link is None or self.link.is_closing():
            return False
        if self._poll is None:
            self._poll = _poller(self.link.get_extra_info("socket"))
        return not self._poll()

    def send(self, data: bytes) -> None:
        """Send `data`; where the connection is lost already, reading says so."""
        if self.link is not None:
            self.link.write(data)

    @property
    def is_all_sent(self) -> bool:
        """Whether nothing waits to be sent."""
        return self.link is not None and not self.link.get_write_buffer_size()

    def is_exact(self, answer: aiohttp.ClientResponse) -> bool:
        """Say whether what arrived ends where `answer` ends.

        An interim answer before it counts as too much, because it is not worth the trouble to tell it apart.
        """
        if answer.method == "HEAD" or answer.status in _BODILESS:
            # What is announced and not read may come all the same.
            announced = answer.headers.get(hdrs.CONTENT_LENGTH, "0") != "0" or hdrs.TRANSFER_ENCODING in answer.headers
            return self.received == self._head and not announced
        if hdrs.TRANSFER_ENCODING in answer.headers:
            return self._last == _HEAD_END  # the last chunk's; the beginning of another answer does not end like this
        length = answer.headers.get(hdrs.CONTENT_LENGTH)
        return length is not None and self.received == self._head + int(length)


def _poller(sock: Any) -> Any:
    """Return a function that says whether there is something to read from `sock`."""
    if not hasattr(select, "poll"):
        return lambda: select.select([sock], [], [], 0)[0]
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return partial(poll.poll, 0)


class _Asking:
    """Looks up names in threads of our own, in the place of the event loop, of which aiohttp wants just this.

    asyncio's own threads are waited for when a loop is ended, so that a look-up which hangs would hold that up.
    """

    async def getaddrinfo(self, host: str, port: int, **hints: Any) -> Any:
        """As `socket.getaddrinfo`."""
        return await abandonable(partial(socket.getaddrinfo, host, port, **hints))

    async def getnameinfo(self, address: Any, flags: int) -> Any:
        """As `socket.getnameinfo`; aiohttp asks for numbers alone, for which there is nothing to wait."""
        return socket.getnameinfo(address, flags)


class Connector(aiohttp.TCPConnector):
    """aiohttp's pool of one event loop, with the promises above."""

    def __init__(
        self, kind: type[aiohttp.ClientRequest], size: int, idle_timeout: float, loop: asyncio.AbstractEventLoop
    ) -> None:
        keeping: dict[str, Any] = {"keepalive_timeout": idle_timeout} if idle_timeout > 0 else {"force_close": True}
        # Calls never wait for a connection: there are as many as there are calls in flight. Names are resolved as for
        # the other transports, by the system, also where aiodns is installed.
        asking: Any = _Asking()
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            limit=0, resolver=aiohttp.ThreadedResolver(asking), loop=loop, **keeping
        )
        self._factory: Any = partial(Wire, loop=loop)
        self._kind = kind
        self._places: dict[tuple[str, str, ssl.SSLContext | None], Place] = {}
        self._size = size
        self._idle_timeout = idle_timeout
        self._idle: dict[Wire, None] = {}  # in the order in which they became it
        self._wires: set[Wire] = set()

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Connection:
        """Return a connection for the exchange that a session makes in the running task."""
        exchange = EXCHANGE.get()
        if exchange.wire is not None:  # aiohttp repeats some methods by itself; that is the transport's to decide
            raise exchange.wire.failure or aiohttp.ClientConnectionError("The connection broke")
        return await self._connected(req, traces, timeout, exchange)

    def place(self, url: URL, context: ssl.SSLContext | None) -> Place:
        """Return where `url` leads, the same each time, for `reserve`."""
        origin = url.scheme, url.raw_authority, context
        found = self._places.get(origin)
        if found is None:
            if len(self._places) >= _MOST_PLACES:  # contexts are replaced when their files change
                self._places.clear()
            request = self._kind("GET", url.origin(), loop=self._loop, ssl=True if context is None else context)
            found = self._places[origin] = Place(request, request.connection_key, request.headers[hdrs.HOST])
        return found

    async def reserve(self, place: Place, timeout: aiohttp.ClientTimeout, exchange: Exchange) -> Wire:
        """Return a connection for an exchange without a session."""
        wire = None if exchange.fresh else self._quiet_one(place.key)
        if wire is None:
            async with time_limit(timeout.connect):  # older sessions do it, and newer connectors
                exchange.loan = await self._connected(place.request, [], timeout, exchange)
            assert exchange.wire is not None  # noqa: S101 - it is the loan's
            return exchange.wire
        self._acquired.add(wire)
        wire.begin(self)
        wire.key = place.key
        exchange.wire = wire
        return wire

    def _quiet_one(self, key: Any) -> Wire | None:
        """Take a quiet connection out of the pool: the one that was used last, so that the others grow old."""
        pooled: Any = self._conns.get(key)
        while pooled:
            wire: Wire = pooled.pop()[0]
            if not pooled:
                del self._conns[key]
            self._idle.pop(wire, None)
            if wire.is_connected() and monotonic() - wire.idle_since <= self._idle_timeout and wire.quiet():
                return wire
            wire.close()
        return None

    async def _connected(self, req: Any, traces: Any, timeout: Any, exchange: Exchange) -> Connection:
        """Return a quiet connection of the pool, or a new one."""
        while True:
            connection = await super().connect(req, traces, timeout)
            wire: Any = connection.protocol
            self._idle.pop(wire, None)
            if not wire.served or (not exchange.fresh and wire.quiet()):
                break
            connection.close()
        wire.begin(self)
        self._wires.add(wire)
        if exchange.rewrites:
            wire.transport = _HeadInLatin1(wire)
        exchange.wire = wire
        return connection

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        """Take back a connection from aiohttp; it is pooled when `keep` has been called too."""
        if should_close or protocol.connector is None:  # it broke off, or it served to ask a proxy for a tunnel
            super()._release(key, protocol, should_close=True)
            return
        protocol.key = key
        if protocol.complete:
            self._pool(protocol)

    def settle(self, exchange: Exchange, answer: aiohttp.ClientResponse | None) -> None:
        """Pool the connection of an exchange without a session whose answer is complete, or close it for None."""
        wire, loan = exchange.wire, exchange.loan
        exchange.loan = None
        if loan is not None:
            loan.release()
        if wire is None:
            return
        if answer is None or not wire.is_all_sent:
            self.discard(wire)
        else:
            self.keep(wire, answer)

    def keep(self, wire: Wire, answer: aiohttp.ClientResponse) -> None:
        """Pool a connection whose exchange is complete, as soon as its request is all written."""
        if not wire.is_exact(answer):
            self.discard(wire)
            return
        wire.complete = True
        if wire.key is not None:
            self._pool(wire)

    def discard(self, wire: Wire) -> None:
        """Close a connection whose exchange broke off."""
        key, wire.key = wire.key, None
        wire.force_close()
        if key is not None:
            super()._release(key, wire, should_close=True)
        wire.cut()

    def _pool(self, wire: Wire) -> None:
        if wire.should_close or self.force_close:
            self.discard(wire)
            return
        wire.served += 1
        wire.idle, wire.idle_since = True, monotonic()
        self._idle[wire] = None
        super()._release(wire.key, wire)
        if len(self._idle) > self._size:
            oldest = next(iter(self._idle))
            self.forget(oldest)
            oldest.cut()

    def forget(self, wire: Wire) -> None:
        """Take note that a connection is lost; aiohttp itself would only later, when it looks for one to use."""
        self._wires.discard(wire)
        if wire in self._idle:
            del self._idle[wire]
            pooled: Any = self._conns.get(wire.key, ())
            kept = [item for item in pooled if item[0] is not wire]
            if kept:
                pooled.clear()
                pooled.extend(kept)
            else:
                self._conns.pop(wire.key, None)

    def shut(self) -> bool:
        """Close all connections, in the event loop's thread; say whether there was anything to do."""
        if self._closed:
            return False
        wires = self._emptied()
        for wire in wires:
            wire.cut()
        return bool(wires)

    def abandon(self) -> None:
        """Close all connections of an event loop that is closed, and can do nothing for them any more."""
        for wire in self._emptied():
            if wire.link is not None:
                _drop(wire.link)

    def disown(self) -> None:
        """Forget all connections, which are another process's."""
        self._emptied()

    def _emptied(self) -> list[Wire]:
        wires = list(self._wires)
        self._closed = True
        if self._cleanup_handle is not None:
            self._cleanup_handle.cancel()
        for held in (self._wires, self._idle, self._conns, self._acquired):
            held.clear()
        return wires


def _drop(transport: Any) -> None:
    """Close the socket of a transport whose event loop is closed.

    asyncio has no way to do so: it would schedule it, and warn of the socket when it is collected. So this calls what
    would be scheduled. Other event loops close the sockets of their transports themselves.
    """
    inner = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None) or transport
    steps = [transport.abort]
    if hasattr(inner, "_call_connection_lost"):
        # Before Python 3.11, TLS comes to its end only by the second abort.
        steps += [partial(inner._call_connection_lost, None), transport.abort]
    for step in steps:
        with suppress(RuntimeError):  # the event loop is closed
            step()


class _HeadInLatin1:
    """A connection's transport for the first write of a request, which is its head.

    aiohttp encodes headers as UTF-8. Each byte of a header is a character of ISO 8859-1 for us and for Python's own
    HTTP client, and the server is to get that byte.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._transport: Any = wire.transport

    def write(self, data: Any) -> None:
        self._wire.transport = self._transport
        head, end, body = bytes(data).partition(_HEAD_END)
        self._transport.write(head.decode().encode("latin-1") + end + body)

    def writelines(self, pieces: Any) -> None:
        self.write(b"".join(pieces))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
