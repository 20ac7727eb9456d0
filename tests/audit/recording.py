"""What the tests of the audit share: records, and sinks that a test looks into, makes fail, or holds up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from langcache import Request, Response
from langcache.audit import AuditRecord
from langcache.audit.entries import Entry, Policy
from langcache.audit.notices import Notices
from langcache.audit.queue import Queue
from langcache.audit.records import record_of
from langcache.audit.sinks import Sink
from langcache.audit.state import State
from langcache.errors import AuditError
from langcache.outcomes import Outcome
from langcache_transports.testing import FakeTransport

NOTHING = Response(200, {"Content-Type": "application/json"}, b'{"data":[]}')
KEY = b"a key of enough bytes"


def record(number: int = 0, **changes: Any) -> AuditRecord:
    """Return a record that can be told from those of other numbers."""
    made = record_of("call", Outcome("miss", "search", request_id=str(number)), began=0.0, seconds=0.25, actor=None)
    return replace(made, **changes)


def numbers(records: Sequence[AuditRecord]) -> list[int]:
    """Return the numbers of such records."""
    return [int(made.request_id or "-1") for made in records]


def answering(request: Request) -> Response:
    """Answer every search with a miss."""
    return NOTHING


def transport() -> FakeTransport:
    """Return a transport that finds nothing."""
    return FakeTransport(answering)


class Kept:
    """A sink that keeps records in memory, and does not where it is told to fail."""

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []
        self.error: Exception | None = None
        self.checks = 0
        self.closed = 0

    def check(self) -> None:
        self.checks += 1
        if self.error is not None:
            raise self.error

    def write(self, records: Sequence[AuditRecord]) -> int:
        if self.error is not None:
            raise self.error
        self.records += records
        return len(records)

    def close(self) -> None:
        self.closed += 1


class Stuck(Kept):
    """The same, but each write waits until the test lets it go on."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def write(self, records: Sequence[AuditRecord]) -> int:
        self.begun.set()
        assert self.go_on.wait(30)
        return super().write(records)

    def take(self, call: Callable[[], object]) -> None:
        """Take the record of a call, so that the sink is known to work, and none of those that come then."""
        self.go_on.set()
        call()
        self.go_on.clear()
        self.begun.clear()


class Picky(Kept):
    """Takes all but one record."""

    def write(self, records: Sequence[AuditRecord]) -> int:
        if "2" in [made.request_id for made in records]:
            raise ValueError("not that one")
        return super().write(records)


class Recovering(Kept):
    """Fails a few times, and then works."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def write(self, records: Sequence[AuditRecord]) -> int:
        self.times -= 1
        if self.times >= 0:
            raise AuditError("down")
        return super().write(records)


class Losses(Notices):
    """What the log would be told, if it were told of everything at once."""

    def __init__(self) -> None:
        super().__init__("a sink")
        self.lost: list[tuple[str, int]] = []

    def add(self, error: BaseException, lost: int = 0) -> None:
        self.lost.append((str(error), lost))

    def end(self, error: BaseException | None = None, unwritten: int | None = None) -> None:
        if error is not None:
            self.add(error)


class NotStarted(threading.Thread):
    """A thread whose work the test does."""

    def start(self) -> None:
        pass

    def is_alive(self) -> bool:
        return True

    def join(self, timeout: float | None = None) -> None:
        pass


class ByHand(Queue):
    """A queue whose turns the test takes, and into whose state it looks."""

    @property
    def state(self) -> State:
        return self._state

    def turn(self) -> bool:
        """Do what the thread does in one turn."""
        return self._thread.writer.turn()


def by_hand(sink: Sink, losses: Notices | None = None, **policy: Any) -> ByHand:
    """Return a queue whose turns the test takes; its clock, which stands still, is another one where `clock` is."""
    clock = policy.pop("clock", lambda: 0.0)
    policy.setdefault("size", 10)
    return ByHand(sink, Policy(**policy), losses or Losses(), clock, NotStarted)


def started(sink: Sink, losses: Notices | None = None, thread: Any = threading.Thread, **policy: Any) -> Queue:
    """Return a queue with a thread of its own."""
    policy.setdefault("size", 10)
    return Queue(sink, Policy(**policy), losses or Losses(), thread=thread)


def proven(queue: ByHand) -> ByHand:
    """Return `queue` after its sink has taken a record, so that no call confirms because it has not yet."""
    put(queue, 0)
    queue.turn()
    return queue


def put(queue: Queue, *given: int) -> list[str | None]:
    """Keep records of calls that found no room before; return why they were not kept, or None for each."""
    return [kept(queue, Entry(), number) for number in given]


def kept(queue: Queue, entry: Entry, *given: int) -> str | None:
    """Keep the records of a call without waiting."""
    try:
        next(queue.keep(entry, [record(number) for number in given], waits=False))
    except StopIteration as stop:
        why: str | None = stop.value
        return why
    raise AssertionError("it waits")


def entered(queue: Queue) -> Entry:
    """Take room for a call, which there is."""
    entry = queue.enter()
    assert entry is not None
    return entry


class Threads:
    """The threads that began since it was made; those of other tests come and go as they like."""

    def __init__(self) -> None:
        self._before = set(threading.enumerate())

    def __call__(self) -> int:
        return len(set(threading.enumerate()) - self._before)


def until(condition: Any, seconds: float = 20.0) -> None:
    """Wait for what another thread or process does; it is looked at again and again, because nothing tells of it."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.001)
