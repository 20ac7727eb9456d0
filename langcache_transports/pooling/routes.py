"""Routes: how an origin is reached, directly or through a proxy, and what a request through it looks like."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import import_module
from typing import Any
from urllib.parse import unquote

from urllib3.connection import ProxyConfig
from urllib3.util import Url, make_headers, parse_url

from langcache.content import ACCEPT_ENCODING
from langcache.errors import ConfigurationError
from langcache.http import Request
from langcache.tls import TLSConfig

from .connection import Deadlines, PlainConnection, TimedConnection, TLSConnection
from .failures import Phase, raise_translated

_PROXY_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}

Make = Callable[[], TimedConnection]


class Route:
    """How one origin is reached; `make` gives a connection that is not connected yet."""

    is_proxied = False

    def __init__(self, make: Make, tls: TLSConfig, first: Phase = Phase.CONNECT) -> None:
        self.tls = tls
        self._make = make
        self._first = first

    def connection(self, request: Request, deadlines: Deadlines) -> TimedConnection:
        """Return a new connection, ready for an exchange; raises an error of ours, from the original."""
        connection: TimedConnection | None = None
        try:
            connection = self._make()
            connection.open(deadlines.connect)
        except BaseException as error:  # noqa: BLE001 - it is raised again, or what stands for it
            is_behind_proxy = connection is not None and connection.has_connected_to_proxy
            if connection is not None:
                connection.close()
            raise_translated(error, Phase.CONNECT if is_behind_proxy else self._first, request, self.tls)
        return connection

    def target(self, request: Request, prefix: int) -> str:
        """Return the request target (RFC 9112, section 3.2); `prefix` is the length of the URL's scheme and host."""
        target = request.url[prefix:].partition("#")[0]
        return target if target.startswith("/") else f"/{target}"

    def headers(self, request: Request) -> dict[str, str]:
        """Return the headers to send."""
        return {"Accept-Encoding": ACCEPT_ENCODING, **request.headers.as_dict()}


class ForwardRoute(Route):
    """A route through a proxy that forwards requests (RFC 9112, section 3.2.2), as they are for http."""

    is_proxied = True

    def __init__(self, make: Make, tls: TLSConfig, credentials: dict[str, str]) -> None:
        super().__init__(make, tls, Phase.CONNECT_PROXY)
        self._credentials = credentials

    def target(self, request: Request, prefix: int) -> str:
        """Return the whole URL."""
        return request.url[:prefix] + super().target(request, prefix)

    def headers(self, request: Request) -> dict[str, str]:
        """Return the headers to send, with the credentials for the proxy."""
        return {**super().headers(request), **self._credentials}


def route_to(scheme: str, host: str, port: int, proxy: str | None, tls: TLSConfig) -> Route:
    """Return the route to an origin, through `proxy` where that is a URL."""
    if proxy is None:
        return Route(_maker(scheme, tls, host=host, port=port), tls)
    url = parse_url(proxy)
    kind = url.scheme or "http"
    place = {"host": url.host, "port": url.port or _PROXY_PORTS[kind]}
    if kind.startswith("socks"):
        return Route(_socks_maker(scheme, tls, host, port, url, place), tls, Phase.CONNECT_PROXY)
    if scheme == "http":
        return ForwardRoute(_proxy_maker(kind, tls, url, place), tls, _credentials(url))
    return Route(_tunnel_maker(tls, host, port, url, place), tls, Phase.CONNECT_PROXY)


def _maker(scheme: str, tls: TLSConfig, **arguments: Any) -> Make:
    if scheme == "https":
        return lambda: TLSConnection(tls=tls, **arguments)
    return lambda: PlainConnection(**arguments)


def _proxy_maker(kind: str, tls: TLSConfig, url: Url, place: dict[str, Any]) -> Make:
    def make() -> TimedConnection:
        arguments: dict[str, Any] = {**place, "proxy": url, "proxy_config": _proxy_config(kind, tls)}
        return TLSConnection(tls=tls, **arguments) if kind == "https" else PlainConnection(**arguments)

    return make


def _tunnel_maker(tls: TLSConfig, host: str, port: int, url: Url, place: dict[str, Any]) -> Make:
    kind = url.scheme or "http"

    def make() -> TimedConnection:
        connection = TLSConnection(tls=tls, **place, proxy=url, proxy_config=_proxy_config(kind, tls))
        connection.set_tunnel(host, port, _credentials(url), scheme=kind)
        return connection

    return make


def _proxy_config(kind: str, tls: TLSConfig) -> ProxyConfig:
    context = tls.context() if kind == "https" else None
    is_name_checked = context is None or context.check_hostname
    return ProxyConfig(context, False, None if is_name_checked else False, None)


def _credentials(url: Url) -> dict[str, str]:
    return dict(make_headers(proxy_basic_auth=unquote(url.auth))) if url.auth else {}


# SOCKS needs a library of its own, which the extra "socks" brings


def _socks_maker(scheme: str, tls: TLSConfig, host: str, port: int, url: Url, place: dict[str, Any]) -> Make:
    require_socks()
    from .socks import PlainSocksConnection, TLSSocksConnection, proxy_at

    arguments: dict[str, Any] = {"host": host, "port": port, "through": proxy_at(url, place["host"], place["port"])}
    if scheme == "https":
        return functools.partial(TLSSocksConnection, tls=tls, **arguments)
    return functools.partial(PlainSocksConnection, **arguments)


def require_socks() -> None:
    """Raise ConfigurationError where the library for SOCKS is not installed."""
    try:
        import_module(f"{__package__}.socks")
    except ImportError as error:
        raise ConfigurationError("A SOCKS proxy needs the extra: pip install 'langcache[socks]'") from error
