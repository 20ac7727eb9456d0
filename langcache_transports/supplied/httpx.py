"""An httpx client, or a wrapper that offers its `build_request` and `send` (see `langcache.httpclient`)."""

from __future__ import annotations

import inspect
from typing import Any, Final

from langcache.errors import ConfigurationError, describe
from langcache.http import Request, Response

from . import user_agent
from .time_limit import InTime, within
from .translation import Exchange, Translated, has_own_timeout, neutral, own_limit


class HttpxClient(InTime):
    """Sends with the caller's client; its own timeouts hold where no other was set."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def _exchange(self, request: Request) -> Response:
        with Translated(request) as exchange:
            exchange.sent = _build(self._client, request)
            user_agent.complete(getattr(exchange.sent, "headers", None), request)
            answer = self._client.send(exchange.sent, stream=False)
            if inspect.isawaitable(answer):
                _drop(answer)
                raise ConfigurationError(
                    f"client: {describe(self._client)} serves async calls: pass it as async_client"
                )
            return _neutral(self._client, answer)

    def limit(self, request: Request) -> float | None:
        """Return the timeout of ours that holds, in seconds, or None where it is the client's own, whatever that is."""
        return own_limit(request)

    def close(self) -> None:
        """Do nothing: the client is its owner's."""


class AsyncHttpxClient:
    """The same for async calls."""

    ends_in_time: Final = True
    """Whatever happens; see `langcache.sending`."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        with Translated(request) as exchange:
            return await within(own_limit(request), self._exchange(request, exchange))

    async def _exchange(self, request: Request, exchange: Exchange) -> Response:
        built = _build(self._client, request)
        exchange.sent = await built if inspect.isawaitable(built) else built  # as an AsyncMock has it
        user_agent.complete(getattr(exchange.sent, "headers", None), request)
        answer = self._client.send(exchange.sent, stream=False)
        if not inspect.isawaitable(answer):
            raise ConfigurationError(
                f"async_client: what {describe(self._client)}.send() returns cannot be awaited: it serves sync "
                "calls, so pass it as client"
            )
        return _neutral(self._client, await answer)

    async def aclose(self) -> None:
        """Do nothing: the client is its owner's."""

    def close(self) -> None:
        """Do nothing: the client is its owner's."""


def _build(client: Any, request: Request) -> Any:
    timeout = {"timeout": request.timeout} if has_own_timeout(request) else {}
    return client.build_request(
        request.method, request.url, content=request.content, headers=_fields(request), **timeout
    )


def _fields(request: Request) -> dict[str, str | bytes]:
    """Return the headers as httpx takes them: as text, but for what is more than ASCII, which it would not encode."""
    headers = user_agent.without_default(request).items()
    return {name: value if value.isascii() else value.encode("latin-1") for name, value in headers}


def _drop(answer: Any) -> None:
    """Let go of an answer that nobody will await; a coroutine would warn of that."""
    if inspect.iscoroutine(answer):
        answer.close()


def _neutral(client: Any, answer: Any) -> Response:
    status = answer.status_code
    if not isinstance(status, int):
        kind = type(status).__name__
        raise ConfigurationError(f"{describe(client)}.send() returns an answer whose status_code is no int, but {kind}")
    return neutral(answer, status, _content(answer))


def _content(answer: Any) -> bytes:
    """Return the body; a wrapper's own kind of answer may have it as text alone."""
    content = getattr(answer, "content", None)
    return content if isinstance(content, bytes) else str(answer.text).encode()
