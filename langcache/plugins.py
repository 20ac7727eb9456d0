"""A client's plugins: those that are asked for and allowed, and the objects that their hooks return.

There is one `Plugins` for each client, so that nothing leaks from one client to another. The built-in middleware is
registered through the same hooks as a stranger's, and so are the built-in transports, which are loaded alone, when
they are chosen. What is asked for, what there is and how it stands is worked out in `langcache.governance`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from .config import Settings
from .errors import LangCacheError, PluginError, UnknownTransportError, describe
from .governance.choice import NOTHING_ASKED, PluginChoice
from .governance.discovery import BUILT_IN_TRANSPORTS, PLUGIN_GROUP, TRANSPORT_GROUP, Unusable, find, installed, load
from .governance.masking import said
from .governance.members import Stages
from .governance.registry import COMPOSED_HOOK, MIDDLEWARE_HOOKS
from .governance.roster import Roster
from .logs import WARN
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
    statistics,
)
from .transport import AsyncTransport, Transport, TransportOptions

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

FALLBACK_ASYNC_TRANSPORT = "threaded"
"""The transport that serves async calls where no other does: it runs the sync one in threads."""

NATIVE_ASYNC_TRANSPORT = "aiohttp"
"""The transport that async calls have by default where it is installed."""

SUPPLIED_TRANSPORT = "supplied"
"""The transport that sends with the caller's own HTTP client."""


_NOT_FOR_TRANSPORTS = (*MIDDLEWARE_HOOKS, COMPOSED_HOOK)
"""The hooks of a package that is loaded for its transport which are not asked."""

_INSIDE_OF_USERS = ("logging", "auth")
_BUILT_IN_MIDDLEWARE: dict[str, ModuleType] = {
    "logging": logging,
    "auth": auth,
    "circuit_breaker": circuit_breaker,
    "retry": retry,
    "deadline": deadline,
    "parsing": parsing,
    "fail_open": fail_open,
    "statistics": statistics,
    "identity": identity,
    "error_mapping": error_mapping,
    "redirects": redirects,
}
"""In the order in which they are registered, which is what makes the order of the stages."""


class TransportHookError(PluginError):
    """A plugin's hook for transports raised what is no error of ours, so that it cannot be told what would send."""


class Plugins:
    """The plugins of one client.

    The order within a stage is pluggy's, outermost first: ``tryfirst``, then the last registered before those
    registered earlier, then ``trylast``. The built-in ones are registered so that a user's stand

    - once a call: inside of identity, statistics, fail-open, parsing and deadline, and outside of the circuit breaker
      and retry;
    - once an attempt: outside of auth and logging, and of error mapping with redirects inside of it.

    Raises PluginError where the choice cannot be had (see `langcache.governance.roster`).
    """

    def __init__(self, choice: PluginChoice = NOTHING_ASKED) -> None:
        self._disabled = choice.disabled
        self._loaded: set[str] = set()
        earlier = {name: _BUILT_IN_MIDDLEWARE[name] for name in _INSIDE_OF_USERS}
        later = {name: plugin for name, plugin in _BUILT_IN_MIDDLEWARE.items() if name not in earlier}
        self.roster = Roster(choice, earlier, later)
        self._hook: Any = self.roster.registry.hook

    def stages(self, settings: Settings) -> Stages:
        """Return the middleware, outermost first; it is made by this, so this is to be asked once."""
        return self.roster.stages(settings)

    def transport(self, name: str, options: TransportOptions) -> Transport | None:
        """Return a new transport for sync calls, or None where no plugin answers to `name`."""

        def ask() -> object:
            return self._hook.langcache_transport(name=name, options=options)

        found = self._ask(ask, "langcache_transport", name)
        return None if found is None else cast(Transport, _with_methods(found, "send", "close", name))

    def async_transport(
        self, name: str, options: TransportOptions, transport: Transport | None
    ) -> AsyncTransport | None:
        """Return a new transport for async calls, or None where no plugin answers to `name`."""

        def ask() -> object:
            return self._hook.langcache_async_transport(name=name, options=options, transport=transport)

        found = self._ask(ask, "langcache_async_transport", name)
        return None if found is None else cast(AsyncTransport, _with_methods(found, "send", "aclose", name))

    def unknown_transport(self, name: str) -> UnknownTransportError:
        """Return the error that says which transports there are instead of `name`."""
        if name == FALLBACK_ASYNC_TRANSPORT:
            return UnknownTransportError(
                f"The transport {name!r} serves async calls only, over any transport for sync ones"
            )
        known = ", ".join(sorted({*BUILT_IN_TRANSPORTS, *(() if self._disabled else installed(TRANSPORT_GROUP))}))
        hooks = (self._hook.langcache_transport, self._hook.langcache_async_transport)
        implementations = [implementation for hook in hooks for implementation in hook.get_hookimpls()]
        answering = {describe(it.plugin) for it in implementations if it.plugin_name in self.roster.members}
        others = f"; these plugins answer to names of their own: {', '.join(sorted(answering))}" if answering else ""
        off = "; LANGCACHE_DISABLE_PLUGINS turns off all that is not built in" if self._disabled else ""
        return UnknownTransportError(f"No transport answers to {name!r}; known are {known}{others}{off}")

    def _ask(self, ask: Callable[[], object], hook: str, name: str) -> object:
        """Ask the registered plugins, and only where none answers, load the transport of that name and ask again."""
        try:
            answer = ask()
            if answer is None and name not in self._loaded and self._load(name):
                answer = ask()
        except (LangCacheError, KeyboardInterrupt):
            raise
        except BaseException as error:  # a stranger's, which may fail in any way
            raise self._failed(error, hook, name) from error
        return answer

    def _failed(self, error: BaseException, hook: str, name: str) -> TransportHookError:
        """Return the error that names the plugin whose hook raised `error`."""
        by_code: dict[object, str] = {}
        for implementation in self.roster.registry.implementations(hook):
            code = getattr(implementation.function, "__code__", None)
            by_code[code] = implementation.plugin_name.removeprefix(f"{TRANSPORT_GROUP}:")
        passed: list[str] = []
        traceback = error.__traceback__
        while traceback is not None:
            passed += [by_code[traceback.tb_frame.f_code]] if traceback.tb_frame.f_code in by_code else []
            traceback = traceback.tb_next
        who = f"The plugin {passed[-1]!r}" if passed else "A plugin"
        return TransportHookError(f"{who} fails in {hook}, asked for {name!r}: {said(error)}")

    def _load(self, name: str) -> bool:
        """Register the transport that is installed under that name, where there is one and it may be loaded."""
        built_in = BUILT_IN_TRANSPORTS.get(name)
        if built_in is None and (self._disabled or name not in installed(TRANSPORT_GROUP)):
            return False
        self._loaded.add(name)
        registry = self.roster.registry
        try:
            source = built_in or find(TRANSPORT_GROUP, name)
            plugin = load(source)
            if registry.is_registered(plugin):  # under another name: it was asked already
                return False
            hooks = registry.add(plugin, f"{TRANSPORT_GROUP}:{name}", _NOT_FOR_TRANSPORTS)
        except Unusable as error:
            self._loaded.discard(name)
            raise PluginError(f"The transport {name!r} {error}") from error
        unused = [hook for hook in _NOT_FOR_TRANSPORTS if hook in hooks]
        if unused and not isinstance(source, str):
            _tell_unused(source, unused)
        return True


def _tell_unused(transport: EntryPoint, hooks: Sequence[str]) -> None:
    """Warn of hooks that are not asked, unless the package offers them as a plugin, which the program did not name."""
    offered = (each.value for found in installed(PLUGIN_GROUP).values() for each in found)
    if transport.value not in offered:
        line = "The transport %r is loaded for its transport alone; for its %s, it needs an entry point in %s too"
        WARN(line, transport.name, " and ".join(hooks), PLUGIN_GROUP, event="unasked", plugin=transport.name)


def _with_methods(transport: object, send: str, close: str, name: str) -> Any:
    """Return `transport`, unless it is none; then it is closed, where it has a `close`, and PluginError raised."""
    missing = [method for method in (send, close) if not callable(getattr(transport, method, None))]
    problem = f"has no method {missing[0]}()" if missing else steps_problem(transport)
    if problem is None:
        return transport
    error = PluginError(f"The transport {name!r} ({describe(transport)}) {problem}")
    discard = getattr(transport, "close", None)
    if callable(discard) and not inspect.isclass(transport):
        discard()
    raise error


def steps_problem(transport: object) -> str | None:
    """Say why `transport`, which has the methods of one, is none: coroutines and generators have send and close too."""
    if inspect.iscoroutine(transport):
        return "is a coroutine, which has to be awaited to give a transport"
    return "is a generator, and no transport" if inspect.isgenerator(transport) else None
