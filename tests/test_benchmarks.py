"""The benchmarks work: each runs for a moment. What they measure is not looked at, because it is the machine's too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import guard
from tests.benchmarks.speed import budgets, report
from tests.benchmarks.speed.__main__ import Contest
from tests.benchmarks.speed.server import Server, larger_answers
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


def test_the_contest_measures_every_discipline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With fewer of each kind. Here this package stands in for the official SDK too, as it does in any program."""
    pythons: dict[str, Path] = dict.fromkeys(("ours", "official", "bare"), Path(sys.executable))
    fewer: dict[str, tuple[object, ...]] = {
        "_SIDE_BY_SIDE": (100, 300),
        "_THREADS": (200,),
        "_LARGE": ("langcache urllib3",),
        "SIZES": (1_000,),
    }
    fewer["_ASYNC"] = ("langcache aiohttp", "official async", "bare aiohttp")
    for name, value in fewer.items():
        monkeypatch.setattr(f"tests.benchmarks.speed.__main__.{name}", value)
    (tmp_path / "server").mkdir()
    with Server(tmp_path / "server") as server, Server(tmp_path / "server", 0.01) as slow:
        measured = {"machine": "here", **Contest(pythons, server.url, slow.url, scale=0.001).run()}
    judged = budgets.judged(json.loads(json.dumps(measured)))
    table = report.budgets_table(judged)
    assert len(judged) == 14
    assert all(each.what in table for each in judged)
    told = capsys.readouterr().out
    for title in ("One call after another", "300 tasks at a time", "200 threads share a client", "Answers of 1,000"):
        assert title in told


@pytest.mark.parametrize("path", larger_answers())
def test_the_larger_answers_are_of_their_size(path: str) -> None:
    answer = larger_answers()[path]
    kind, number = path.split("/")[1:]
    if kind == "large":
        assert len(answer) == int(number)
    assert len(json.loads(answer)["data"]) == (int(number) if kind == "many" else 1)


@pytest.mark.parametrize(("measured", "is_least", "met"), [(4, False, True), (6, False, False), (6, True, True)])
def test_a_budget_is_a_least_or_a_most(measured: float, is_least: bool, met: bool) -> None:
    judged = budgets.Judged("x", measured, 5, is_least)
    assert judged.is_met is met
    assert ("MISSED" in report.budgets_table([judged])) is not met


def test_the_guard_compares_cpu_times_where_there_is_no_valgrind() -> None:
    best = guard.cpu_microseconds(calls=20, rounds=2)
    assert set(best) == {"langcache", "http.client"}
    assert all(value > 0 for value in best.values())


@pytest.mark.parametrize("work", guard.WORKS)
def test_the_works_that_the_guard_compares_are_searches(work: str) -> None:
    found: object = guard.WORKS[work]()()
    assert found == {"data": []} or getattr(found, "data", None) == []


def test_the_guard_prints_a_ratio_and_judges_it() -> None:
    command = [sys.executable, "-W", "error", "-m", "tests.benchmarks.guard", "--calls", "50", "--cpu-time"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr == ""
    assert ("MORE than the bound" in done.stdout) is (done.returncode == 1)
    assert "of http.client" in done.stdout
