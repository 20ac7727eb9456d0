"""Logging: one debug line an attempt, with neither bodies nor credentials."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..config import Settings
from ..errors import LangCacheError
from ..hookspecs import hookimpl
from ..http import Request, Response, display_url
from ..logs import LOGGER, DebugHandler, Logger, Teller
from ..steps import Middleware, Next, Steps


class AttemptLog:
    """Tells `logger` of each attempt and how it ended; `clock` gives seconds."""

    def __init__(self, logger: Logger, clock: Callable[[], float] = time.perf_counter) -> None:
        self._logger = logger
        self._tell = Teller(logger)
        self._clock = clock

    def options(self) -> Mapping[str, object]:
        """Return what `explain` shows."""
        return {"logger": getattr(self._logger, "name", self._logger), "listens": self._tell.is_heard()}

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Tell of this attempt."""
        if not self._tell.is_heard():
            return call_next(request)  # without a generator of its own, which would have nothing to do
        return self._told(request, call_next)

    def _told(self, request: Request, call_next: Next) -> Steps[Response]:
        begun = self._clock()
        try:
            response = yield from call_next(request)
        except BaseException as error:
            self._tell_end(request, begun, _failed(error))
            raise
        self._tell_end(request, begun, _answered(response))
        return response

    def _tell_end(self, request: Request, begun: float, end: _End) -> None:
        milliseconds = (self._clock() - begun) * 1000
        identity: str | None = request.options.get("request_id")
        url = display_url(request.url)
        self._tell(
            "%s: %s %s -> %s in %.1f ms%s",
            request.operation,
            request.method,
            url,
            end.text,
            milliseconds,
            f" [{identity}]" if identity else "",
            event="attempt",
            operation=request.operation,
            request_id=identity,
            attempt=request.options.get("attempt", 1),
            method=request.method,
            url=url,
            status=end.status,
            error=end.error,
            duration_ms=milliseconds,
            request_bytes=len(request.content or b""),
            response_bytes=end.size,
        )


class _End(NamedTuple):
    """How an attempt ended."""

    text: str
    status: int | None = None
    size: int | None = None
    error: str | None = None


def _answered(response: Response) -> _End:
    size = len(response.content)
    return _End(f"{response.status_code}, {size} bytes", response.status_code, size)


def _failed(error: BaseException) -> _End:
    name = type(error).__name__
    if not isinstance(error, LangCacheError) or not error.status_code:
        return _End(name, error=name)
    size = len(error.raw_response.content) if isinstance(error.raw_response, Response) else None
    return _End(f"{error.status_code}, {name}", error.status_code, size, name)


@hookimpl
def langcache_attempt_middleware(settings: Settings) -> Middleware | None:
    """Log to the client's debug logger, or to the logger "langcache" where debugging is on."""
    if settings.debug_logger is not None:
        return AttemptLog(settings.debug_logger)
    if settings.debug:
        _show_debug_log(LOGGER)
    return AttemptLog(LOGGER)


def _show_debug_log(logger: logging.Logger) -> None:
    """Show the debug log on standard error, as LANGCACHE_DEBUG asks, where the application has not configured it."""
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.DEBUG)
    if not logger.hasHandlers():
        logger.addHandler(DebugHandler())
