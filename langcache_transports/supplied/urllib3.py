"""A urllib3.PoolManager, or a ProxyManager."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langcache.http import Headers, Request, Response

from . import user_agent
from .translation import has_own_timeout, neutral, translated


class Urllib3Pool:
    """Sends with the caller's pool; its own timeout holds where it has one and no other was set."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        own: dict[str, Any] = getattr(pool, "connection_pool_kw", {})
        self._has_timeout = "timeout" in own
        # The caller's retries are the caller's will; where there are none, urllib3 would have some of its own.
        self._retries: dict[str, bool] = {} if "retries" in own else {"retries": False}

    def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        timeout: dict[str, float | None] = {} if self._is_limit_own(request) else {"timeout": request.timeout}
        own: Mapping[str, str] = getattr(self._pool, "headers", None) or {}
        with translated(request):
            answer = self._pool.request(
                request.method,
                request.url,
                body=request.content,
                # A request's headers take the place of the pool's, which are the caller's.
                headers=Headers(own).merged(user_agent.beside(own, request)).as_dict(),
                redirect=False,
                **self._retries,
                **timeout,
            )
            return neutral(answer, answer.status, answer.data)

    def limit(self, request: Request) -> float | None:
        """Return the timeout of ours that holds, in seconds, or None where it is the pool's own, whatever that is."""
        return None if self._is_limit_own(request) else request.timeout

    def _is_limit_own(self, request: Request) -> bool:
        return self._has_timeout and not has_own_timeout(request)

    def close(self) -> None:
        """Do nothing: the pool is its owner's."""
