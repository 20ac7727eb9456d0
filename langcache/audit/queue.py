"""The queue: where the records of calls wait for the one thread that writes them to the sink.

This module has what callers do. What they share with the thread is in `state`. What the thread does with it is in
`writing`, how it begins and ends in `thread`, and what the end of a process waits for in `exit`. For all of them:

1. A call takes room before it is sent, once, however many records it will have: an `Entry`, which becomes their place
   in the queue when it ends. Nothing is given back: the room that is taken is the entries that are queued and those of
   calls that have not ended, which are held weakly. So an interrupt cannot leak any.
2. All that callers and the thread share is changed under one lock. It is held for some assignments, and never while
   something is waited for, or a sink or the log does its work.
3. KeyboardInterrupt may come between any two lines of Python code. The lock is one that the interpreter takes and
   releases without such a gap; the locks of `threading.Condition` and of futures are not. So it is a `Bell` that wakes
   the thread, and a `Reply` that callers wait for. A signal's handler or a finalizer may make a call of its own while
   the code that it interrupts has the lock. Then it waits for nothing, because the thread waits for that lock: its
   record is queued, and is not confirmed.
4. One thread writes. It is started when there is something to do, and tried again where that was interrupted; a second
   one that began sees the first, and ends.
5. What the sink does not take is held, and tried again. What is lost is counted, told in the log, and noted in the next
   record that is written.
6. Everything here belongs to one process: a forked child has a queue of its own, and its parent writes what it queued.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

from ..errors import AuditError
from ..http import Request
from ..steps import Steps, Wait, perform
from ..workers import Reply
from .entries import Answer, Asking, AuditStats, Entry, Policy
from .notices import Notices, reason
from .records import AuditRecord
from .sinks import Sink
from .state import State
from .thread import WritingThread
from .writing import Writer


class Queue:
    """The queue to `sink`, of one process; `clock` gives seconds, on the clock of deadlines."""

    def __init__(
        self,
        sink: Sink,
        policy: Policy,
        notices: Notices | None = None,
        clock: Callable[[], float] = time.monotonic,
        thread: Callable[..., threading.Thread] = threading.Thread,
    ) -> None:
        self.policy = policy
        self.notices = notices or Notices(sink)
        self._state = State(policy, clock)
        writer = Writer(self._state, sink, self.notices)
        self._thread = WritingThread(self._state, writer, self.notices, thread)

    def admit(self, request: Request) -> Steps[Entry]:
        """Take room for the records of `request`; raises AuditError where it is not to be sent."""
        entry = self.enter()
        if entry is not None:
            return entry
        policy = self.policy
        if not policy.strict and (policy.when_full != "block" or self._state.error is not None):
            return Entry()  # there may be room when it ends
        answer = yield from self._answer(self._limit(request))
        if isinstance(answer, Entry):
            return answer
        if not policy.strict or (answer == "full" and policy.when_full == "drop"):
            return Entry()
        cause = answer if isinstance(answer, BaseException) else None
        raise AuditError(f"{request.operation}: not sent, because it cannot be recorded: {_why(answer)}") from cause

    def _limit(self, request: Request) -> float:
        deadline: float | None = request.options.get("deadline")
        wait = self.policy.wait
        return wait if deadline is None else max(min(wait, deadline - self._state.clock()), 0.0)

    def _answer(self, seconds: float) -> Steps[Answer]:
        reply = self.ask(waits=self.policy.when_full == "block", sure=self.policy.strict)
        try:
            answer: Answer = yield from perform(Wait(reply, seconds))
        except TimeoutError:
            return self.withdraw(reply) or _silence(seconds)
        except BaseException:
            self._refuse(self.withdraw(reply))
            raise
        return answer

    def enter(self) -> Entry | None:
        """Take room for a call's records, where there is some and the sink is known to work, or cannot be asked now."""
        state = self._state
        has_lock = state.has_lock()  # before it is taken here
        with state.lock:
            if state.is_closed or not state.has_room() or not (state.is_sure() or has_lock or state.is_own()):
                return None
            return state.new_entry()

    def ask(self, waits: bool, sure: bool) -> Reply[Answer]:
        """Ask for room, and for a look at the sink; where there is no room, wait for it, or be told so.

        One who has to be sure is told why where the sink does not work; another one gets room all the same.
        """
        state = self._state
        reply: Reply[Answer] = Reply()
        cannot_wait = state.cannot_wait()
        with state.lock:
            if state.is_closed:
                reply.tell("closed")
            elif not state.has_room() and (cannot_wait or (not waits and state.is_sure() and state.error is None)):
                reply.tell("full")  # at once: the sink may be what is slow
            elif cannot_wait:
                reply.tell(state.new_entry())
            else:
                state.asking.append(Asking(reply, waits, sure))
                state.ring(hurry=True)
        if not reply.done():
            error = self._thread.start()
            if error is not None:
                self.withdraw(reply)
                reply = Reply()
                reply.tell(error)
        return reply

    def withdraw(self, reply: Reply[Answer]) -> Answer | None:
        """Ask no more; return the answer where there is one already, and None where there will be none."""
        state = self._state
        if state.is_inherited():
            return None
        with state.lock:
            state.asking = deque(asking for asking in state.asking if asking.reply is not reply)
        return reply.result() if reply.done() else None

    def _refuse(self, answer: Answer | None) -> None:
        """Give back room that is not used: what refers to it, as the traceback of an error, may stay for long."""
        state = self._state
        if isinstance(answer, Entry) and not state.is_inherited():
            with state.lock:
                state.out.discard(answer)
                state.ring(hurry=True)

    def keep(self, entry: Entry, records: Sequence[AuditRecord], waits: bool) -> Steps[str | None]:
        """Queue the records of a call; return why they are not kept though they have to be, or None.

        A second time, as after an interrupt, it only does what was not done. Where it does not wait, as it cannot when
        the caller is interrupted, it yields nothing.
        """
        reply: Reply[BaseException | None] | None = None
        if waits and entry.confirms and not self._state.cannot_wait():
            reply = Reply()
        policy = self.policy
        problem = self._put(entry, records, reply)
        if problem is not None:
            self.notices.add(AuditError(_why(problem)), len(records))
            is_chosen = policy.when_full == "drop" and problem == "full"
            return None if is_chosen or not policy.strict else _why(problem)
        self._thread.start()  # where that cannot be, the next record or the end tries again
        if reply is None:
            return None
        try:
            error: BaseException | None = yield from perform(Wait(reply, policy.wait))
        except TimeoutError:
            error = reply.result() if reply.done() else _silence(policy.wait)
        return None if error is None or not policy.strict else reason(error)

    def _put(
        self, entry: Entry, records: Sequence[AuditRecord], reply: Reply[BaseException | None] | None
    ) -> Literal["full", "closed"] | None:
        state = self._state
        with state.lock:
            if self._has_been_put(entry):
                return None
            # One that is not out found no room, or is of the process that this one was forked from.
            if state.has_ended or entry not in state.out:
                problem: Literal["full", "closed"] | None = None
                if state.is_closed:
                    problem = "closed"
                elif not state.has_room():
                    problem = "full"
                if problem is not None:
                    state.lose(len(records), drops=problem == "full" and self.policy.when_full == "drop")
                    entry.is_settled = True
                    return problem
            if reply is not None:
                entry.replies.append(reply)
            entry.records = deque(records)
            state.items.append(entry)
            state.out.discard(entry)
            entry.is_settled = True
            state.ring(hurry=reply is not None)
        return None

    def _has_been_put(self, entry: Entry) -> bool:
        """Say whether it was done, before or after which an interrupt came."""
        state = self._state
        is_written = entry.records is not None and not entry.records
        if not (entry.is_settled or is_written or (entry.records is not None and entry in state.items)):
            return False
        state.out.discard(entry)
        entry.is_settled = True
        state.ring(hurry=False)
        return True

    def lose(self, entry: Entry, number: int, error: BaseException) -> str | None:
        """Count records of which one could not be made; return why, where they have to be kept."""
        state = self._state
        with state.lock:
            if entry.is_settled:
                return None
            entry.is_settled = True
            state.lose(number, drops=False)
        self.leave(entry)
        self.notices.add(error, number)
        return f"its record cannot be made: {reason(error)}" if self.policy.strict else None

    def leave(self, entry: Entry) -> None:
        """Take note that a call is over. One whose records are neither queued nor counted has lost one.

        In a child that was forked during the call it does nothing.
        """
        state = self._state
        if state.is_inherited():
            return
        with state.lock:
            if entry not in state.out:
                return
            is_lost = not self._has_been_put(entry)
            state.lose(int(is_lost), drops=False)
            entry.is_settled = True
            state.out.discard(entry)
            if state.asking or state.is_closed:
                state.ring(hurry=True)  # there is room, or nobody else to wait for
        if is_lost:
            self.notices.add(AuditError("a call was interrupted while it was recorded"), 1)

    @property
    def stats(self) -> AuditStats:
        """What became of the records so far."""
        state = self._state
        with state.lock:
            return AuditStats(state.written, state.dropped, state.failed, state.queued())

    def check(self) -> None:
        """Have the sink looked at, for `wait` seconds at the most; raises AuditError where nothing can be written."""
        if self._state.cannot_wait():
            raise AuditError(
                "The audit cannot be checked by its own sink, nor by a signal's handler or a finalizer that interrupts "
                "it"
            )
        reply = self.ask(waits=False, sure=True)
        try:
            answer = reply.wait(self.policy.wait)
        except TimeoutError:
            answer = self.withdraw(reply) or _silence(self.policy.wait)
        if isinstance(answer, BaseException):
            raise AuditError(f"The audit: {reason(answer)}") from answer
        if isinstance(answer, str):
            raise AuditError("The audit: its queue is full" if answer == "full" else "The audit is closed")
        self._refuse(answer)

    def flush(self, seconds: float) -> bool:
        """Wait until what is queued now is written, and say whether it is."""
        state = self._state
        reply: Reply[BaseException | None] = Reply()
        cannot_wait = state.cannot_wait()
        with state.lock:
            if not state.items:
                return True
            if cannot_wait:
                return False
            queued = list(state.items)
            queued[-1].replies.append(reply)
            state.ring(hurry=True)
        if self._thread.start() is not None:
            return False
        try:
            if reply.wait(seconds) is not None:
                return False
        except TimeoutError:
            return False
        # One that is held, or lost, does not keep the last one from being written.
        return not any(entry.is_lost or entry.records for entry in queued)

    def end(self, seconds: float) -> None:
        """Let no more calls in, and wait for nothing; `WritingThread.end` says what becomes of what is queued."""
        self._thread.end(seconds)

    def close(self, seconds: float) -> bool:
        """Let no more calls in, and wait until the others have ended and all is written; say whether it is."""
        return self._thread.close(seconds)


def _why(answer: str | BaseException) -> str:
    if isinstance(answer, BaseException):
        return reason(answer)
    return "its queue is full" if answer == "full" else "the audit is closed"


def _silence(seconds: float) -> AuditError:
    """Return the error that says that there was no answer in time."""
    return AuditError(f"its sink was silent for {seconds:.3g} s")
