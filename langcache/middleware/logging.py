"""Logging: one debug line an attempt, with neither bodies nor credentials."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from ..config import Logger, Settings
from ..errors import LangCacheError
from ..hookspecs import hookimpl
from ..http import Request, Response, display_url
from ..steps import Middleware, Next, Steps


class AttemptLog:
    """Tells `logger` of each attempt and how it ended; `clock` gives seconds."""

    def __init__(self, logger: Logger, clock: Callable[[], float] = time.perf_counter) -> None:
        self._logger = logger
        self._clock = clock
        # A Logger need not tell whether it listens; the standard library's does, and then silence costs nothing.
        self._listens: Callable[[int], bool] = getattr(logger, "isEnabledFor", lambda _level: True)

    def options(self) -> Mapping[str, object]:
        """Return what `explain` shows."""
        return {"logger": getattr(self._logger, "name", self._logger), "listens": self._listens(logging.DEBUG)}

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Tell of this attempt."""
        if not self._listens(logging.DEBUG):
            return (yield from call_next(request))
        start = self._clock()
        try:
            response = yield from call_next(request)
        except BaseException as error:
            self._tell(request, start, _outcome(error))
            raise
        self._tell(request, start, f"{response.status_code}, {len(response.content)} bytes")
        return response

    def _tell(self, request: Request, start: float, outcome: str) -> None:
        milliseconds = (self._clock() - start) * 1000
        identity = request.options.get("request_id", "")
        self._logger.debug(
            "%s: %s %s -> %s in %.1f ms%s",
            request.operation,
            request.method,
            display_url(request.url),
            outcome,
            milliseconds,
            f" [{identity}]" if identity else "",
        )


def _outcome(error: BaseException) -> str:
    if isinstance(error, LangCacheError) and error.status_code:
        return f"{error.status_code}, {type(error).__name__}"
    return type(error).__name__


@hookimpl
def langcache_attempt_middleware(settings: Settings) -> Middleware | None:
    """Log to the client's debug logger, or to the logger "langcache" where debugging is on."""
    if settings.debug_logger is not None:
        return AttemptLog(settings.debug_logger)
    logger = logging.getLogger("langcache")
    if settings.debug:
        _show_debug_log(logger)
    return AttemptLog(logger)


def _show_debug_log(logger: logging.Logger) -> None:
    """Show the debug log on standard error, as LANGCACHE_DEBUG asks, without touching the root logger."""
    logger.setLevel(logging.DEBUG)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
