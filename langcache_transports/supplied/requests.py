"""A requests.Session."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlsplit

from langcache.http import Request, Response

from . import user_agent
from .time_limit import InTime
from .translation import Exchange, Translated, neutral


class RequestsSession(InTime):
    """Sends with the caller's session. A session has no timeout of its own, so that of the LangCache client holds.

    It calls the session's `request`, which subclasses override to add what they add to every request.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def _exchange(self, request: Request) -> Response:
        with Translated(request) as exchange:
            answer = self._session.request(
                request.method,
                request.url,
                headers=user_agent.without_default(request),
                data=request.content,
                # Without an auth, requests takes a password of .netrc, in the place of the bearer token.
                auth=_Finishing(request, getattr(self._session, "auth", None), exchange),
                timeout=request.timeout,
                allow_redirects=False,
            )
            return neutral(answer, answer.status_code, answer.content)

    def limit(self, request: Request) -> float | None:
        """Return the timeout that holds, in seconds, or None for none."""
        return request.timeout

    def close(self) -> None:
        """Do nothing: the session is its owner's."""


class _Finishing:
    """The last step in which requests prepares a request: the path as it was given, and the session's own auth.

    An auth that signs the URL thus signs the one that is sent.
    """

    def __init__(self, request: Request, auth: Any, exchange: Exchange) -> None:
        self._request = request
        self._auth = auth
        self._exchange = exchange

    def __call__(self, prepared: Any) -> Any:
        from requests.auth import HTTPBasicAuth  # the session's own library, so it is there and loaded

        self._exchange.sent = prepared
        user_agent.complete(prepared.headers, self._request)
        prepared.url = _restored(prepared, self._request.url)
        auth = self._auth
        if isinstance(auth, tuple):
            auth = HTTPBasicAuth(*cast("tuple[str, str]", auth))
        return cast("Any", auth)(prepared) if auth else prepared


def _restored(prepared: Any, given: str) -> str:
    """Return the prepared URL with the path segments as they were `given`, but for what the caller's session rewrote.

    requests decodes escapes that it finds unnecessary; a segment of "%2E%2E" would become another path.
    """
    parts = urlsplit(str(prepared.url))
    plain = type(prepared)()
    plain.prepare_url(given, None)
    tail: list[str] = []
    # From the last, because a prefix moves them all.
    for segment, decoded, exact in zip(*map(_reversed_segments, (prepared.url, plain.url, given)), strict=False):
        if segment != decoded:
            break
        tail.insert(0, exact)
    kept = parts.path.split("/")[: parts.path.count("/") + 1 - len(tail)]
    return parts._replace(path="/".join(kept + tail)).geturl()


def _reversed_segments(url: object) -> list[str]:
    return urlsplit(str(url)).path.split("/")[::-1]
