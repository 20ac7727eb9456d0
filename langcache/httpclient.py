"""What a custom HTTP client must offer to be passed as ``client`` or ``async_client``; httpx's clients do.

A program subclasses one of these protocols to wrap a client with logic of its own. The types are httpx's, for type
checkers alone: httpx is imported neither here nor anywhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import httpx

__all__ = ["AsyncHttpClient", "HttpClient"]


@runtime_checkable
class HttpClient(Protocol):
    """A client for sync calls. It is given method, URL, headers and body, and a timeout where one is set."""

    def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = ...,
        auth: Any = ...,
        follow_redirects: Any = ...,
    ) -> httpx.Response:
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
    ) -> httpx.Request:
        """Return a request that `send` takes."""
        ...

    def close(self) -> None:
        """Close the connections; that is for the caller to do, so a wrapper need not have it."""
        return


@runtime_checkable
class AsyncHttpClient(Protocol):
    """The same for async calls."""

    async def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = ...,
        auth: Any = ...,
        follow_redirects: Any = ...,
    ) -> httpx.Response:
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
    ) -> httpx.Request:
        """Return a request that `send` takes."""
        ...

    async def aclose(self) -> None:
        """Close the connections; that is for the caller to do, so a wrapper need not have it."""
        return
