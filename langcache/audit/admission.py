"""Admission: a call is let through when there is room for its records, and refused where it may not be without them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ..errors import AuditError
from ..http import Request
from ..processes import PerProcess
from ..steps import Steps, Wait, perform
from .inbox import Told
from .records import AuditRecord
from .room import Answer
from .telling import reason
from .writer import Writer

WhenFull = Literal["block", "drop", "fail"]
"""What becomes of a call's records for which there is no room: it waits, they are lost, or they count as failed."""


class Ticket(NamedTuple):
    """Says that a call was let through, by which writer, and whether that has room for its records."""

    writer: Writer
    has_room: bool


@dataclass(frozen=True)
class Admission:
    """Lets calls through, and takes their records. `seconds` is how long one of the two waits at the most.

    Where it is `strict`, a call without a record is an AuditError; otherwise nothing here raises or stops a call, and
    what is lost is counted. With `confirms`, a call waits until its records are written. `clock` gives seconds, on the
    clock of deadlines.
    """

    writers: PerProcess[Writer]
    strict: bool
    when_full: WhenFull
    seconds: float
    confirms: bool
    clock: Callable[[], float] = time.monotonic

    def admit(self, request: Request) -> Steps[Ticket]:
        """Take room for the record of `request`; raises AuditError where it is not to be sent."""
        writer = self.writers.get()
        if writer.room.enter():
            return Ticket(writer, True)
        if not self.strict and self.when_full != "block":
            return Ticket(writer, False)  # there may be room when it ends
        answer = yield from self._answer(writer, self._limit(request))
        if answer == "room":
            return Ticket(writer, True)
        if not self.strict or (answer == "full" and self.when_full == "drop"):
            return Ticket(writer, False)
        cause = answer if isinstance(answer, BaseException) else None
        raise AuditError(f"{request.operation}: not sent, because it cannot be recorded: {_why(answer)}") from cause

    def _limit(self, request: Request) -> float:
        deadline: float | None = request.options.get("deadline")
        return self.seconds if deadline is None else max(min(self.seconds, deadline - self.clock()), 0.0)

    def _answer(self, writer: Writer, seconds: float) -> Steps[Answer]:
        future = writer.ask(waits=self.when_full == "block", sure=self.strict)
        try:
            answer: Answer = yield from perform(Wait(future, seconds))
        except TimeoutError:
            return writer.room.withdraw(future) or silence(seconds)
        except BaseException:
            if writer.room.withdraw(future) == "room":
                writer.leave()
            raise
        return answer

    def keep(self, ticket: Ticket, records: Sequence[AuditRecord], waits: bool) -> Steps[str | None]:
        """Queue the records of a call; return why they are not kept though they have to be, or None.

        Where it does not wait, as it cannot when the caller is interrupted, it yields nothing.
        """
        told: Told | None = Future() if self.confirms and waits else None
        writer = self.writers.get()  # another one, where the process was forked during the call
        if not writer.put(records, ticket.has_room and writer is ticket.writer, told):
            if not self.strict or (self.when_full == "drop" and not writer.room.is_closed):
                return None
            return _why("closed" if writer.room.is_closed else "full")
        if told is None:
            return None
        try:
            error: BaseException | None = yield from perform(Wait(told, self.seconds))
        except TimeoutError:
            error = silence(self.seconds)
        return None if error is None or not self.strict else _why(error)

    def lose(self, ticket: Ticket, number: int, error: BaseException) -> str | None:
        """Count records of which one could not be made; return why, where they have to be kept."""
        if ticket.has_room:
            ticket.writer.leave()
        self.writers.get().lose(number, error)
        return f"its record cannot be made: {reason(error)}" if self.strict else None


def silence(seconds: float) -> AuditError:
    """Return the error that says that there was no answer in time."""
    return AuditError(f"its sink was silent for {seconds:.3g} s")


def _why(answer: Answer) -> str:
    if isinstance(answer, BaseException):
        return reason(answer)
    return "its queue is full" if answer == "full" else "the audit is closed"
