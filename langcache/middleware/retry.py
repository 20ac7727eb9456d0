"""Retries as the specification's `RetryConfig` describes them; without one a call is attempted once."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from ..config import UNSET, BackoffStrategy, RetryConfig, Settings, Unset
from ..errors import RETRYABLE_STATUSES, LangCacheError, NetworkError, TimeoutException
from ..hookspecs import hookimpl
from ..http import Request, Response
from ..steps import Middleware, Next, Steps, sleep

DEFAULT_JITTER_MS = 1_000
"""The largest random part of a wait, in milliseconds, where a BackoffStrategy gives none."""


_logger = logging.getLogger("langcache")


class Retry:
    """Repeats a call that failed, after a wait that grows, until it succeeds or `max_elapsed_time` is over.

    The call's own ``retries`` stands before the client's: a RetryConfig, or None for no repetition. `clock` gives
    seconds, and `uniform` a random number from a range; `tell` takes a line for the log, with its %-arguments.
    """

    def __init__(
        self,
        config: RetryConfig | None = None,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
        tell: Callable[..., None] = _logger.info,
    ) -> None:
        self._config = config
        self._clock = clock
        self._uniform = uniform
        self._tell = tell

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Repeat this call as it is configured."""
        chosen = request.options.get("retries", UNSET)
        config: RetryConfig | None = self._config if isinstance(chosen, Unset) else chosen
        if config is None or config.strategy != "backoff":
            return (yield from call_next(request))
        return (yield from self._repeat(request, call_next, config))

    def _repeat(self, request: Request, call_next: Next, config: RetryConfig) -> Steps[Response]:
        start, repetition = self._clock(), 0
        while True:
            try:
                return (yield from call_next(request))
            except LangCacheError as error:
                if not _is_repeated(error, config):
                    raise
                delay = self._delay(error, config.backoff, repetition, self._clock() - start)
                if delay is None:
                    raise
                self._tell("%s: %s; repeating it in %.3f s", request.operation, _reason(error), delay)
            yield from sleep(delay)
            repetition += 1

    def _delay(self, error: LangCacheError, backoff: BackoffStrategy, repetition: int, elapsed: float) -> float | None:
        """Return how many seconds to wait, or None to give up."""
        left = backoff.max_elapsed_time / 1000 - elapsed
        asked = error.retry_after
        if asked:  # the service's own word, as long as there is time for it
            return asked if asked <= left else None
        return self._backoff(backoff, repetition) if left >= 0 else None

    def _backoff(self, backoff: BackoffStrategy, repetition: int) -> float:
        jitter = DEFAULT_JITTER_MS if backoff.jitter_ms is None else backoff.jitter_ms
        try:
            wait = backoff.initial_interval * float(backoff.exponent) ** repetition
        except OverflowError:  # after thousands of repetitions
            wait = backoff.max_interval
        return min(wait + self._uniform(0, jitter), backoff.max_interval) / 1000


def _is_repeated(error: LangCacheError, config: RetryConfig) -> bool:
    if isinstance(error, (NetworkError, TimeoutException)):
        return config.retry_connection_errors
    status = error.status_code
    if not config.status_codes_override:
        return status in RETRYABLE_STATUSES
    return any(_covers(str(pattern), status) for pattern in config.status_codes_override)


def _covers(pattern: str, status: int) -> bool:
    """Say whether a status such as "503", or a class of them such as "5XX", covers `status`."""
    return pattern[0] == str(status)[0] if "X" in pattern.upper() else pattern == str(status)


def _reason(error: LangCacheError) -> str:
    return f"status {error.status_code}" if error.status_code else type(error).__name__


@hookimpl(trylast=True)
def langcache_call_middleware(settings: Settings) -> Middleware:
    """Stand innermost among those that see a call once, so that they see what the last attempt gave."""
    if settings.debug_logger is None:
        return Retry(settings.retry_config)
    return Retry(settings.retry_config, tell=settings.debug_logger.debug)
