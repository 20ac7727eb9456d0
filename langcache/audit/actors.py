"""Who: the actor of a call, which travels in a context variable through threads' contexts and tasks."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

actor: ContextVar[str | None] = ContextVar("langcache.audit.actor", default=None)
"""Who calls, where that is said for a task, a request or a thread; it stands before an audit's own actor.

It is read where a call begins. A task has a copy of the context that it was made in; a new thread begins without one,
unless it is run in a copy (`contextvars.copy_context`).
"""


@contextmanager
def acting_as(name: str) -> Generator[None, None, None]:
    """Have the calls in this ``with`` block recorded as those of `name`."""
    token = actor.set(name)
    try:
        yield
    finally:
        actor.reset(token)
