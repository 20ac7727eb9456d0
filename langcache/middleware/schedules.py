"""Schedules: whether a failed attempt is followed by another one, and after which wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from ..errors import RETRYABLE_STATUSES, ConfigurationError, LangCacheError, NetworkError, TimeoutException
from ..http import Request
from ..policies import LONGEST_MS, BackoffStrategy, RetryConfig, RetryPolicy
from ..workers import discard

DEFAULT_JITTER_MS = 1_000
"""The largest random part of a wait, in milliseconds, where a BackoffStrategy gives none."""

_NEARLY_ONE: Final = 1 - 1e-9
"""What is a whole token: ten times a tenth of one is a little less than one, in binary numbers."""

Uniform = Callable[[float, float], float]
"""Returns a random number from a range."""


class Failure(NamedTuple):
    """An attempt that failed."""

    error: LangCacheError
    request: Request
    repetition: int
    """How many repetitions there were before: 0 after the first attempt."""
    elapsed: float
    """How many seconds the call has taken so far."""
    left: float | None
    """How many seconds are left of the call's deadline; None where it has none."""


class Schedule(Protocol):
    """Decides what follows a failure, and is told of a success."""

    def delay(self, failure: Failure) -> float | None:
        """Return how many seconds to wait before the next attempt, or None to give up."""
        ...

    def succeeded(self) -> None:
        """Take note that a call succeeded."""
        ...


class SpecifiedSchedule:
    """The schedule that the official SDK's `RetryConfig` describes: it is bounded by time, and repeats everything."""

    def __init__(self, config: RetryConfig, uniform: Uniform) -> None:
        self._config = config
        self._uniform = uniform

    def delay(self, failure: Failure) -> float | None:
        """Return how many seconds to wait before the next attempt, or None to give up."""
        backoff = self._config.backoff
        if self._config.strategy != "backoff" or not _is_covered(failure.error, self._config):
            return None
        left = backoff.max_elapsed_time / 1000 - failure.elapsed
        asked = failure.error.retry_after
        if asked:  # the service's own word, as long as there is time for it
            wait = asked if asked <= left else None
        else:
            wait = self._backoff(backoff, failure.repetition) if left >= 0 else None
        return None if wait is None or _outlasts(wait, failure) else wait

    def _backoff(self, backoff: BackoffStrategy, repetition: int) -> float:
        jitter = DEFAULT_JITTER_MS if backoff.jitter_ms is None else backoff.jitter_ms
        wait = _grown(backoff.initial_interval, backoff.exponent, repetition, backoff.max_interval)
        # The limit of all waits too: no call of the system's waits for a number without limit.
        return min(wait + self._uniform(0, jitter), backoff.max_interval, LONGEST_MS) / 1000

    def succeeded(self) -> None:
        """Take note of nothing."""


class PolicySchedule:
    """The schedule of a `RetryPolicy`, within a `budget` that all calls share."""

    def __init__(self, policy: RetryPolicy, budget: Budget, uniform: Uniform) -> None:
        self._policy = policy
        self._budget = budget
        self._uniform = uniform

    def delay(self, failure: Failure) -> float | None:
        """Return how many seconds to wait before the next attempt, or None to give up."""
        policy = self._policy
        if failure.repetition + 1 >= policy.max_attempts or not self._is_wanted(failure):
            return None
        wait = self._wait(failure)
        if wait is None or _outlasts(wait, failure):
            return None
        return wait if self._budget.take() else None

    def _is_wanted(self, failure: Failure) -> bool:
        error, request, policy = failure.error, failure.request, self._policy
        said: object = None if policy.retry_if is None else policy.retry_if(error, request)
        if isinstance(said, bool):
            return said
        if said is not None:
            raise _no_answer(said)
        return error.retryable is True and (request.idempotent or error.nothing_sent or policy.repeat_sets)

    def _wait(self, failure: Failure) -> float | None:
        policy, asked = self._policy, failure.error.retry_after
        if asked and asked * 1000 > policy.max_retry_after_ms:
            return None
        if asked:  # those who were all told the same do not all come at the same time
            return asked + self._uniform(0, policy.initial_ms) / 1000
        return self._uniform(0, _grown(policy.initial_ms, policy.multiplier, failure.repetition, policy.max_ms)) / 1000

    def succeeded(self) -> None:
        """Give back to the budget."""
        self._budget.earn()


class Budget:
    """How many repetitions there may be: a bucket of tokens, which begins full. It is shared by threads.

    A success earns `ratio` of one, whether or not it took repetitions: what those took is spent.
    """

    def __init__(self, burst: float, ratio: float = 0.0) -> None:
        self._burst = burst
        self._ratio = ratio
        self._tokens = float(burst)
        # Reentrant: a signal's handler or a finalizer may make a call while its own thread has it.
        self._lock = threading.RLock()

    @property
    def tokens(self) -> float:
        """How many there are."""
        return self._tokens

    def take(self) -> bool:
        """Take one, and say whether there was one."""
        with self._lock:
            if self._tokens < _NEARLY_ONE:
                return False
            self._tokens -= 1
            return True

    def earn(self) -> None:
        """Put in what a success earns, as far as there is room."""
        with self._lock:
            # No function is called: behind it, a signal's handler could take one, which this would put back.
            self._tokens = self._tokens + self._ratio if self._tokens + self._ratio < self._burst else self._burst


class SharedBudget:
    """The one budget of a client: with the numbers of its `policy`, or of the first that one of its calls has."""

    def __init__(self, policy: RetryPolicy | None) -> None:
        self._made: dict[str, Budget] = {}
        if policy is not None:
            self.under(policy)

    def under(self, policy: RetryPolicy) -> Budget:
        """Return it, for a call with this policy."""
        made = self._made.get("budget")
        if made is None:  # setdefault is atomic: all threads get the same
            made = self._made.setdefault("budget", Budget(policy.burst, policy.budget_ratio))
        return made


def _no_answer(said: object) -> ConfigurationError:
    """Return the error for what a predicate may not say; an awaitable, which is always true, is closed."""
    discard(said)
    return ConfigurationError(f"retry_if must return True, False or None, not {type(said).__name__}")


def _outlasts(wait: float, failure: Failure) -> bool:
    """Say whether the call's deadline is over before the wait is: then the failure itself is what the caller gets."""
    return failure.left is not None and wait >= failure.left


def _grown(initial: float, factor: float, times: int, most: float) -> float:
    """Return `initial` multiplied so many times by `factor`, and at most `most`."""
    try:
        return min(initial * float(factor) ** times, most)
    except OverflowError:  # after thousands of repetitions
        return most


def _is_covered(error: LangCacheError, config: RetryConfig) -> bool:
    if isinstance(error, (NetworkError, TimeoutException)):
        return config.retry_connection_errors
    status = error.status_code
    if not config.status_codes_override:
        return status in RETRYABLE_STATUSES
    return any(_covers(str(pattern), status) for pattern in config.status_codes_override)


def _covers(pattern: str, status: int) -> bool:
    """Say whether a status such as "503", or a class of them such as "5XX", covers `status`."""
    return pattern[0] == str(status)[0] if "X" in pattern.upper() else pattern == str(status)
