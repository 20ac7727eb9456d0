"""What was found, as text and as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .rounds import Measured


def latency_table(title: str, found: Mapping[str, Measured], bases: Mapping[str, str]) -> str:
    """Return a table of times; `bases` says for a contestant with which other it is compared."""
    rows = [["", "median us", "p99 us", "slowest us", "calls", "ratio of the medians"]]
    for name, measured in found.items():
        base = bases.get(name, "")
        ratio = f"{measured.median / found[base].median:.2f} of {base}" if base in found else ""
        numbers = [f"{value:.1f}" for value in (measured.median, measured.p99, measured.slowest)]
        rows.append([name, *numbers, str(len(measured.took)), ratio])
    return _table(title, rows)


def throughput_table(title: str, found: Mapping[str, Measured], bases: Mapping[str, str]) -> str:
    """Return a table of calls a second, and how evenly they are served."""
    rows = [["", "calls a second", "median us", "slowest / median", "ratio of the throughputs"]]
    for name, measured in found.items():
        base = bases.get(name, "")
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
