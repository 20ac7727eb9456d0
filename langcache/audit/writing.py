"""Writing: what the thread does, turn by turn, with the sink, which is its alone.

One that `holds` keeps what the sink does not take, and tries again; another one gives it up and counts it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Final

from ..errors import AuditError, describe
from .inbox import Inbox, Item
from .records import AuditRecord
from .room import Room
from .sinks import Sink

MOST_AT_ONCE: Final = 256
"""How many records the sink is given at once, at the most."""

Tell = Callable[[BaseException, int], None]
"""Takes what went wrong, in whichever thread, and how many records are lost by it."""


class Writing:
    """Writes what comes into `inbox` to `sink`, and keeps `room` up to date."""

    def __init__(self, sink: Sink, room: Room, inbox: Inbox, holds: bool, tell: Tell) -> None:
        self._sink = sink
        self._room = room
        self._inbox = inbox
        self._holds = holds
        self._tell = tell
        self._pending: deque[Item] = deque()
        """What was taken from the inbox and is not written yet."""
        self._at_once = MOST_AT_ONCE
        """How many records the sink is given next: after a failure one, so that the others can be told from it."""
        self.abandoned = 0
        """How many records were given up in the end."""

    def turn(self) -> bool:
        """Wait for something to do, do it, and say whether there will be more."""
        self._inbox.collect(self._pending)
        if self._pending:
            self._write()
        elif self._room.is_asked:
            self._look()
        if self._room.is_closed and self._pending:
            self._abandon()
        self._room.answer()
        return not self._room.is_closed or bool(self._room.stats.queued)

    def close(self) -> None:
        """Close the sink."""
        try:
            self._sink.close()
        except BaseException as error:  # noqa: BLE001 - the sink is anybody's
            self._tell(error, 0)

    def _look(self) -> None:
        try:
            self._sink.check()
        except BaseException as error:  # noqa: BLE001 - the sink is anybody's; those who ask are told
            self._room.fails(error)
        else:
            self._room.works()

    def _write(self) -> None:
        """Write what is pending; what is pending afterwards, is held."""
        while self._pending:
            records = self._next_records()
            if not records:
                self._pending.popleft().tell(None)
                continue
            try:
                self._write_some(records)
            except BaseException as error:  # noqa: BLE001 - the sink is anybody's
                if len(records) > 1:  # perhaps it is one of them that cannot be written
                    self._at_once = 1
                elif self._holds:
                    self._room.fails(error)
                    self._tell(error, 0)
                    self._tell_all(error)
                    return
                else:
                    self._give_up_first(error)
            self._room.answer()

    def _next_records(self) -> list[AuditRecord]:
        """Return what the sink is given next; nothing where a mark is next."""
        records: list[AuditRecord] = []
        for item in self._pending:
            if not item.records or len(records) >= self._at_once:
                break
            records += islice(item.records, self._at_once - len(records))
        return records

    def _write_some(self, records: list[AuditRecord]) -> None:
        lost = self._room.untold
        if lost:
            records[0] = replace(records[0], lost=lost)
        written = self._sink.write(records)
        if not isinstance(written, int) or not 0 < written <= len(records):
            raise AuditError(
                f"{describe(self._sink)}.write returned {written!r}, and not how many records it has written, 1 to "
                f"{len(records)}"
            )
        self._at_once = min(self._at_once * 2, MOST_AT_ONCE)
        done = [item for _ in range(written) if (item := self._take_one()) is not None]
        self._room.works(written, freed=len(done), told=lost)
        for item in done:
            item.tell(None)

    def _take_one(self) -> Item | None:
        """Take the first record away, and return its item where it was the last one of it."""
        item = self._pending[0]
        item.records.popleft()
        return None if item.records else self._pending.popleft()

    def _give_up_first(self, error: BaseException) -> None:
        self._room.fails(error)
        self._pending[0].tell(error)
        self._room.give_up(1, freed=self._take_one() is not None)
        self._tell(error, 1)

    def _abandon(self) -> None:
        """Give up what is held: there is no other time."""
        error = AuditError("the audit was closed while its sink failed")
        held = sum(len(item.records) for item in self._pending)
        self._tell_all(error)
        self._room.give_up(held, freed=len(self._pending))
        self._pending.clear()
        self.abandoned += held
        self._tell(error, held)

    def _tell_all(self, error: BaseException) -> None:
        for item in self._pending:
            item.tell(error)
