"""An aiohttp.ClientSession."""

from __future__ import annotations

import asyncio
from typing import Any

from langcache.http import Request, Response

from .translation import has_own_timeout, neutral, translated


class AiohttpSession:
    """Sends with the caller's session; its own timeouts hold where no other was set."""

    def __init__(self, session: Any) -> None:
        self._session = session

    async def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        limit = request.timeout if has_own_timeout(request) else None
        with translated(request):
            return await asyncio.wait_for(self._exchange(request), limit)

    async def _exchange(self, request: Request) -> Response:
        from yarl import URL  # aiohttp's own dependency, so it is there and loaded

        exchange = self._session.request(
            request.method,
            # As it is: yarl would decode a path segment of "%2E%2E" into another path.
            URL(request.url, encoded=True),
            data=request.content,
            headers=request.headers.as_dict(),
            allow_redirects=False,
        )
        async with exchange as answer:
            return neutral(answer, answer.status, await answer.read())

    async def aclose(self) -> None:
        """Do nothing: the session is its owner's."""

    def close(self) -> None:
        """Do nothing: the session is its owner's."""
