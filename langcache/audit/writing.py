"""Writing: what the one thread does with the records that are queued, with those who wait, and with the sink."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import islice
from typing import Final

from ..errors import AuditError, describe
from ..workers import discard
from .entries import Answer, Asking, Entry
from .notices import Notices
from .records import AuditRecord
from .sinks import CallableSink, Sink
from .state import State

GATHER_SECONDS: Final = 0.005
"""How long records gather before they are written, where nobody waits: a thread that is woken for each one would take
the interpreter from the callers each time."""

RETRY_SECONDS: Final = 1.0
"""How long it takes until what is held is tried again, where nobody asks before."""

LAST_RETRY_SECONDS: Final = 0.05
"""The same while somebody waits for the end: a short outage then is to lose nothing."""

MOST_AT_ONCE: Final = 256
"""How many records the sink is given at once, at the most."""


class Writer:
    """Writes what is queued to `sink`, and answers those who wait; it is for one thread at a time."""

    def __init__(self, state: State, sink: Sink, notices: Notices) -> None:
        self._state = state
        self._sink = sink
        self._notices = notices
        self._check_vouches = not isinstance(sink, CallableSink)  # it cannot be asked whether it works
        self._at_once = MOST_AT_ONCE
        """How many records the sink is given next: after a failure one, so that the others can be told from it."""
        self.is_looking = False
        """Whether the sink is being asked whether it works."""
        self.abandoned = 0
        """How many records were given up in the end."""

    def turn(self) -> bool:
        """Wait for something to do, do it, and say whether there will be more."""
        state = self._state
        self._rest()
        if not self._write() and state.asking:
            self._look()
        self._answer_all()
        with state.lock:
            state.has_ended = self._is_last() and not state.items
            return not state.has_ended

    def close_sink(self) -> None:
        """Close the sink, when all is written; that it cannot be closed is told."""
        try:
            self._sink.close()
        except BaseException as error:  # noqa: BLE001 - the sink is anybody's
            self._notices.add(error)

    def _rest(self) -> None:
        """Wait for something to do, and for what comes with it."""
        state = self._state
        with state.lock:
            pause: float | None = None
            if state.items and state.is_closed and not self._is_too_late():
                pause = LAST_RETRY_SECONDS
            elif state.items or state.asking or state.is_closed:
                pause = RETRY_SECONDS
        state.bell.wait(pause)
        if not state.is_hurried:
            state.bell.wait(GATHER_SECONDS)
        with state.lock:  # before anything is looked at, so that who comes later rings again
            state.has_rung = state.is_hurried = False

    def _look(self) -> None:
        self.is_looking = True
        try:
            self._sink.check()
        except BaseException as error:  # noqa: BLE001 - the sink is anybody's; those who ask are told
            self._fails(error)
        else:
            self._works()
        finally:
            self.is_looking = False

    def _works(self, has_written: bool = False) -> None:
        """Take note that the sink works; that it wrote says more than that it could be asked."""
        state = self._state
        with state.lock:
            state.error = None
            now = state.clock()
            state.good_until = now + state.policy.vouched
            if has_written:
                state.proven_until = float("inf") if self._check_vouches else state.good_until

    def _fails(self, error: BaseException) -> None:
        state = self._state
        with state.lock:
            state.error = error.with_traceback(None)  # which holds frames, and through them records

    def _write(self) -> bool:
        """Write what is queued, until nothing is or the sink fails; say whether there was something."""
        has_tried = False
        while True:
            with self._state.lock:
                records = self._next_records()
            if not records:
                return has_tried
            has_tried = True
            error = self._write_some(records)
            if error is not None:
                if len(records) > 1:  # perhaps it is one of them that cannot be written
                    self._at_once = 1
                elif not self._goes_on_after(error):
                    return True
            self._answer_all()

    def _next_records(self) -> list[AuditRecord]:
        records: list[AuditRecord] = []
        for entry in list(self._state.items):  # a copy: a finalizer may queue something in between
            if len(records) >= self._at_once:
                break
            records += islice(entry.records or (), self._at_once - len(records))
        return records

    def _write_some(self, records: list[AuditRecord], first: int = 0) -> BaseException | None:
        """Write `records`, those of the entries from the `first` on; return why that cannot be."""
        state = self._state
        lost = state.unnoted
        if lost:
            records[0] = replace(records[0], lost=lost)
        try:
            written: object = self._sink.write(records)
            if isinstance(written, bool) or not isinstance(written, int) or not 0 < written <= len(records):
                discard(written)
                # Of others only the type: records that are returned would show their prompts.
                returned = repr(written) if isinstance(written, (int, type(None))) else type(written).__name__
                raise AuditError(
                    f"{describe(self._sink)}.write returned {returned}, and not how many records it has written, 1 "
                    f"to {len(records)}"
                )
        except BaseException as error:  # noqa: BLE001 - the sink is anybody's
            return error.with_traceback(None)
        # A sink that takes fewer than it is given is not given many more than it takes.
        self._at_once = min((self._at_once if written == len(records) else written) * 2, MOST_AT_ONCE)
        with state.lock:
            done = [entry for _ in range(written) if (entry := self._take_record(first)) is not None]
            state.written += written
            state.unnoted -= lost
            self._works(has_written=True)
        for entry in done:
            entry.tell(None)
        return None

    def _take_record(self, index: int) -> Entry | None:
        """Take a record out of the queue, and return its entry where it was the last one of it."""
        state = self._state
        entry = state.items[index]
        if entry.records:
            entry.records.popleft()
        if entry.records:
            return None
        del state.items[index]
        return entry

    def _goes_on_after(self, error: BaseException) -> bool:
        """See to the first record, which the sink did not take alone; say whether the others are to be tried.

        It is held, and lost only where it alone is what the sink does not take, or there is no other time.
        """
        state = self._state
        self._fails(error)
        with state.lock:
            first = state.items[0]
            is_last = self._is_last()
            may_lose = is_last and self._is_too_late()
            is_suspect = may_lose or (first.was_refused and (is_last or not state.policy.strict))
            first.was_refused = True
            record = list(islice(first.records or (), 1))
        if is_suspect and self._takes_another():
            # Once more: the sink may have begun to work between the two.
            again = self._write_some(record)
            if again is not None:
                self._give_up(1, again)
            return True
        if may_lose:
            self._abandon()
            return False
        self._notices.add(error)
        self._tell_all(error)
        return False

    def _takes_another(self) -> bool:
        """Say whether the sink takes the first record of another call."""
        state = self._state
        with state.lock:
            other = list(islice(state.items[1].records or (), 1)) if len(state.items) > 1 else []
        return bool(other) and self._write_some(other, first=1) is None

    def _give_up(self, number: int, error: BaseException) -> None:
        state = self._state
        with state.lock:
            first = state.items[0]
            first.is_lost = True
            self._take_record(0)
            state.lose(number, drops=False)
        first.tell(error)
        self._notices.add(error, number)

    def _abandon(self) -> None:
        """Give up what is held: there is no other time."""
        state = self._state
        error = AuditError("the audit was closed while its sink failed")
        with state.lock:
            held = state.queued()
            entries = list(state.items)
            state.items.clear()
            state.lose(held, drops=False)
            self.abandoned += held
        for entry in entries:
            entry.is_lost = True
            entry.tell(error)
        self._notices.add(error, held)

    def _tell_all(self, error: BaseException) -> None:
        state = self._state
        with state.lock:
            waiting = [entry for entry in list(state.items) if entry.replies]
        for entry in waiting:
            entry.tell(error)

    def _answer_all(self) -> None:
        """Answer those who ask, the first one first, but for those for whom there is no room yet."""
        state = self._state
        with state.lock:
            everyone, state.asking = state.asking, deque()
            while everyone:
                asking = everyone.popleft()
                answer = self._answer_to(asking)
                if answer is None:
                    state.asking.append(asking)
                else:
                    asking.reply.tell(answer)
                del asking, answer  # room that nobody took, because who asked is gone, is the next one's

    def _answer_to(self, asking: Asking) -> Answer | None:
        state = self._state
        if state.is_closed:
            return "closed"
        if state.error is not None and asking.sure:
            return state.error
        if state.has_room():
            return state.new_entry()
        return None if asking.waits and state.error is None else "full"

    def _is_last(self) -> bool:
        """Say whether nothing more will come than what is queued."""
        state = self._state
        return state.is_closed and (state.leaves_calls or not state.out)

    def _is_too_late(self) -> bool:
        """Say whether there is no time to try again before the end."""
        state = self._state
        return state.clock() + LAST_RETRY_SECONDS >= state.until
