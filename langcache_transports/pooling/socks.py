"""Connections through a SOCKS proxy, with PySocks, which the extra "socks" brings."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import socks
from urllib3.contrib.socks import SOCKSConnection, SOCKSHTTPSConnection
from urllib3.util import Url

from .connection import PlainConnection, TLSConnection, left_until

_VERSIONS = {
    "socks4": (socks.PROXY_TYPE_SOCKS4, False),
    "socks4a": (socks.PROXY_TYPE_SOCKS4, True),
    "socks5": (socks.PROXY_TYPE_SOCKS5, False),
    "socks5h": (socks.PROXY_TYPE_SOCKS5, True),
}
"""The version, and whether the proxy looks up the names of hosts."""


def options_for(url: Url, host: str, port: int) -> dict[str, Any]:
    """Return urllib3's options for the proxy at `url`."""
    version, is_name_remote = _VERSIONS[url.scheme or ""]
    user, _, password = (url.auth or "").partition(":")
    return {
        "socks_version": version,
        "proxy_host": host,
        "proxy_port": port,
        "username": unquote(user) or None,
        "password": unquote(password) or None,
        "rdns": is_name_remote,
    }


class PlainSocksConnection(PlainConnection, SOCKSConnection):  # pyright: ignore[reportIncompatibleVariableOverride]
    """A connection without TLS to the server."""

    def _new_conn(self) -> socks.socksocket:
        return _connected(self)


class TLSSocksConnection(TLSConnection, SOCKSHTTPSConnection):  # pyright: ignore[reportIncompatibleVariableOverride,reportIncompatibleMethodOverride]
    """A connection with TLS to the server."""

    def _new_conn(self) -> socks.socksocket:
        return _connected(self)


def _connected(connection: PlainSocksConnection | TLSSocksConnection) -> socks.socksocket:
    connection.timeout = left_until(connection.deadline)
    sock = SOCKSConnection._new_conn(connection)  # pyright: ignore[reportPrivateUsage]
    sock.settimeout(left_until(connection.deadline))
    return sock
