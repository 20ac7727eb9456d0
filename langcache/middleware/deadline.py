"""Deadline: one bound on everything that a call does.

1. The deadline is a moment on the monotonic clock, in the request's options, so that whatever happened in the call
   before counts too.
2. Every command of what is inside - an attempt, a wait, a provider - gets what is left of the time. Where nothing is,
   or a wait would outlast it, it is not performed: DeadlineExceeded is raised in its place.
3. It is raised inside, once, so that ``except`` and ``finally`` blocks run and may hand out an answer of their own.
   Whatever asks for another command then is ended.
4. An answer that has come is handed out, however late it is. What a middleware does in its own code, between two
   commands, cannot be interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from ..config import Settings
from ..errors import DeadlineExceeded, LangCacheError, TimeoutException, describe
from ..hookspecs import hookimpl
from ..http import Request, Response, display_url
from ..steps import Command, Middleware, Next, Resolve, Send, Sleep, Steps, Wait, perform
from ..workers import is_timeout

_CLOSE: Final = 0.005
"""How many seconds before the deadline a time limit may end: clocks and sockets round."""


class Deadline:
    """Ends a call when its deadline is over; `clock` gives seconds.

    The deadline comes with the request, as a moment, and the limit that it stands for, as ``deadline_ms``; where the
    call has none of its own, that is `default`, the client's, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, default: float | None = None) -> None:
        self._clock = clock
        self._default = default

    def options(self) -> Mapping[str, object]:
        """Return what `explain` shows."""
        return {"deadline_ms": None if self._default is None else self._default * 1000}

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Bound this call, where it has a deadline."""
        at: float | None = request.options.get("deadline")
        if at is None:
            return call_next(request)  # without a generator of its own, which would have nothing to do
        milliseconds: float | None = request.options.get("deadline_ms")
        limit = self._default if milliseconds is None else milliseconds / 1000
        return _Bounded(request, at, limit, self._clock).perform(call_next(request))


class _Bounded:
    """One call with a deadline."""

    def __init__(self, request: Request, at: float, limit: float | None, clock: Callable[[], float]) -> None:
        self._request = request
        self._at = at
        self._limit = limit
        self._clock = clock
        # What stands outside of this, such as a plugin's middleware, may have taken time already.
        self._begun = clock() if limit is None else at - limit
        self._sent = 0
        self._may_have_arrived = False

    def perform(self, inner: Steps[Response]) -> Steps[Response]:
        """Perform the commands of `inner` in the time that is left, and return what it returns."""
        over: DeadlineExceeded | None = None
        try:
            command = next(inner)
            while over is None:
                try:
                    result = yield from perform(self._capped(command))
                except BaseException as error:  # noqa: BLE001, PERF203 - everything is for `inner` to see
                    self._note_failure(command, error)
                    over = self._over(error, command)
                    command = inner.throw(error if over is None else over)
                else:
                    self._may_have_arrived = self._may_have_arrived or isinstance(command, Send)
                    try:
                        command = inner.send(result)
                    finally:
                        del result  # it may be a key, and the traceback of an error shows what this holds
            raise over
        except StopIteration as stop:
            response: Response = stop.value
            return response
        finally:
            inner.close()
            del over  # its traceback holds this frame: with it, a reference cycle

    def _capped(self, command: Command) -> Command:
        """Return `command` with no more time than is left; raises DeadlineExceeded where it cannot be done in it."""
        left = self._at - self._clock()
        if left <= 0:
            raise self._exceeded(command, begun=False)
        if isinstance(command, Send):
            self._sent += 1
            timeout = command.request.timeout
            return command if timeout is not None and timeout <= left else Send(command.request.with_timeout(left))
        if isinstance(command, Sleep):
            if command.seconds >= left:
                raise self._exceeded(command, begun=False, more=f", with {left:.3g} s left")
            return command
        return command if command.timeout is not None and command.timeout <= left else replace(command, timeout=left)

    def _note_failure(self, command: Command, error: BaseException) -> None:
        """Take note of whether a request that failed may have come to the service."""
        is_known = isinstance(error, LangCacheError) and error.nothing_sent
        if isinstance(command, Send) and not is_known and not _is_of_no_time(error):
            self._may_have_arrived = True

    def _over(self, error: BaseException, command: Command) -> DeadlineExceeded | None:
        """Return the error that says that the deadline is over, where `error` does, in its own way."""
        if isinstance(error, DeadlineExceeded):
            return error
        if (isinstance(error, TimeoutException) or is_timeout(error)) and self._clock() >= self._at - _CLOSE:
            exceeded = self._exceeded(command, begun=True)
            exceeded.__cause__ = error
            return exceeded
        return None

    def _exceeded(self, command: Command, begun: bool, more: str = "") -> DeadlineExceeded:
        elapsed = self._clock() - self._begun
        doing = f"{'during' if begun else 'before'} {self._named(command, begun)}{more}"
        name = self._request.operation or self._request.method
        limit = "" if self._limit is None else f" of {self._limit * 1000:g} ms"
        said = f"{name}: its deadline{limit} left no time after {elapsed * 1000:.0f} ms, {doing}"
        exceeded = DeadlineExceeded(said, _KINDS[type(command)], begun)
        exceeded.nothing_sent = not self._may_have_arrived
        exceeded.attempts, exceeded.elapsed = self._sent, elapsed
        return exceeded

    def _named(self, command: Command, begun: bool) -> str:
        if isinstance(command, Send):
            number = self._sent if begun else self._sent + 1
            return f"request {number}, {command.request.method} {display_url(command.request.url)}"
        if isinstance(command, Sleep):
            behind = f" behind request {self._sent}" if self._sent else ""
            return f"a wait of {command.seconds:.3g} s{behind}"
        if isinstance(command, Resolve):
            return f"a call of {describe(command.provider)}"
        return "a wait for another call, which asks for the key"


def _is_of_no_time(error: BaseException) -> bool:
    """Say whether `error` stands for a command that was not even begun."""
    return isinstance(error, DeadlineExceeded) and not error.begun


_KINDS: Final[dict[type[Command], str]] = {Send: "send", Sleep: "sleep", Resolve: "resolve", Wait: "wait"}


@hookimpl
def langcache_call_middleware(settings: Settings) -> Middleware:
    """Stand outside of all that takes time, but for what turns an error into a miss."""
    return Deadline(default=settings.deadline)
