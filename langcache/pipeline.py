"""The way of a call: arguments, request, middleware, transport, response, result - for sync and async alike."""

from __future__ import annotations

import inspect
import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast

from . import __version__, models
from .config import (
    DEFAULT_TRANSPORT,
    UNSET,
    OptionalNullable,
    Retries,
    Settings,
    checked_base_url,
    checked_breaker,
    checked_cache_id,
    checked_headers,
    checked_on_failure,
    checked_retries,
    deadline,
    scheme_of,
    seconds,
)
from .errors import ClientClosedError, ConfigurationError, PluginError, describe, raise_for_status
from .governance.discovery import BUILT_IN_TRANSPORTS
from .governance.explanation import Sender, explain
from .governance.members import Member
from .governance.registry import checked_middleware
from .http import NO_HEADERS, Headers, Request, Response, display_url, request_id_of
from .middleware.statistics import CountCalls
from .operations import OPERATIONS, Operation, Target
from .outgoing import checked_request
from .plugins import (
    FALLBACK_ASYNC_TRANSPORT,
    NATIVE_ASYNC_TRANSPORT,
    SUPPLIED_TRANSPORT,
    Plugins,
    TransportHookError,
    steps_problem,
)
from .policies import BreakerPolicy, OnFailure
from .processes import PerProcess
from .steps import compose, run, run_async
from .transport import AsyncTransport, Transport, TransportOptions
from .workers import once_in_thread, result_of_async

if TYPE_CHECKING:
    from .counters import Counters

Result = TypeVar("Result")

_COMMON_HEADERS = Headers(
    {"User-Agent": f"langcache/{__version__} python/{'.'.join(str(part) for part in sys.version_info[:3])}"}
)


@dataclass
class CallOptions:
    """What a caller sets for one call alone; None, or UNSET where None says something, leaves it to the client."""

    retries: Retries
    server_url: str | None = field(repr=False)
    timeout_ms: float | None
    http_headers: Mapping[str, str] | None = field(repr=False)
    deadline_ms: float | None = None
    breaker: OptionalNullable[BreakerPolicy] = UNSET
    on_failure: OnFailure | None = None


class Pipeline:
    """Carries out a client's calls with its settings, its middleware and its transports."""

    def __init__(self, settings: Settings, plugins: Plugins, transports: Transports) -> None:
        self._settings = settings
        self._transports = transports
        self._roster = plugins.roster
        self._stages = plugins.stages(settings)
        strangers = plugins.roster.members  # those that are built in need no check with each call
        self._handle = compose(
            checked_middleware(layer) if layer.plugin in strangers else layer.middleware
            for stage in self._stages
            for layer in stage
        )
        plugins.roster.tell_composed(self._stages)
        self._target: Target | None = None

    def call(self, operation: Operation[Result], arguments: Mapping[str, Any], options: CallOptions) -> Result:
        """Carry out `operation` in this thread."""
        transport = self._transports.sync()

        def transmit(request: Request) -> Response:
            self._transports.require_open()  # the client may be closed between two attempts
            return transport.send(checked_request(request))

        deadline_at = self._deadline(options.deadline_ms)
        request = self._request(operation, arguments, options, deadline_at, self._settings.own_client, transport)
        return _result(operation, run(self._handle(request), transmit))

    async def call_async(
        self, operation: Operation[Result], arguments: Mapping[str, Any], options: CallOptions
    ) -> Result:
        """Carry out `operation` in this task."""
        deadline_at = self._deadline(options.deadline_ms)
        transport = self._transports.opened_async() if operation.is_loaded else None
        if transport is None:
            transport = await self._load_async(operation)

        def transmit(request: Request) -> Awaitable[Response]:
            self._transports.require_open()
            return transport.send(checked_request(request))

        own_client = self._settings.own_async_client
        request = self._request(operation, arguments, options, deadline_at, own_client, transport)
        return _result(operation, await run_async(self._handle(request), transmit))

    def load(self) -> None:
        """Load the models, which takes some fifty milliseconds, so that no call has to."""
        self._transports.require_open()
        for operation in OPERATIONS:
            operation.model  # noqa: B018 - it loads

    async def load_async(self) -> None:
        """The same, and open the transport for async calls; the event loop goes on while its library is imported."""
        await self._load_async(*OPERATIONS)

    async def _load_async(self, *operations: Operation[Any]) -> AsyncTransport:
        def load() -> None:
            self._transports.load_async()
            for operation in operations:
                operation.model  # noqa: B018 - it loads

        self._transports.require_open()
        await result_of_async(once_in_thread(load), None)
        return self._transports.asynchronous()  # here, where the hooks of plugins have the running event loop

    def statistics(self) -> models.Statistics:
        """Return what became of the calls so far."""
        from .statistics import statistics_of  # on first use: most programs never ask

        return statistics_of(self._counters(), self._settings.hit_saves)

    def reset_statistics(self) -> None:
        """Count from nothing again."""
        self._counters().reset()

    def _counters(self) -> Counters:
        for layer in self._stages.call:
            if isinstance(layer.middleware, CountCalls):
                return layer.middleware.counters
        raise ConfigurationError("This client has no statistics, because they are left out: without=['statistics']")

    @property
    def members(self) -> Mapping[str, Member]:
        """The plugins that were asked for, by name, with what became of them."""
        return self._roster.members

    def explain(self) -> str:
        """Say what a call passes, outermost first, and what sends it."""
        return explain(self._roster, self._stages, self._transports.senders(), self._transports.options())

    def _request(
        self,
        operation: Operation[Any],
        arguments: Mapping[str, Any],
        options: CallOptions,
        deadline_at: float | None,
        own_client: bool,
        transport: object,
    ) -> Request:
        return operation.request(
            self._default_target() if options.server_url is None else self._other_target(options.server_url),
            arguments,
            # As Headers, whose repr does not show credentials: a traceback holds the frames that get them.
            headers=NO_HEADERS
            if options.http_headers is None
            else NO_HEADERS.merged(checked_headers(options.http_headers)),
            timeout=self._settings.timeout if options.timeout_ms is None else seconds(options.timeout_ms),
            options={
                "cache_id": self._settings.cache_id,
                "own_client": own_client,
                "transport": self._transports.name_of(transport),
                "retries": checked_retries("retries", options.retries),
                "timeout_ms": self._settings.timeout_ms if options.timeout_ms is None else options.timeout_ms,
                "deadline": deadline_at,
                "deadline_ms": options.deadline_ms,
                "breaker": checked_breaker(options.breaker),
                "on_failure": None if options.on_failure is None else checked_on_failure(options.on_failure),
                "substitute": operation.substitute,
                "parse": operation.parse,
            },
        )

    def _deadline(self, deadline_ms: float | None) -> float | None:
        """Return the moment on the monotonic clock at which the call is to be over, or None."""
        limit = self._settings.deadline if deadline_ms is None else deadline(deadline_ms)
        return None if limit is None else time.monotonic() + limit

    def _default_target(self) -> Target:
        if self._target is None:  # checked by the first call, and not by the constructor, as programs rely on
            self._target = self._checked_target(self._settings.server_url)
        return self._target

    def _other_target(self, server_url: str) -> Target:
        target = self._checked_target(server_url)
        if (scheme_of(server_url) in ("http", "https")) is not self._settings.is_http:
            own = scheme_of(self._settings.server_url)
            raise ConfigurationError(
                f"server_url={display_url(server_url)!r} of this call needs another transport than the client's "
                f"{own}:// URL; use a client of its own for it"
            )
        return target

    def _checked_target(self, server_url: str | None) -> Target:
        return Target(checked_base_url(server_url), checked_cache_id(self._settings.cache_id), _COMMON_HEADERS)


def _result(operation: Operation[Result], response: object) -> Result:
    """Return what the answer says, with what is known of how it came about; raises the error of one that is no success.

    Error mapping and parsing raise that of what comes from inside; somebody outside of them may have answered instead.
    """
    checked = _checked(response)
    raise_for_status(checked)
    parsed = checked.extensions.get("parsed")
    # Somebody outside may have put another body in the answer's place.
    is_current = parsed is not None and parsed.content is checked.content
    result: Result = checked.extensions["parsed"].result if is_current else operation.parse(checked)
    if result is not None and isinstance(result, models.metadata.ResultModel):
        # Not the response itself, whose body would be kept with the result.
        models.metadata.keep_metadata(result, partial(_metadata, checked.headers, checked.extensions))
    return result


def _metadata(headers: Headers, extensions: Mapping[str, Any]) -> models.ResponseMetadata:
    degraded = extensions.get("degraded")
    return models.ResponseMetadata(
        request_id=extensions.get("request_id"),
        server_request_id=request_id_of(headers) if degraded is None else getattr(degraded, "request_id", None),
        attempts=extensions.get("attempts", 1),
        degraded=degraded,
    )


def _checked(result: object) -> Response:
    """Return what the middleware gives in the end, unless it is no response."""
    if isinstance(result, Response):
        return result
    raise PluginError(
        f"a middleware returned {type(result).__name__}, and not a response; "
        "end it with 'return (yield from call_next(request))'"
    )


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
        self._lock = PerProcess(threading.Lock)  # at a fork, a thread may hold it that the child does not have
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
