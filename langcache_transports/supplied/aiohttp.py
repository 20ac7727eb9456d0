"""An aiohttp.ClientSession."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from langcache.errors import ConfigurationError
from langcache.http import Request, Response, display_url

from . import user_agent
from .time_limit import within
from .translation import Translated, has_own_timeout, own_limit


class AiohttpSession:
    """Sends with the caller's session; its own timeouts hold where no other was set."""

    ends_in_time: Final = True
    """Whatever happens; see `langcache.sending`."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        with Translated(request):
            return await within(own_limit(request), self._exchange(request))

    async def _exchange(self, request: Request) -> Response:
        import aiohttp  # the session's own library, so it is there and loaded; and so is what it depends on
        from yarl import URL

        own = has_own_timeout(request)
        timeout = {"timeout": aiohttp.ClientTimeout(total=request.timeout)} if own else {}
        headers = user_agent.beside(getattr(self._session, "headers", None), request)
        if getattr(self._session, "auth", None) is not None:  # it stands before the key, as in requests; not both
            headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
        try:  # as it is: yarl would decode a path segment of "%2E%2E" into another path
            url = URL(request.url, encoded=True)
        except ValueError as error:
            raise ConfigurationError(f"{request.method} {display_url(request.url)}: the URL is not valid") from error
        exchange = self._session.request(
            request.method,
            url,
            data=request.content,
            headers=headers,
            allow_redirects=False,
            raise_for_status=False,
            **timeout,
        )
        async with exchange as answer:
            return Response(answer.status, _fields(answer), await answer.read(), answer)

    async def aclose(self) -> None:
        """Do nothing: the session is its owner's."""

    def close(self) -> None:
        """Do nothing: the session is its owner's."""


def _fields(answer: Any) -> Iterable[tuple[str, str]]:
    """Return the names and values of the headers, each byte a character, as from the other libraries."""
    raw: object = getattr(answer, "raw_headers", None)  # aiohttp itself reads them as UTF-8
    if not isinstance(raw, tuple):  # a wrapper's own kind of answer
        return cast("Mapping[str, str]", answer.headers).items()
    pairs = cast("tuple[tuple[bytes, bytes], ...]", raw)
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs]
