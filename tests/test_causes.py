"""What is behind an exception."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager

from langcache.causes import behind


def caught(work: Callable[[], object]) -> Exception:
    try:
        work()
    except (KeyError, ValueError) as error:
        return error
    raise AssertionError("there is no error")


def fail() -> None:
    raise ValueError


def wrap() -> None:
    try:
        fail()
    except ValueError as error:
        raise KeyError from error


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
