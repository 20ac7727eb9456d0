"""What is current while a call runs, in the context of the thread or the task that makes it.

1. A generator that is left alone may be ended by the garbage collector, in the context of whoever is running then. So a
   context is put back only where it is found, and never with a token, which belongs to the context it was made in.
2. Tasks may share a context, and their calls overlap in it. Then what was current before a call may be that of a call
   which is over meanwhile, and is not put back.
"""

from __future__ import annotations

from typing import Final, cast

from opentelemetry import context as contexts
from opentelemetry.context import Context

_SCOPE: Final = contexts.create_key("langcache-scope")

# Both are private, but there is no other place where instrumentors look. Where they move, there are two spans for a
# call, and the tests with the instrumentors say so.
_NO_HTTP: Final[str] = getattr(contexts, "_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress_http_instrumentation")
_NOTHING: Final[str] = getattr(contexts, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")


class Scope:
    """A time in which a context is current: from `enter` to `leave`, of which the latter may be called alone too."""

    __slots__ = ("_before", "_is_over")

    def __init__(self) -> None:
        self._before = Context()
        self._is_over = False

    def enter(self, context: Context) -> None:
        """Make `context` the current one."""
        self._before = contexts.get_current()
        contexts.attach(contexts.set_value(_SCOPE, self, context))

    def leave(self) -> None:
        """Make the one that was current before the current one again, where this one, or one made from it, still is."""
        self._is_over = True
        if _scope_of(contexts.get_current()) is not self:
            return
        before = self._before
        while (scope := _scope_of(before)) is not None and scope._is_over:
            before = scope._before
        contexts.attach(before)


def _scope_of(context: Context) -> Scope | None:
    return cast("Scope | None", contexts.get_value(_SCOPE, context))


def is_suppressed() -> bool:
    """Say whether the program, or a caller with a span of its own, has asked for no spans."""
    return bool(contexts.get_value(_NOTHING) or contexts.get_value(_NO_HTTP))


def without_instrumentors() -> Context:
    """Return the current context, in which HTTP libraries make no spans: that of the call is there already."""
    return contexts.set_value(_NO_HTTP, True)
