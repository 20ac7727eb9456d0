"""What is behind an exception, and what its frames forget."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

import pytest

from langcache.causes import behind, forget_variables

SECRET = "in-a-variable"  # noqa: S105 - it protects nothing


def caught(work: Callable[[], object]) -> Exception:
    try:
        work()
    except (KeyError, ValueError) as error:
        return error
    raise AssertionError("there is no error")


def fail() -> None:
    secret = SECRET.upper()
    raise ValueError(len(secret))


def wrap() -> None:
    secret = SECRET.upper()
    try:
        fail()
    except ValueError as error:
        raise KeyError(len(secret)) from error


def shown(error: BaseException) -> str:
    """Return the traceback with the variables of its frames, as error trackers make it."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())


# What is behind


class Wrapped(Exception):
    """An error that keeps others as urllib3, and as groups of exceptions do."""

    def __init__(self, reason: Exception, *others: Exception) -> None:
        super().__init__("wrapped", list(others))
        self.reason = reason


def test_all_that_an_error_wraps_is_given_once() -> None:
    inner, other, cause, context = KeyError(), IndexError(), OSError(), TypeError()
    error = Wrapped(inner, other, inner)
    error.__cause__, error.__context__ = cause, context
    inner.__context__ = error
    assert list(behind(error)) == [error, other, inner, cause, context]


def test_what_a_caller_was_handling_is_left_out() -> None:
    """Where a program turns to another server, say, because of a certificate of the first."""
    try:
        raise LookupError("the caller's")
    except LookupError:
        error = caught(wrap)
    assert [type(each) for each in behind(error)] == [KeyError, ValueError]


def test_what_a_callers_context_manager_was_handling_is_left_out() -> None:
    found: list[type[BaseException]] = []

    @contextmanager
    def instead() -> Generator[None, None, None]:
        try:
            yield
        except LookupError:
            found.extend(type(each) for each in behind(caught(wrap)))

    with instead():
        raise LookupError("the caller's")
    assert found == [KeyError, ValueError]


def test_what_a_calling_task_was_handling_is_left_out() -> None:
    async def failing() -> list[type[BaseException]]:
        await asyncio.sleep(0)
        return [type(each) for each in behind(caught(wrap))]

    async def main() -> list[type[BaseException]]:
        try:
            raise LookupError("the caller's")
        except LookupError:
            return await failing()

    assert asyncio.run(main()) == [KeyError, ValueError]


# What frames forget


def test_the_variables_of_all_frames_are_forgotten() -> None:
    error = caught(wrap)
    assert SECRET.upper() in shown(error)
    forget_variables(error)
    assert SECRET.upper() not in shown(error)
    assert "in fail" in shown(error)


def test_a_frame_that_still_runs_keeps_its_variables() -> None:
    kept = "mine"
    with suppress(ValueError):
        try:
            fail()
        except ValueError as error:
            forget_variables(error)
            raise
    assert kept == "mine"


def test_what_a_caller_was_handling_keeps_its_variables() -> None:
    told = ""
    try:
        fail()
    except ValueError as callers:
        forget_variables(caught(wrap))
        told = shown(callers)
    assert SECRET.upper() in told


def test_a_generator_that_goes_on_with_the_error_is_not_ended() -> None:
    """Before Python 3.13 a frame that waits could be cleared, which would end its generator."""

    def patient() -> Generator[Exception, None, str]:
        try:
            fail()
        except ValueError as error:
            yield error
        return "done"

    waiting = patient()
    forget_variables(next(waiting))
    with pytest.raises(StopIteration) as end:
        next(waiting)
    assert end.value.value == "done"


def test_a_coroutine_that_goes_on_with_the_error_is_not_ended() -> None:
    async def patient(told: asyncio.Future[Exception], go_on: asyncio.Event) -> str:
        try:
            fail()
        except ValueError as error:
            told.set_result(error)
            await go_on.wait()
        return "done"

    async def main() -> str:
        told: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        go_on = asyncio.Event()
        task = asyncio.ensure_future(patient(told, go_on))
        forget_variables(await told)
        go_on.set()
        return await task

    assert asyncio.run(main()) == "done"
