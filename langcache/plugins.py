"""A client's plugins: those that are asked for and allowed, and the objects that their hooks return.

There is one `Plugins` for each client, so that nothing leaks from one client to another. The built-in middleware is
registered through the same hooks as a stranger's, and so are the built-in transports, which are loaded alone, when
they are chosen. What is asked for, what there is and how it stands is worked out in `langcache.governance`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, cast

from .config import Settings
from .errors import PluginError, UnknownTransportError, describe
from .governance.choice import NOTHING_ASKED, PluginChoice
from .governance.discovery import BUILT_IN_TRANSPORTS, TRANSPORT_GROUP, Unusable, find, installed, load
from .governance.members import Stages
from .governance.roster import Roster
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
    "statistics": statistics,
    "identity": identity,
    "error_mapping": error_mapping,
    "redirects": redirects,
}
"""In the order in which they are registered, which is what makes the order of the stages."""


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

        found = self._ask(ask, name)
        return None if found is None else cast(Transport, _with_methods(found, "send", "close", name))

    def async_transport(
        self, name: str, options: TransportOptions, transport: Transport | None
    ) -> AsyncTransport | None:
        """Return a new transport for async calls, or None where no plugin answers to `name`."""

        def ask() -> object:
            return self._hook.langcache_async_transport(name=name, options=options, transport=transport)

        found = self._ask(ask, name)
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

    def _ask(self, ask: Callable[[], object], name: str) -> object:
        """Ask the registered plugins, and only where none answers, load the transport of that name and ask again."""
        answer = ask()
        if answer is None and name not in self._loaded and self._load(name):
            answer = ask()
        return answer

    def _load(self, name: str) -> bool:
        """Register the transport that is installed under that name, where there is one and it may be loaded."""
        built_in = BUILT_IN_TRANSPORTS.get(name)
        if built_in is None and (self._disabled or name not in installed(TRANSPORT_GROUP)):
            return False
        self._loaded.add(name)
        registry = self.roster.registry
        try:
            plugin = load(built_in or find(TRANSPORT_GROUP, name))
            if registry.is_registered(plugin):  # under another name: it was asked already
                return False
            registry.add(plugin, f"{TRANSPORT_GROUP}:{name}")
        except Unusable as error:
            self._loaded.discard(name)
            raise PluginError(f"The transport {name!r} {error}") from error
        return True


def _with_methods(transport: object, send: str, close: str, name: str) -> Any:
    for method in (send, close):
        if not callable(getattr(transport, method, None)):
            raise PluginError(f"The transport {name!r} ({describe(transport)}) has no method {method}()")
    return transport
