"""Fail-open: where the service does not serve, a search is a miss, and the program goes on without its cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..config import Settings
from ..errors import LangCacheError, RequestError, ResponseValidationError
from ..hookspecs import hookimpl
from ..http import Request, Response
from ..logs import WARN, Tell
from ..steps import Middleware, Next, Steps

_NOT_THE_CALLERS: Final = frozenset({408, 424, 429})
"""Statuses below 500 that are not the caller's doing: too slow, not available, too busy."""


class FailOpen:
    """Puts an empty result in the place of a failure that is the service's or the network's, where that is wanted.

    The response then has the error under ``degraded`` in its extensions, and the log a warning. What is the caller's
    doing - other answers from 400 to 499, a wrong argument, an exception of the caller's own code - is raised.
    """

    def __init__(self, on_failure: str = "raise", warn: Tell = WARN) -> None:
        self._on_failure = on_failure
        self._warn = warn

    def options(self) -> Mapping[str, object]:
        """Return what `explain` shows."""
        return {"on_failure": self._on_failure}

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Carry out this call, and go on without it where it fails and may."""
        on_failure = request.options.get("on_failure") or self._on_failure
        substitute = request.options.get("substitute")
        if on_failure != "miss" or substitute is None:
            return (yield from call_next(request))
        try:
            return (yield from call_next(request))
        except LangCacheError as error:
            if not is_the_services(error):
                raise
            error.client_request_id = request.options.get("request_id")
            self._warn_of(request, error)
            return Response(200, {"Content-Type": "application/json"}, substitute(request), extensions=_facts(error))

    def _warn_of(self, request: Request, error: LangCacheError) -> None:
        self._warn(
            "%s: not served, counted as %s: %s",
            request.operation,
            _counted_as(request),
            _reason(error),
            event="degraded",
            operation=request.operation,
            request_id=error.client_request_id,
            attempts=error.attempts,
            status=error.status_code or None,
            error=type(error).__name__,
        )


def is_the_services(error: LangCacheError) -> bool:
    """Say whether `error` is the doing of the service or of the network, and not of the caller."""
    status = error.status_code
    return isinstance(error, (RequestError, ResponseValidationError)) or status >= 500 or status in _NOT_THE_CALLERS


def _facts(error: LangCacheError) -> dict[str, Any]:
    return {"degraded": error, "attempts": error.attempts}


def _counted_as(request: Request) -> str:
    return "a miss" if "search" in request.operation else "not done"


def _reason(error: LangCacheError) -> str:
    identity = f" [{error.client_request_id}]" if error.client_request_id else ""
    name = type(error).__name__
    return f"{name} ({error.status_code}){identity}" if error.status_code else f"{name}: {error}{identity}"


@hookimpl
def langcache_call_middleware(settings: Settings) -> Middleware:
    """Stand outside of the deadline, which is one of the reasons."""
    return FailOpen(settings.on_failure)
