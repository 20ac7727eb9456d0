"""The limit of the whole of an exchange: HTTP libraries may limit each of its waits alone."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from langcache.errors import ReadTimeout
from langcache.http import Request, Response, display_url
from langcache.workers import awaited, bounded, is_in_asyncio

Result = TypeVar("Result")

_GRACE = 0.02
"""How many seconds later than the library we give up: its own error says better what was slow."""


class InTime(ABC):
    """A sync adapter whose calls end when its limit is over, with a ReadTimeout, however slowly the answer comes.

    With a limit the exchange is done in another thread, in a copy of the caller's context: nothing else can interrupt
    the library. One that took too long is left alone, and ends when the library's own limits or the server end it.
    """

    ends_in_time: Final = True
    """Whatever happens; see `langcache.sending`."""

    def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        seconds = self.limit(request)
        if seconds is None:
            return self._exchange(request)
        try:
            return bounded(lambda: self._exchange(request), seconds + _GRACE)
        except TimeoutError as late:  # of `bounded`: the library's are ours by now
            where = f"{request.method} {display_url(request.url)}"
            raise ReadTimeout(f"{where}: no complete answer after {seconds} s") from late

    @abstractmethod
    def limit(self, request: Request) -> float | None:
        """Return the timeout of ours that holds, in seconds, or None where it is the client's own, whatever that is."""

    @abstractmethod
    def _exchange(self, request: Request) -> Response:
        """Send `request` in this thread, with the library's own limits."""


async def within(seconds: float | None, exchange: Coroutine[Any, Any, Result]) -> Result:
    """Return what `exchange` returns, or cancel it after that time, and raise TimeoutError; None is no limit.

    Where the caller is cancelled, so is the exchange. An event loop that is not asyncio's, which httpx can run on, has
    the library's own limits alone.
    """
    if seconds is None or not is_in_asyncio():
        return await exchange
    begun = time.monotonic()
    try:
        return await awaited(exchange, seconds + _GRACE)
    except TimeoutError as late:
        if time.monotonic() - begun < seconds:
            raise  # it is the library's own
        raise TimeoutError(f"no complete answer after {seconds} s") from late
