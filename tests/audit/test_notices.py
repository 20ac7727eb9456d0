"""What the log is told of losses: at once, then once a minute, and the rest in the end."""

from __future__ import annotations

import logging

import pytest

from langcache.audit.notices import Notices
from langcache.errors import AuditError
from tests.audit.recording import Kept
from tests.middleware.stepping import Clock, fields_of

DOWN = AuditError("down")


def told(*given: tuple[float, BaseException, int]) -> list[str]:
    """Return the lines of a log that is told of these errors and losses, each at its second."""
    lines: list[str] = []
    clock = Clock()

    def warn(line: str, *arguments: object, **facts: object) -> None:
        lines.append(line % arguments)

    notices = Notices(Kept(), warn, clock)
    for second, error, lost in given:
        clock.now = second
        notices.add(error, lost)
    notices.end()
    notices.end()
    return lines


WHERE = "The audit to tests.audit.recording.Kept"


def test_the_first_loss_is_told_at_once_and_then_what_comes_in_a_minute_together() -> None:
    """And the text of an error that is not ours is told nowhere."""
    within = [(float(second), DOWN, 2) for second in range(1, 60)]
    given = [(0.0, DOWN, 1), *within, (60.0, ValueError("a prompt"), 1), (120.0, AuditError("still down"), 0)]
    assert told(*given) == [
        f"{WHERE}: down; records lost since the last warning: 1",
        f"{WHERE}: ValueError was raised; records lost since the last warning: 119",
        f"{WHERE}: still down",
    ]


def test_what_is_lost_and_not_told_yet_is_told_in_the_end_once() -> None:
    assert told((0.0, DOWN, 1), (1.0, DOWN, 499)) == [
        f"{WHERE}: down; records lost since the last warning: 1",
        f"{WHERE}: down; records lost since the last warning: 499",
    ]


def test_a_warning_has_its_facts_as_fields(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices(Kept())
    notices.add(OSError("a prompt"), 3)
    notices.end(AuditError("the end"), 7)
    line, last = caplog.records
    assert (fields_of(last)["unwritten"], fields_of(last)["lost"]) == (7, 0)
    assert line.levelno == logging.WARNING
    assert fields_of(line) == {
        "event": "audit_failed",
        "sink": "tests.audit.recording.Kept",
        "error": "OSError",
        "lost": 3,
    }
