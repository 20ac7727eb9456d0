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
from ..errors import DeadlineExceeded, TimeoutException, describe
from ..hookspecs import hookimpl
from ..http import Request, Response, display_url
from ..steps import Command, Middleware, Next, Resolve, Send, Sleep, Steps, Wait, perform

_CLOSE: Final = 0.005
"""How many seconds before the deadline a time limit may end: clocks and sockets round."""


class Deadline:
    """Ends a call when its deadline is over; `clock` gives seconds.

    The deadline comes with the request. `default`, the client's, in seconds, is there to be shown.
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
            return (yield from call_next(request))
        return (yield from _Bounded(request, at, self._clock).perform(call_next(request)))


class _Bounded:
    """One call with a deadline."""

    def __init__(self, request: Request, at: float, clock: Callable[[], float]) -> None:
        self._request = request
        self._at = at
        self._clock = clock
        self._begun = clock()
        self._sent = 0

    def perform(self, inner: Steps[Response]) -> Steps[Response]:
        """Perform the commands of `inner` in the time that is left, and return what it returns."""
        over: DeadlineExceeded | None = None
        try:
            command = next(inner)
            while over is None:
                try:
                    result = yield from perform(self._capped(command))
                except BaseException as error:  # noqa: BLE001, PERF203 - everything is for `inner` to see
                    over = self._over(error, command)
                    command = inner.throw(error if over is None else over)
                else:
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
            raise self._exceeded(command, "before")
        if isinstance(command, Send):
            self._sent += 1
            timeout = command.request.timeout
            return command if timeout is not None and timeout <= left else Send(command.request.with_timeout(left))
        if isinstance(command, Sleep):
            if command.seconds >= left:
                raise self._exceeded(command, "before", f", with {left:.3g} s left")
            return command
        return command if command.timeout is not None and command.timeout <= left else replace(command, timeout=left)

    def _over(self, error: BaseException, command: Command) -> DeadlineExceeded | None:
        """Return the error that says that the deadline is over, where `error` does, in its own way."""
        if isinstance(error, DeadlineExceeded):
            return error
        if isinstance(error, (TimeoutException, TimeoutError)) and self._clock() >= self._at - _CLOSE:
            exceeded = self._exceeded(command, "during")
            exceeded.__cause__ = error
            return exceeded
        return None

    def _exceeded(self, command: Command, when: str, more: str = "") -> DeadlineExceeded:
        elapsed = (self._clock() - self._begun) * 1000
        doing = f"{when} {self._named(command, when)}{more}"
        name = self._request.operation or self._request.method
        said = f"{name}: its deadline left no time after {elapsed:.0f} ms, {doing}"
        return DeadlineExceeded(said, _KINDS[type(command)])

    def _named(self, command: Command, when: str) -> str:
        if isinstance(command, Send):
            number = self._sent if when == "during" else self._sent + 1
            return f"request {number}, {command.request.method} {display_url(command.request.url)}"
        if isinstance(command, Sleep):
            behind = f" behind request {self._sent}" if self._sent else ""
            return f"a wait of {command.seconds:.3g} s{behind}"
        if isinstance(command, Resolve):
            return f"a call of {describe(command.provider)}"
        return "a wait for another call, which asks for the key"


_KINDS: Final[dict[type[Command], str]] = {Send: "send", Sleep: "sleep", Resolve: "resolve", Wait: "wait"}


@hookimpl
def langcache_call_middleware(settings: Settings) -> Middleware:
    """Stand outside of all that takes time, but for what turns an error into a miss."""
    return Deadline(default=settings.deadline)
