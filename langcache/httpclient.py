"""What a custom HTTP client must offer to be passed as ``client`` or ``async_client``; httpx's clients do.

A program subclasses one of these protocols to wrap a client with logic of its own. Requests and responses are those of
the library that is wrapped, so they have no type here.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

__all__ = ["AsyncHttpClient", "HttpClient"]


@runtime_checkable
class HttpClient(Protocol):
    """A client for sync calls. It is given method, URL, headers and body, and a timeout where one is set."""

    def send(self, request: Any, *, stream: bool = ..., auth: Any = ..., follow_redirects: Any = ...) -> Any:
        """Send what `build_request` made, and return the answer."""
        ...

    def build_request(
        self,
        method: str,
        url: Any,
        *,
        content: Any = ...,
        data: Any = ...,
        files: Any = ...,
        json: Any = ...,
        params: Any = ...,
        headers: Any = ...,
        cookies: Any = ...,
        timeout: Any = ...,
        extensions: Any = ...,
    ) -> Any:
        """Return a request that `send` takes."""
        ...

    def close(self) -> None:
        """Close the connections; it is for the caller to call."""
        ...


@runtime_checkable
class AsyncHttpClient(Protocol):
    """The same for async calls."""

    async def send(self, request: Any, *, stream: bool = ..., auth: Any = ..., follow_redirects: Any = ...) -> Any:
        """Send what `build_request` made, and return the answer."""
        ...

    def build_request(
        self,
        method: str,
        url: Any,
        *,
        content: Any = ...,
        data: Any = ...,
        files: Any = ...,
        json: Any = ...,
        params: Any = ...,
        headers: Any = ...,
        cookies: Any = ...,
        timeout: Any = ...,
        extensions: Any = ...,
    ) -> Any:
        """Return a request that `send` takes."""
        ...

    async def aclose(self) -> None:
        """Close the connections; it is for the caller to call."""
        ...
