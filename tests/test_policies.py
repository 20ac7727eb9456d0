"""Policies that cannot work are refused when they are made, in words."""

from __future__ import annotations

import copy
import functools
import pickle
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest

from langcache import BackoffStrategy, BreakerPolicy, LangCache, Response, RetryConfig, RetryPolicy, errors
from langcache_transports.testing import FakeTransport


def client(**given: Any) -> LangCache:
    service = FakeTransport(lambda request: Response(200, {}, b'{"data": []}'))
    return LangCache("http://cache.example", "k", "c", transport=service, **given)


async def asynchronous(error: object, request: object) -> bool:
    raise AssertionError("never run")


class Asynchronous:
    """An object that is called and awaited."""

    async def __call__(self, error: object, request: object) -> bool:
        raise AssertionError("never run")


def of_many(first: object, error: object, request: object) -> bool:
    raise AssertionError("never called")


NOT_PLAIN = (
    "retry_if must be a plain function: a coroutine function returns a coroutine, which is neither True, False nor None"
)
RETRY: list[tuple[dict[str, Any], str]] = [
    ({"max_attempts": 0}, "max_attempts must be a whole number of 1 or more, not 0"),
    ({"max_attempts": 2.5}, "max_attempts must be a whole number of 1 or more, not 2.5"),
    ({"max_attempts": True}, "max_attempts must be a whole number of 1 or more, not True"),
    ({"initial_ms": -1}, "initial_ms must be a number of milliseconds from 0 to 2147483000, not -1"),
    ({"max_ms": float("nan")}, "max_ms must be a number of milliseconds from 0 to 2147483000, not nan"),
    ({"max_ms": "1"}, "max_ms must be a number of milliseconds from 0 to 2147483000, not '1'"),
    ({"max_ms": 50}, "max_ms (50) is less than initial_ms (100); the longest wait cannot be shorter than the first"),
    ({"max_retry_after_ms": -5}, "max_retry_after_ms must be a number of milliseconds from 0 to 2147483000, not -5"),
    ({"multiplier": 0.5}, "multiplier must be a number from 1 to 1000, not 0.5"),
    ({"budget_ratio": 1.5}, "budget_ratio must be a number from 0 to 1, not 1.5"),
    ({"burst": -1}, "burst must be a whole number of 0 or more, not -1"),
    ({"repeat_sets": "yes"}, "repeat_sets must be True or False, not 'yes'"),
    ({"retry_if": [503]}, "retry_if must be a callable (error, request), not list"),
    ({"retry_if": asynchronous}, NOT_PLAIN),
    ({"retry_if": Asynchronous()}, NOT_PLAIN),
    (
        {"retry_if": lambda: True},
        "retry_if must take an error and a request, and tests.test_policies.<lambda>() does "
        "not: too many positional arguments",
    ),
    (
        {"retry_if": of_many},
        "retry_if must take an error and a request, and tests.test_policies.of_many(first: 'object', error: 'object', "
        "request: 'object') -> 'bool' does not: missing a required argument: 'request'",
    ),
    ({"burst": 10**400}, "burst must be a whole number of 1000000000 or less"),
    ({"max_attempts": 10**400}, "max_attempts must be a whole number of 1000000000 or less"),
    ({"initial_ms": 10**10}, "initial_ms must be a number of milliseconds from 0 to 2147483000, not 10000000000"),
    ({"max_ms": 1e300}, "max_ms must be a number of milliseconds from 0 to 2147483000, not 1e+300"),
    ({"multiplier": float("inf")}, "multiplier must be a number from 1 to 1000, not inf"),
    ({"budget_ratio": float("nan")}, "budget_ratio must be a number from 0 to 1, not nan"),
]
BREAKER: list[tuple[dict[str, Any], str]] = [
    ({"consecutive_failures": 0}, "consecutive_failures must be a whole number of 1 or more, not 0"),
    ({"failure_rate": 50}, "failure_rate must be a number from 0 to 1, not 50"),
    ({"failure_rate": 0}, "failure_rate must be more than 0; with 0 a circuit would open without a failure"),
    ({"window": 0}, "window must be a whole number of 1 or more, not 0"),
    ({"minimum_calls": 51}, "minimum_calls (51) is more than window (50), so that the failure rate would never be "
     "looked at"),
    ({"open_ms": -1}, "open_ms must be a number of milliseconds from 0 to 2147483000, not -1"),
    ({"probes": 0}, "probes must be a whole number of 1 or more, not 0"),
    ({"probes": 10**400}, "probes must be a whole number of 1000000000 or less"),
    ({"window": 10**400}, "window must be a whole number of 1000000000 or less"),
    ({"failure_rate": float("nan")}, "failure_rate must be a number from 0 to 1, not nan"),
    ({"open_ms": float("inf")}, "open_ms must be a number of milliseconds from 0 to 2147483000, not inf"),
]  # fmt: skip


def changed(**attributes: Any) -> BackoffStrategy:
    """Return a strategy that was good when it was made."""
    strategy = BackoffStrategy(1, 50, 1.1, 100)
    for name, value in attributes.items():
        setattr(strategy, name, value)
    return strategy


GOOD = BackoffStrategy(1, 50, 1.1, 100)
NO_STATUSES = 'status_codes_override must be a list of statuses, such as ["503", "5XX"]'
NO_STRATEGY = (
    'with the strategy "backoff", backoff must be a BackoffStrategy, not {}; for example '
    "BackoffStrategy(500, 60000, 1.5, 3600000)"
)
TOO_LARGE = "is larger than any number that can be computed with"
TOO_LONG = "initial_interval and max_interval must not both be more than 2147483000, the longest wait"
SPECIFIED: list[tuple[tuple[Any, ...], str]] = [
    (("backoff", None, True), NO_STRATEGY.format("NoneType")),
    (("backoff", {"initial_interval": 1}, True), NO_STRATEGY.format("dict")),
    (("backoff", GOOD, True, "503"), f"{NO_STATUSES}, not '503'"),
    (("backoff", GOOD, True, 503), f"{NO_STATUSES}, not 503"),
    (("none", GOOD, True, 503), f"{NO_STATUSES}, not 503"),
    (("backoff", GOOD, True, ["503", "busy"]), f"{NO_STATUSES}; 'busy' is none"),
    (("backoff", GOOD, True, [""]), f"{NO_STATUSES}; '' is none"),
    (("backoff", GOOD, True, [-503]), f"{NO_STATUSES}; -503 is none"),
    (("backoff", BackoffStrategy(10**400, 50, 1.1, 100), True), f"initial_interval {TOO_LARGE}"),
    (("backoff", BackoffStrategy(1, 50, 1.1, 10**400), True), f"max_elapsed_time {TOO_LARGE}"),
    (("backoff", BackoffStrategy(1, 50, 1.1, 100, 10**400), True), f"jitter_ms {TOO_LARGE}"),
    (("backoff", BackoffStrategy(1e300, 1e300, 1.1, 100), True), TOO_LONG),  # type: ignore[arg-type]
    (("backoff", changed(exponent=-1), True), "exponent must be a number of 0 or more, not -1"),
    (("backoff", changed(exponent=float("nan")), True), "exponent must be a number of 0 or more, not nan"),
    (("backoff", changed(max_interval="50"), True), "max_interval must be a number of 0 or more, not '50'"),
]  # fmt: skip


@pytest.mark.parametrize(("parts", "said"), SPECIFIED)
def test_a_retry_config_that_cannot_work_is_refused_by_the_client_and_by_a_call(
    parts: tuple[Any, ...], said: str
) -> None:
    """Its constructor takes it, as the official SDK's does; there it fails with the first failure that it is for."""
    config = RetryConfig(*parts)
    assert refusal(lambda: client(retry_config=config)) == f"retry_config: {said}"
    assert refusal(lambda: client().search(prompt="p", retries=config)) == f"retries: {said}"


@pytest.mark.parametrize(
    "config",
    [
        RetryConfig("none", None, True),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        RetryConfig("", None, True),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        RetryConfig("backoff", BackoffStrategy(500, 50, 1.1, 100), True),
        RetryConfig("backoff", BackoffStrategy(500, 600, 0, 100), True),
        RetryConfig("backoff", BackoffStrategy(0, 0, 0, 0, 0), True),
        RetryConfig("backoff", BackoffStrategy(1, 10**12, 1.5, 10**12), True),
        RetryConfig("backoff", GOOD, True, ["503", "4XX", "5xx"]),
        RetryConfig("backoff", GOOD, True, []),
    ],
    ids=repr,
)
def test_what_works_with_the_official_sdk_is_taken(config: RetryConfig, caplog: pytest.LogCaptureFixture) -> None:
    """A longest wait that is shorter than the first, for example, makes all waits as long as that."""
    client(retry_config=config).search(prompt="p", retries=config)
    assert caplog.messages == []


def test_a_strategy_that_is_not_known_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """It repeats nothing, as with the official SDK, so that a program for that goes on; but it is hardly meant."""
    config = RetryConfig("bakoff", GOOD, True)
    for _ in range(2):
        client(retry_config=config).search(prompt="p")
    assert caplog.messages == [
        "retry_config: nothing is repeated, because the strategy 'bakoff' of the RetryConfig is not known; "
        '"backoff" repeats'
    ]


def of_any(*both: object) -> None:
    raise AssertionError("never called")


BINARY: list[Any] = [max, functools.partial(of_many, 1), Mock(), of_any]


@pytest.mark.parametrize("predicate", BINARY)
def test_a_predicate_may_be_whatever_takes_an_error_and_a_request(predicate: Any) -> None:
    assert RetryPolicy(retry_if=predicate).retry_if is predicate


@pytest.mark.parametrize(("arguments", "said"), RETRY)
def test_a_retry_policy_that_cannot_work_is_refused(arguments: dict[str, Any], said: str) -> None:
    assert refusal(lambda: RetryPolicy(**arguments)) == said


@pytest.mark.parametrize(("arguments", "said"), BREAKER)
def test_a_breaker_policy_that_cannot_work_is_refused(arguments: dict[str, Any], said: str) -> None:
    assert refusal(lambda: BreakerPolicy(**arguments)) == said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"deadline_ms": -1}, "deadline_ms must be 0 (no limit) to 2147483000 milliseconds, not -1"),
        ({"deadline_ms": "1"}, "deadline_ms must be a number of milliseconds, not str"),
        ({"on_failure": "ignore"}, "on_failure must be \"raise\" or \"miss\", not 'ignore'"),
        ({"breaker": 5}, "breaker must be a BreakerPolicy, or None for none, not int; for example "
         "BreakerPolicy(consecutive_failures=5, open_ms=5000)"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_by_the_client_and_by_a_call(arguments: dict[str, Any], said: str) -> None:
    assert refusal(lambda: client(**arguments)) == said
    assert refusal(lambda: client().search(prompt="p", **arguments)) == said


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(errors.ConfigurationError) as caught:
        work()
    assert isinstance(caught.value, ValueError)
    return str(caught.value)


def test_the_defaults_are_small() -> None:
    """They are in the documentation too."""
    policy = RetryPolicy()
    assert (policy.max_attempts, policy.initial_ms, policy.max_ms) == (3, 100, 2_000)
    assert (policy.max_retry_after_ms, policy.burst, policy.budget_ratio) == (10_000, 10, 0.1)
    assert policy.repeat_sets is False


@pytest.mark.parametrize("policy", [RetryPolicy(max_attempts=5), BreakerPolicy(probes=2)])
def test_policies_are_values(policy: Any) -> None:
    assert copy.deepcopy(policy) == pickle.loads(pickle.dumps(policy)) == policy  # noqa: S301 - our own
    assert hash(copy.copy(policy)) == hash(policy)
    with pytest.raises(AttributeError):
        policy.probes = 3
