"""The way of a call: arguments, request, middleware, transport, response, result - for sync and async alike."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from . import __version__, models
from .client_transports import Transports
from .config import (
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
from .errors import ConfigurationError, PluginError, raise_for_status
from .governance.explanation import explain
from .governance.members import Member
from .governance.registry import checked_middleware
from .http import NO_HEADERS, Headers, Request, Response, display_url, request_id_of
from .middleware.statistics import CountCalls
from .operations import OPERATIONS, Operation, Target
from .outgoing import checked_request
from .plugins import Plugins
from .policies import BreakerPolicy, OnFailure
from .sending import send, send_async
from .steps import compose, run, run_async
from .transport import AsyncTransport
from .workers import is_in_asyncio, once_in_thread, result_of_async

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
            return send(transport, checked_request(request))

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
            return send_async(transport, checked_request(request))

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
        if is_in_asyncio():
            await result_of_async(once_in_thread(load), None)
        else:
            load()  # it holds up the event loop, which is of another library
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
