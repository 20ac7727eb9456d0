"""The thread that writes: how it begins, and how it ends, with its queue or with the process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from ..errors import AuditError
from ..workers import Reply
from .exit import await_at_exit, forget
from .notices import Notices
from .state import State
from .writing import Writer


class WritingThread:
    """The thread of one queue; it is started when there is something to do, and `writer` does it."""

    def __init__(
        self,
        state: State,
        writer: Writer,
        notices: Notices,
        make: Callable[..., threading.Thread] = threading.Thread,
    ) -> None:
        self.writer = writer
        self._state = state
        self._notices = notices
        self._make_thread = make
        self._claim = threading.Lock()
        """Who has it writes."""
        self._thread: threading.Thread | None = None
        self._is_concluded = False
        """Whether the sink is closed."""
        self._ending: list[Reply[None]] = []
        """Who waits for the end."""

    def start(self) -> BaseException | None:
        """Have the thread run; return why it cannot."""
        state = self._state
        if state.writer is not None:
            return None
        with state.lock:
            if state.has_ended or (self._thread is not None and self._thread.is_alive()):
                return None
            await_at_exit(self)  # first: where no thread can be started, the end of the process writes
            # It is known before it runs: an interrupt may come while it is waited for that it does.
            self._thread = thread = self._make_thread(target=self.serve, name="langcache-audit", daemon=True)
            try:
                thread.start()  # this one: a signal's handler may have put another one there, and started it
            except RuntimeError as error:  # the system has no more threads, or the interpreter ends
                self._thread = None
                problem = AuditError("no thread can be started to write for it")
                problem.__cause__ = error
            else:
                return None
        self._notices.add(problem)
        return problem

    def serve(self, until: float | None = None) -> None:
        """Write until the end, or in the thread of one who closes it, until the calls that are out are to be left."""
        state = self._state
        if not self._claim.acquire(blocking=False):
            return  # another thread writes
        try:
            state.writer = threading.get_ident()
            if self._is_concluded:
                return
            while self.writer.turn():
                if until is not None and time.monotonic() >= until:
                    return
            self._conclude()
        finally:
            state.writer = None
            self._claim.release()

    def _conclude(self) -> None:
        self.writer.close_sink()
        forget(self)  # now: the end of a process waits for it to be closed, too
        self._notices.end()
        with self._state.lock:
            self._is_concluded = True
            waiting, self._ending = self._ending, []
        for reply in waiting:
            reply.tell(None)

    def end(self, seconds: float) -> None:
        """Let no more calls in. What is queued is written, and what the calls will have that have not ended.

        What the sink does not take is tried again for so many seconds, and then it is lost.
        """
        state = self._state
        with state.lock:
            state.is_closed = True
            state.until = max(state.until, state.clock() + seconds)
            state.ring(hurry=True)

    def close(self, seconds: float) -> bool:
        """Let no more calls in, and wait until the others have ended and all is written; say whether it is."""
        state = self._state
        began = time.monotonic()
        self.end(seconds)
        self._finish(seconds)
        with state.lock:
            queued, out = state.queued(), len(state.out)
            whole = not (queued or out or self.writer.abandoned)
        if queued or out:
            self._notices.end(AuditError(_unfinished("it was closed", began, queued, out)), queued)
        return whole

    def _finish(self, seconds: float) -> None:
        """Wait for the end."""
        state = self._state
        if state.cannot_wait():  # as a sink that closes its own audit must not wait for itself
            return
        reply: Reply[None] = Reply()
        with state.lock:
            if self._is_concluded:
                return
            self._ending.append(reply)
            was_unused = self._thread is None and not state.items and not state.out
        until = time.monotonic() + seconds
        if was_unused or self.start() is not None:  # or no thread can be started
            self.serve(until)  # unless another thread does
        with suppress(TimeoutError):
            reply.wait(max(until - time.monotonic(), 0.0))
            if self._thread is not None and self._thread.is_alive():
                self._thread.join(max(until - time.monotonic(), 0.0))

    def end_with_process(self) -> None:
        """Let no more calls in, for the process ends."""
        self.end(self._state.policy.last)

    @property
    def is_needed(self) -> bool:
        """Whether the end of the process has to wait for it: not for a sink that is silent while nothing is queued."""
        state = self._state
        with state.lock:
            return bool(state.items) or not self.writer.is_looking

    def finish_with_process(self, began: float) -> None:
        """Write what is queued, for the time of the policy at the most, and tell of what is not written then.

        The end of the process `began` at that moment of the monotonic clock.
        """
        state = self._state
        with state.lock:
            state.leaves_calls = True
            state.ring(hurry=True)
        self._finish(max(began + state.policy.last - time.monotonic(), 0.0))
        with state.lock:
            queued, out = state.queued(), len(state.out)
        if queued or out:
            self._notices.end(AuditError(_unfinished("the process ended", began, queued, out)), queued)


def _unfinished(what: str, began: float, queued: int, out: int) -> str:
    """Say what is not written when nobody waits any longer, as one has since that moment of the monotonic clock."""
    calls = f", and {out} calls have not ended" if out else ""
    return f"{what}, and after {round(time.monotonic() - began, 2):.3g} s {queued} records are not written{calls}"
