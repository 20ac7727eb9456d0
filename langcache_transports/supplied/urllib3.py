"""A urllib3.PoolManager, a ProxyManager, or the pool of one host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from langcache.errors import ConfigurationError
from langcache.http import Headers, Request, Response, display_url

from . import user_agent
from .time_limit import InTime
from .translation import Translated, has_own_timeout, neutral


class Urllib3Pool(InTime):
    """Sends with the caller's pool; its own timeout holds where it has one and no other was set."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._is_of_one_host = hasattr(pool, "is_same_host")
        # The caller's retries are the caller's will; where there are none, urllib3 would have some of its own.
        self._has_timeout, has_retries = _own(pool) if self._is_of_one_host else _own_of_manager(pool)
        self._retries: dict[str, bool] = {} if has_retries else {"retries": False}

    def _exchange(self, request: Request) -> Response:
        timeout: dict[str, float | None] = {} if self._is_limit_own(request) else {"timeout": request.timeout}
        with Translated(request):
            answer = self._pool.request(
                request.method,
                self._target(request.url),
                body=request.content,
                headers=self._headers(request),
                redirect=False,
                **self._retries,
                **timeout,
            )
            return neutral(answer, answer.status, answer.data)

    def _headers(self, request: Request) -> dict[str, str]:
        """Return the headers to send: a request's take the place of the pool's, so that the caller's are among them."""
        own: Mapping[str, str] = getattr(self._pool, "headers", None) or {}
        return Headers(own).merged(user_agent.beside(own, request)).as_dict()

    def _target(self, url: str) -> str:
        if not self._is_of_one_host:
            return url
        if not self._pool.is_same_host(url):
            raise ConfigurationError(
                f"client: the pool is for {self._pool.scheme}://{self._pool.host}:{self._pool.port}, and not for "
                f"{display_url(url)}; give a urllib3.PoolManager"
            )
        return urlsplit(url).path

    def limit(self, request: Request) -> float | None:
        """Return the timeout of ours that holds, in seconds, or None where it is the pool's own, whatever that is."""
        return None if self._is_limit_own(request) else request.timeout

    def _is_limit_own(self, request: Request) -> bool:
        return self._has_timeout and not has_own_timeout(request)

    def close(self) -> None:
        """Do nothing: the pool is its owner's."""


def _own_of_manager(manager: Any) -> tuple[bool, bool]:
    """Say whether the caller has set up a timeout, and retries, for the pools of a manager."""
    given: dict[str, Any] = getattr(manager, "connection_pool_kw", {})
    return "timeout" in given, given.get("retries") is not None


def _own(pool: Any) -> tuple[bool, bool]:
    """Say the same for a pool, which has urllib3's defaults where the caller has set up none."""
    default_retries = getattr(pool.retries.__class__, "DEFAULT", None)
    return repr(pool.timeout) != repr(type(pool.timeout)()), pool.retries is not default_retries
