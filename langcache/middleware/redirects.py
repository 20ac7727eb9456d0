"""Redirects: followed where they stay with the same service and ask for the same thing, and otherwise left alone.

It stands inside of error mapping, because a redirect that is not followed is an error answer like any other. The steps
are part of one attempt: they share its timeout, and whatever signs or authorises an attempt does so once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urljoin, urlsplit

from ..hookspecs import hookimpl
from ..http import Request, Response
from ..steps import Middleware, Next, Steps

MOST_STEPS: Final = 5
"""How many redirects an attempt follows at the most."""

# RFC 9110, section 15.4: these ask for the same request at another place; after the others, a POST becomes a GET.
_SAME_REQUEST = (307, 308)
_SAME_FOR_GET = (301, 302, 303)
_PORTS = {"http": 80, "https": 443}


class FollowRedirects:
    """Follows redirects within the origin, so that the key and the prompts reach nobody else; `clock` gives seconds.

    Somebody outside, who sees one answer, is told each redirect that is followed: ``on_redirect`` of the request's
    options is called with it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Return the answer behind the redirects, or the first one that is not to be followed."""
        start = self._clock()
        response = yield from call_next(request)
        # With an HTTP client of the caller's, redirects are that client's matter.
        if not 300 <= response.status_code < 400 or request.options.get("own_client"):
            return response
        for _ in range(MOST_STEPS):
            url = _next_url(request, response)
            if url is None:
                break
            told = request.options.get("on_redirect")
            if told is not None:
                told(response)
            request = request.with_url(url)
            step = request
            if request.timeout is not None:
                step = request.with_timeout(max(request.timeout - (self._clock() - start), 0.001))
            response = yield from call_next(step)
        return response


def _next_url(request: Request, response: Response) -> str | None:
    """Return where `response` sends `request`, or None where it is not to be followed."""
    is_same = response.status_code in _SAME_REQUEST or (
        response.status_code in _SAME_FOR_GET and request.method == "GET"
    )
    location = response.headers.get("location", "")
    if not is_same or not location or not location.isascii() or not location.isprintable() or " " in location:
        return None
    try:
        url = urljoin(request.url, location).partition("#")[0]
        return url if _origin(url) == _origin(request.url) else None
    except ValueError:  # a host or a port that cannot be
        return None


def _origin(url: str) -> tuple[str, str, int | None]:
    """Return the scheme, the host and the port (RFC 6454, section 4); user information makes it another one."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[0] + (parts.hostname or "")
    return parts.scheme, host, parts.port or _PORTS.get(parts.scheme)


@hookimpl(trylast=True)
def langcache_attempt_middleware() -> Middleware:
    """Stand innermost: error mapping sees the answer in the end."""
    return FollowRedirects()
