"""Statistics of a client: what became of its calls, how long they took, and what that saved by an estimate.

`langcache.LangCache.statistics` returns them as they are at that moment.
"""

from __future__ import annotations

from .counters import Counters
from .models.statistics import CallStatistics, Latency, Savings, Statistics
from .policies import HitSavings
from .tallies import Counts


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
