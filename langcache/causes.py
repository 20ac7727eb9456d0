"""What is behind an exception: those from which it was raised, and the frames that they came through."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator
from types import FrameType
from typing import Any, cast

_SUSPENDABLE = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


def behind(error: BaseException) -> Iterator[BaseException]:
    """Give `error`, which has been caught, and all that it wraps or was raised from, each once.

    What a caller was handling already when it made the call that failed has nothing to do with the failure, although
    Python chains it too: it is left out.
    """
    callers = _callers(error)
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        found = waiting.pop(0)
        if isinstance(found, BaseException) and id(found) not in seen and not _is_caught_by(callers, found):
            seen.add(id(found))
            yield found
            # urllib3 keeps the wrapped error as `reason`, others among the arguments, as groups do.
            waiting += [*_flat(found.args), getattr(found, "reason", None), found.__cause__, found.__context__]


def _flat(arguments: tuple[Any, ...]) -> Iterator[Any]:
    for argument in arguments:
        if isinstance(argument, (list, tuple)):
            yield from cast("list[Any]", argument)
        else:
            yield argument


def _callers(error: BaseException) -> set[FrameType]:
    """Return the frames that called the one that caught `error`."""
    frames: set[FrameType] = set()
    frame = None if error.__traceback__ is None else error.__traceback__.tb_frame.f_back
    while frame is not None:
        frames.add(frame)
        frame = frame.f_back
    return frames


def _is_caught_by(frames: set[FrameType], error: BaseException) -> bool:
    return error.__traceback__ is not None and error.__traceback__.tb_frame in frames


def forget_variables(error: BaseException) -> None:
    """Clear the variables of the frames through which `error`, which has been caught, and those behind it came.

    They hold credentials, in dicts of headers and in the bytes of requests, and what reports errors likes to show
    them. A frame that still runs keeps its own.
    """
    for each in behind(error):
        begin = each.__traceback__
        # The first frame is the one that caught it. A generator may go on with that, later; to clear it is to end it.
        if begin is not None and begin.tb_frame.f_code.co_flags & _SUSPENDABLE:
            begin = begin.tb_next
        traceback.clear_frames(begin)
