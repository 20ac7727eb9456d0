"""Interruptions: a signal's handler, or a finalizer, may run between any two lines of a function, in its thread."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType, FunctionType
from typing import Any


def interrupted(work: Callable[[], object], handler: Callable[[], object], *classes: type) -> int:
    """Do `work`, and call `handler` before each line of the `classes` that it comes to, as a signal would have it.

    Return how often that was. Fails where it does not end. What is interrupted is not interrupted once more.
    """
    members = [member for each in classes for member in vars(each).values()]
    codes = {member.__code__ for member in members if isinstance(member, FunctionType)}
    count = 0
    is_interrupted = False

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count, is_interrupted
        if frame.f_code not in codes:
            return None
        if event == "line" and not is_interrupted:
            is_interrupted = True
            count += 1
            handler()
            is_interrupted = False
        return trace

    def traced() -> None:
        sys.settrace(trace)
        work()

    thread = threading.Thread(target=traced, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), "it waits for itself"
    return count
