"""Policies that cannot work are refused when they are made, in words."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from langcache import BreakerPolicy, LangCache, RetryPolicy, errors
from langcache_transports.testing import FakeTransport

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
]  # fmt: skip


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
    def client(**given: Any) -> LangCache:
        return LangCache("http://cache.example", "k", "c", transport=FakeTransport(), **given)

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
