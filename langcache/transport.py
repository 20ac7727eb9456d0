"""What a transport is, and the neutral options that every one of them is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable
from urllib.parse import SplitResult, urlsplit

from .errors import ConfigurationError
from .http import Request, Response


@runtime_checkable
class Transport(Protocol):
    """Turns a `Request` into a `Response` with one HTTP library; it is shared by threads.

    It only translates. `send` returns every answer, whatever its status, follows no redirect and repeats nothing;
    where no complete answer comes within ``request.timeout`` seconds or the exchange breaks off, it raises a
    `RequestError` from the library's own exception.
    """

    def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        ...

    def close(self) -> None:
        """Close all connections; a second time does nothing."""
        ...


@runtime_checkable
class AsyncTransport(Protocol):
    """The same for async calls; a cancelled `send` leaves the transport usable."""

    async def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        ...

    async def aclose(self) -> None:
        """Close all connections; a second time does nothing."""
        ...


@dataclass(frozen=True)
class TransportOptions:
    """How connections are made. A transport refuses, when it is built, an option that it cannot honour."""

    pool_size: int = 32
    """How many connections are kept open between calls, and how many threads serve async calls where those need any."""
    client: object | None = None
    """The caller's own HTTP client for sync calls, which the transport "supplied" takes."""
    async_client: object | None = None
    """The caller's own HTTP client for async calls, which the transport "supplied" takes."""
    proxies: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """The proxies' URLs by the scheme that they serve, "all" for any, and under "no" the hosts that need none."""

    def __post_init__(self) -> None:
        if isinstance(self.pool_size, bool) or not isinstance(self.pool_size, int) or self.pool_size < 1:
            raise ConfigurationError(f"pool_size must be a whole number of 1 or more, not {self.pool_size!r}")

    def proxy_for(self, url: str) -> str | None:
        """Return the URL of the proxy that requests to `url` go through, or None for none.

        Raises ConfigurationError for a proxy that has no valid URL.
        """
        if not self.proxies:
            return None
        target = urlsplit(url)
        if any(_names(entry.strip().lower(), target) for entry in self.proxies.get("no", "").split(",")):
            return None
        proxy = self.proxies.get(target.scheme) or self.proxies.get("all")
        return _checked_proxy(proxy) if proxy else None


_PORTS = {"http": 80, "https": 443}


def _names(entry: str, target: SplitResult) -> bool:
    """Say whether an entry of NO_PROXY names the target: [SCHEME://]HOST[:PORT], or "*"; a host's subdomains count."""
    scheme, separator, place = entry.rpartition("://")
    if entry == "*":
        return True
    if separator and scheme not in ("all", target.scheme):
        return False
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


def _checked_proxy(proxy: str) -> str:
    """Return a proxy's URL with its scheme; no error shows it, because it may carry a password."""
    url = proxy if "://" in proxy else f"http://{proxy}"
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0) and "@" not in parts.path
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(
            "A proxy's URL is not valid; write http://[USER:PASSWORD@]HOST[:PORT], percent-encoded"
        )
    return url
