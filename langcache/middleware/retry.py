"""Retries: a call that failed is attempted again, as a `RetryPolicy` or the specification's `RetryConfig` says."""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from ..config import UNSET, Settings, Unset
from ..errors import DeadlineExceeded, LangCacheError, shorten
from ..hookspecs import hookimpl
from ..http import Request, Response
from ..logs import INFORM, Tell, identified, teller
from ..policies import RetryConfig, RetryPolicy
from ..processes import PerProcess
from ..steps import Middleware, Next, Steps, sleep
from .schedules import Failure, PolicySchedule, Schedule, SharedBudget, SpecifiedSchedule, Uniform

MOST_PREVIOUS: Final = 20
"""How many of the errors of its earlier attempts an error keeps."""


class Retry:
    """Repeats a call that failed, after a wait that grows, for as long as its schedule says.

    The call's own ``retries`` stands before the client's; None is for no repetition, and then a call is attempted once.
    The error that ends a call says how many attempts there were, how many seconds they took, and what the earlier ones
    ended with: the last `MOST_PREVIOUS` of them, without the rest of long bodies. A repeated attempt has its number
    under ``attempt`` in the request's options. `clock` gives seconds, and `uniform` a random number from a range;
    `tell` takes a line for the log.
    """

    def __init__(
        self,
        config: RetryConfig | RetryPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        uniform: Uniform = random.uniform,
        tell: Tell = INFORM,
    ) -> None:
        self._config = config
        self._clock = clock
        self._uniform = uniform
        self._tell = tell
        # At a fork, a thread may hold a lock that the child does not have.
        self._budget = PerProcess(partial(SharedBudget, config if isinstance(config, RetryPolicy) else None))

    def options(self) -> Mapping[str, object]:
        """Return what `explain` shows."""
        return {"retry_config": self._config}

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Repeat this call as it is configured."""
        start, schedule = self._clock(), self._schedule(request)
        previous = _Previous()
        while True:
            try:
                response = yield from call_next(request)
                break
            except LangCacheError as error:
                delay = self._delay(schedule, error, request, previous, start)
                if delay is None:
                    begun = not isinstance(error, DeadlineExceeded) or error.begun
                    previous.tell(error, previous.count + begun, self._clock() - start)
                    raise
                previous.append(error)
                self._tell_repetition(request, error, previous.count, delay)
            except Exception as error:
                previous.explain(error)
                raise
            try:
                yield from sleep(delay)
            except LangCacheError as error:  # of a deadline that ends before the wait does
                previous.tell(error, previous.count, self._clock() - start)
                raise
            request = request.with_options(attempt=previous.count + 1)
        if schedule is not None:
            schedule.succeeded()
        if not previous.count:
            return response
        previous.clear()
        return response.with_extensions(attempts=previous.count + 1)

    def _delay(
        self, schedule: Schedule | None, error: LangCacheError, request: Request, previous: _Previous, start: float
    ) -> float | None:
        """Return how many seconds to wait, or None to give up; what the caller's predicate raises tells of the call."""
        if schedule is None or isinstance(error, DeadlineExceeded):
            return None
        now = self._clock()
        deadline: float | None = request.options.get("deadline")
        left = None if deadline is None else deadline - now
        try:
            return schedule.delay(Failure(error, request, previous.count, now - start, left))
        except LangCacheError as wrong:
            attempts = previous.count + 1
            if wrong is not error:
                previous.append(error)
            previous.tell(wrong, attempts, now - start)
            raise

    def _tell_repetition(self, request: Request, error: LangCacheError, attempt: int, delay: float) -> None:
        identity = request.options.get("request_id")
        self._tell(
            "%s: %s; repeating it in %.3f s%s",
            request.operation,
            _reason(error),
            delay,
            identified(identity, error.request_id),
            event="retry",
            operation=request.operation,
            request_id=identity,
            server_request_id=error.request_id,
            attempt=attempt,
            status=error.status_code or None,
            error=type(error).__name__,
            delay_ms=delay * 1000,
        )

    def _schedule(self, request: Request) -> Schedule | None:
        chosen = request.options.get("retries", UNSET)
        config: RetryConfig | RetryPolicy | None = self._config if isinstance(chosen, Unset) else chosen
        if config is None:
            return None
        if isinstance(config, RetryConfig):
            return SpecifiedSchedule(config, self._uniform)
        return PolicySchedule(config, self._budget.get().under(config), self._uniform)


class _Previous:
    """What the attempts so far ended with, and how many there were."""

    def __init__(self) -> None:
        self.count = 0
        self._errors: deque[LangCacheError] | None = None  # most calls need none

    def append(self, error: LangCacheError) -> None:
        """Take note of an attempt that is followed by another one."""
        self.count += 1
        if self._errors is None:
            self._errors = deque(maxlen=MOST_PREVIOUS)
        self._errors.append(error)
        shorten(error)

    def tell(self, error: LangCacheError, attempts: int, elapsed: float) -> None:
        """Say on the error that ends a call how the call went."""
        error.attempts, error.elapsed = attempts, elapsed
        error.previous = tuple(earlier for earlier in self._errors or () if earlier is not error)
        self.clear()

    def explain(self, error: Exception) -> None:
        """Say on an exception that is not ours, such as a key provider's, what the attempt before had ended with."""
        if self._errors and error.__context__ is None:
            error.__context__ = self._errors[-1]
        self.clear()

    def clear(self) -> None:
        """Let the errors go: their tracebacks hold the frame that holds this, which would be reference cycles."""
        self._errors = None


def _reason(error: LangCacheError) -> str:
    return f"status {error.status_code}" if error.status_code else type(error).__name__


@hookimpl(trylast=True)
def langcache_call_middleware(settings: Settings) -> Middleware:
    """Stand innermost among those that see a call once, so that they see what the last attempt gave."""
    return Retry(settings.retry_config, tell=teller(settings.debug_logger, logging.INFO))
