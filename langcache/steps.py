"""Steps: what a call does, as a generator that performs nothing.

1. A step generator yields commands - `Send`, `Sleep`, `Resolve`, `Wait` - and is resumed with their results.
2. A driver performs the commands: `run` for sync calls, `run_async` for async ones. Nothing else does I/O.
3. What goes wrong while a command is performed - an error, a cancellation, KeyboardInterrupt - is thrown into
   the generator where it waits, so that its ``except`` and ``finally`` blocks run under both drivers.
4. A middleware is one such generator around an exchange: it passes a request on with
   ``response = yield from call_next(request)``. Written once, it serves sync and async calls alike.
5. Only `send`, `sleep`, `resolve`, `wait` and `perform` contain a bare ``yield``; a middleware uses them, so that its
   types are exact.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Generator, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar, Union

from .errors import UnexpectedAwaitableError, describe
from .http import Request, Response
from .workers import Reply, bounded, bounded_async, discard, is_in_asyncio, result_of, result_of_async

T = TypeVar("T")


@dataclass(frozen=True)
class Send:
    """Send `request` with the transport; the result is its `Response`."""

    request: Request


@dataclass(frozen=True)
class Sleep:
    """Wait for `seconds`."""

    seconds: float


@dataclass(frozen=True)
class Resolve:
    """Call `provider`, and await what it returns where that is awaitable; the result is the value.

    With a `timeout`, TimeoutError is raised after that many seconds, however long the provider takes: a plain one is
    called in a thread then, and is left alone there; an async one is cancelled.
    """

    provider: Callable[[], Any]
    timeout: float | None = None


@dataclass(frozen=True)
class Wait:
    """Wait until `future` is done, whose result is the result; raise TimeoutError after `timeout` seconds.

    `thread` is the identifier of the thread whose event loop is to end it, where it is one. A sync call in that thread
    is refused: it would hold up the loop, and wait for ever.
    """

    future: Future[Any] | Reply[Any]
    timeout: float | None = None
    thread: int | None = None


Command = Union[Send, Sleep, Resolve, Wait]

Steps = Generator[Command, Any, T]
"""The shape of a step generator: it yields commands and returns a T."""

Next = Callable[[Request], Steps[Response]]
"""The rest of the way: passes a request on towards the transport."""

Middleware = Callable[[Request, Next], Steps[Response]]
"""One generator around an exchange: takes the request and the rest of the way, returns the response."""


def send(request: Request) -> Steps[Response]:
    """Have the transport send `request`: the innermost step of every call."""
    response: Response = yield Send(request)
    return response


def sleep(seconds: float) -> Steps[None]:
    """Wait for `seconds`."""
    yield Sleep(seconds)


def resolve(provider: Callable[[], Awaitable[T] | T]) -> Steps[T]:
    """Ask `provider`, a plain or an async callable, for its value."""
    value: T = yield Resolve(provider)
    return value


def wait(future: Future[T]) -> Steps[T]:
    """Wait for what another call does, in whichever thread or task, and return its result.

    A call that is cancelled does not cancel it, where it is running (`Future.set_running_or_notify_cancel`).
    """
    result: T = yield Wait(future)
    return result


def perform(command: Command) -> Steps[Any]:
    """Have `command` performed, which another generator has yielded, and return what comes of it."""
    result = yield command
    return result


def compose(middleware: Iterable[Middleware], innermost: Next = send) -> Next:
    """Wrap `innermost` in `middleware`, the first of which becomes the outermost."""
    call_next = innermost
    for layer in reversed(list(middleware)):
        call_next = _wrap(layer, call_next)
    return call_next


def _wrap(layer: Middleware, call_next: Next) -> Next:
    # To call an instance, Python looks its method up each time, which is slower than to call the method.
    given: Any = layer
    enter: Middleware = layer if inspect.isroutine(layer) else given.__call__
    return lambda request: enter(request, call_next)


def run(steps: Steps[T], transmit: Callable[[Request], Response], pause: Callable[[float], None] = time.sleep) -> T:
    """Perform `steps` to the end in this thread and return their result; `transmit` is a transport's `send`."""
    try:
        command = next(steps)
        while True:
            try:
                result = _perform(command, transmit, pause)
            except BaseException as error:  # noqa: BLE001, PERF203 - rule 3: everything is the generator's to see
                command = steps.throw(error)
            else:
                try:
                    command = steps.send(result)
                finally:
                    del result  # it may be a key, and the traceback of an error shows what this holds
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        steps.close()


def _perform(command: Command, transmit: Callable[[Request], Response], pause: Callable[[float], None]) -> Any:
    if isinstance(command, Send):
        result = transmit(command.request)
        return result if isinstance(result, Response) else _response(_refuse_awaitable(result, "the transport"))
    if isinstance(command, Resolve):
        provider, timeout = command.provider, command.timeout
        value = provider() if timeout is None else bounded(provider, timeout)
        return _refuse_awaitable(value, describe(provider))
    if isinstance(command, Sleep):
        return pause(command.seconds)
    if isinstance(command, Wait):
        _refuse_loop_of_own(command)
        return result_of(command.future, command.timeout)
    raise _not_a_command(command)


async def _pause_async(seconds: float) -> None:
    import asyncio  # on first use: a sync program never needs it

    await asyncio.sleep(seconds)


async def run_async(
    steps: Steps[T],
    transmit: Callable[[Request], Awaitable[Response]],
    pause: Callable[[float], Awaitable[None]] = _pause_async,
) -> T:
    """Perform `steps` to the end in this task and return their result; `transmit` is an async transport's `send`."""
    try:
        command = next(steps)
        while True:
            try:
                if isinstance(command, Send):  # here, because one more coroutine would be a tenth of a call's own work
                    result = _response(await transmit(command.request))
                else:
                    result = await _perform_async(command, pause)
            except BaseException as error:  # noqa: BLE001, PERF203 - rule 3: everything is the generator's to see
                command = steps.throw(error)
            else:
                try:
                    command = steps.send(result)
                finally:
                    del result  # it may be a key, and the traceback of an error shows what this holds
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        steps.close()


async def _perform_async(command: Command, pause: Callable[[float], Awaitable[None]]) -> Any:
    if isinstance(command, Resolve):
        return await _resolve_async(command)
    if isinstance(command, Sleep):
        return await pause(command.seconds)
    if isinstance(command, Wait):
        return await result_of_async(command.future, command.timeout)
    raise _not_a_command(command)


async def _resolve_async(command: Resolve) -> Any:
    provider, timeout = command.provider, command.timeout
    if timeout is None or not is_in_asyncio():  # another library's event loop has no limit of ours
        value = provider()
        return await value if inspect.isawaitable(value) else value
    return await bounded_async(provider, timeout)


def _refuse_awaitable(result: T, source: str) -> T:
    """Return `result`, unless it would have to be awaited, which a sync call cannot do."""
    if not inspect.isawaitable(result):
        return result
    discard(result)
    raise UnexpectedAwaitableError(
        f"{source} is async: it returned an awaitable in a sync call. "
        "Use the client's *_async methods, or give a sync one."
    )


def _refuse_loop_of_own(command: Wait) -> None:
    """Raise where the event loop of this thread would have to go on for the wait to end."""
    if command.thread == threading.get_ident() and not command.future.done():
        raise UnexpectedAwaitableError(
            "A sync call waits for what an async one is doing in the event loop of the same thread, which it holds up. "
            "Use the client's *_async methods there."
        )


def _response(result: object) -> Response:
    """Return `result`, which a transport gave, unless it is no response."""
    if isinstance(result, Response):
        return result
    raise TypeError(f"the transport returned {type(result).__name__}, and not a langcache.Response")


def _not_a_command(command: object) -> TypeError:
    return TypeError(
        f"a middleware yielded {type(command).__name__}, which is no command; "
        "pass a request on with 'yield from call_next(request)', and use send, sleep, resolve and wait"
    )
