"""Transports with scripted replies, for tests without a network.

There are two classes, because `send` is a plain method in the one seam and a coroutine in the other, and the client
tells them apart by `aclose`. `FakeTransport` serves a client's async calls as well, in threads as any sync transport;
`AsyncFakeTransport` is for tests in which the event loop matters.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from inspect import isawaitable
from itertools import chain, repeat
from typing import Any, Generic, TypeVar, cast

from langcache.http import Request, Response, display_url

Reply = Response | BaseException | Callable[[Request], Response]
"""A response, an exception to raise, or what makes the response from the request."""

AsyncReply = Response | BaseException | Callable[[Request], Response | Awaitable[Response]]
"""The same for `AsyncFakeTransport`; what makes the response may be a coroutine function."""


T = TypeVar("T")


class NoReplyLeftError(AssertionError):
    """The script is used up: the program sent a request more than the test foresaw.

    It is no error of the package's, so that no retry and no ``except`` of the program takes it for one of the service.
    """


class FakeTransport:
    """Gives each request the next reply of its script, and remembers all of them in `requests`.

    The script is any iterable, an endless one too, or a single callable that answers everything. Threads may share
    it; each reply is given once.
    """

    def __init__(self, replies: Iterable[Reply] | Callable[[Request], Response] = ()) -> None:
        self._script = _Script[Reply](replies)
        self.closed = False
        """Whether the transport was closed, which its owner does, and a client for its own."""

    @property
    def requests(self) -> list[Request]:
        """The requests so far, in the order in which they took their replies."""
        return self._script.requests

    def add(self, *replies: Reply) -> None:
        """Add replies to the end of the script."""
        self._script.add(replies)

    def send(self, request: Request) -> Response:
        """Return or raise the next reply; raises NoReplyLeftError, which names the request, where there is none."""
        reply = self._script.take(request)
        if isinstance(reply, BaseException):
            raise reply
        return reply if isinstance(reply, Response) else reply(request)

    def close(self) -> None:
        """Remember that the transport was closed."""
        self.closed = True


class AsyncFakeTransport:
    """The same for async calls; a reply may be a coroutine function, which can wait for what the test says."""

    def __init__(
        self, replies: Iterable[AsyncReply] | Callable[[Request], Response | Awaitable[Response]] = ()
    ) -> None:
        self._script = _Script[AsyncReply](replies)
        self.closed = False
        """Whether the transport was closed, which its owner does, and a client for its own."""

    @property
    def requests(self) -> list[Request]:
        """The requests so far, in the order in which they took their replies."""
        return self._script.requests

    def add(self, *replies: AsyncReply) -> None:
        """Add replies to the end of the script."""
        self._script.add(replies)

    async def send(self, request: Request) -> Response:
        """Return or raise the next reply; raises NoReplyLeftError, which names the request, where there is none."""
        reply = self._script.take(request)
        if isinstance(reply, BaseException):
            raise reply
        if isinstance(reply, Response):
            return reply
        made = reply(request)
        return await made if isawaitable(made) else made

    async def aclose(self) -> None:
        """Remember that the transport was closed."""
        self.closed = True


class _Script(Generic[T]):
    """Hands out replies, each once and in order."""

    def __init__(self, replies: Iterable[T] | Callable[[Request], Any]) -> None:
        # A single callable answers all requests.
        self._replies: Iterator[T] = repeat(cast("T", replies)) if callable(replies) else iter(replies)
        self._lock = threading.Lock()
        self.requests: list[Request] = []

    def add(self, replies: Iterable[T]) -> None:
        """Add replies to the end."""
        with self._lock:
            self._replies = chain(self._replies, replies)

    def take(self, request: Request) -> T:
        """Remember `request`, and return the reply that is next."""
        with self._lock:
            self.requests.append(request)
            for reply in self._replies:
                return reply
            had = len(self.requests) - 1
        operation = f" ({request.operation})" if request.operation else ""
        raise NoReplyLeftError(
            f"No reply is left for request {had + 1}, {request.method} {display_url(request.url)}{operation}: "
            f"the script had {had or 'none'}; give FakeTransport more replies, or add() them"
        )
