"""Draws what was measured: ``plot.py MEASURED.json PLOT.svg``, in an environment with matplotlib.

It is run as a script, so that nothing else needs matplotlib. The name of the picture says its format: SVG or PNG.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_OURS, _BARE, _OFFICIAL = "#2a6fbb", "#9aa5b1", "#c8553d"


def colour(name: str) -> str:
    """Return the colour of a contestant: one for ours, one for the bare libraries, one for the official SDK."""
    return _OURS if name.startswith("langcache") else _OFFICIAL if name.startswith("official") else _BARE


def bars(axes: Any, title: str, values: dict[str, float], unit: str) -> None:
    """Draw a bar for each contestant."""
    names = list(values)[::-1]
    drawn = axes.barh(names, [values[name] for name in names], color=[colour(name) for name in names])
    axes.bar_label(drawn, fmt="{:,.0f}", padding=3, fontsize=8)
    axes.margins(x=0.15)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(unit, fontsize=8)


def lines(axes: Any, title: str, curves: dict[str, dict[float, float]], labels: tuple[str, str], scale: str) -> None:
    """Draw a curve for each contestant."""
    for name, points in curves.items():
        style = "-" if name.startswith("langcache") else "--" if name.startswith("bare") else ":"
        axes.plot(list(points), list(points.values()), style, marker="o", markersize=3, label=name)
    axes.set_xscale(scale)
    axes.set_yscale(scale)
    if scale == "linear":
        axes.set_ylim(bottom=0)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(labels[0], fontsize=8)
    axes.set_ylabel(labels[1], fontsize=8)
    axes.legend(fontsize=7)


def draw(measured: dict[str, Any], target: Path) -> None:
    """Draw everything into `target`."""
    os.environ["MPLBACKEND"] = "Agg"  # it needs no display
    plt: Any = importlib.import_module("matplotlib.pyplot")
    plt.rcParams["svg.fonttype"] = "none"  # texts, and not their outlines, which take ten times the room
    figure, axes = plt.subplots(3, 2, figsize=(11, 11), layout="constrained")
    latency = measured["latency"]["One call after another"]
    bars(axes[0][0], "A sync search over loopback", _of(latency, "median_us"), "microseconds, median")
    bars(axes[0][1], "Async searches, 100 at a time", _of(measured["tasks"]["100"], "per_second"), "calls a second")
    by_tasks = _by(measured["tasks"], "per_second", _microseconds)
    lines(axes[1][0], "Cost of an async call", by_tasks, ("calls in flight", "microseconds a call"), "log")
    by_size = _by(measured["sizes"], "median_us", float)
    lines(axes[1][1], "A sync search by the size of its answer", by_size, ("bytes", "microseconds, median"), "log")
    grown = {"langcache": {float(number): value for number, value in measured["middleware"]["number"].items()}}
    lines(axes[2][0], "Own work by middleware added", grown, ("middleware added", "microseconds a call"), "linear")
    flat = measured["flat"]["seen"]
    curves = {f"langcache {name}".split(",")[0]: _in_mib(seen) for name, seen in flat.items() if "KiB" in name}
    labels = (f"share of {measured['flat']['calls']:,} calls", "MiB")
    lines(axes[2][1], "Resident memory of one client's process", curves, labels, "linear")
    figure.suptitle(measured["machine"], fontsize=9)
    figure.savefig(target, metadata={"Date": None} if target.suffix == ".svg" else None)


def _of(found: dict[str, Any], what: str) -> dict[str, float]:
    return {name: one[what] for name, one in found.items()}


def _microseconds(per_second: float) -> float:
    return 1e6 / per_second


def _by(found: dict[str, Any], what: str, make: Callable[[float], float]) -> dict[str, dict[float, float]]:
    curves: dict[str, dict[float, float]] = {}
    for number, contestants in found.items():
        for name, one in contestants.items():
            curves.setdefault(name, {})[float(number)] = make(one[what])
    return curves


def _in_mib(seen: list[int]) -> dict[float, float]:
    return {tenth / (len(seen) - 1): kib / 1024 for tenth, kib in enumerate(seen)}


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
