"""Rotation: when a file is put aside, under which name, and which old ones go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache.audit.rotation import Rotation, rotated
from langcache.errors import ConfigurationError
from tests.middleware.stepping import Clock

DAY = 86_400


def set_to(now: float) -> Clock:
    clock = Clock()
    clock.now = now
    return clock


def test_without_a_reason_no_file_is_ever_put_aside() -> None:
    assert not Rotation().is_wanted
    assert not Rotation(clock=set_to(10 * DAY)).is_due(10**12, 0, 10**6)


@pytest.mark.parametrize(("size", "more", "due"), [(0, 200, False), (60, 40, False), (60, 41, True), (101, 1, True)])
def test_a_file_does_not_grow_over_its_size_but_for_one_record(size: int, more: int, due: bool) -> None:
    rotation = Rotation(max_bytes=100, clock=set_to(0))
    assert rotation.is_wanted
    assert rotation.is_due(size, 0, more) is due


@pytest.mark.parametrize(
    ("every", "written", "now", "due"),
    [
        ("day", DAY - 1, DAY, True),
        ("day", DAY, 2 * DAY - 1, False),
        ("day", 2 * DAY, DAY, False),  # the clock went backwards
        ("hour", 3599, 3600, True),
        ("hour", 3600, 7199, False),
    ],
)
def test_a_new_period_begins_a_new_file(every: Any, written: float, now: float, due: bool) -> None:
    rotation = Rotation(every=every, clock=set_to(now))
    assert rotation.is_due(1, written, 1) is due
    assert not rotation.is_due(0, written, 1)


def test_a_file_that_is_put_aside_has_the_moment_in_its_name(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text("old")
    Rotation(clock=set_to(1_700_000_000.1234)).put_aside(path)
    assert [file.name for file in tmp_path.iterdir()] == ["audit.jsonl.20231114T221320123Z"]
    assert rotated(path) == [tmp_path / "audit.jsonl.20231114T221320123Z"]


@given(st.lists(st.floats(0, 4e9), min_size=2, max_size=6))
def test_the_names_sort_as_the_files_came_whatever_the_clock_does(
    tmp_path_factory: pytest.TempPathFactory, times: list[float]
) -> None:
    path = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    for number, now in enumerate(times):
        path.write_text(str(number))
        Rotation(clock=set_to(now)).put_aside(path)
    assert [file.read_text() for file in rotated(path)] == [str(number) for number in range(len(times))]


def test_the_last_moment_of_a_year_is_followed_too(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    (tmp_path / "audit.jsonl.99991231T235959999Z").write_text("strange")
    path.write_text("new")
    Rotation(clock=set_to(0)).put_aside(path)
    assert [file.read_text() for file in rotated(path)] == ["strange", "new"]


def test_those_that_are_too_many_go_the_oldest_first_and_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    others = [
        "audit.jsonl.gz",
        "audit.jsonl.1",
        "audit.jsonl.20231114T221320123Z.gz",
        "audit.jsonl2",
        ".audit.jsonl.head",
    ]
    for name in others:
        (tmp_path / name).touch()
    for number in range(4):
        path.write_text(str(number))
        Rotation(keep=2, max_bytes=1, clock=set_to(number)).put_aside(path)
    assert [file.read_text() for file in rotated(path)] == ["2", "3"]
    assert {file.name for file in tmp_path.iterdir()} - {file.name for file in rotated(path)} == set(others)


@pytest.mark.parametrize(
    "wrong", [{"max_bytes": 0}, {"max_bytes": True}, {"keep": 0}, {"keep": "2"}, {"every": "week"}]
)
def test_what_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"must be"):
        Rotation(**wrong)
