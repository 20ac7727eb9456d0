"""What is promised of the speed, and whether what was measured keeps it. Ratios are of one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Judged(NamedTuple):
    """A budget, and what was measured."""

    what: str
    measured: float
    bound: float
    is_least: bool = False
    """Whether the bound is the least that is wanted, and not the most."""

    @property
    def is_met(self) -> bool:
        """Whether the budget is met."""
        return self.measured >= self.bound if self.is_least else self.measured <= self.bound


def judged(measured: Mapping[str, Any]) -> list[Judged]:
    """Return all budgets with what was measured."""
    sync, null = measured["latency"]["One call after another"], measured["latency"]["Own work: no network"]
    hundred, costs = measured["tasks"]["100"], measured["costs"]
    ours, official = costs["langcache"], costs["official"]
    fair = {who: next(iter(found.values())) for who, found in measured["fairness"].items()}
    cpu = {name: ours[name] / official[name] for name in ours if name.startswith("import")}
    less = _ratio(null, "median_us", "official null", "langcache null")
    bare = _ratio(hundred, "per_second", "langcache aiohttp", "bare aiohttp")
    faster = _ratio(sync, "median_us", "official", "langcache urllib3")
    more = _ratio(hundred, "per_second", "langcache aiohttp", "official async")
    return [
        # 35 us where the official SDK works for 2,000: a ratio says the same on faster and slower machines.
        Judged("times less own work than the official SDK's", less, 57, is_least=True),
        Judged("sync call of bare urllib3's", _ratio(sync, "median_us", "langcache urllib3", "bare urllib3"), 1.2),
        Judged("async throughput of bare aiohttp's, 100 at a time", bare, 0.8, is_least=True),
        Judged("times the official SDK's sync speed", faster, 9, is_least=True),
        Judged("times the official SDK's async throughput, 100 at a time", more, 30, is_least=True),
        Judged("import, of the official SDK's CPU time", cpu["import, CPU ms"], 0.5),
        Judged("import and client, of the official SDK's CPU time", cpu["import and client, CPU ms"], 0.6),
        Judged("import and client, of the official SDK's memory", cpu["import and client, KiB"], 1),
        Judged("a call that an open circuit refuses, us", measured["middleware"]["refused"], 100),
        *(
            Judged(f"slowest call of the median's, {who}", one["slowest_us"] / one["median_us"], 5)
            for who, one in fair.items()
        ),
        *(
            Judged(f"KiB more in {measured['flat']['calls']:,} calls, {what.split(',')[0]}", _growth(what, seen), 256)
            for what, seen in measured["flat"]["seen"].items()
        ),
    ]


def _ratio(found: Mapping[str, Any], what: str, one: str, another: str) -> float:
    ratio: float = found[one][what] / found[another][what]
    return ratio


def _growth(what: str, seen: list[int]) -> float:
    """Return by how many KiB the last half is above the first, in the mean: counts are settled in batches."""
    middle = len(seen) // 2
    first, last = seen[:middle], seen[middle:]
    growth = sum(last) / len(last) - sum(first) / len(first)
    return growth if "KiB" in what else growth / 1024
