"""Connections through a SOCKS proxy, with PySocks, which the extra "socks" brings."""

from __future__ import annotations

import socket
from typing import Any, NamedTuple
from urllib.parse import unquote

import socks
from urllib3.util import Url

from .connection import PlainConnection, TimedConnection, TLSConnection, left_until
from .names import addresses_of, is_address

_VERSIONS = {
    "socks4": (socks.PROXY_TYPE_SOCKS4, False),
    "socks4a": (socks.PROXY_TYPE_SOCKS4, True),
    "socks5": (socks.PROXY_TYPE_SOCKS5, False),
    "socks5h": (socks.PROXY_TYPE_SOCKS5, True),
}
"""The version, and whether the proxy looks up the names of hosts."""

_FAMILIES = {socks.PROXY_TYPE_SOCKS4: socket.AF_INET, socks.PROXY_TYPE_SOCKS5: socket.AF_UNSPEC}
"""Which addresses of servers a proxy of that version is told."""


class SocksProxy(NamedTuple):
    """A proxy, as PySocks is told of it."""

    version: int
    host: str
    port: int
    is_name_remote: bool
    user: str | None
    password: str | None


def proxy_at(url: Url, host: str, port: int) -> SocksProxy:
    """Return the proxy that `url` names."""
    version, is_name_remote = _VERSIONS[url.scheme or ""]
    user, _, password = (url.auth or "").partition(":")
    return SocksProxy(version, host, port, is_name_remote, unquote(user) or None, unquote(password) or None)


class _TimedSocket(socks.socksocket):
    """Speaks to the proxy in what is left of the time, however slowly that answers."""

    deadline: float | None = None

    def recv_into(self, *arguments: Any) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        socket.socket.settimeout(self, left_until(self.deadline))
        return super().recv_into(*arguments)


def _connected(connection: TimedConnection, proxy: SocksProxy) -> socket.socket:
    """Return a socket that the proxy has connected with the server; raises TimeoutError, or another OSError."""
    family, place = _looked_up(proxy.host, proxy.port, connection.deadline)
    target = connection.host
    if not proxy.is_name_remote:
        _, target = _looked_up(target, connection.port, connection.deadline, _FAMILIES[proxy.version])
    sock = _TimedSocket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.deadline = connection.deadline
        sock.set_proxy(proxy.version, place, proxy.port, proxy.is_name_remote, proxy.user, proxy.password)
        sock.settimeout(left_until(connection.deadline))
        sock.connect((target, connection.port))
        sock.settimeout(left_until(connection.deadline))
    except socks.ProxyError as error:
        sock.close()
        if isinstance(error.socket_err, TimeoutError):
            raise TimeoutError("the proxy did not answer in time") from error
        raise
    except BaseException:
        sock.close()
        raise
    sock.deadline = None  # from here on the connection sets the limits
    return sock


def _looked_up(host: str, port: int, deadline: float | None, family: int = socket.AF_UNSPEC) -> tuple[Any, str]:
    """Return the family and the first address of a host; PySocks itself would look it up without a limit."""
    found, _, _, _, address = addresses_of(host, port, family, left_until(deadline))[0]
    return found, host if is_address(host) else address[0]


class PlainSocksConnection(PlainConnection):
    """A connection without TLS to the server."""

    def __init__(self, through: SocksProxy, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._through = through

    def _new_conn(self) -> socket.socket:
        return _connected(self, self._through)


class TLSSocksConnection(TLSConnection):
    """A connection with TLS to the server."""

    def __init__(self, through: SocksProxy, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._through = through

    def _new_conn(self) -> socket.socket:
        return _connected(self, self._through)
