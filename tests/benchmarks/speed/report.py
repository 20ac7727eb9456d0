"""What was found, as text and as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from .budgets import Judged
from .rounds import Measured

_BASES: Final = {
    "langcache urllib3": "bare urllib3",
    "langcache requests": "bare requests",
    "langcache aiohttp": "bare aiohttp",
    "langcache threaded": "bare aiohttp",
    "langcache null": "official null",
    "langcache null async": "official null",
    "official": "langcache urllib3",
    "official async": "langcache aiohttp",
}
"""With whom a contestant is compared."""


def latency_table(title: str, found: Mapping[str, Measured]) -> str:
    """Return a table of times."""
    rows = [["", "median us", "p99 us", "slowest us", "calls", "ratio of the medians"]]
    for name, measured in found.items():
        base = _BASES.get(name, "")
        ratio = f"{measured.median / found[base].median:.2f} of {base}" if base in found else ""
        numbers = [f"{value:.1f}" for value in (measured.median, measured.p99, measured.slowest)]
        rows.append([name, *numbers, str(len(measured.took)), ratio])
    return _table(title, rows)


def throughput_table(title: str, found: Mapping[str, Measured]) -> str:
    """Return a table of calls a second, and how evenly they are served."""
    rows = [["", "calls a second", "median us", "slowest / median", "ratio of the throughputs"]]
    for name, measured in found.items():
        base = _BASES.get(name, "")
        ratio = f"{measured.throughput / found[base].throughput:.2f} of {base}" if base in found else ""
        even = f"{measured.slowest / measured.median:.1f}"
        rows.append([name, f"{measured.throughput:.0f}", f"{measured.median:.0f}", even, ratio])
    return _table(title, rows)


def costs_table(found: Mapping[str, Mapping[str, float]]) -> str:
    """Return a table of what is paid once."""
    rows = [["", "langcache", "official", "ratio"]]
    for what, value in found["langcache"].items():
        other = found["official"][what]
        rows.append([what, f"{value:.1f}", f"{other:.1f}", f"{value / other:.2f}" if other else ""])
    return _table("Import and construction", rows)


def layers_table(found: Mapping[str, float], default: str) -> str:
    """Return a table of what each middleware costs."""
    rows = [["", "us a call", "more"]]
    rows += [[name, f"{value:.2f}", f"{value - found[default]:+.2f}"] for name, value in found.items()]
    return _table("What each middleware costs, without a network", rows)


def growth_table(found: Mapping[int, float]) -> str:
    """Return a table of how the cost grows with the number of middleware."""
    rows = [["middleware added", "us a call", "us for each"]]
    rows += [
        [str(number), f"{value:.2f}", f"{(value - found[0]) / number:.2f}" if number else ""]
        for number, value in found.items()
    ]
    return _table("How own work grows with middleware", rows)


def flatness_table(calls: int, found: Mapping[str, Sequence[int]]) -> str:
    """Return a table of what memory was on the way."""
    rows = [["", *(f"{tenth * 10} %" for tenth in range(len(next(iter(found.values())))))]]
    rows += [[name, *(f"{value:,}" for value in seen)] for name, seen in found.items()]
    return _table(f"Memory in {calls:,} calls of one client", rows)


def budgets_table(found: Iterable[Judged]) -> str:
    """Return a table of the budgets, and whether they are met."""
    rows = [["", "measured", "budget", ""]]
    for each in found:
        sign = "at least" if each.is_least else "at most"
        rows.append([each.what, f"{each.measured:.2f}", f"{sign} {each.bound:g}", "met" if each.is_met else "MISSED"])
    return _table("Budgets", rows)


def as_data(found: Mapping[str, Measured]) -> dict[str, Any]:
    """Return what was found as JSON has it."""
    return {
        name: {
            "calls": len(measured.took),
            "median_us": measured.median,
            "p99_us": measured.p99,
            "slowest_us": measured.slowest,
            **({"per_second": measured.throughput} if measured.per_second else {}),
        }
        for name, measured in found.items()
    }


def _table(title: str, rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in cells)
        for cells in (list(enumerate(zip(row, widths, strict=True))) for row in rows)
    ]
    return "\n".join([title, *lines, ""])
