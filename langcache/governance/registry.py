"""The registry: one client's plugins, as pluggy keeps them. Each is checked when it is added."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Generator, Iterator, Mapping
from types import FunctionType, MethodType
from typing import Any, Final, cast

import pluggy

from .. import hookspecs
from ..config import Settings
from ..errors import PluginError, describe
from ..http import Request, Response
from ..steps import Middleware, Next, Steps
from ..workers import discard
from .discovery import Unusable, suggestion
from .masking import in_one_line
from .ordering import Layer

_REST: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

MIDDLEWARE_HOOKS: Final = ("langcache_call_middleware", "langcache_attempt_middleware")
"""The hooks that return middleware: for a call, and for each of its attempts."""

COMPOSED_HOOK: Final = "langcache_composed"
"""The hook that is told the middleware of a client."""

TRANSPORT_HOOKS: Final = ("langcache_transport", "langcache_async_transport")
"""The hooks that return transports."""

_MARK: Final = f"{hookspecs.PROJECT}_impl"  # as pluggy has it

HOOKS: Final = tuple(name for name in vars(hookspecs) if name.startswith("langcache_"))


class Registry(pluggy.PluginManager):
    """Keeps plugins and their hooks in pluggy's order."""

    def __init__(self) -> None:
        super().__init__(hookspecs.PROJECT)
        self.add_hookspecs(hookspecs)
        self._off: Collection[str] = ()
        self._implemented: dict[str, Mapping[str, Any]] = {}

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        """Say how the attribute `name` of a plugin implements a hook, or None where it does not, or is switched off."""
        if inspect.ismodule(plugin) and not _may_be_hook(vars(plugin).get(name)):
            return None
        options = super().parse_hookimpl_opts(plugin, name)
        if options is None:
            return None
        hook = options.get("specname") or name
        self._implemented[name] = {**options, "hook": hook}
        return None if name in self._off or hook in self._off else options

    def add(self, plugin: object, name: str, off: Collection[str] = ()) -> Collection[str]:
        """Register `plugin` without its hooks `off`; return all names by which its hooks can be switched off.

        These are the hooks' names, and those of the functions that implement them. Raises Unusable, and leaves the
        plugin out, where it would not do what it looks as if it did.
        """
        self._off, self._implemented = off, {}
        if inspect.isclass(plugin):
            raise Unusable(f"is a class; hand in an instance: {plugin.__name__}()")
        try:
            self.register(plugin, name)
        except ValueError:  # its text would show what all plugins hold
            raise Unusable("is there already, or is equal to one that is; it can be there once") from None
        except pluggy.PluginValidationError as error:
            self._drop(plugin)
            mistaken = [each for name, options in self._implemented.items() for each in _unknown(plugin, name, options)]
            raise Unusable("; ".join(mistaken) or f"cannot be registered: {in_one_line(str(error))}") from error
        problems = _problems(plugin, self._implemented)
        if problems:
            self._drop(plugin)
            raise Unusable("; ".join(problems))
        return {*self._implemented, *(options["hook"] for options in self._implemented.values())}

    def implementations(self, hook: str) -> list[pluggy.HookImpl]:
        """Return the implementations of a hook, the first in pluggy's order first."""
        caller: pluggy.HookCaller = getattr(self.hook, hook)
        return caller.get_hookimpls()[::-1]

    def _drop(self, plugin: object) -> None:
        if plugin is not None and self.is_registered(plugin):
            self.unregister(plugin)


def ask(implementation: pluggy.HookImpl, arguments: Mapping[str, object]) -> object:
    """Call an implementation of a hook with those of the hook's `arguments` that it takes; return what it returns."""
    by_name = {name: arguments[name] for name in implementation.kwargnames if name in arguments}
    given: object = implementation.function(*(arguments[name] for name in implementation.argnames), **by_name)
    return given


def middleware_of(implementation: pluggy.HookImpl, settings: Settings) -> Middleware | None:
    """Return the middleware that an implementation of such a hook gives; raises PluginError where it is none."""
    given = ask(implementation, {"settings": settings})
    problem = None if given is None else _middleware_problem(given)
    if problem is not None:
        raise PluginError(
            f"The plugin {implementation.plugin_name!r}: {describe(given)} is no middleware; that is a generator "
            f"function (request, call_next), which serves sync and async calls alike; {problem}"
        )
    return cast("Middleware | None", given)


def _middleware_problem(given: object) -> str | None:
    """Say why what a hook returned is no middleware, as far as that can be told before a call."""
    if not callable(given):
        return "it cannot be called"
    call = given if inspect.isroutine(given) else type(given).__call__
    if any(map(inspect.iscoroutinefunction, (given, call))) or any(map(inspect.isasyncgenfunction, (given, call))):
        return "it is async"
    try:
        # As it is called, and not as what it wraps is, to which a decorator may give more.
        inspect.signature(given, follow_wrapped=False).bind(None, None)
    except ValueError:  # it has none that could be looked at
        return None
    except TypeError:
        return "it does not take these two"
    return None


def checked_middleware(layer: Layer) -> Middleware:
    """Return a layer's middleware; one that is no generator function is looked at in each call for what it returns.

    PluginError is raised then where that is no generator.
    """
    given = layer.middleware
    instance: Any = type(given)
    if inspect.isgeneratorfunction(given) or inspect.isgeneratorfunction(instance.__call__):
        return given

    def checked(request: Request, call_next: Next) -> Steps[Response]:
        steps = given(request, call_next)
        if isinstance(cast("object", steps), Generator):
            return steps
        discard(steps)
        raise PluginError(
            f"The plugin {layer.plugin!r}: its middleware {describe(given)} returned {type(steps).__name__}; it is to "
            "be a generator function that ends with 'return (yield from call_next(request))'"
        )

    return checked


def _may_be_hook(held: object) -> bool:
    """Say whether what a module holds may implement a hook; that most of it does not, pluggy takes long to find out."""
    if isinstance(held, FunctionType):
        return hasattr(held, _MARK)
    return isinstance(held, (MethodType, staticmethod, classmethod))


def _problems(plugin: object, implemented: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say in which hooks `plugin` is mistaken; without this they would silently never be called."""
    problems: list[str] = []
    for name, options in implemented.items():
        hook = options["hook"]
        if hook not in HOOKS:
            problems.append(f"implements the unknown hook {hook!r}{_or_all(hook)}")
        elif options.get("wrapper") or options.get("hookwrapper"):
            if hook in MIDDLEWARE_HOOKS:
                problems.append(f"wraps {hook!r}, but there is no list to wrap; return a middleware, which wraps calls")
            elif hook == COMPOSED_HOOK:
                problems.append(
                    f"wraps {hook!r}, but there is nothing to wrap; it is told something, and returns nothing"
                )
        else:
            problems += _form_problems(hook, getattr(plugin, name))
    unmarked = [
        name
        for name in dir(plugin)
        if name.startswith("langcache_") and name not in implemented and inspect.isroutine(getattr(plugin, name))
    ]
    problems += [f"has {name!r}, which is not marked with @langcache.hookimpl" for name in unmarked]
    if not implemented and not problems:
        problems.append(f"implements no hook; the hooks are {', '.join(HOOKS)}")
    return problems


def _form_problems(hook: str, function: object) -> Iterator[str]:
    """Say where a function would not do its work when it is called, but make something that does."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        yield f"has {hook!r} as an async function; hooks are plain ones, and what they return may be async"
    elif inspect.isgeneratorfunction(function):
        wrapping = ", or is marked with @langcache.hookimpl(wrapper=True)" if hook in TRANSPORT_HOOKS else ""
        what = " a middleware, which may be one" if hook in MIDDLEWARE_HOOKS else ""
        yield f"has {hook!r} as a generator function; a hook returns{what}{wrapping}"


def _unknown(plugin: object, name: str, options: Mapping[str, Any]) -> Iterator[str]:
    """Say which arguments a function asks for that its hook does not have, which pluggy says in words of its own."""
    hook: str = options["hook"]
    if hook not in HOOKS:
        return
    there = inspect.signature(getattr(hookspecs, hook)).parameters
    asked = inspect.signature(getattr(plugin, name)).parameters.values()
    required = [each.name for each in asked if each.default is each.empty and each.kind not in _REST]
    unknown = [name for name in required if name not in there]
    if unknown:
        instead = "; it returns a middleware, which is given (request, call_next)" if hook in MIDDLEWARE_HOOKS else ""
        yield f"has {hook!r} with {', '.join(unknown)}, but it can ask for {', '.join(there)} only{instead}"


def _or_all(hook: str) -> str:
    return suggestion(hook, HOOKS) or f" (the hooks are {', '.join(HOOKS)})"
