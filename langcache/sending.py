"""Sending: one attempt over a transport, which ends in time also where the transport does not see to that itself.

A transport whose attempts end when their ``timeout`` is over, whatever happens, says so with an attribute,
``ends_in_time = True``, as those of this project do that speak HTTP. Any other is not waited for any longer in a call
that has a deadline. That takes another thread for a sync one, which is left alone with the attempt, and a task for an
async one, which is cancelled.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from functools import partial
from typing import Final

from .errors import ReadTimeout
from .http import Request, Response, display_url
from .transport import AsyncTransport, Transport
from .workers import awaited, bounded, is_in_asyncio, is_timeout

_GRACE: Final = 0.01
"""How many seconds later than the transport it is given up: its own error says better what was slow."""


def send(transport: Transport, request: Request) -> Response:
    """Send `request`; raises ReadTimeout where that took too long, and whatever the transport raises."""
    seconds = _limit(transport, request)
    if seconds is None:
        return transport.send(request)
    begun = time.monotonic()
    try:
        return bounded(partial(transport.send, request), seconds + _GRACE)
    except Exception as error:
        if not is_timeout(error) or time.monotonic() - begun < seconds:
            raise
        raise _late(request, seconds) from error


def send_async(transport: AsyncTransport, request: Request) -> Awaitable[Response]:
    """The same for async calls; an event loop that is not asyncio's has the transport's own limits alone."""
    seconds = _limit(transport, request)
    if seconds is None or not is_in_asyncio():
        return transport.send(request)
    return _send_in_time(transport, request, seconds)


async def _send_in_time(transport: AsyncTransport, request: Request, seconds: float) -> Response:
    begun = time.monotonic()
    try:
        return await awaited(transport.send(request), seconds + _GRACE)
    except Exception as error:
        if not is_timeout(error) or time.monotonic() - begun < seconds:
            raise
        raise _late(request, seconds) from error


def _limit(transport: object, request: Request) -> float | None:
    """Return after how many seconds the attempt is given up here, or None where it is not."""
    if request.options.get("deadline") is None or getattr(transport, "ends_in_time", False) is True:
        return None
    return request.timeout


def _late(request: Request, seconds: float) -> ReadTimeout:
    """Return the error of an attempt that is given up."""
    return ReadTimeout(f"{request.method} {display_url(request.url)}: the transport gave no answer in {seconds:.3g} s")
