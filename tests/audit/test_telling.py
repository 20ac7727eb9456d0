"""Telling: once in a while, with all that was lost meanwhile, and with nothing of a record."""

from __future__ import annotations

from langcache.audit.telling import Rarely
from langcache.errors import AuditError
from tests.audit.recording import Kept
from tests.middleware.stepping import Clock


def test_the_first_loss_is_told_at_once_and_then_what_comes_in_a_minute_together() -> None:
    lines: list[str] = []
    clock = Clock()

    def tell(line: str, *arguments: object) -> None:
        lines.append(line % arguments)

    rarely = Rarely(tell, clock)
    rarely(Kept(), AuditError("down"), 1)
    for second in range(1, 60):
        clock.now = second
        rarely(Kept(), AuditError("down"), 2)
    clock.now = 60
    rarely(Kept(), ValueError("a prompt"), 1)
    clock.now = 120
    rarely(Kept(), AuditError("still down"), 0)
    where = "The audit to tests.audit.recording.Kept"
    assert lines == [
        f"{where}: down; records lost since the last warning: 1",
        f"{where}: ValueError was raised; records lost since the last warning: 119",
        f"{where}: still down",
    ]
