"""What a transport is, and the neutral options that every one of them is given."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable
from urllib.parse import SplitResult, urlsplit

from .errors import ConfigurationError
from .http import Request, Response, display_url
from .tls import TLSConfig

DEFAULT_IDLE_TIMEOUT: Final = 50.0
"""How many seconds a connection may have been idle to be used again: less than most servers and balancers keep one."""

DEFAULT_MAX_RESPONSE_BYTES: Final = 64 * 1024 * 1024
"""How many bytes the body of an answer may have, decoded."""

_HONOURED_BY: Final[Mapping[str, str]] = dict.fromkeys(
    ("tls", "proxy", "no_proxy", "connect_timeout_ms", "idle_timeout_ms", "max_response_bytes"),
    "urllib3, requests and aiohttp",
)
"""The options that not every transport can honour, and the built-in ones that can."""


@runtime_checkable
class Transport(Protocol):
    """Turns a `Request` into a `Response` with one HTTP library; it is shared by threads.

    It only translates. `send` returns every answer, whatever its status, and follows no redirect. It repeats nothing
    but a request with `idempotent` that met the end of a kept connection, once. Where no complete answer comes within
    ``request.timeout`` seconds or the exchange breaks off, it raises a `RequestError` from the library's own exception.
    One that keeps to that time whatever happens may say so with an attribute, ``ends_in_time = True``; any other is not
    waited for any longer in a call that has a deadline, which costs another thread.
    """

    def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        ...

    def close(self) -> None:
        """Close all connections; a second time does nothing."""
        ...


@runtime_checkable
class AsyncTransport(Protocol):
    """The same for async calls, with a task for the thread; a cancelled `send` leaves the transport usable."""

    async def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        ...

    async def aclose(self) -> None:
        """Close all connections; a second time does nothing."""
        ...


class Proxies(dict[str, str]):
    """The proxies' URLs by the scheme that they serve; their ``repr`` does not show the URLs, which carry passwords."""

    def __repr__(self) -> str:
        return f"<proxies for {', '.join(sorted(self)) or 'nothing'}>"


@dataclass(frozen=True)
class TransportOptions:
    """How connections are made. A transport refuses, when it is built, an option that it cannot honour."""

    pool_size: int = 32
    """How many connections are kept open to each server between calls, and how many threads serve async calls where
    those need any."""
    client: object | None = None
    """The caller's own HTTP client for sync calls, which the transport "supplied" takes."""
    async_client: object | None = None
    """The caller's own HTTP client for async calls, which the transport "supplied" takes."""
    proxies: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """The proxies' URLs by the scheme that they serve, "all" for any, and under "no" the hosts that need none."""
    tls: TLSConfig = field(default_factory=TLSConfig)
    """Whom to trust and what to show; ``tls.context()`` is the `ssl.SSLContext` for a new connection."""
    connect_timeout: float | None = None
    """How many seconds making a connection may take, TLS included; None for all that the attempt has."""
    idle_timeout: float = DEFAULT_IDLE_TIMEOUT
    """How many seconds a connection may have been idle to be used again; 0 for a new one every time."""
    max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES
    """How many bytes the body of an answer may have, decoded (see `langcache.content`)."""
    given: Collection[str] = frozenset()
    """Which of the client's arguments for these the caller gave, in difference to defaults and the environment's."""

    def __post_init__(self) -> None:
        if isinstance(self.pool_size, bool) or not isinstance(self.pool_size, int) or self.pool_size < 1:
            raise ConfigurationError(f"pool_size must be a whole number of 1 or more, not {self.pool_size!r}")
        limit = self.max_response_bytes
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ConfigurationError(f"max_response_bytes must be a whole number of 1 or more, not {limit!r}")

    def refuse_all_but(self, honoured: Collection[str], transport: str) -> None:
        """Raise ConfigurationError where the caller gave an option that `transport` does not honour.

        `honoured` has the names of the client's arguments: ``"tls"``, ``"proxy"``, ``"no_proxy"``,
        ``"connect_timeout_ms"``, ``"idle_timeout_ms"``, ``"max_response_bytes"``.
        """
        for name in sorted(self.given):
            if name in _HONOURED_BY and name not in honoured:
                raise ConfigurationError(f"{transport} does not honour {name}; the transports {_HONOURED_BY[name]} do")

    def shown(self) -> Mapping[str, object]:
        """Return what may be shown of this: what the caller gave, under the names of the client's arguments.

        What the environment says is not among it, and no secret is.
        """
        values: dict[str, object] = {
            "tls": [self.tls.trusted, *([] if self.tls.cert is None else [self.tls.cert])],
            "proxy": display_url(self.proxies.get("all", "")),
            "no_proxy": self.proxies.get("no"),
            "connect_timeout_ms": (self.connect_timeout or 0) * 1000,
            "idle_timeout_ms": self.idle_timeout * 1000,
            "max_response_bytes": self.max_response_bytes,
        }
        return {"pool_size": self.pool_size, **{name: values[name] for name in values if name in self.given}}

    def proxy_for(self, url: str) -> str | None:
        """Return the URL of the proxy that requests to `url` go through, or None for none.

        Raises ConfigurationError for a proxy that has no valid URL.
        """
        if not self.proxies:
            return None
        target = urlsplit(url)
        if any(_names(entry.strip().lower(), target) for entry in self.proxies.get("no", "").split(",")):
            return None
        # The URL itself gets no name, which the traceback of an error with variables would show.
        name = target.scheme if self.proxies.get(target.scheme) else "all"
        return checked_proxy(self.proxies[name]) if self.proxies.get(name) else None


_PORTS = {"http": 80, "https": 443}
_PROXY_SCHEMES = ("http", "https", "socks5", "socks5h", "socks4", "socks4a")


def _names(entry: str, target: SplitResult) -> bool:
    """Say whether an entry of NO_PROXY names the target.

    That is [SCHEME://]HOST[:PORT], whose subdomains count too, or a network of addresses (10.0.0.0/8), or "*".
    """
    scheme, separator, place = entry.rpartition("://")
    if entry == "*":
        return True
    if separator and scheme not in ("all", target.scheme):
        return False
    if "/" in place:
        return _holds(place, target.hostname or "")
    if place.count(":") > 1 and not place.startswith("["):
        place = f"[{place}]"  # an IPv6 address alone
    try:
        named = urlsplit("//" + place.removeprefix("*").removeprefix("."))
        port = named.port
    except ValueError:
        return False  # no host is called that
    host, name = target.hostname or "", named.hostname
    if not name or (port is not None and port != (target.port or _PORTS.get(target.scheme))):
        return False
    return host == name or host.endswith(f".{name}")


def _holds(network: str, host: str) -> bool:
    from ipaddress import ip_address, ip_network  # on first use: hardly anybody has networks there

    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:  # no network, or a name
        return False


def checked_proxy(proxy: str) -> str:
    """Return a proxy's URL with its scheme; no error shows it, because it may carry a password."""
    url = proxy if "://" in proxy else f"http://{proxy}"
    if not _is_usable(url):
        del proxy, url  # or the traceback with variables would show it
        raise ConfigurationError(
            "A proxy's URL is not valid; write SCHEME://[USER:PASSWORD@]HOST[:PORT], percent-encoded, with one of "
            f"the schemes {', '.join(_PROXY_SCHEMES)}"
        )
    return url


def _is_usable(proxy: str) -> bool:
    try:
        parts = urlsplit(proxy)
        has_place = bool(parts.hostname) and (parts.port is None or parts.port > 0) and "@" not in parts.path
    except ValueError:
        return False
    return has_place and parts.scheme.lower() in _PROXY_SCHEMES
