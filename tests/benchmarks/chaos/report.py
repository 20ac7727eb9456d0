"""What the soak found: a table, and what should not be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from tests.benchmarks.lag import Lag

from .callers import DEADLINE_MS, Overrun
from .soak import Measured, Outage, Resources

_LATE: Final = 0.05
"""From how many seconds behind its deadline on a call is late."""

_MOST_PER_CALL: Final = {False: 1.1, True: 0.2}
"""How many requests there may be for each call in an outage, without a circuit breaker and with one."""

_SHOWN: Final = 5
"""How many problems of a kind are shown."""

Rows = dict[str, Any]
"""A transport's column of the table: numbers and texts by what they are."""


class Lags(NamedTuple):
    """How late sleepers woke up meanwhile."""

    machine: Lag
    process: Lag


class Problem(NamedTuple):
    """Something that should not be, and of which kind it is."""

    kind: str
    what: str


def columns(measured: Sequence[Measured], lags: Lags) -> dict[str, Rows]:
    """Return what is shown of each transport; all have the same rows."""
    degraded = sorted({kind for each in measured for kind in each.storm.tally.degraded})
    failed = sorted({kind for each in measured for kind in each.storm.tally.failed})
    return {each.transport.name: _rows(each, lags, degraded, failed) for each in measured}


def _rows(measured: Measured, lags: Lags, degraded: Iterable[str], failed: Iterable[str]) -> Rows:
    storm = measured.storm
    tally, service, took = storm.tally, storm.service, sorted(storm.tally.elapsed)
    behind = [each for each in tally.overruns if _behind(each) > _LATE]
    return {
        "calls": tally.calls,
        "served": tally.served,
        **{f"a miss instead of {kind}": tally.degraded[kind] for kind in degraded},
        **{f"raised {kind}": tally.failed[kind] for kind in failed},
        "circuit opened": storm.openings,
        "requests": service["requests"],
        "of them hit, %": round(100 * sum(service["hits"].values()) / max(service["requests"], 1), 1),
        "requests for each call that was let through": round(service["requests"] / max(len(took), 1), 3),
        "requests for one call, at the most": service["most requests of a call"],
        "sets sent twice": service["sets sent twice"],
        "answers mistaken": len(measured.whole.wrong),
        "median, ms": _milliseconds(_quantile(took, 0.5)),
        "99th percentile, ms": _milliseconds(_quantile(took, 0.99)),
        "longest call, ms": _milliseconds(_quantile(took, 1)),
        "longest behind its deadline, ms": _milliseconds(max(map(_behind, tally.overruns), default=0)),
        "calls more than 50 ms behind it": len(behind),
        "of them for want of a core": len(behind) - len(_late(behind, lags.process)),
        "longest lag of the process, ms": _milliseconds(lags.process.longest(storm.begin, storm.end)),
        "longest lag of the machine, ms": _milliseconds(lags.machine.longest(storm.begin, storm.end)),
        "connections made": service["connections"],
        "connections left open": measured.left_open,
        "threads before and after": f"{measured.before.threads}, {measured.after.threads}",
        "open files before and after": f"{measured.before.files}, {measured.after.files}",
        **{f"requests for each call, {_named(each)}": round(_per_call(each), 3) for each in measured.outages},
    }


def problems(measured: Measured, lags: Lags) -> Iterator[Problem]:
    """Give what should not be."""
    tally, name = measured.whole, measured.transport.name
    if not tally.served:
        yield Problem("unserved", f"{name}: no call was served")
    for late in _late(tally.overruns, lags.process):
        waited = _milliseconds(_without_core(late, lags.process))
        behind = f"{_milliseconds(_behind(late))} ms behind its deadline, {waited} of them without a core"
        yield Problem("late", f"{name}: {behind}: {late.what}")
    for wrong in tally.wrong:
        yield Problem("wrong", f"{name}: {wrong}")
    if measured.storm.service["sets sent twice"]:
        yield Problem("twice", f"{name}: {measured.storm.service['sets sent twice']} sets were sent twice")
    if measured.left_open:
        yield Problem("leak", f"{name}: {measured.left_open} connections were left open")
    if measured.after.is_more_than(measured.before):
        yield Problem("leak", f"{name}: {_held(measured.before)} before, and {_held(measured.after)} after")
    for outage in measured.outages:
        if outage.tally.served or _per_call(outage) > _MOST_PER_CALL[outage.has_breaker]:
            yield Problem("outage", f"{name}: {_per_call(outage):.3f} requests a call: {_named(outage)}")


def table(shown: Mapping[str, Rows]) -> str:
    """Return the columns as a table in Markdown."""
    names = list(next(iter(shown.values())))
    lines = [["", *shown], *([name, *(_text(column[name]) for column in shown.values())] for name in names)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    drawn = [_line(line, widths) for line in lines]
    drawn.insert(1, "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|")
    return "\n".join(drawn)


def summary(found: Sequence[Problem]) -> str:
    """Return the problems in words, and of each kind no more than a few."""
    lines: list[str] = []
    for kind in dict.fromkeys(problem.kind for problem in found):
        same = [problem.what for problem in found if problem.kind == kind]
        lines += [f"FAILED: {what}" for what in same[:_SHOWN]]
        lines += [f"FAILED: {len(same) - _SHOWN} more of this kind"] * (len(same) > _SHOWN)
    return "\n".join(lines) or "Passed: nothing was left behind, late, sent twice, mistaken or made worse."


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cells[0].ljust(widths[0]),
        *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)),
    ]
    return "| " + " | ".join(padded) + " |"


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def _behind(overrun: Overrun) -> float:
    return overrun.ended - overrun.due


def _without_core(overrun: Overrun, lag: Lag) -> float:
    """Return how many seconds of it its thread, or all of its process, could have run and was given no core."""
    return max(min(overrun.waited, _behind(overrun)), lag.without_core(overrun.due, overrun.ended))


def _late(overruns: Iterable[Overrun], lag: Lag) -> list[Overrun]:
    """Return the calls that were late, also without the time in which there was no core for them."""
    return [each for each in overruns if _behind(each) - _without_core(each, lag) > _LATE]


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _named(outage: Outage) -> str:
    weather = "503" if outage.weather == "busy" else "refused"
    return f"all {weather}, {'with' if outage.has_breaker else 'without'} a breaker"


def _per_call(outage: Outage) -> float:
    return outage.requests / outage.tally.calls


def _held(resources: Resources) -> str:
    return f"{resources.threads} threads and {resources.files} files"


HEADLINE: Final = (
    "Each transport: a storm of {seconds:.3g} s, in which about 30 % of the requests are hit, with 16 callers, the "
    f"default RetryPolicy, a circuit breaker and a deadline of {DEADLINE_MS} ms; then outages of 400 calls."
)
