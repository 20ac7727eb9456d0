"""What a client's statistics say, as frozen models."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


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
    """What the hits saved, by the estimate that the client was given for one (`langcache.HitSavings`)."""

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
