"""Fail-open: where the service does not serve, a search is a miss, and the program goes on without its cache."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..config import Settings
from ..errors import LangCacheError, RequestError, ResponseValidationError
from ..hookspecs import hookimpl
from ..http import Request, Response
from ..logs import DETAIL, WARN, Seldom, Tell, identified, teller
from ..processes import PerProcess
from ..steps import Middleware, Next, Steps

_NOT_THE_CALLERS: Final = frozenset({408, 424, 429})
"""Statuses below 500 that are not the caller's doing: too slow, not available, too busy."""


class FailOpen:
    """Puts an empty result in the place of a failure that is the service's or the network's, where that is wanted.

    The response then has the error under ``degraded`` in its extensions, and the log a warning: of each operation the
    first time and then once in a minute at the most, with how many there were; the others are told to `quiet`. A call
    that has no result which could tell of it is always warned of. What is the caller's doing - other answers from 400
    to 499, a wrong argument, an exception of the caller's own code - is raised, but for an `OSError`: what a key
    provider or a plugin could not reach is no reason to do without the program either. `clock` gives seconds.
    """

    def __init__(
        self,
        on_failure: str = "raise",
        warn: Tell = WARN,
        quiet: Tell = DETAIL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_failure = on_failure
        self._warn = warn
        self._quiet = quiet
        self._clock = clock
        # At a fork, a thread may hold a lock that the child does not have.
        self._warned = PerProcess(dict[str, Seldom])

    def options(self) -> Mapping[str, object]:
        """Return what `explain` shows."""
        return {"on_failure": self._on_failure}

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Carry out this call, and go on without it where it fails and may."""
        on_failure = request.options.get("on_failure") or self._on_failure
        substitute: Callable[[Request], bytes] | None = request.options.get("substitute")
        if on_failure != "miss" or substitute is None:
            return call_next(request)  # without a generator of its own, which would have nothing to do
        return self._excused(request, call_next, substitute)

    def _excused(self, request: Request, call_next: Next, substitute: Callable[[Request], bytes]) -> Steps[Response]:
        try:
            return (yield from call_next(request))
        except (LangCacheError, OSError) as error:
            if isinstance(error, LangCacheError):
                if not is_the_services(error):
                    raise
                error.client_request_id = request.options.get("request_id")
            content = substitute(request)
            self._tell_of(request, error, is_told_by_the_result=bool(content))
            return Response(200, {"Content-Type": "application/json"}, content, extensions=_facts(error))

    def _tell_of(self, request: Request, error: LangCacheError | OSError, is_told_by_the_result: bool) -> None:
        suppressed = self._seldom(request.operation).turn() if is_told_by_the_result else 0
        tell = self._quiet if suppressed is None else self._warn
        identity, attempts, status, theirs = request.options.get("request_id"), None, None, None
        if isinstance(error, LangCacheError):
            attempts, status, theirs = error.attempts, error.status_code or None, error.request_id
        tell(
            "%s: not served, counted as %s: %s%s%s",
            request.operation,
            _counted_as(request),
            _reason(error),
            identified(identity, theirs),
            f"; {suppressed} more since the last warning" if suppressed else "",
            event="degraded",
            operation=request.operation,
            request_id=identity,
            server_request_id=theirs,
            attempts=attempts,
            status=status,
            error=type(error).__name__,
            suppressed=suppressed or None,
        )

    def _seldom(self, operation: str) -> Seldom:
        warned = self._warned.get()
        return warned.get(operation) or warned.setdefault(operation, Seldom(self._clock))


def is_the_services(error: LangCacheError) -> bool:
    """Say whether `error` is the doing of the service or of the network, and not of the caller."""
    status = error.status_code
    return isinstance(error, (RequestError, ResponseValidationError)) or status >= 500 or status in _NOT_THE_CALLERS


def _facts(error: LangCacheError | OSError) -> dict[str, Any]:
    return {"degraded": error, "attempts": error.attempts if isinstance(error, LangCacheError) else None}


def _counted_as(request: Request) -> str:
    return "a miss" if "search" in request.operation else "not done"


def _reason(error: LangCacheError | OSError) -> str:
    name = type(error).__name__
    if not isinstance(error, LangCacheError):
        return name  # its text is a stranger's, and may quote a URL with a token in it
    return f"{name} ({error.status_code})" if error.status_code else f"{name}: {error}"


@hookimpl
def langcache_call_middleware(settings: Settings) -> Middleware:
    """Stand outside of the deadline, which is one of the reasons."""
    logger = settings.debug_logger
    return FailOpen(settings.on_failure, teller(logger, logging.WARNING), teller(logger, logging.DEBUG))
