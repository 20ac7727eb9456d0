"""The benchmarks work: each runs for a moment. What they measure is not looked at, because it is the machine's too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.documentation import ROOT


def test_the_chaos_soak_finds_nothing_wrong(tmp_path: Path) -> None:
    """With a transport of each kind; only how late calls are is the machine's doing, and so not looked at."""
    found = tmp_path / "found.json"
    options = ["--seconds", "2", "--transports", "urllib3", "aiohttp", "--json", str(found)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.benchmarks.chaos", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stderr == ""
    report = json.loads(found.read_text(encoding="utf-8"))
    assert [problem for problem in report["problems"] if problem["kind"] != "late"] == []
    assert list(report["transports"]) == ["urllib3", "aiohttp"]
    for shown in report["transports"].values():
        assert shown["served"] > 0
        assert shown["of them hit, %"] > 10
        assert f" {shown['calls']:,} |" in done.stdout


def test_the_costs_of_observing_are_measured(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.benchmarks.observability", "--rounds", "2", "--json", str(found)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    measured = json.loads(found.read_text(encoding="utf-8"))
    assert all(microseconds > 0 for microseconds in measured.values())
    assert all(name in done.stdout for name in measured)
