"""A plugin made of functions: what runs before a request is sent, after its answer, or on its error."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar, Union

from .errors import LangCacheError, PluginError, describe
from .hookspecs import hookimpl
from .http import Request, Response
from .steps import Middleware, Next, Steps, resolve
from .workers import is_async

T = TypeVar("T", Request, Response)

Before = Callable[[Request], Union[Request, Awaitable[Union[Request, None]], None]]
"""Returns the request to send in place of the one that it is given, or None for that one; or raises, to refuse it."""

After = Callable[[Request, Response], Union[Response, Awaitable[Union[Response, None]], None]]
"""Returns the response to hand out in place of the one that it is given, or None for that one."""

OnError = Callable[[Request, LangCacheError], Union[Response, Awaitable[Union[Response, None]], None]]
"""Raises another error in place of the one that it is given, or returns a response, or None to leave it as it is."""

_STAGES: Final = {
    "langcache_call_middleware": ("before_call", "after_call", "on_error"),
    "langcache_attempt_middleware": ("before_attempt", "after_attempt", "on_attempt_error"),
}

_ARGUMENTS: Final = {
    role: arguments
    for roles in _STAGES.values()
    for role, arguments in zip(roles, (("request",), ("request", "response"), ("request", "error")), strict=True)
}
"""What each is called with."""


class FunctionPlugin:
    """A plugin made of functions, in place of a generator around an exchange.

    `before_call`, `after_call` and `on_error` see a call once, outside of retries; `before_attempt`, `after_attempt`
    and `on_attempt_error` see every attempt. Each may be a coroutine function, which serves async calls alone; what a
    plain one waits for, an event loop waits for too. A function that raises ends the call with what it raises. Those
    for errors are given the errors that come from further inside, and not what the other functions here raise.

    `name` is the plugin's, for ``without`` and ``order``; None is the name of the first function. Raises PluginError
    where there is no function, something else in the place of one, or one that does not take what it is called with.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        before_call: Before | None = None,
        after_call: After | None = None,
        on_error: OnError | None = None,
        before_attempt: Before | None = None,
        after_attempt: After | None = None,
        on_attempt_error: OnError | None = None,
    ) -> None:
        given: dict[str, Callable[..., Any] | None] = {
            "before_call": before_call,
            "after_call": after_call,
            "on_error": on_error,
            "before_attempt": before_attempt,
            "after_attempt": after_attempt,
            "on_attempt_error": on_attempt_error,
        }
        self._functions = {role: function for role, function in given.items() if function is not None}
        if name is not None and not (isinstance(name, str) and name):
            raise PluginError(f"FunctionPlugin: name must be a string that is not empty, not {name!r}")
        for role, function in self._functions.items():
            if not callable(function):
                raise PluginError(f"FunctionPlugin: {role} must be a function, not {type(function).__name__}")
            if not _takes(function, _ARGUMENTS[role]):
                raise PluginError(
                    f"FunctionPlugin: {role} is called with {' and '.join(_ARGUMENTS[role])}, which "
                    f"{describe(function)} does not take"
                )
        if not self._functions:
            raise PluginError(f"FunctionPlugin: give it one function at least, as {', '.join(given)}")
        first = next(iter(self._functions.values()))
        self.name: Final = name or str(getattr(first, "__name__", type(first).__name__))
        # Where it comes from is where its functions do; `explain` tells the distribution of that module.
        self.__module__ = str(getattr(first, "__module__", None) or type(first).__module__)
        for hook, roles in _STAGES.items():
            if any(role in self._functions for role in roles):
                setattr(self, hook, hookimpl(self._hook(*roles)))

    def options(self) -> Mapping[str, object]:
        """Return what `explain` shows: the functions."""
        return self._functions

    def _hook(self, before: str, after: str, on_error: str) -> Callable[[], Middleware]:
        middleware = Around(self.name, *((role, self._functions.get(role)) for role in (before, after, on_error)))
        return lambda: middleware


def _takes(function: Callable[..., Any], arguments: tuple[str, ...]) -> bool:
    """Say whether `function` can be called with `arguments`; what it wraps may take more, from a decorator."""
    try:
        inspect.signature(function, follow_wrapped=False).bind(*arguments)
    except ValueError:  # it has no signature that could be looked at
        return True
    except TypeError:
        return False
    return True


_Role = tuple[str, Union[Callable[..., Any], None]]


class Around:
    """The middleware: the functions of one stage around an exchange."""

    def __init__(self, plugin: str, before: _Role, after: _Role, on_error: _Role) -> None:
        self._plugin = plugin
        self._before = before
        self._after = after
        self._on_error = on_error
        later = (function for _, function in (after, on_error) if function is not None and is_async(function))
        function = next(later, None)
        self._awaited = None if function is None else _named(_make_nothing(), function)
        """Does nothing in an async call, and has a sync one refused in the name of a function that is called later."""

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Call them; a sync call is refused before anything is sent where one of them is async."""
        if self._awaited is not None:
            yield from resolve(self._awaited)
        request = (yield from self._called(self._before, Request, request)) or request
        try:
            response = yield from call_next(request)
        except LangCacheError as error:
            instead = yield from self._called(self._on_error, Response, request, error)
            if instead is None:
                raise
            return instead
        return (yield from self._called(self._after, Response, request, response)) or response

    def _called(self, role: _Role, expected: type[T], *arguments: object) -> Steps[T | None]:
        """Return what a function gives in the place of what it is called for, or None for nothing."""
        name, function = role
        if function is None:
            return None
        given = yield from _call(function, arguments)
        if given is None or isinstance(given, expected):
            return given
        raise PluginError(
            f"The plugin {self._plugin!r}: {name} ({describe(function)}) returned {type(given).__name__}; "
            f"it is to return a langcache.{expected.__name__}, or None to leave it as it is"
        )


def _call(function: Callable[..., Any], arguments: tuple[object, ...]) -> Steps[Any]:
    """Call `function`, and have what it returns awaited where that has to be."""
    if is_async(function):
        # A sync call refuses it before it is called. The driver keeps what it performs until the call ends, and must
        # not keep an error with it, whose traceback holds the driver's frame: a reference cycle.
        held = [arguments]
        del arguments

        async def call() -> Any:
            return await function(*held.pop())

        return (yield from resolve(_named(call, function)))
    result = function(*arguments)
    return (yield from resolve(_named(lambda: result, function))) if inspect.isawaitable(result) else result


def _make_nothing() -> Callable[[], Awaitable[None]]:
    async def nothing() -> None:
        """A sync call cannot await it."""

    return nothing


def _named(provider: Callable[[], Any], function: Callable[..., Any]) -> Callable[[], Any]:
    """Give `provider` the name of `function`, which errors are to tell."""
    provider.__module__, _, provider.__qualname__ = describe(function).rpartition(".")
    return provider
