"""A client's transports: which they are and why, when they are built, and who closes them."""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack, suppress
from importlib import import_module
from typing import Any, cast

from .config import DEFAULT_TRANSPORT
from .errors import ClientClosedError, ConfigurationError, describe
from .governance.discovery import BUILT_IN_TRANSPORTS
from .governance.explanation import Sender
from .plugins import (
    FALLBACK_ASYNC_TRANSPORT,
    NATIVE_ASYNC_TRANSPORT,
    SUPPLIED_TRANSPORT,
    Plugins,
    TransportHookError,
    steps_problem,
)
from .processes import PerProcess
from .transport import AsyncTransport, Transport, TransportOptions


class Transports:
    """A client's transports: built once, and closed once where the client built them itself.

    `transport` and `async_transport` are names, or instances, which stay their owner's to close. `default` is the
    name where there is neither.
    """

    def __init__(
        self,
        plugins: Plugins,
        options: TransportOptions,
        default: str,
        transport: str | Transport | AsyncTransport | None = None,
        async_transport: str | AsyncTransport | None = None,
    ) -> None:
        self._plugins = plugins
        self._options = options
        # At a fork, a thread may hold it that the child does not have; and a signal's handler may close the client.
        self._lock = PerProcess(threading.RLock)
        self._closed = False
        self._owned: list[Any] = []
        self._sync: Transport | None = None
        self._async: AsyncTransport | None = None
        self._name = default
        self._names: dict[int, str] = {}
        self._why = self._why_async = ""
        """Why the transports are these, for sync and for async calls, as the rest of a sentence."""
        try:
            self._choose(transport, async_transport)
        except BaseException:
            self.close()  # the one that is open already
            raise

    def _choose(
        self, transport: str | Transport | AsyncTransport | None, async_transport: str | AsyncTransport | None
    ) -> None:
        self._refuse_unused_options(transport, async_transport)
        self._is_default = transport is None and self._name == DEFAULT_TRANSPORT
        self._why = self._why_async = _why_chosen("transport", transport, self._name)
        if transport is None or isinstance(transport, str):
            self._open_named(transport or self._name)
        elif _is_async(transport):
            self._async = cast(AsyncTransport, transport)
        else:
            self._sync = cast(Transport, transport)
            self._name = FALLBACK_ASYNC_TRANSPORT
        if async_transport is not None:
            self._why_async = _why_chosen("async_transport", async_transport)
        if isinstance(async_transport, str):
            self._async = self._open_async(async_transport)
        elif async_transport is not None:
            if not _is_async(async_transport):
                raise ConfigurationError(
                    f"async_transport: {describe(async_transport)} has no aclose(): it is not async"
                )
            self._async = async_transport
        self._tell_unasked(transport, async_transport)

    def _tell_unasked(self, transport: object, async_transport: object) -> None:
        """Have those plugins looked at whose hooks are not asked, because transports are there."""
        is_given = transport is not None and not isinstance(transport, str)
        is_async_given = async_transport is not None and not isinstance(async_transport, str)
        unasked = ["langcache_transport"] if is_given else []
        if is_async_given or (is_given and self._sync is None and async_transport is None):
            unasked.append("langcache_async_transport")
        if unasked:
            self._plugins.roster.check_transport_hooks(unasked)

    def _refuse_unused_options(self, *given: object) -> None:
        """Refuse options beside an instance: it makes its connections as it was made to."""
        made = [transport for transport in given if transport is not None and not isinstance(transport, str)]
        if made and self._options.given:
            raise ConfigurationError(
                f"{', '.join(sorted(self._options.given))}: {describe(made[0])} is there already, and makes its "
                "connections as it was made to; give it the options, or name a transport and let the client make it"
            )

    def sync(self) -> Transport:
        """Return the transport for sync calls."""
        self.require_open()
        if self._sync is None:
            raise ConfigurationError(
                "This client has a transport for async calls only; use the *_async methods, "
                "or give LangCache(transport=...) one for sync calls"
            )
        return self._sync

    def opened_async(self) -> AsyncTransport | None:
        """Return the transport for async calls, where it is open already."""
        self.require_open()
        return self._async

    def load_async(self) -> None:
        """Import what the native transport for async calls needs, where that will be opened; this opens nothing."""
        name = NATIVE_ASYNC_TRANSPORT if self._is_default else self._name
        if self._async is None and name == NATIVE_ASYNC_TRANSPORT:
            with suppress(ImportError):  # what is not installed is told of when it is opened
                import_module(f"{BUILT_IN_TRANSPORTS[name]}.transport")

    def asynchronous(self) -> AsyncTransport:
        """Return the transport for async calls; it is built by the first one, because many programs make none."""
        self.require_open()
        if self._async is None:
            with self._lock.get():
                self.require_open()  # or what is opened now would never be closed
                if self._async is None:
                    native = self._open_native() if self._is_default else None
                    self._async = native or self._open_async_form()
                    self.require_open()  # a handler may have closed it meanwhile; another close() closes this
        return self._async

    def _open_native(self) -> AsyncTransport | None:
        """Open the transport that async calls have by default, unless it is not installed or has not all options."""
        try:
            transport = self._open_async(NATIVE_ASYNC_TRANSPORT)
        except TransportHookError:
            raise  # a plugin that fails does not say that the transport cannot be used
        except ConfigurationError as error:
            self._why_async = f"{NATIVE_ASYNC_TRANSPORT} cannot be used ({error}); "
            return None
        self._why_async = f"{NATIVE_ASYNC_TRANSPORT} is installed, and honours the options"
        return transport

    def _open_async_form(self) -> AsyncTransport:
        """Open the async transport that has the name of the one for sync calls, or else threads that run that one."""
        before = self._why_async if self._is_default else ""
        if self._name != FALLBACK_ASYNC_TRANSPORT:
            found = self._find_async(self._name)
            if found is not None:
                self._why_async = f"{before}it is the async form of {self._name!r}"
                return found
        self._why_async = f"{before}the one for sync calls has no async form, so threads run it"
        return self._open_async(FALLBACK_ASYNC_TRANSPORT, unknown_as=self._name)

    def name_of(self, transport: object) -> str:
        """Return what `transport`, which is one of these, is called; it is worked out once."""
        name = self._names.get(id(transport))
        if name is None:
            name = self._names[id(transport)] = describe(transport)
        return name

    def senders(self) -> list[Sender]:
        """Return which transports there are, for sync calls and for async ones, and why these."""
        plain = Sender("sync calls", self._sync, f", because {self._why}" if self._sync else "")
        if self._closed:
            return [plain, Sender("async calls", None, " any more, the client is closed")]
        try:
            transport = self.asynchronous()
        except ConfigurationError as error:
            return [plain, Sender("async calls", None, f", they cannot be opened: {error}")]
        return [plain, Sender("async calls", transport, f", because {self._why_async}")]

    def options(self) -> Mapping[str, object]:
        """Return how the transports make connections, as far as that is their options' matter."""
        return self._options.shown() if self._owned else {}

    def require_open(self) -> None:
        """Raise ClientClosedError where the transports are closed."""
        if self._closed:
            raise ClientClosedError("This client is closed; make a new one, or close it after its last call")

    def close(self) -> None:
        """Close what can be closed without an event loop; a second time does nothing.

        An async transport that has no `close` waits for `aclose`.
        """
        with ExitStack() as last_built_first:
            for transport in self._take_owned("close"):
                last_built_first.callback(transport.close)

    async def aclose(self) -> None:
        """Close everything; a second time does nothing."""
        async with AsyncExitStack() as last_built_first:
            for transport in self._take_owned("aclose", "close"):
                if hasattr(transport, "aclose"):
                    last_built_first.push_async_callback(transport.aclose)
                else:
                    last_built_first.callback(transport.close)

    def finalize(self) -> None:
        """Close what can be closed when the client is collected, and warn of what cannot, as Python does of files."""
        self.close()
        for transport in self._owned:
            message = f"{describe(transport)} was not closed; use 'async with' or aclose()"
            warnings.warn(message, ResourceWarning, source=transport, stacklevel=2)

    def _take_owned(self, *methods: str) -> list[Any]:
        """Mark the client as closed, and hand over the transports that one of these methods closes."""
        with self._lock.get():
            self._closed = True
            taken = [transport for transport in self._owned if any(hasattr(transport, method) for method in methods)]
            self._owned = [transport for transport in self._owned if transport not in taken]
        return taken

    def _open_named(self, name: str) -> None:
        """Open the sync transport of that name, or the async one where there is no other."""
        self._name = name
        self._sync = self._plugins.transport(name, self._options)
        if self._sync is None:
            self._async = self._open_async(name)
        else:
            self._owned.append(self._sync)

    def _open_async(self, name: str, unknown_as: str | None = None) -> AsyncTransport:
        """Open the async transport of that name; the error where there is none names it, or `unknown_as`."""
        found = self._find_async(name)
        if found is None:
            raise self._plugins.unknown_transport(unknown_as or name)
        return found

    def _find_async(self, name: str) -> AsyncTransport | None:
        found = self._plugins.async_transport(name, self._options, self._sync)
        if found is not None:
            self._owned.append(found)
        return found


def _why_chosen(argument: str, transport: object, default: str = "") -> str:
    """Say why a client has the transport that the argument gave it."""
    if transport is None:
        return "it is the default" if default == DEFAULT_TRANSPORT else f"the URL's scheme is {default}"
    if transport == SUPPLIED_TRANSPORT:
        return "the caller's own client was handed in"
    return f"{argument} is {transport!r}" if isinstance(transport, str) else "it was handed in"


def _is_async(transport: object) -> bool:
    problem = steps_problem(transport)
    if problem is not None:
        cast("Any", transport).close()  # or Python would warn that it was never awaited
        raise ConfigurationError(f"{describe(transport)} is no transport: it {problem}")
    has = [name for name in ("send", "close", "aclose") if callable(getattr(transport, name, None))]
    if inspect.isclass(transport) or "send" not in has or len(has) < 2:
        raise ConfigurationError(
            f"{describe(transport)} is no transport; that is a name, or an object with send() and close() or aclose()"
        )
    return "aclose" in has
