"""Retries: a call that failed is attempted again, as a `RetryPolicy` or the specification's `RetryConfig` says."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

from ..config import UNSET, Settings, Unset
from ..errors import DeadlineExceeded, LangCacheError
from ..hookspecs import hookimpl
from ..http import Request, Response
from ..logs import INFORM, Tell, Teller
from ..policies import RetryConfig, RetryPolicy
from ..processes import PerProcess
from ..steps import Middleware, Next, Steps, sleep
from .schedules import Budget, Failure, PolicySchedule, Schedule, SpecifiedSchedule, Uniform


class Retry:
    """Repeats a call that failed, after a wait that grows, for as long as its schedule says.

    The call's own ``retries`` stands before the client's; None is for no repetition, and then a call is attempted once.
    The error that ends a call says how many attempts there were, how many seconds they took, and what the earlier ones
    ended with. A repeated attempt has its number under ``attempt`` in the request's options. `clock` gives seconds, and
    `uniform` a random number from a range; `tell` takes a line for the log.
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
        self._budgets = PerProcess(dict[tuple[int, float], Budget])

    def options(self) -> Mapping[str, object]:
        """Return what `explain` shows."""
        return {"retry_config": self._config}

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Repeat this call as it is configured."""
        start, schedule = self._clock(), self._schedule(request)
        previous: list[LangCacheError] = []
        while True:
            try:
                response = yield from call_next(request)
                break
            except LangCacheError as error:
                elapsed = self._clock() - start
                delay = self._delay(schedule, error, request, len(previous), elapsed)
                if delay is None:
                    _tell_attempts(error, len(previous) + 1, elapsed, previous)
                    raise
                previous.append(error)
                self._tell_repetition(request, error, len(previous), delay)
            try:
                yield from sleep(delay)
            except LangCacheError as error:  # of a deadline that ends before the wait does
                _tell_attempts(error, len(previous), self._clock() - start, previous)
                raise
            request = request.with_options(attempt=len(previous) + 1)
        if schedule is not None:
            schedule.succeeded(len(previous))
        if not previous:
            return response
        attempts = len(previous) + 1
        previous.clear()
        return response.with_extensions(attempts=attempts)

    def _delay(
        self, schedule: Schedule | None, error: LangCacheError, request: Request, repetition: int, elapsed: float
    ) -> float | None:
        if schedule is None or isinstance(error, DeadlineExceeded):
            return None
        deadline: float | None = request.options.get("deadline")
        left = None if deadline is None else deadline - self._clock()
        return schedule.delay(Failure(error, request, repetition, elapsed, left))

    def _tell_repetition(self, request: Request, error: LangCacheError, attempt: int, delay: float) -> None:
        self._tell(
            "%s: %s; repeating it in %.3f s",
            request.operation,
            _reason(error),
            delay,
            event="retry",
            operation=request.operation,
            request_id=request.options.get("request_id"),
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
        return PolicySchedule(config, self._budget(config), self._uniform)

    def _budget(self, policy: RetryPolicy) -> Budget:
        budgets, key = self._budgets.get(), (policy.burst, policy.budget_ratio)
        return budgets.get(key) or budgets.setdefault(key, Budget(policy.burst))


def _tell_attempts(error: LangCacheError, attempts: int, elapsed: float, previous: list[LangCacheError]) -> None:
    """Say on the error that ends a call how the call went; `previous` is empty then."""
    error.attempts, error.elapsed = attempts, elapsed
    error.previous = tuple(earlier for earlier in previous if earlier is not error)
    previous.clear()  # their tracebacks hold the frame that holds this: with them in it, reference cycles


def _reason(error: LangCacheError) -> str:
    return f"status {error.status_code}" if error.status_code else type(error).__name__


@hookimpl(trylast=True)
def langcache_call_middleware(settings: Settings) -> Middleware:
    """Stand innermost among those that see a call once, so that they see what the last attempt gave."""
    if settings.debug_logger is None:
        return Retry(settings.retry_config)
    return Retry(settings.retry_config, tell=Teller(settings.debug_logger))
