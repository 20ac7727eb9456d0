"""Statistics of a client: what became of its calls, how long they took, and what that saved by an estimate.

`langcache.LangCache.statistics` returns them as they are at that moment.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from .counters import Counters
from .errors import ConfigurationError
from .tallies import Counts


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


class _Snapshot(BaseModel):
    model_config = ConfigDict(frozen=True)


class Latency(_Snapshot):
    """How long calls took, in milliseconds, with all their attempts and waits; None where there were none.

    A quantile is within 3.2 % of the true one: durations are counted in buckets, so that they take no more room the
    more there are. The maximum is exact.
    """

    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None


class CallStatistics(_Snapshot):
    """What became of the calls of one operation, or of all.

    A call is counted when it ends, in one of `hits`, `misses`, `done`, `degraded` and `failed`.
    """

    calls: int = 0
    hits: int = 0
    """Searches that found something."""
    misses: int = 0
    """Searches that found nothing."""
    hit_rate: float | None = None
    """The share of hits in the searches that the service served, 0 to 1; None where it served none."""
    done: int = 0
    """Calls of other operations that the service served."""
    degraded: int = 0
    """Calls that the service did not serve while the program went on without it (``on_failure="miss"``)."""
    failed: int = 0
    """Calls that raised an error, those that were cancelled among them."""
    errors: dict[str, int] = {}
    """How many calls failed or were degraded, by the name of the error's class."""
    retries: int = 0
    """How many attempts there were beside the first one of each call."""
    latency: Latency = Latency()


class Savings(_Snapshot):
    """What the hits saved, by the estimate that the client was given for one (`HitSavings`)."""

    milliseconds: float
    cost: float
    currency: str | None = None


class Statistics(_Snapshot):
    """What a client counted, until the moment at which it was asked."""

    since: datetime
    """When the client was made or its statistics were reset, in UTC."""
    total: CallStatistics
    operations: dict[str, CallStatistics]
    """By operation, such as ``"search"``; those that were called."""
    saved: Savings | None = None
    """None where the client was not told what a hit saves."""


def statistics_of(counters: Counters, hit_saves: HitSavings | None) -> Statistics:
    """Return what `counters` hold now."""
    since, operations = counters.counts()
    whole = Counts()
    for counts in operations.values():
        whole.add(counts)
    return Statistics(
        since=since,
        total=_of_counts(whole),
        operations={operation: _of_counts(counts) for operation, counts in sorted(operations.items())},
        saved=None if hit_saves is None else _saved(whole.hits, hit_saves),
    )


def _of_counts(counts: Counts) -> CallStatistics:
    searches = counts.hits + counts.misses
    return CallStatistics(
        calls=counts.calls,
        hits=counts.hits,
        misses=counts.misses,
        hit_rate=counts.hits / searches if searches else None,
        done=counts.done,
        degraded=counts.degraded,
        failed=counts.failed,
        errors=dict(sorted(counts.errors.items())),
        retries=counts.retries,
        latency=Latency(
            p50_ms=_milliseconds(counts.quantile(0.5)),
            p90_ms=_milliseconds(counts.quantile(0.9)),
            p99_ms=_milliseconds(counts.quantile(0.99)),
            max_ms=_milliseconds(counts.longest) if counts.calls else None,
        ),
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _saved(hits: int, hit_saves: HitSavings) -> Savings:
    return Savings(milliseconds=hits * hit_saves.milliseconds, cost=hits * hit_saves.cost, currency=hit_saves.currency)


def checked_hit_saves(value: HitSavings | None) -> HitSavings | None:
    """Return the argument `hit_saves`; raises ConfigurationError where it is none."""
    if value is None or isinstance(value, HitSavings):
        return value
    raise ConfigurationError(
        f"hit_saves must be a HitSavings, not {type(value).__name__}; for example "
        'HitSavings(milliseconds=900, cost=0.002, currency="USD")'
    )
