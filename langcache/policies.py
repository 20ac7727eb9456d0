"""How failures are met: what is repeated and when, and when a service is left alone for a while."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Union

from .errors import ConfigurationError, LangCacheError, describe
from .http import Request

LONGEST_MS = 2_147_483_000
"""The longest time that can be asked for, in milliseconds: sockets count them in 32 bits."""

LARGEST_COUNT: Final = 1_000_000_000
"""The largest number of attempts, calls or failures that a policy can name."""

KNOWN_STRATEGIES: Final = frozenset({"backoff", "none", ""})
"""What a `RetryConfig` can say. Any other strategy repeats nothing, as in the official SDK; that is hardly meant."""

_STATUS = re.compile("[0-9][0-9Xx]*")

OnFailure = Literal["raise", "miss"]
"""What becomes of a call that the service does not serve: an error, or an empty result."""

RetryIf = Callable[[LangCacheError, Request], Union[bool, None]]
"""Says whether the request that ended with the error is to be repeated; None leaves it to the policy."""


@dataclass(unsafe_hash=True)
class BackoffStrategy:
    """How long to wait between attempts: exponentially longer, up to a limit.

    All times are in milliseconds. Before the n-th repetition (from 0) the wait is
    ``initial_interval * exponent ** n`` plus a random part of up to `jitter_ms` (one second where that is None),
    but no longer than `max_interval`. A failure after `max_elapsed_time` is the last; a wait that began before is
    finished, and the attempt after it made. Raises ValueError for a number that cannot be.
    """

    initial_interval: int
    max_interval: int
    exponent: float
    max_elapsed_time: int
    jitter_ms: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name == "jitter_ms" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise ValueError(f"{name} must be a number of 0 or more, not {value!r}")


@dataclass(unsafe_hash=True)
class RetryConfig:
    """Whether and how a failed call is repeated, as the official SDK does it. `RetryPolicy` is the better one.

    `strategy` is ``"backoff"`` to repeat and ``"none"`` not to. With `retry_connection_errors` network failures
    and timeouts are repeated as well as error answers. `status_codes_override` replaces the statuses that are
    repeated (429, 500, 502, 503 and 504); an item is a status such as ``"503"``, or, where it has an X in it such as
    ``"5XX"``, all those that begin with its first digit. Every operation is repeated, `set` too.
    """

    strategy: str
    backoff: BackoffStrategy
    retry_connection_errors: bool
    status_codes_override: list[str] | None = field(default=None, hash=False)


def retry_config_problem(config: RetryConfig) -> str | None:
    """Say why `config` cannot work, or None where it can.

    It is no matter of the constructors: they take what the official SDK's take, and what they make can be changed.
    What cannot work is what the official SDK fails with too, when there is a failure to be met.
    """
    override: object = config.status_codes_override
    if override is not None and not isinstance(override, (list, tuple, set, frozenset)):
        return f'status_codes_override must be a list of statuses, such as ["503", "5XX"], not {override!r}'
    for status in config.status_codes_override or ():
        if not _STATUS.fullmatch(str(status)):
            return f'status_codes_override must be a list of statuses, such as ["503", "5XX"]; {status!r} is none'
    return _backoff_problem(config.backoff) if config.strategy == "backoff" else None


def _backoff_problem(backoff: object) -> str | None:
    if not isinstance(backoff, BackoffStrategy):
        return (
            f'with the strategy "backoff", backoff must be a BackoffStrategy, not {type(backoff).__name__}; '
            "for example BackoffStrategy(500, 60000, 1.5, 3600000)"
        )
    for name, value in vars(backoff).items():
        if name == "jitter_ms" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            return f"{name} must be a number of 0 or more, not {value!r}"
        if not _is_float(value):
            return f"{name} is larger than any number that can be computed with"
    if min(backoff.initial_interval, backoff.max_interval) > LONGEST_MS:
        return f"initial_interval and max_interval must not both be more than {LONGEST_MS}, the longest wait"
    return None


def _is_float(value: float) -> bool:
    try:
        float(value)
    except OverflowError:
        return False
    return True


@dataclass(frozen=True)
class RetryPolicy:
    """Which failed calls are repeated, when, and how often at the most. All times are in milliseconds.

    - What is repeated are failures after which a repetition may help: no answer, or one of the statuses 429, 500,
      502, 503 and 504. A `set` is repeated only where nothing can have reached the service, unless `repeat_sets` says
      so. `retry_if`, a plain function that is called with the error and the request, may say otherwise: True, False,
      or None for the policy's own answer.
    - The wait before the n-th repetition (from 0) is random, between 0 and ``initial_ms * multiplier ** n``, which is
      at most `max_ms` ("full jitter"). Where the service asks for a time with ``Retry-After``, the wait is that time
      and a random part of up to `initial_ms` more. Where that time is longer than `max_retry_after_ms`, or than what is
      left of the call's deadline, the call fails at once; the error's `retry_after` says how long the service asks for.
    - All calls of a client share a budget of `burst` repetitions, so that an outage is not made worse by them. A
      repetition takes one, and a call that succeeds gives back `budget_ratio` of one. So while nothing succeeds, a
      client sends no more than `burst` requests beside its calls, and over time no more than `budget_ratio` of them. A
      client has one budget, with the numbers of its own policy; where it has none, with those of the first policy that
      one of its calls has. Those of other calls' policies count for nothing.

    Raises ConfigurationError, a ValueError, for a value that cannot work.
    """

    max_attempts: int = 3
    """How often a call is attempted at the most, the first attempt included."""
    initial_ms: float = 100
    max_ms: float = 2_000
    multiplier: float = 2
    max_retry_after_ms: float = 10_000
    budget_ratio: float = 0.1
    burst: int = 10
    repeat_sets: bool = False
    retry_if: RetryIf | None = None

    def __post_init__(self) -> None:
        _require_count("max_attempts", self.max_attempts, 1)
        _require_milliseconds("initial_ms", self.initial_ms)
        _require_milliseconds("max_ms", self.max_ms)
        _require_milliseconds("max_retry_after_ms", self.max_retry_after_ms)
        _require_number("multiplier", self.multiplier, 1, 1_000)
        _require_number("budget_ratio", self.budget_ratio, 0, 1)
        _require_count("burst", self.burst, 0)
        _require_type("repeat_sets", self.repeat_sets, bool, "True or False")
        if self.max_ms < self.initial_ms:
            raise ConfigurationError(
                f"max_ms ({self.max_ms}) is less than initial_ms ({self.initial_ms}); the longest wait cannot be "
                "shorter than the first"
            )
        if self.retry_if is not None:
            _require_predicate(self.retry_if)


@dataclass(frozen=True)
class BreakerPolicy:
    """When a service that fails is left alone, and for how long (a circuit breaker).

    The circuit to a service opens after `consecutive_failures` failed calls on end, or where of its last `window`
    calls, of which there were `minimum_calls` at least, a share of `failure_rate` or more failed. While it is open,
    calls fail at once with `langcache.errors.CircuitOpen`. After `open_ms` milliseconds, `probes` calls at a time are
    let through to try: the first success closes the circuit, and a failure opens it again. One of which nothing has
    come after `open_ms` more, or a second where that is shorter, makes room for another one.

    A failure is that there was no answer, or a status of 500 or more. Other answers show that the service is there.
    429, and what is neither the service's doing nor the network's, counts as nothing.

    There is a circuit for each client, origin and policy. Raises ConfigurationError, a ValueError, for a value that
    cannot work.
    """

    consecutive_failures: int = 5
    failure_rate: float = 0.5
    window: int = 50
    minimum_calls: int = 20
    open_ms: float = 5_000
    probes: int = 1

    def __post_init__(self) -> None:
        _require_count("consecutive_failures", self.consecutive_failures, 1)
        _require_number("failure_rate", self.failure_rate, 0, 1)
        if not self.failure_rate:
            raise ConfigurationError("failure_rate must be more than 0; with 0 a circuit would open without a failure")
        _require_count("window", self.window, 1)
        _require_count("minimum_calls", self.minimum_calls, 1)
        _require_milliseconds("open_ms", self.open_ms)
        _require_count("probes", self.probes, 1)
        if self.minimum_calls > self.window:
            raise ConfigurationError(
                f"minimum_calls ({self.minimum_calls}) is more than window ({self.window}), so that the failure rate "
                "would never be looked at"
            )


def _require_number(name: str, value: object, least: float, most: float, unit: str = "") -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:  # type: ignore[operator]
        raise ConfigurationError(f"{name} must be a number{unit} from {least} to {most}, not {value!r}")


def _require_milliseconds(name: str, value: object) -> None:
    _require_number(name, value, 0, LONGEST_MS, " of milliseconds")


def _require_count(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name} must be a whole number of {least} or more, not {value!r}")
    if value > LARGEST_COUNT:
        raise ConfigurationError(f"{name} must be a whole number of {LARGEST_COUNT} or less")


def _require_predicate(retry_if: Any) -> None:
    if not callable(retry_if):
        raise ConfigurationError(f"retry_if must be a callable (error, request), not {type(retry_if).__name__}")
    if inspect.iscoroutinefunction(retry_if) or inspect.iscoroutinefunction(type(retry_if).__call__):
        raise ConfigurationError(
            "retry_if must be a plain function: a coroutine function returns a coroutine, which is neither True, False "
            "nor None"
        )
    try:
        signature = inspect.signature(retry_if)
    except (TypeError, ValueError):  # it is not written in Python
        return
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise ConfigurationError(
            f"retry_if must take an error and a request, and {describe(retry_if)}{signature} does not: {error}"
        ) from None


def _require_type(name: str, value: Any, kind: type, wanted: str) -> None:
    if not isinstance(value, kind):
        raise ConfigurationError(f"{name} must be {wanted}, not {value!r}")


@dataclass(frozen=True)
class HitSavings:
    """What a hit saves, because the LLM is not asked: milliseconds, and its price in `currency`.

    Raises ConfigurationError, a ValueError, for a value that cannot be.
    """

    milliseconds: float = 0
    cost: float = 0
    currency: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("milliseconds", self.milliseconds), ("cost", self.cost)):
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not is_number or not 0 <= value < math.inf:
                raise ConfigurationError(f"{name} must be a number of 0 or more, not {value!r}")
        if self.currency is not None and not isinstance(self.currency, str):
            raise ConfigurationError(f'currency must be a string such as "USD", not {self.currency!r}')
