"""A client's plugins: discovery, validation, and the objects that their hooks return.

There is one `Plugins` for each client, so that nothing leaks from one client to another. The built-in middleware is
registered through the same hooks as a stranger's, and so are the built-in transports, which are found by entry point
and loaded alone, when they are chosen.
"""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, cast

import pluggy

from . import hookspecs
from .config import Settings
from .errors import PluginError, UnknownTransportError, describe
from .middleware import (
    auth,
    circuit_breaker,
    deadline,
    error_mapping,
    fail_open,
    identity,
    logging,
    parsing,
    redirects,
    retry,
)
from .steps import Middleware
from .transport import AsyncTransport, Transport, TransportOptions

PLUGIN_GROUP = "langcache.plugins"
"""The entry point group of plugins that are handed in by name."""

TRANSPORT_GROUP = "langcache.transports"
"""The entry point group of transports; an entry point's name is the transport's."""

FALLBACK_ASYNC_TRANSPORT = "threaded"
"""The transport that serves async calls where no other does: it runs the sync one in threads."""

NATIVE_ASYNC_TRANSPORT = "aiohttp"
"""The transport that async calls have by default where it is installed."""

SUPPLIED_TRANSPORT = "supplied"
"""The transport that sends with the caller's own HTTP client."""


_INSIDE_OF_USERS = ("logging", "auth")
_BUILT_IN_MIDDLEWARE: dict[str, ModuleType] = {
    "logging": logging,
    "auth": auth,
    "circuit_breaker": circuit_breaker,
    "retry": retry,
    "deadline": deadline,
    "parsing": parsing,
    "fail_open": fail_open,
    "identity": identity,
    "error_mapping": error_mapping,
    "redirects": redirects,
}
"""In the order in which they are registered, which is what makes the order of the stages."""


class Plugins:
    """The plugins of one client.

    The order within a stage is pluggy's, outermost first: ``tryfirst``, then the last registered before those
    registered earlier, then ``trylast``. The built-in ones are registered so that a user's stand

    - once a call: inside of identity, fail-open, parsing and deadline, and outside of the circuit breaker and retry;
    - once an attempt: outside of auth and logging, and of error mapping with redirects inside of it.

    `without` names built-in ones that are left out, for a user's to take their place.
    """

    def __init__(self, given: Iterable[object] = (), without: Iterable[str] = ()) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        left_out = _checked_names(without)
        built_in = {name: plugin for name, plugin in _BUILT_IN_MIDDLEWARE.items() if name not in left_out}
        for name in _INSIDE_OF_USERS:
            if name in built_in:
                self._register(built_in.pop(name), name)
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise PluginError(f"plugins must be a list of plugins or of their names, not {type(given).__name__}")
        for plugin in given:
            if isinstance(plugin, str):
                self._load(PLUGIN_GROUP, plugin)
            else:
                self._register(plugin)
        for name, module in built_in.items():
            self._register(module, name)

    def call_middleware(self, settings: Settings) -> list[Middleware]:
        """Return the middleware that sees a call once, outermost first."""
        return _checked_middleware(self._manager.hook.langcache_call_middleware(settings=settings))

    def attempt_middleware(self, settings: Settings) -> list[Middleware]:
        """Return the middleware that sees every attempt, outermost first."""
        return _checked_middleware(self._manager.hook.langcache_attempt_middleware(settings=settings))

    def transport(self, name: str, options: TransportOptions) -> Transport | None:
        """Return a new transport for sync calls, or None where no plugin answers to `name`."""

        def ask() -> object:
            return self._manager.hook.langcache_transport(name=name, options=options)

        found = self._ask(ask, name)
        return None if found is None else cast(Transport, _with_methods(found, "send", "close", name))

    def async_transport(
        self, name: str, options: TransportOptions, transport: Transport | None
    ) -> AsyncTransport | None:
        """Return a new transport for async calls, or None where no plugin answers to `name`."""

        def ask() -> object:
            return self._manager.hook.langcache_async_transport(name=name, options=options, transport=transport)

        found = self._ask(ask, name)
        return None if found is None else cast(AsyncTransport, _with_methods(found, "send", "aclose", name))

    def unknown_transport(self, name: str) -> UnknownTransportError:
        """Return the error that says which transports there are instead of `name`."""
        known = sorted(_entry_points(TRANSPORT_GROUP))
        hooks = (self._manager.hook.langcache_transport, self._manager.hook.langcache_async_transport)
        strangers = [plugin for hook in hooks for plugin in hook.get_hookimpls() if plugin.plugin_name not in known]
        answering = {describe(plugin.plugin) for plugin in strangers}
        if name == FALLBACK_ASYNC_TRANSPORT:
            return UnknownTransportError(
                f"The transport {name!r} serves async calls only, over any transport for sync ones"
            )
        others = f"; these plugins answer to names of their own: {', '.join(sorted(answering))}" if answering else ""
        return UnknownTransportError(
            f"No transport answers to {name!r}; known are {', '.join(known) or 'none'}{others}"
        )

    def _ask(self, ask: Callable[[], object], name: str) -> object:
        """Ask the registered plugins, and only where none answers, load the transport of that name and ask again."""
        answer = ask()
        if answer is None and not self._manager.has_plugin(name) and name in _entry_points(TRANSPORT_GROUP):
            self._load(TRANSPORT_GROUP, name)
            answer = ask()
        return answer

    def _load(self, group: str, name: str) -> None:
        known = _entry_points(group)
        if name not in known:
            raise PluginError(f"No plugin {name!r} is installed; known are {', '.join(sorted(known)) or 'none'}")
        try:
            plugin = known[name].load()
        except Exception as error:
            raise PluginError(f"The plugin {name!r} ({known[name].value}) cannot be loaded: {error}") from error
        self._register(plugin, name)

    def _register(self, plugin: object, name: str | None = None) -> None:
        shown = name or describe(plugin)
        if inspect.isclass(plugin):
            raise PluginError(f"The plugin {shown} is a class; hand in an instance: {plugin.__name__}()")
        try:
            self._manager.register(plugin, name)
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginError(f"The plugin {shown} cannot be registered: {error}") from error
        problems = _hook_problems(self._manager, plugin)
        if problems:
            raise PluginError(f"The plugin {shown} {'; '.join(problems)}")


_BUILT_IN = {
    TRANSPORT_GROUP: {
        name: EntryPoint(name, f"langcache_transports.{name}", TRANSPORT_GROUP)
        for name in ("aiohttp", "embedded", "requests", "supplied", "threaded", "urllib3")
    }
}
"""What holds where the package's own metadata is missing, as it is in bundles and where the code was copied."""


@lru_cache(maxsize=8)
def _installed(group: str, _search_path: Sequence[str]) -> dict[str, EntryPoint]:
    # Reading all installed distributions takes milliseconds, so it is done once for each state of sys.path.
    return {**_BUILT_IN.get(group, {}), **{entry_point.name: entry_point for entry_point in entry_points(group=group)}}


def _entry_points(group: str) -> dict[str, EntryPoint]:
    return _installed(group, tuple(sys.path))


def _checked_names(without: Iterable[str]) -> list[str]:
    """Return the names of the built-in middleware that is left out; raises PluginError where one is none."""
    if isinstance(without, str) or not isinstance(without, Iterable):
        raise PluginError(f"without must be a list of names of built-in middleware, not {type(without).__name__}")
    names = list(without)
    unknown = [name for name in names if name not in _BUILT_IN_MIDDLEWARE]
    if unknown:
        known = ", ".join(_BUILT_IN_MIDDLEWARE)
        raise PluginError(f"without: there is no built-in middleware {unknown[0]!r}; there are {known}")
    return names


def _hook_problems(manager: pluggy.PluginManager, plugin: object) -> list[str]:
    """Say in which hooks `plugin` is mistaken; without this they would silently never be called."""
    specified = [name for name in vars(hookspecs) if name.startswith("langcache_")]
    implemented = [caller.name for caller in manager.get_hookcallers(plugin) or []]
    problems = [
        f"implements the unknown hook {name!r}{_suggestion(name, specified)}"
        for name in implemented
        if name not in specified
    ]
    unmarked = [
        name
        for name in dir(plugin)
        if name.startswith("langcache_") and name not in implemented and inspect.isroutine(getattr(plugin, name))
    ]
    problems += [f"has {name!r}, which is not marked with @langcache.hookimpl" for name in unmarked]
    if not implemented and not problems:
        problems.append(f"implements no hook; the hooks are {', '.join(specified)}")
    return problems


def _suggestion(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else f" (the hooks are {', '.join(known)})"


def _checked_middleware(given: Sequence[object]) -> list[Middleware]:
    for middleware in given:
        wrong = inspect.iscoroutinefunction(middleware) or inspect.isasyncgenfunction(middleware)
        if wrong or not callable(middleware):
            raise PluginError(
                f"{describe(middleware)} is no middleware; that is a generator function (request, call_next), "
                "which serves sync and async calls alike"
            )
    return cast("list[Middleware]", list(given))


def _with_methods(transport: object, send: str, close: str, name: str) -> Any:
    for method in (send, close):
        if not callable(getattr(transport, method, None)):
            raise PluginError(f"The transport {name!r} ({describe(transport)}) has no method {method}()")
    return transport
