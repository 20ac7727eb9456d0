"""Where the tests of telemetry find what was exported: the OpenTelemetry SDK with everything in memory."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from langcache import LangCache, Response
from langcache.telemetry import OpenTelemetry
from langcache_transports.testing import FakeTransport

ENTRY = b'{"id":"e1","prompt":"p","response":"the answer","attributes":{},"similarity":0.9,"searchStrategy":"semantic"}'
HIT = Response(200, {"X-Request-ID": "theirs"}, b'{"data":[' + ENTRY + b"]}")
MISS = Response(200, {}, b'{"data":[]}')
BUSY = Response(503, {"X-Request-ID": "theirs"}, b'{"title":"busy"}')


class Collected:
    """Providers of the SDK, and what they were told."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._reader = InMemoryMetricReader()
        self.meters = MeterProvider([self._reader])

    def plugin(self, **arguments: Any) -> OpenTelemetry:
        """Return a plugin that tells these providers."""
        return OpenTelemetry(self.tracers, self.meters, **arguments)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended."""
        return self._spans.get_finished_spans()

    def span(self) -> ReadableSpan:
        """Return the only span."""
        [span] = self.spans
        return span

    def metrics(self) -> dict[str, list[tuple[dict[str, Any], Any]]]:
        """Return the points of each metric: the attributes, and the value, or of a histogram count and sum."""
        found: dict[str, list[tuple[dict[str, Any], Any]]] = {}
        for metric in self._collected():
            points: list[Any] = metric.data.data_points
            for point in points:
                value = point.value if hasattr(point, "value") else (point.count, point.sum)
                found.setdefault(metric.name, []).append((dict(point.attributes), value))
        return found

    def _collected(self) -> list[Any]:
        data = self._reader.get_metrics_data()
        if data is None:
            return []
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
        return [metric for scope in scopes for metric in scope.metrics]

    def everything(self) -> str:
        """Return all that was exported as text, to look for what must not be in it."""
        return "\n".join([*(span.to_json() for span in self.spans), repr(self.metrics())])


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    """Return the attributes of a span."""
    known: Any = span.attributes
    return dict(known or {})


def id_of(span: ReadableSpan) -> int:
    """Return the id of a span."""
    assert span.context is not None
    identity: int = span.context.span_id
    return identity


def cache_of(collected: Collected, *replies: Any, prompts: bool = False, **arguments: Any) -> LangCache:
    """Return a client with a fake transport that tells `collected`."""
    plugin = collected.plugin(prompts=prompts)
    return LangCache(
        "https://cache.example/base", "k", "c1", transport=FakeTransport(replies), plugins=[plugin], **arguments
    )
