"""What a transport is, and the neutral options that every one of them is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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

    def __post_init__(self) -> None:
        if isinstance(self.pool_size, bool) or not isinstance(self.pool_size, int) or self.pool_size < 1:
            raise ConfigurationError(f"pool_size must be a whole number of 1 or more, not {self.pool_size!r}")
