"""Steps: generators that perform nothing, and the two drivers that perform their commands."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from typing import Any, TypeVar

import pytest

from langcache import Middleware, Next, Request, Response, Steps, resolve, send, sleep, wait
from langcache.errors import ConnectError, UnexpectedAwaitableError
from langcache.steps import Command, Resolve, Send, Sleep, Wait, compose, perform, run, run_async

T = TypeVar("T")

REQUEST = Request("GET", "http://cache.example/")
OK = Response(200)

Transmit = Callable[[Request], Response]


class Recorder:
    """A transport and a clock: sends with `transmit`, and remembers how long it was asked to wait."""

    def __init__(self, transmit: Transmit = lambda request: OK) -> None:
        self.transmit = transmit
        self.sent: list[Request] = []
        self.waited: list[float] = []

    def send(self, request: Request) -> Response:
        self.sent.append(request)
        return self.transmit(request)

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)


class AsyncRecorder(Recorder):
    """The same for async calls; it really gives up control."""

    async def send_async(self, request: Request) -> Response:
        await asyncio.sleep(0)
        return self.send(request)

    async def wait_async(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.wait(seconds)


def drive_sync(steps: Steps[T], transmit: Transmit) -> tuple[T, Recorder]:
    recorder = Recorder(transmit)
    return run(steps, recorder.send, recorder.wait), recorder


def drive_async(steps: Steps[T], transmit: Transmit) -> tuple[T, Recorder]:
    recorder = AsyncRecorder(transmit)
    return asyncio.run(run_async(steps, recorder.send_async, recorder.wait_async)), recorder


Drive = Callable[[Steps[Any], Transmit], tuple[Any, Recorder]]
both_drivers = pytest.mark.parametrize("drive", [drive_sync, drive_async])


def test_a_step_generator_performs_nothing_by_itself() -> None:
    """A test, or anything else, can step through it by hand: no clock, no socket, no mock."""

    def patient(request: Request) -> Steps[str]:
        yield from sleep(1.5)
        name = yield from resolve(lambda: "Ada")
        response = yield from send(request)
        return f"{name}: {response.status_code}"

    steps = patient(REQUEST)
    assert next(steps) == Sleep(1.5)
    asked = steps.send(None)
    assert isinstance(asked, Resolve)
    assert asked.provider() == "Ada"
    assert steps.send("Ada") == Send(REQUEST)
    with pytest.raises(StopIteration) as stop:
        steps.send(OK)
    assert stop.value.value == "Ada: 200"


@both_drivers
def test_both_drivers_perform_every_command_and_return_the_result(drive: Drive) -> None:
    def everything(request: Request) -> Steps[tuple[str, int]]:
        yield from sleep(2)
        key = yield from resolve(lambda: "key")
        response = yield from send(request)
        return key, response.status_code

    result, recorder = drive(everything(REQUEST), lambda request: Response(201))
    assert result == ("key", 201)
    assert (recorder.sent, recorder.waited) == ([REQUEST], [2])


def test_composition_puts_the_first_middleware_outermost() -> None:
    seen: list[str] = []

    def named(name: str) -> Middleware:
        def middleware(request: Request, call_next: Next) -> Steps[Response]:
            seen.append(f"{name} in")
            response = yield from call_next(request)
            seen.append(f"{name} out")
            return response

        return middleware

    run(compose([named("outer"), named("inner")])(REQUEST), Recorder().send)
    assert seen == ["outer in", "inner in", "inner out", "outer out"]


def test_composing_nothing_sends() -> None:
    assert next(compose([])(REQUEST)) == Send(REQUEST)


@both_drivers
@pytest.mark.parametrize("error", [ConnectError("down"), KeyboardInterrupt(), SystemExit(3), asyncio.CancelledError()])
def test_what_a_transport_raises_reaches_except_and_finally_blocks(drive: Drive, error: BaseException) -> None:
    seen: list[object] = []

    def watchful(request: Request, call_next: Next) -> Steps[Response]:
        try:
            return (yield from call_next(request))
        except BaseException as caught:
            seen.append(caught)
            raise
        finally:
            seen.append("finally")

    def fail(request: Request) -> Response:
        raise error

    with pytest.raises(type(error)):
        drive(compose([watchful])(REQUEST), fail)
    assert seen[-1] == "finally"
    assert type(seen[0]) is type(error)


@both_drivers
def test_a_middleware_may_answer_an_error_with_further_commands(drive: Drive) -> None:
    """What it then yields is performed, and its result is the call's."""
    outcomes: list[Exception | Response] = [ConnectError("down"), Response(200)]

    def again(request: Request, call_next: Next) -> Steps[Response]:
        try:
            return (yield from call_next(request))
        except ConnectError:
            yield from sleep(0.5)
        return (yield from call_next(request))

    def transmit(request: Request) -> Response:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    response, recorder = drive(compose([again])(REQUEST), transmit)
    assert response.status_code == 200
    assert recorder.waited == [0.5]


@both_drivers
def test_an_error_while_waiting_or_resolving_reaches_the_middleware(drive: Drive) -> None:
    def broken() -> str:
        raise LookupError("no vault")

    def careful() -> Steps[str]:
        try:
            return (yield from resolve(broken))
        except LookupError as error:
            return f"handled {error}"

    assert drive(careful(), lambda request: OK)[0] == "handled no vault"


@both_drivers
def test_a_stop_iteration_of_a_transport_is_not_taken_for_the_end(drive: Drive) -> None:
    """PEP 479: it would otherwise end the generator as if it had returned None."""

    def exhausted(request: Request) -> Response:
        raise StopIteration("a bug in a transport")

    with pytest.raises(RuntimeError, match="StopIteration"):
        drive(send(REQUEST), exhausted)


def test_a_cancelled_task_reaches_except_and_finally_blocks() -> None:
    """Real cancellation of a real task that waits for the network."""
    seen: list[str] = []

    def watchful(request: Request, call_next: Next) -> Steps[Response]:
        try:
            return (yield from call_next(request))
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        finally:
            seen.append("finally")

    class Silent:
        def __init__(self) -> None:
            self.waiting = asyncio.Event()

        async def send(self, request: Request) -> Response:
            self.waiting.set()
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

    async def main() -> None:
        transport = Silent()
        task = asyncio.create_task(run_async(compose([watchful])(REQUEST), transport.send))
        await transport.waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen == ["cancelled", "finally"]


def test_an_abandoned_async_call_runs_its_finally_blocks() -> None:
    """A coroutine that is closed instead of awaited to the end leaves nothing open."""
    seen: list[str] = []

    def watchful(request: Request, call_next: Next) -> Steps[Response]:
        try:
            return (yield from call_next(request))
        finally:
            seen.append("finally")

    class Forever:
        def __await__(self) -> Any:
            yield

    class Silent:
        async def send(self, request: Request) -> Response:
            await Forever()
            raise AssertionError("unreachable")

    call = run_async(compose([watchful])(REQUEST), Silent().send)
    call.send(None)
    call.close()
    assert seen == ["finally"]


def test_the_async_driver_takes_plain_and_async_providers() -> None:
    async def vault() -> str:
        await asyncio.sleep(0)
        return "async"

    def ask(provider: Callable[[], Awaitable[str] | str]) -> Steps[str]:
        return (yield from resolve(provider))

    assert drive_async(ask(vault), lambda request: OK)[0] == "async"
    assert drive_async(ask(lambda: "plain"), lambda request: OK)[0] == "plain"


def test_the_sync_driver_refuses_an_async_provider_by_name() -> None:
    """And leaves no coroutine behind that was never awaited (which the test run would report)."""

    async def vault() -> str:
        raise AssertionError("never run")

    with pytest.raises(UnexpectedAwaitableError, match=r"vault is async.*\*_async"):
        run(resolve(vault), Recorder().send)  # type: ignore[arg-type]


def test_the_sync_driver_closes_whatever_it_cannot_await() -> None:
    """A stranger's awaitable too, as far as that can be closed."""

    class Given:
        closed = False

        def __await__(self) -> Generator[Any, Any, str]:
            raise AssertionError("never awaited")

    class Closable(Given):
        def close(self) -> None:
            self.closed = True

    for given in (Given(), Closable()):
        provider: Callable[[], Any] = lambda given=given: given  # type: ignore[misc]  # noqa: E731
        with pytest.raises(UnexpectedAwaitableError):
            run(resolve(provider), Recorder().send)
        assert given.closed is isinstance(given, Closable)


# Limits


def limited(command: Command) -> Steps[Any]:
    """Have one command performed, as a middleware does that bounds others."""
    return (yield from perform(command))


@both_drivers
def test_a_provider_that_is_done_in_time_gives_its_value(drive: Drive) -> None:
    assert drive(limited(Resolve(lambda: "key", 10)), lambda request: OK)[0] == "key"


@both_drivers
def test_a_provider_has_no_more_time_than_its_limit(drive: Drive) -> None:
    """However long it takes, the call goes on; the provider is left alone in its thread."""
    released, ended = threading.Event(), threading.Event()

    def slow() -> str:
        released.wait(10)
        ended.set()
        return "too late"

    def impatient() -> Steps[str]:
        try:
            yield from limited(Resolve(slow, 0.01))
        except TimeoutError as error:
            return str(error)
        raise AssertionError("unreachable")

    said, _ = drive(impatient(), lambda request: OK)
    assert said.startswith("not done after 0.0")
    released.set()
    assert ended.wait(10)


@both_drivers
def test_a_provider_with_a_limit_fails_as_one_without(drive: Drive) -> None:
    """Its own TimeoutError too is its own."""

    def broken() -> str:
        raise TimeoutError("the vault's own")

    with pytest.raises(TimeoutError, match="the vault's own"):
        drive(limited(Resolve(broken, 10)), lambda request: OK)


def test_an_async_provider_with_a_limit_is_cancelled() -> None:
    async def vault() -> str:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    with pytest.raises(TimeoutError):
        drive_async(limited(Resolve(vault, 0.01)), lambda request: OK)


def test_an_async_provider_that_is_done_in_time_gives_its_value() -> None:
    async def vault() -> str:
        await asyncio.sleep(0)
        return "key"

    for provider in (vault, lambda: vault()):
        assert drive_async(limited(Resolve(provider, 10)), lambda request: OK)[0] == "key"


def test_the_sync_driver_refuses_an_async_provider_with_a_limit() -> None:
    async def vault() -> str:
        raise AssertionError("never run")

    for provider in (vault, lambda: vault()):
        with pytest.raises(UnexpectedAwaitableError, match="is async"):
            run(limited(Resolve(provider, 10)), Recorder().send)


# Waiting for another call


@both_drivers
@pytest.mark.parametrize("timeout", [None, 10.0])
def test_a_future_that_is_done_gives_its_result(drive: Drive, timeout: float | None) -> None:
    future = Future[str]()
    future.set_result("done")
    assert drive(limited(Wait(future, timeout)), lambda request: OK)[0] == "done"


@both_drivers
def test_a_future_is_waited_for_that_another_thread_ends(drive: Drive) -> None:
    future = Future[str]()

    def waiting() -> Steps[str]:
        threading.Timer(0.01, future.set_result, ("done",)).start()
        return (yield from wait(future))

    assert drive(waiting(), lambda request: OK)[0] == "done"


@both_drivers
def test_a_future_is_waited_for_no_longer_than_the_limit(drive: Drive) -> None:
    """And it is left as it is: others may wait for it."""
    future = Future[str]()
    future.set_running_or_notify_cancel()
    with pytest.raises(TimeoutError, match=r"not done after 0\.01 s"):
        drive(limited(Wait(future, 0.01)), lambda request: OK)
    assert not future.cancelled()


@both_drivers
def test_the_failure_of_a_future_reaches_the_middleware(drive: Drive) -> None:
    future = Future[str]()
    future.set_exception(LookupError("no vault"))

    def careful() -> Steps[str]:
        try:
            return (yield from wait(future))
        except LookupError as error:
            return f"handled {error}"

    assert drive(careful(), lambda request: OK)[0] == "handled no vault"


def test_the_sync_driver_refuses_to_hold_up_the_loop_that_it_waits_for() -> None:
    """It would be for ever. What is done already is no wait, and another thread's loop goes on."""
    own, future = threading.get_ident(), Future[str]()
    with pytest.raises(UnexpectedAwaitableError, match=r"the event loop of the same thread.*\*_async"):
        run(limited(Wait(future, thread=own)), Recorder().send)
    with pytest.raises(TimeoutError):
        run(limited(Wait(future, 0.01, thread=own + 1)), Recorder().send)
    future.set_result("done")
    assert run(limited(Wait(future, thread=own)), Recorder().send) == "done"


def test_the_async_driver_may_wait_for_its_own_loop() -> None:
    future = Future[str]()

    def waiting() -> Steps[Any]:
        asyncio.get_running_loop().call_soon(future.set_result, "done")
        return (yield from limited(Wait(future, thread=threading.get_ident())))

    assert drive_async(waiting(), lambda request: OK)[0] == "done"


def test_a_task_that_is_cancelled_does_not_cancel_the_future() -> None:
    future = Future[str]()
    future.set_running_or_notify_cancel()

    async def main() -> None:
        tasks = [asyncio.create_task(run_async(wait(future), AsyncRecorder().send_async)) for _ in range(2)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        future.set_result("done")
        assert await tasks[1] == "done"

    asyncio.run(main())


def test_threads_and_tasks_wait_for_the_same_future() -> None:
    future, waiting = Future[str](), threading.Semaphore(0)
    future.set_running_or_notify_cancel()
    results: list[str] = []

    def announced() -> Steps[str]:
        waiting.release()
        return (yield from wait(future))

    async def main() -> list[str]:
        tasks = [asyncio.create_task(run_async(announced(), AsyncRecorder().send_async)) for _ in range(5)]
        return await asyncio.gather(*tasks)

    threads = [threading.Thread(target=lambda: results.append(run(announced(), Recorder().send))) for _ in range(5)]
    loop = threading.Thread(target=lambda: results.extend(asyncio.run(main())))
    for thread in (*threads, loop):
        thread.start()
    for _ in range(10):
        assert waiting.acquire(timeout=10)
    future.set_result("done")
    for thread in (*threads, loop):
        thread.join()
    assert results == ["done"] * 10


def test_the_sync_driver_refuses_an_async_transport() -> None:
    class Wrong:
        async def send(self, request: Request) -> Response:
            raise AssertionError("never run")

    with pytest.raises(UnexpectedAwaitableError, match="the transport is async"):
        run(send(REQUEST), Wrong().send)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@both_drivers
def test_what_is_no_command_is_refused_in_words(drive: Drive) -> None:
    def mistaken(request: Request, call_next: Next) -> Any:
        yield request

    with pytest.raises(TypeError, match=r"yielded Request, which is no command.*yield from call_next"):
        drive(mistaken(REQUEST, send), lambda request: OK)


def test_the_default_waits_really_wait() -> None:
    """The drivers' own clocks are time.sleep and asyncio.sleep; a wait of nothing returns at once."""
    assert run(sleep(0), Recorder().send) is None
    assert asyncio.run(run_async(sleep(0), AsyncRecorder().send_async)) is None
