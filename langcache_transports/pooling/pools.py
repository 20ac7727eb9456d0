"""Pools: which connection an exchange goes on, and what becomes of it afterwards."""

from __future__ import annotations

import http.client
import ssl
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import SplitResult, urlsplit

from langcache.causes import forget_variables
from langcache.errors import ConfigurationError, ProxyError
from langcache.http import Request, display_url
from langcache.transport import TransportOptions

from .answer import Answer
from .connection import Deadlines, TimedConnection
from .failures import Phase, raise_translated
from .routes import Route, require_socks, route_to

_PORTS = {"http": 80, "https": 443}
_STALE = (ConnectionError, http.client.RemoteDisconnected, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""How a connection fails that the server has closed in the meantime."""

_PROXY_AUTHENTICATION_REQUIRED = 407


class Pools:
    """All connections of one transport: a pool for each origin, and for each proxy to it.

    There is no lock: dictionaries and deques do in one step what is asked of them, and a forked child, which does
    not have the thread that would hold it, can close its copies.
    """

    def __init__(self, options: TransportOptions) -> None:
        if "proxy" in options.given and options.proxies.get("all", "").startswith("socks"):
            require_socks()
        self._options = options
        self._pools: dict[tuple[str, str, str | None], _Pool] = {}
        self._closed = False

    def send(self, request: Request) -> tuple[Answer, bytes]:
        """Send `request`; return the answer with its decoded body. Raises an error of ours, from the original."""
        try:
            pool = self._pool(request)
        except ConfigurationError as error:
            forget_variables(error)  # a proxy's URL, with its password
            raise
        now = time.monotonic()
        total = None if request.timeout is None else now + request.timeout
        connect = None if self._options.connect_timeout is None else now + self._options.connect_timeout
        if total is not None:
            connect = total if connect is None else min(connect, total)
        return pool.send(request, Deadlines(connect, total))

    def _pool(self, request: Request) -> _Pool:
        try:
            parts = urlsplit(request.url)
            port = parts.port
        except ValueError as error:
            raise ConfigurationError(f"{display_url(request.url)} is no valid URL: {error}") from error
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ConfigurationError(f"{display_url(request.url)} is no URL that HTTP can be sent to")
        key = parts.scheme, parts.netloc, self._options.proxy_for(request.url)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools.setdefault(key, _Pool(self._options, parts, port, key[2]))
            if self._closed:
                pool.close()
        return pool

    def close(self) -> None:
        """Close all connections that are not in use, and those that are when they are done; no more are kept."""
        self._closed = True  # first: a pool that is made meanwhile is closed by whoever makes it
        for pool in list(self._pools.values()):
            pool.close()


class _Pool:
    """The connections to one origin, directly or through one proxy."""

    def __init__(self, options: TransportOptions, origin: SplitResult, port: int | None, proxy: str | None) -> None:
        self._size = options.pool_size
        self._idle_timeout = options.idle_timeout
        self._limit = options.max_response_bytes
        self._route: Route = route_to(
            origin.scheme, origin.hostname or "", port or _PORTS[origin.scheme], proxy, options.tls
        )
        self._prefix = len(f"{origin.scheme}://{origin.netloc}")
        self._idle: deque[TimedConnection] = deque()
        self._closed = False

    def send(self, request: Request, deadlines: Deadlines) -> tuple[Answer, bytes]:
        """Send `request` on a connection that is idle, or on a new one."""
        connection = self._idle_one()
        if connection is not None:
            try:
                return self._exchange(connection, request, deadlines)
            except BaseException as error:
                if not _may_be_repeated(error, connection, request):
                    raise
        return self._exchange(self._route.connection(request, deadlines), request, deadlines)

    def _exchange(self, connection: TimedConnection, request: Request, deadlines: Deadlines) -> tuple[Answer, bytes]:
        route, answer = self._route, None
        try:
            # No name is given to the headers, which a traceback could show.
            target, content, deadline = route.target(request, self._prefix), request.content, deadlines.total
            answer = connection.exchange(request.method, target, route.headers(request), content, deadline)
            body = answer.body(self._limit)
        except BaseException as error:  # noqa: BLE001 - it is raised again, or what stands for it
            connection.abandon()
            phase = Phase.BODY if answer is not None else Phase.EXCHANGE if connection.sent else Phase.SEND
            received = connection.answer is not None and connection.answer.received
            raise_translated(error, phase, request, route.tls, is_first=not connection.idle_since and not received)
        if answer.is_clean:
            self._keep(connection)
        else:
            connection.close()
        if answer.status == _PROXY_AUTHENTICATION_REQUIRED and self._route.is_proxied:
            refused = ProxyError(
                f"{request.method} {display_url(request.url)}: the proxy wants other credentials (407)"
            )
            refused.retryable = False
            raise refused
        return answer, body

    def _idle_one(self) -> TimedConnection | None:
        # The one that was used last is used again, so that the others grow old.
        while (connection := self._taken(self._idle.pop)) is not None:
            usable = False
            try:
                usable = connection.is_usable(self._idle_timeout)
            finally:  # with gevent, the look lets others run, and a greenlet may be killed in it
                if not usable:
                    connection.close()
            if usable:
                return connection
        return None

    def _keep(self, connection: TimedConnection) -> None:
        connection.idle_since = time.monotonic()
        if self._closed or not self._idle_timeout or len(self._idle) >= self._size:
            connection.close()
            return
        self._idle.append(connection)
        self._close_the_oldest(connection.idle_since - self._idle_timeout)
        if self._closed:  # in the meantime
            self.close()

    def _close_the_oldest(self, before: float) -> None:
        while (oldest := self._taken(self._idle.popleft)) is not None:
            if oldest.idle_since >= before:
                self._idle.appendleft(oldest)
                return
            oldest.close()

    def close(self) -> None:
        """Close the idle connections, and keep none any more."""
        self._closed = True
        while (connection := self._taken(self._idle.pop)) is not None:
            connection.close()

    @staticmethod
    def _taken(take: Callable[[], TimedConnection]) -> TimedConnection | None:
        try:
            return take()
        except IndexError:  # another thread may have been faster
            return None


def _may_be_repeated(error: BaseException, connection: TimedConnection, request: Request) -> bool:
    """Say whether a used connection had been closed by the server, and the request may be sent once more."""
    answered = connection.answer is not None and connection.answer.received
    return request.idempotent and not answered and isinstance(error.__cause__, _STALE)
