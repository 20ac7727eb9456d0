"""An httpx client, or a wrapper that offers its `build_request` and `send` (see `langcache.httpclient`)."""

from __future__ import annotations

from typing import Any

from langcache.http import Request, Response

from .translation import has_own_timeout, neutral, translated


class HttpxClient:
    """Sends with the caller's client; its own timeouts hold where no other was set."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        with translated(request) as exchange:
            exchange.sent = _build(self._client, request)
            answer = self._client.send(exchange.sent, stream=False)
            return neutral(answer, answer.status_code, _content(answer))

    def limit(self, request: Request) -> float | None:
        """Return the timeout of ours that holds, in seconds, or None where it is the client's own, whatever that is."""
        return request.timeout if has_own_timeout(request) else None

    def close(self) -> None:
        """Do nothing: the client is its owner's."""


class AsyncHttpxClient:
    """The same for async calls."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        with translated(request) as exchange:
            exchange.sent = _build(self._client, request)
            answer = await self._client.send(exchange.sent, stream=False)
            return neutral(answer, answer.status_code, _content(answer))

    async def aclose(self) -> None:
        """Do nothing: the client is its owner's."""

    def close(self) -> None:
        """Do nothing: the client is its owner's."""


def _build(client: Any, request: Request) -> Any:
    timeout = {"timeout": request.timeout} if has_own_timeout(request) else {}
    return client.build_request(
        request.method, request.url, content=request.content, headers=request.headers.as_dict(), **timeout
    )


def _content(answer: Any) -> bytes:
    """Return the body; a wrapper's own kind of answer may have it as text alone."""
    content = getattr(answer, "content", None)
    return content if isinstance(content, bytes) else str(answer.text).encode()
