"""What a transport is, and the neutral options that every one of them is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

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

    def proxy_for(self, url: str) -> str | None:
        """Return the URL of the proxy that requests to `url` go through, or None for none."""
        if not self.proxies:
            return None
        parts = urlsplit(url)
        if _is_exempt(parts.hostname or "", self.proxies.get("no", "")):
            return None
        return self.proxies.get(parts.scheme) or self.proxies.get("all") or None

    def __post_init__(self) -> None:
        if isinstance(self.pool_size, bool) or not isinstance(self.pool_size, int) or self.pool_size < 1:
            raise ConfigurationError(f"pool_size must be a whole number of 1 or more, not {self.pool_size!r}")


def _is_exempt(host: str, exceptions: str) -> bool:
    """Say whether `host` is among the comma-separated `exceptions`: by its name, or below it, and "*" is any."""
    names = [name.strip().lower().lstrip(".") for name in exceptions.split(",")]
    return "*" in names or any(name and (host == name or host.endswith(f".{name}")) for name in names)
