"""The writer: what calls hand their records to, and the one thread that writes them.

Everything here belongs to one process: a forked child has a writer of its own, and its parent writes what it queued.
The sink may block for ever: nobody waits for it longer than was said.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from ..errors import AuditError
from ..workers import result_of
from . import endings
from .inbox import Inbox, Item, Told
from .records import AuditRecord
from .room import Answer, Room
from .sinks import Sink
from .writing import Tell, Writing


def _in_thread(serve: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=serve, name="langcache-audit", daemon=True)
    thread.start()
    return thread


class Writer:
    """Has written to `sink` what there is `room` for; `start` starts the thread when there is something to do."""

    def __init__(
        self,
        sink: Sink,
        room: Room,
        holds: bool,
        tell: Tell,
        start: Callable[[Callable[[], None]], threading.Thread] = _in_thread,
    ) -> None:
        self.room = room
        self._tell = tell
        self._inbox = Inbox()
        self.writing = Writing(sink, room, self._inbox, holds, tell)
        self._start_thread = start
        self._starting = threading.RLock()
        self._thread: threading.Thread | None = None

    def put(self, records: Sequence[AuditRecord], has_room: bool, told: Told | None = None) -> bool:
        """Queue the `records` of a call, and say whether that could be; `told` is told when more is known of them."""
        if not self.room.fill(len(records), has_room):
            self._tell(AuditError("it is closed" if self.room.is_closed else "its queue is full"), len(records))
            return False
        self._inbox.put(Item(records, told), hurry=told is not None)
        self._start()  # where that cannot be, the next record or the end tries again
        return True

    def ask(self, waits: bool, sure: bool) -> Future[Answer]:
        """Have the thread look at the sink, and take room (see `Room.ask`)."""
        future = self.room.ask(waits, sure)
        if future.done():
            return future
        self._inbox.look_around()
        error = self._start()
        if error is None:
            return future
        self.room.withdraw(future)
        refused: Future[Answer] = Future()
        refused.set_result(error)
        return refused

    def lose(self, number: int, error: BaseException) -> None:
        """Count records that could not be made."""
        self.room.lose(number)
        self._tell(error, number)

    def warn(self, error: BaseException) -> None:
        """Tell of something that no record is lost by."""
        self._tell(error, 0)

    def leave(self) -> None:
        """Give back room that was taken for nothing."""
        self.room.leave()
        if self.room.is_asked:
            self._inbox.look_around()

    def flush(self, seconds: float) -> bool:
        """Wait until what is queued now is written, and say whether it is."""
        if self._thread is None or not self._thread.is_alive():
            return not self.room.stats.queued
        told: Told = Future()
        self._inbox.put(Item((), told), hurry=True)
        try:
            return result_of(told, seconds) is None
        except TimeoutError:
            return False
        finally:
            told.cancel()

    def end(self) -> None:
        """Take no more records, and have those that are queued written."""
        self.room.close()
        self._inbox.look_around()

    def close(self, seconds: float) -> bool:
        """Take no more records, and wait until the others are written; say whether they are."""
        self.end()
        thread = self._thread
        if thread is None:  # there was nothing to do, or no thread could be started
            self._serve()
        elif thread is not threading.current_thread():
            thread.join(seconds)
        return not (self.room.stats.queued or self.writing.abandoned)

    def _start(self) -> BaseException | None:
        """Have the thread run; return why it cannot."""
        if self._thread is not None:
            return None
        with self._starting:
            if self._thread is None:
                try:
                    self._thread = self._start_thread(self._serve)
                except RuntimeError as error:  # the system has no more threads, or the interpreter ends
                    return error
                endings.await_at_exit(self)
        return None

    def _serve(self) -> None:
        while self.writing.turn():
            pass
        endings.forget(self)
        self.writing.close()
