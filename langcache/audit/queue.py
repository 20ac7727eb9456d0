"""The queue: where the records of calls wait for the one thread that writes them to the sink.

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

import atexit
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Literal, NamedTuple, Union

from ..errors import AuditError, describe
from ..http import Request
from ..steps import Steps, Wait, perform
from ..workers import Reply
from .notices import Notices, reason
from .records import AuditRecord
from .sinks import CallableSink, Sink

GATHER_SECONDS: Final = 0.005
"""How long records gather before they are written, where nobody waits: a thread that is woken for each one would take
the interpreter from the callers each time."""

RETRY_SECONDS: Final = 1.0
"""How long it takes until what is held is tried again, where nobody asks before."""

LAST_RETRY_SECONDS: Final = 0.05
"""The same while somebody waits for the end: a short outage then is to lose nothing."""

MOST_AT_ONCE: Final = 256
"""How many records the sink is given at once, at the most."""

WhenFull = Literal["block", "drop", "fail"]
"""What becomes of a call's records for which there is no room: it waits, they are lost, or they count as failed."""


@dataclass(frozen=True)
class Policy:
    """What is to be done where calls cannot be recorded; times are in seconds."""

    strict: bool = True
    """Whether a call without a record is an AuditError. Where it is not, nothing here raises or stops a call."""
    when_full: WhenFull = "block"
    size: int = 10_000
    """Of how many calls the records may wait, those included that have not ended."""
    wait: float = 1.0
    """How long a call waits at each of its ends, at the most."""
    vouched: float = 1.0
    """How long a strict audit takes a sink that worked for one that works."""
    confirms: bool = False
    """Whether each call waits until its records are written."""
    last: float = 5.0
    """How long the end of a process waits."""


@dataclass(frozen=True)
class AuditStats:
    """What became of the records of this process."""

    written: int
    dropped: int
    """Lost because the queue was full, where the policy is to drop."""
    failed: int
    """Lost because they could not be made, queued or written."""
    queued: int
    """Not yet written."""


class Entry:
    """A call's room in the queue, and its records when it has ended."""

    __slots__ = ("__weakref__", "confirms", "is_settled", "records", "replies", "was_refused")

    def __init__(self, confirms: bool = False) -> None:
        self.confirms = confirms
        """Whether the call has to wait until its records are written."""
        self.records: deque[AuditRecord] | None = None
        """What is not written yet; None until the call ends."""
        self.replies: list[Reply[BaseException | None]] = []
        """Who waits for what becomes of them: None when all are written, or the reason why one is not, or not yet."""
        self.is_settled = False
        """Whether its records are queued, or counted as lost."""
        self.was_refused = False
        """Whether the sink did not take its first record alone."""

    def tell(self, error: BaseException | None) -> None:
        """Tell who waits."""
        while self.replies:
            self.replies.pop().tell(error)


Answer = Union[Entry, Literal["full", "closed"], BaseException]
"""What one who asks for room is told: it is taken, there is none, or why nothing can be written."""


class Asking(NamedTuple):
    """One who asks for room."""

    reply: Reply[Answer]
    waits: bool
    """Whether he waits for room where there is none."""
    sure: bool
    """Whether he has to know that the sink works."""


class Bell:
    """Wakes one thread; to ring it twice is to ring it once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake who waits, or will wait next."""
        with suppress(RuntimeError):  # it rings already
            self._lock.release()

    def wait(self, seconds: float | None) -> None:
        """Wait until it rings, for so many seconds at the most."""
        self._lock.acquire(timeout=-1 if seconds is None else seconds)


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
        self._sink = sink
        self._clock = clock
        self._make_thread = thread
        # Reentrant: a signal's handler or a finalizer may make a call while its thread has the lock.
        self._lock = threading.RLock()
        lock: Any = self._lock
        self._has_lock: Callable[[], bool] = lock._is_owned  # which `threading.Condition` asks, too
        self._process = os.getpid()
        self._items: deque[Entry] = deque()
        self._out: weakref.WeakSet[Entry] = weakref.WeakSet()
        """The entries of calls that have not ended."""
        self._asking: deque[Asking] = deque()
        self._written = self._dropped = self._failed = 0
        self._unnoted = 0
        """How many records are lost of which no record that was written tells."""
        # What is known of the sink.
        self._error: BaseException | None = None
        self._good_until = self._proven_until = float("-inf")
        self._check_vouches = not isinstance(sink, CallableSink)  # it cannot be asked whether it works
        self._at_once = MOST_AT_ONCE
        """How many records the sink is given next: after a failure one, so that the others can be told from it."""
        # The thread, and what wakes it.
        self._bell = Bell()
        self._has_rung = self._is_hurried = False
        """Whether the thread is told already that there is something to do, and that somebody waits."""
        self._claim = threading.Lock()
        self._thread: threading.Thread | None = None
        self._writer: int | None = None
        """The identifier of the thread that writes."""
        self._is_looking = False
        self._is_closed = self._has_ended = self._is_concluded = False
        self._until = float("-inf")
        """Until when what the sink does not take is tried again after it is closed."""
        self._leaves_calls = False
        """Whether the end of the process is there, at which calls in daemon threads are not waited for."""
        self._abandoned = 0
        """How many records were given up in the end."""
        self._ending: list[Reply[None]] = []
        """Who waits for the end."""

    # What callers do

    def admit(self, request: Request) -> Steps[Entry]:
        """Take room for the records of `request`; raises AuditError where it is not to be sent."""
        entry = self.enter()
        if entry is not None:
            return entry
        policy = self.policy
        if not policy.strict and (policy.when_full != "block" or self._error is not None):
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
        return wait if deadline is None else max(min(wait, deadline - self._clock()), 0.0)

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
        has_lock = self._has_lock()  # before it is taken here
        with self._lock:
            if self._is_closed or not self._has_room() or not (self._is_sure() or has_lock or self._is_own()):
                return None
            return self._new_entry()

    def _is_own(self) -> bool:
        """Say whether this thread is the one that writes: a sink's own call cannot wait for the sink."""
        return self._writer == threading.get_ident()

    def _cannot_wait(self) -> bool:
        """Say whether this thread is what the queue waits for: it writes, or has the lock (rule 3)."""
        return self._has_lock() or self._is_own()

    def _new_entry(self) -> Entry:
        policy = self.policy
        # A sink that has not taken a record yet, or cannot be asked, is only known to work when it has taken this one.
        entry = Entry(policy.confirms or (policy.strict and self._clock() > self._proven_until))
        self._out.add(entry)
        return entry

    def _has_room(self) -> bool:
        return len(self._items) + len(self._out) < self.policy.size

    def _is_sure(self) -> bool:
        """Say whether what is known of the sink is enough."""
        return not self.policy.strict or (self._error is None and self._clock() <= self._good_until)

    def ask(self, waits: bool, sure: bool) -> Reply[Answer]:
        """Ask for room, and for a look at the sink; where there is no room, wait for it, or be told so.

        One who has to be sure is told why where the sink does not work; another one gets room all the same.
        """
        reply: Reply[Answer] = Reply()
        cannot_wait = self._cannot_wait()
        with self._lock:
            if self._is_closed:
                reply.tell("closed")
            elif not self._has_room() and (cannot_wait or (not waits and self._is_sure() and self._error is None)):
                reply.tell("full")  # at once: the sink may be what is slow
            elif cannot_wait:
                reply.tell(self._new_entry())
            else:
                self._asking.append(Asking(reply, waits, sure))
                self._ring(hurry=True)
        if not reply.done():
            error = self._start()
            if error is not None:
                self.withdraw(reply)
                reply = Reply()
                reply.tell(error)
        return reply

    def withdraw(self, reply: Reply[Answer]) -> Answer | None:
        """Ask no more; return the answer where there is one already, and None where there will be none."""
        if self._is_inherited():
            return None
        with self._lock:
            self._asking = deque(asking for asking in self._asking if asking.reply is not reply)
        return reply.result() if reply.done() else None

    def _is_inherited(self) -> bool:
        """Say whether it is the queue of the process that this one was forked from: its lock may be taken for ever."""
        return os.getpid() != self._process

    def _refuse(self, answer: Answer | None) -> None:
        """Give back room that is not used: what refers to it, as the traceback of an error, may stay for long."""
        if isinstance(answer, Entry) and not self._is_inherited():
            with self._lock:
                self._out.discard(answer)
                self._ring(hurry=True)

    def keep(self, entry: Entry, records: Sequence[AuditRecord], waits: bool) -> Steps[str | None]:
        """Queue the records of a call; return why they are not kept though they have to be, or None.

        A second time, as after an interrupt, it only does what was not done. Where it does not wait, as it cannot when
        the caller is interrupted, it yields nothing.
        """
        reply: Reply[BaseException | None] | None = None
        if waits and entry.confirms and not self._cannot_wait():
            reply = Reply()
        policy = self.policy
        problem = self._put(entry, records, reply)
        if problem is not None:
            self.notices.add(AuditError(_why(problem)), len(records))
            is_chosen = policy.when_full == "drop" and problem == "full"
            return None if is_chosen or not policy.strict else _why(problem)
        self._start()  # where that cannot be, the next record or the end tries again
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
        with self._lock:
            if self._has_been_put(entry):
                return None
            # One that is not out found no room, or is of the process that this one was forked from.
            if self._has_ended or entry not in self._out:
                problem: Literal["full", "closed"] | None = None
                if self._is_closed:
                    problem = "closed"
                elif not self._has_room():
                    problem = "full"
                if problem is not None:
                    self._lose(len(records), drops=problem == "full" and self.policy.when_full == "drop")
                    entry.is_settled = True
                    return problem
            if reply is not None:
                entry.replies.append(reply)
            entry.records = deque(records)
            self._items.append(entry)
            self._out.discard(entry)
            entry.is_settled = True
            self._ring(hurry=reply is not None)
        return None

    def _has_been_put(self, entry: Entry) -> bool:
        """Say whether it was done, before or after which an interrupt came."""
        is_written = entry.records is not None and not entry.records
        if not (entry.is_settled or is_written or (entry.records is not None and entry in self._items)):
            return False
        self._out.discard(entry)
        entry.is_settled = True
        self._ring(hurry=False)
        return True

    def lose(self, entry: Entry, number: int, error: BaseException) -> str | None:
        """Count records of which one could not be made; return why, where they have to be kept."""
        with self._lock:
            if entry.is_settled:
                return None
            entry.is_settled = True
            self._lose(number, drops=False)
        self.leave(entry)
        self.notices.add(error, number)
        return f"its record cannot be made: {reason(error)}" if self.policy.strict else None

    def leave(self, entry: Entry) -> None:
        """Take note that a call is over. One whose records are neither queued nor counted has lost one.

        In a child that was forked during the call it does nothing.
        """
        if self._is_inherited():
            return
        with self._lock:
            if entry not in self._out:
                return
            is_lost = not self._has_been_put(entry)
            self._lose(int(is_lost), drops=False)
            entry.is_settled = True
            self._out.discard(entry)
            if self._asking or self._is_closed:
                self._ring(hurry=True)  # there is room, or nobody else to wait for
        if is_lost:
            self.notices.add(AuditError("a call was interrupted while it was recorded"), 1)

    def _lose(self, number: int, drops: bool) -> None:
        if drops:
            self._dropped += number
        else:
            self._failed += number
        self._unnoted += number

    @property
    def stats(self) -> AuditStats:
        """What became of the records so far."""
        with self._lock:
            return AuditStats(self._written, self._dropped, self._failed, self._queued())

    def _queued(self) -> int:
        return sum(len(entry.records or ()) for entry in self._items)

    def check(self) -> None:
        """Have the sink looked at, for `wait` seconds at the most; raises AuditError where nothing can be written."""
        if self._cannot_wait():
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
        reply: Reply[BaseException | None] = Reply()
        cannot_wait = self._cannot_wait()
        with self._lock:
            if not self._items:
                return True
            if cannot_wait:
                return False
            self._items[-1].replies.append(reply)
            self._ring(hurry=True)
        if self._start() is not None:
            return False
        try:
            return reply.wait(seconds) is None
        except TimeoutError:
            return False

    def end(self, seconds: float) -> None:
        """Let no more calls in. What is queued is written, and what the calls will have that have not ended.

        What the sink does not take is tried again for so many seconds, and then it is lost.
        """
        with self._lock:
            self._is_closed = True
            self._until = max(self._until, self._clock() + seconds)
            self._ring(hurry=True)

    def close(self, seconds: float) -> bool:
        """Let no more calls in, and wait until the others have ended and all is written; say whether it is."""
        began = time.monotonic()
        self.end(seconds)
        self._finish(seconds)
        with self._lock:
            queued, out = self._queued(), len(self._out)
            whole = not (queued or out or self._abandoned)
        if queued or out:
            self.notices.end(AuditError(_unfinished("it was closed", began, queued, out)), queued)
        return whole

    def _finish(self, seconds: float) -> None:
        """Wait for the end."""
        if self._cannot_wait():  # as a sink that closes its own audit must not wait for itself
            return
        reply: Reply[None] = Reply()
        with self._lock:
            if self._is_concluded:
                return
            self._ending.append(reply)
            was_unused = self._thread is None and not self._items and not self._out
        until = time.monotonic() + seconds
        if was_unused or self._start() is not None:  # or no thread can be started
            self._serve(until)
            return
        with suppress(TimeoutError):
            reply.wait(seconds)
            if self._thread is not None and self._thread.is_alive():
                self._thread.join(max(until - time.monotonic(), 0.0))

    def finish_with_process(self, began: float) -> None:
        """Write what is queued, for the time of the policy at the most, and tell of what is not written then.

        The end of the process `began` at that moment of the monotonic clock.
        """
        with self._lock:
            self._leaves_calls = True
            self._ring(hurry=True)
        self._finish(max(began + self.policy.last - time.monotonic(), 0.0))
        with self._lock:
            queued, out = self._queued(), len(self._out)
        if queued or out:
            self.notices.end(AuditError(_unfinished("the process ended", began, queued, out)), queued)

    @property
    def is_needed(self) -> bool:
        """Whether the end of the process has to wait for it: not for a sink that is silent while nothing is queued."""
        with self._lock:
            return bool(self._items) or not self._is_looking

    # What the thread does

    def _ring(self, hurry: bool) -> None:
        """Have the thread look for what is to do; it is rung first, so that an interrupt in between loses nothing."""
        if not self._has_rung:
            self._bell.ring()
            self._has_rung = True
        if hurry and not self._is_hurried:
            self._is_hurried = True
            self._bell.ring()

    def _start(self) -> BaseException | None:
        """Have the thread run; return why it cannot."""
        if self._writer is not None:
            return None
        with self._lock:
            if self._has_ended or (self._thread is not None and self._thread.is_alive()):
                return None
            _await_at_exit(self)  # first: where no thread can be started, the end of the process writes
            # It is known before it runs: an interrupt may come while it is waited for that it does.
            self._thread = self._make_thread(target=self._serve, name="langcache-audit", daemon=True)
            try:
                self._thread.start()
            except RuntimeError as error:  # the system has no more threads, or the interpreter ends
                self._thread = None
                problem = AuditError("no thread can be started to write for it")
                problem.__cause__ = error
            else:
                return None
        self.notices.add(problem)
        return problem

    def _serve(self, until: float | None = None) -> None:
        """Write until the end, or in the thread of one who closes it, until the calls that are out are to be left."""
        if not self._claim.acquire(blocking=False):
            return  # another thread writes
        try:
            self._writer = threading.get_ident()
            while self.turn():
                if until is not None and time.monotonic() >= until:
                    return
        finally:
            self._writer = None
            self._claim.release()
        self._conclude()

    def _conclude(self) -> None:
        try:
            self._sink.close()
        except BaseException as error:  # noqa: BLE001 - the sink is anybody's
            self.notices.add(error)
        _forget(self)  # now: the end of a process waits for it to be closed, too
        self.notices.end()
        with self._lock:
            self._is_concluded = True
            waiting, self._ending = self._ending, []
        for reply in waiting:
            reply.tell(None)

    def turn(self) -> bool:
        """Wait for something to do, do it, and say whether there will be more."""
        self._rest()
        if not self._write() and self._asking:
            self._look()
        self._answer_all()
        with self._lock:
            self._has_ended = self._is_last() and not self._items
            return not self._has_ended

    def _is_last(self) -> bool:
        """Say whether nothing more will come than what is queued."""
        return self._is_closed and (self._leaves_calls or not self._out)

    def _is_too_late(self) -> bool:
        """Say whether there is no time to try again before the end."""
        return self._clock() + LAST_RETRY_SECONDS >= self._until

    def _rest(self) -> None:
        """Wait for something to do, and for what comes with it."""
        with self._lock:
            pause: float | None = None
            if self._items and self._is_closed and not self._is_too_late():
                pause = LAST_RETRY_SECONDS
            elif self._items or self._asking or self._is_closed:
                pause = RETRY_SECONDS
        self._bell.wait(pause)
        if not self._is_hurried:
            self._bell.wait(GATHER_SECONDS)
        with self._lock:  # before anything is looked at, so that who comes later rings again
            self._has_rung = self._is_hurried = False

    def _look(self) -> None:
        self._is_looking = True
        try:
            self._sink.check()
        except BaseException as error:  # noqa: BLE001 - the sink is anybody's; those who ask are told
            self._fails(error)
        else:
            self._works()
        finally:
            self._is_looking = False

    def _write(self) -> bool:
        """Write what is queued, until nothing is or the sink fails; say whether there was something."""
        has_tried = False
        while True:
            with self._lock:
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
        for entry in self._items:
            if len(records) >= self._at_once:
                break
            records += islice(entry.records or (), self._at_once - len(records))
        return records

    def _write_some(self, records: list[AuditRecord], first: int = 0) -> BaseException | None:
        """Write `records`, those of the entries from the `first` on; return why that cannot be."""
        lost = self._unnoted
        if lost:
            records[0] = replace(records[0], lost=lost)
        try:
            written: object = self._sink.write(records)
            if isinstance(written, bool) or not isinstance(written, int) or not 0 < written <= len(records):
                raise AuditError(
                    f"{describe(self._sink)}.write returned {written!r}, and not how many records it has written, 1 "
                    f"to {len(records)}"
                )
        except BaseException as error:  # noqa: BLE001 - the sink is anybody's
            return error.with_traceback(None)
        # A sink that takes fewer than it is given is not given many more than it takes.
        self._at_once = min((self._at_once if written == len(records) else written) * 2, MOST_AT_ONCE)
        with self._lock:
            done = [entry for _ in range(written) if (entry := self._take_record(first)) is not None]
            self._written += written
            self._unnoted -= lost
            self._works(has_written=True)
        for entry in done:
            entry.tell(None)
        return None

    def _take_record(self, index: int) -> Entry | None:
        """Take a record out of the queue, and return its entry where it was the last one of it."""
        entry = self._items[index]
        if entry.records:
            entry.records.popleft()
        if entry.records:
            return None
        del self._items[index]
        return entry

    def _works(self, has_written: bool = False) -> None:
        """Take note that the sink works; that it wrote says more than that it could be asked."""
        with self._lock:
            self._error = None
            now = self._clock()
            self._good_until = now + self.policy.vouched
            if has_written:
                self._proven_until = float("inf") if self._check_vouches else self._good_until

    def _fails(self, error: BaseException) -> None:
        with self._lock:
            self._error = error.with_traceback(None)  # which holds frames, and through them records

    def _goes_on_after(self, error: BaseException) -> bool:
        """See to the first record, which the sink did not take alone; say whether the others are to be tried.

        It is held, and lost only where it alone is what the sink does not take, or there is no other time.
        """
        self._fails(error)
        with self._lock:
            first = self._items[0]
            is_last = self._is_last()
            may_lose = is_last and self._is_too_late()
            is_suspect = may_lose or (first.was_refused and (is_last or not self.policy.strict))
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
        self.notices.add(error)
        self._tell_all(error)
        return False

    def _takes_another(self) -> bool:
        """Say whether the sink takes the first record of another call."""
        with self._lock:
            other = list(islice(self._items[1].records or (), 1)) if len(self._items) > 1 else []
        return bool(other) and self._write_some(other, first=1) is None

    def _give_up(self, number: int, error: BaseException) -> None:
        with self._lock:
            first = self._items[0]
            self._take_record(0)
            self._lose(number, drops=False)
        first.tell(error)
        self.notices.add(error, number)

    def _abandon(self) -> None:
        """Give up what is held: there is no other time."""
        error = AuditError("the audit was closed while its sink failed")
        with self._lock:
            held = self._queued()
            entries = list(self._items)
            self._items.clear()
            self._lose(held, drops=False)
            self._abandoned += held
        for entry in entries:
            entry.tell(error)
        self.notices.add(error, held)

    def _tell_all(self, error: BaseException) -> None:
        with self._lock:
            waiting = [entry for entry in self._items if entry.replies]
        for entry in waiting:
            entry.tell(error)

    def _answer_all(self) -> None:
        """Answer those who ask, the first one first, but for those for whom there is no room yet."""
        with self._lock:
            everyone, self._asking = self._asking, deque()
            while everyone:
                asking = everyone.popleft()
                answer = self._answer_to(asking)
                if answer is None:
                    self._asking.append(asking)
                else:
                    asking.reply.tell(answer)
                del asking, answer  # room that nobody took, because who asked is gone, is the next one's

    def _answer_to(self, asking: Asking) -> Answer | None:
        if self._is_closed:
            return "closed"
        if self._error is not None and asking.sure:
            return self._error
        if self._has_room():
            return self._new_entry()
        return None if asking.waits and self._error is None else "full"


def _why(answer: str | BaseException) -> str:
    if isinstance(answer, BaseException):
        return reason(answer)
    return "its queue is full" if answer == "full" else "the audit is closed"


def _silence(seconds: float) -> AuditError:
    """Return the error that says that there was no answer in time."""
    return AuditError(f"its sink was silent for {seconds:.3g} s")


def _unfinished(what: str, began: float, queued: int, out: int) -> str:
    """Say what is not written when nobody waits any longer, as one has since that moment of the monotonic clock."""
    calls = f", and {out} calls have not ended" if out else ""
    return f"{what}, and after {round(time.monotonic() - began, 2):.3g} s {queued} records are not written{calls}"


# The end of a process: what is queued in it is written first, for as long as that may take.

_open: dict[Queue, int] = {}
"""The queues that may have something to write, and their processes: a forked child has its parent's in its copy."""

_registered = 0
"""The process that calls `_end_all` when it ends though it does not run what `atexit` knows."""


def _await_at_exit(queue: Queue) -> None:
    """Have `queue` finished when this process ends."""
    global _registered
    process = os.getpid()
    _open[queue] = process
    # A process of multiprocessing's that was forked ends without atexit; it has finalizers of its own.
    multiprocessing: Any = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None and _registered != process and _is_child():
        _registered = process
        multiprocessing.Finalize(None, _end_all, exitpriority=0)


def _is_child() -> bool:
    processes: Any = sys.modules.get("multiprocessing.process")
    return processes is not None and processes.parent_process() is not None


def _forget(queue: Queue) -> None:
    _open.pop(queue, None)


def _end_all() -> None:
    began, process = time.monotonic(), os.getpid()
    queues = [queue for queue, owner in list(_open.items()) if owner == process]
    for queue in queues:
        queue.end(queue.policy.last)  # all first, so that they write at the same time
    for queue in queues:
        if queue.is_needed:
            queue.finish_with_process(began)


atexit.register(_end_all)
