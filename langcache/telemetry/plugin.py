"""The plugin: a span and measurements for each call, with an event for each of its attempts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, cast

from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode, TracerProvider

from .. import __version__
from ..errors import ConfigurationError
from ..hookspecs import hookimpl
from ..http import Request, Response, header_name_problem, header_value_problem
from ..logs import WARN
from ..middleware.circuit_breaker import CircuitBreaker
from ..outcomes import Outcome, outcome_of, outcome_of_error
from ..steps import Middleware, Next, Steps
from . import attributes
from .metrics import Instruments, circuits_of
from .scope import Scope, is_suppressed, without_instrumentors

_OPTION: Final = "telemetry"
"""Under which the attempts find their call in the request's options."""


class OpenTelemetry:
    """A plugin that traces and measures calls with OpenTelemetry; clients may share it.

    - A call is one span of the kind CLIENT, by the conventions for HTTP clients, or of the kind INTERNAL where it is
      none of HTTP, as with the embedded data plane. Its attempts are events of it, and requests in the metrics. It is
      the current span of everything inside, of key providers and other plugins too.
    - `tracer_provider` and `meter_provider` are the global ones where they are None, which may be set later.
    - With `prompts`, the span has the prompt and the response too. No other text of a body is in a span, and none is in
      a metric.
    - The call's headers carry the trace context, unless `propagation` is False: whatever the global propagator writes.
    - The instrumentations of requests, urllib3, aiohttp and httpx make no spans of their own for the call's attempts
      (those of the latter two from version 0.60b0 on).
    - Where a part of OpenTelemetry fails, a processor say, the call goes on, and the log has one warning.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        *,
        prompts: bool = False,
        propagation: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._tracer = trace.get_tracer("langcache", __version__, tracer_provider, attributes.SCHEMA_URL)
        meter = metrics.get_meter("langcache", __version__, meter_provider, attributes.SCHEMA_URL)
        self._circuits = circuits_of(meter_provider)
        self._instruments = Instruments(meter, self._circuits)
        self._prompts = prompts
        self._propagation = propagation
        self._clock = clock
        self._has_warned = False

    def options(self) -> Mapping[str, object]:
        """Return what `explain` shows."""
        return {"prompts": self._prompts, "propagation": self._propagation}

    @hookimpl(tryfirst=True)
    def langcache_call_middleware(self) -> Middleware:
        """Stand outside of fail-open, to see what it makes of an error, and inside of identity."""
        return self.trace_call

    @hookimpl(trylast=True)
    def langcache_attempt_middleware(self) -> Middleware:
        """Stand where nothing is left but the sending."""
        return self.trace_attempt

    @hookimpl
    def langcache_composed(self, call_middleware: Sequence[Middleware]) -> None:
        """Observe the circuits of the client."""
        for middleware in call_middleware:
            if isinstance(middleware, CircuitBreaker):
                self._circuits.add(middleware)

    def trace_call(self, request: Request, call_next: Next) -> Steps[Response]:
        """Make this call a span."""
        if is_suppressed():
            return (yield from call_next(request))
        call = _Call(request, self._clock())
        try:
            response = yield from call_next(self._begin(call))
        except BaseException as error:
            self._end(call, error=error)
            raise
        else:
            self._end(call, response)
        finally:
            call.scope.leave()
        return response

    def trace_attempt(self, request: Request, call_next: Next) -> Steps[Response]:
        """Make this attempt an event, and keep HTTP libraries from making it a span."""
        call = request.options.get(_OPTION)
        if not isinstance(call, _Call):
            return (yield from call_next(request))
        call.attempts = request.options.get("attempt", 1)
        begun, scope = self._clock(), Scope()
        call.sent = begun
        try:
            scope.enter(without_instrumentors())
            response = yield from call_next(request)
        except BaseException as error:
            self._end_attempt(call, request, begun, error=error)
            raise
        else:
            self._end_attempt(call, request, begun, response)
        finally:
            scope.leave()
        return response

    def _begin(self, call: _Call) -> Request:
        """Start the span, make it the current one, and return the request that carries it."""
        request = call.request
        try:
            known = attributes.of_request(request)
            kind = SpanKind.CLIENT if attributes.is_http(request) else SpanKind.INTERNAL
            call.span = self._tracer.start_span(attributes.span_name(request), None, kind, known)
            if self._prompts and call.span.is_recording():
                call.span.set_attributes(attributes.of_prompt(request))
            context = trace.set_span_in_context(call.span)
            call.scope.enter(context)
            if self._propagation:
                request = _carrying(request, context)
        except Exception as error:  # noqa: BLE001 - a sampler, a processor, a propagator
            self._warn_of(error)
        return request.with_options(**{_OPTION: call, "on_redirect": partial(self._end_step, call, request)})

    def _end_step(self, call: _Call, request: Request, response: Response) -> None:
        """Measure a request whose answer is a redirect; another one of the same attempt follows it."""
        try:
            now = self._clock()
            known = attributes.of_attempt(call.attempts, now - call.sent, response, None)
            self._record_request(call, request, known, now)
        except Exception as failure:  # noqa: BLE001 - a processor
            self._warn_of(failure)

    def _end_attempt(
        self,
        call: _Call,
        request: Request,
        begun: float,
        response: Response | None = None,
        error: BaseException | None = None,
    ) -> None:
        try:
            now = self._clock()
            known = attributes.of_attempt(call.attempts, now - begun, response, error)
            if call.span.is_recording():
                call.span.add_event("langcache.attempt", known)
            if not _was_refused(error):
                self._record_request(call, request, known, now)
        except Exception as failure:  # noqa: BLE001 - a processor
            self._warn_of(failure)

    def _record_request(self, call: _Call, request: Request, known: attributes.Attributes, now: float) -> None:
        seconds, call.sent, call.requests = now - call.sent, now, call.requests + 1
        self._instruments.record_request(request, known, seconds)

    def _end(self, call: _Call, response: object = None, error: BaseException | None = None) -> None:
        seconds = self._clock() - call.begun
        try:
            outcome = _outcome(call.request, response, error)
            if call.span.is_recording():
                self._describe(call, outcome, response)
            # While the span is current: a measurement may be kept with it as an example.
            self._instruments.record(call.request, outcome, max(call.attempts - 1, 0), seconds)
        except Exception as failure:  # noqa: BLE001 - a reader, a view
            self._warn_of(failure)
        finally:
            self._end_span(call)

    def _end_span(self, call: _Call) -> None:
        try:
            call.span.end()
        except Exception as failure:  # noqa: BLE001 - a processor
            self._warn_of(failure)

    def _describe(self, call: _Call, outcome: Outcome, response: object) -> None:
        is_http = attributes.is_http(call.request)
        known = attributes.of_outcome(outcome, is_http)
        known["langcache.attempts"] = call.attempts
        if call.requests > 1 and is_http:
            known["http.request.resend_count"] = call.requests - 1
        if self._prompts and isinstance(response, Response):
            known.update(attributes.of_response(response))
        call.span.set_attributes(known)
        if outcome.error is not None:
            # Without a description, which would be the text of the error.
            call.span.set_status(StatusCode.ERROR)

    def _warn_of(self, failure: Exception) -> None:
        if not self._has_warned:
            self._has_warned = True
            line = "OpenTelemetry failed, and calls go on without it; further failures are not told: %s"
            name = type(failure).__name__
            # A processor or an exporter may quote in its text what it was given: headers, and prompts too.
            said = str(failure) if isinstance(failure, UnsendableHeaderError) else f"{name} was raised"
            WARN(line, said, event="telemetry_failed", error=name)


class UnsendableHeaderError(ValueError):
    """A propagator wrote a header that cannot be sent; the text does not show its value."""


class _Call:
    """A call that is traced."""

    __slots__ = ("attempts", "begun", "request", "requests", "scope", "sent", "span")

    def __init__(self, request: Request, begun: float) -> None:
        self.request = request
        self.begun = begun
        self.span: Span = INVALID_SPAN
        self.scope = Scope()
        self.attempts = 0
        """The number of the last one."""
        self.requests = 0
        """How many were sent, those among them that repeat an attempt with another key, or follow a redirect."""
        self.sent = begun
        """When the last one began."""


def _was_refused(error: BaseException | None) -> bool:
    """Say whether there was no request, because it cannot be sent as it is."""
    return isinstance(error, ConfigurationError) and error.nothing_sent


def _outcome(request: Request, response: object, error: BaseException | None) -> Outcome:
    if error is None and not isinstance(response, Response):  # the mistake of a middleware, which is told of
        error = TypeError(f"a middleware returned {type(response).__name__}")
    return outcome_of_error(request, error) if error is not None else outcome_of(request, cast(Response, response))


def _carrying(request: Request, context: Context) -> Request:
    """Return `request` with the headers of the trace, unless the caller gave one of them; baggage is apart from that.

    Raises UnsendableHeaderError where one cannot be: a propagator may write what somebody else has chosen.
    """
    carrier: dict[str, str] = {}
    propagate.inject(carrier, context)
    for name, value in carrier.items():
        problem = header_name_problem(name) or header_value_problem(value)
        if problem is not None:
            raise UnsendableHeaderError(f"the propagator's header {name!r} {problem}")
    given = {name for name in carrier if name in request.headers}
    if given - {"baggage"}:  # parts of two contexts are none
        return request
    return request.with_headers({name: value for name, value in carrier.items() if name not in given})
