"""A requests.Session."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from langcache.http import Request, Response

from .translation import neutral, translated


class RequestsSession:
    """Sends with the caller's session. A session has no timeout of its own, so that of the LangCache client holds."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        with translated(request):
            prepared = self._prepared(request)
            settings = self._session.merge_environment_settings(prepared.url, {}, None, None, None)
            answer = self._session.send(prepared, timeout=request.timeout, allow_redirects=False, **settings)
            return neutral(answer, answer.status_code, answer.content)

    def _prepared(self, request: Request) -> Any:
        import requests  # the session's own library, so it is there and loaded

        prepared = self._session.prepare_request(
            requests.Request(
                request.method,
                request.url,
                headers=request.headers.as_dict(),
                data=request.content,
                # Without an auth of its own, requests takes a password of .netrc, in the place of the bearer token.
                auth=_as_it_is if self._session.auth is None else None,
            )
        )
        # requests decodes escapes that it finds unnecessary; a path segment of "%2E%2E" would become another path.
        prepared.url = urlsplit(str(prepared.url))._replace(path=urlsplit(request.url).path).geturl()
        return prepared

    def close(self) -> None:
        """Do nothing: the session is its owner's."""


def _as_it_is(prepared: Any) -> Any:
    return prepared
