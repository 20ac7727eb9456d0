"""Where OpenTelemetry is not set up, or fails, calls go on."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler, SamplingResult

from langcache import LangCache, RetryPolicy
from langcache.telemetry import OpenTelemetry
from langcache_transports.testing import FakeTransport
from tests.middleware.stepping import fields_of
from tests.telemetry.collecting import BUSY, HIT
from tests.transports.programs import output_of


class Processor(SpanProcessor):
    """Fails where it is told to."""

    def __init__(self, when: str) -> None:
        self._when = when

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if self._when == "start":
            raise ValueError("broken by 5ecret")

    def on_end(self, span: ReadableSpan) -> None:
        if self._when == "end":
            raise ValueError("broken by 5ecret")


class Undecided(Sampler):
    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        raise ValueError("broken by 5ecret")

    def get_description(self) -> str:
        return "undecided"


class Unwritable(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        raise ValueError("broken by 5ecret")


class Instrument:
    """Fails when something is measured."""

    def add(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError("broken by 5ecret")

    record = add


class NoMeasurements:
    """A meter provider, and its meter, whose instruments fail."""

    def get_meter(self, *args: Any, **kwargs: Any) -> NoMeasurements:
        return self

    def __getattr__(self, name: str) -> Any:
        return self._make

    def _make(self, *args: Any, **kwargs: Any) -> Instrument:
        return Instrument()


def provider(*processors: SpanProcessor) -> TracerProvider:
    made = TracerProvider()
    for processor in processors:
        made.add_span_processor(processor)
    return made


def meters() -> Any:
    return NoMeasurements()


BROKEN: dict[str, Any] = {
    "a processor, when a span starts": lambda: OpenTelemetry(provider(Processor("start"))),
    "a processor, when a span ends": lambda: OpenTelemetry(provider(Processor("end"))),
    "a sampler": lambda: OpenTelemetry(TracerProvider(sampler=Undecided())),
    "an instrument": lambda: OpenTelemetry(None, meters()),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_fails_in_it_fails_no_call_and_is_told_once(what: str, caplog: pytest.LogCaptureFixture) -> None:
    retries = RetryPolicy(initial_ms=0)
    transport = FakeTransport([HIT, BUSY, HIT, HIT])
    cache = LangCache(
        "http://cache.example", "k", "c", transport=transport, plugins=[BROKEN[what]()], retry_config=retries
    )
    for _ in range(3):
        assert cache.search(prompt="p").data
    [record] = [record for record in caplog.records if record.name == "langcache"]
    assert record.getMessage().endswith("further failures are not told: ValueError was raised")
    assert "5ecret" not in caplog.text
    assert fields_of(record) == {"event": "telemetry_failed", "error": "ValueError"}


def test_an_exporter_that_raises_fails_no_call(caplog: pytest.LogCaptureFixture) -> None:
    """The SDK's processor tells of it."""
    plugin = OpenTelemetry(provider(SimpleSpanProcessor(Unwritable())))
    cache = LangCache("http://cache.example", "k", "c", transport=FakeTransport([HIT, HIT]), plugins=[plugin])
    for _ in range(2):
        assert cache.search(prompt="p").data
    assert {record.name.partition(".")[0] for record in caplog.records} == {"opentelemetry"}


def test_an_interrupt_in_a_processor_is_the_programs() -> None:
    class Interrupting(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            raise KeyboardInterrupt

    plugin = OpenTelemetry(provider(Interrupting()))
    cache = LangCache("http://cache.example", "k", "c", transport=FakeTransport([HIT]), plugins=[plugin])
    with pytest.raises(KeyboardInterrupt):
        cache.search(prompt="p")


def test_an_interrupt_while_something_is_measured_leaves_no_span_open() -> None:
    class Interrupting(NoMeasurements):
        def _make(self, *args: Any, **kwargs: Any) -> Any:
            class Interrupted(Instrument):
                def record(self, *args: Any, **kwargs: Any) -> None:
                    raise KeyboardInterrupt

            return Interrupted()

    ended, interrupting = InMemorySpanExporter(), Interrupting()
    meter_provider: Any = interrupting
    plugin = OpenTelemetry(provider(SimpleSpanProcessor(ended)), meter_provider)
    cache = LangCache("http://cache.example", "k", "c", transport=FakeTransport([HIT]), plugins=[plugin])
    with pytest.raises(KeyboardInterrupt):
        cache.search(prompt="p")
    assert len(ended.get_finished_spans()) == 1


def test_without_providers_nothing_is_done_and_nothing_said() -> None:
    program = """
        from langcache import LangCache
        from langcache.telemetry import OpenTelemetry
        from opentelemetry import trace
        with LangCache("embedded://", cache_id="c", plugins=[OpenTelemetry()]) as cache:
            print(cache.search(prompt="p").data, trace.get_current_span() is trace.INVALID_SPAN)
    """
    assert output_of(program) == ("[] True\n", "")


def test_providers_may_be_set_up_after_the_client_was_made() -> None:
    """And a further plugin after that; all clients' circuits are observed."""
    program = """
        from opentelemetry import metrics, trace
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from langcache import BreakerPolicy, LangCache
        from langcache.telemetry import OpenTelemetry

        def cache(plugin, host):
            made = LangCache("embedded://", cache_id="c", plugins=[plugin], breaker=BreakerPolicy())
            made.search(prompt="p")
            return made

        early = cache(OpenTelemetry(), "early")
        spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracers, meters = TracerProvider(), MeterProvider([reader])
        tracers.add_span_processor(SimpleSpanProcessor(spans))
        trace.set_tracer_provider(tracers)
        metrics.set_meter_provider(meters)
        early.search(prompt="p")
        late = [cache(OpenTelemetry(), "late"), cache(OpenTelemetry(tracers, meters), "late")]
        data = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
        found = {metric.name: metric.data.data_points for metric in data}
        states = found["langcache.breaker.state"]
        print(len(spans.get_finished_spans()), found["langcache.misses"][0].value, len(states))
        meters.shutdown()
    """
    assert output_of(program) == ("3 3 1\n", "")


def test_a_provider_may_be_handed_in_before_it_is_the_global_one() -> None:
    """All clients' circuits are observed, whichever plugin's callback the meter has kept."""
    program = """
        import sys
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from langcache import BreakerPolicy, LangCache, Response
        from langcache.telemetry import OpenTelemetry
        from langcache_transports.testing import FakeTransport

        reader = InMemoryMetricReader()
        meters, clients = MeterProvider([reader]), []
        for step in ORDER.split():
            if step == "set":
                metrics.set_meter_provider(meters)
                continue
            plugin = OpenTelemetry(meter_provider=meters) if step == "own" else OpenTelemetry()
            transport = FakeTransport([Response(200, {}, b'{"data":[]}')])
            options = {"transport": transport, "plugins": [plugin], "breaker": BreakerPolicy()}
            clients.append(LangCache(f"http://{step}", "k", "c", **options))
            clients[-1].search(prompt="p")
        data = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
        [states] = [metric.data.data_points for metric in data if metric.name == "langcache.breaker.state"]
        print(*sorted(point.attributes["server.address"] for point in states))
        meters.shutdown()
    """
    for order in ("own set global", "own global set", "global own set"):
        said, _ = output_of(program.replace("ORDER", repr(order)))  # the SDK may tell of the second instrument
        assert said == "global own\n", order


def test_a_forked_child_goes_on_tracing() -> None:
    program = """
        import os
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        from langcache import BreakerPolicy, LangCache
        from langcache.telemetry import OpenTelemetry
        spans, tracers = InMemorySpanExporter(), TracerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(spans))
        plugin = OpenTelemetry(tracers)
        cache = LangCache("embedded://", cache_id="c", plugins=[plugin], breaker=BreakerPolicy())
        cache.search(prompt="p")
        child = os.fork()
        if child == 0:
            LangCache("embedded://", cache_id="c", plugins=[plugin]).search(prompt="p")
            cache.search(prompt="p")
            os._exit(len(spans.get_finished_spans()))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(spans.get_finished_spans()))
    """
    assert output_of(program) == ("3 1\n", "")


def test_where_it_is_not_installed_the_command_is_told() -> None:
    program = """
        import sys
        sys.modules["opentelemetry"] = None
        import langcache
        langcache.LangCache("embedded://", cache_id="c").search(prompt="p")
        try:
            from langcache.telemetry import OpenTelemetry
        except ImportError as error:
            print(error)
    """
    out, err = output_of(program)
    assert err == ""
    assert out.startswith("langcache.telemetry needs OpenTelemetry (")
    assert out.rstrip().endswith('pip install "langcache[otel]"')


def test_another_module_that_is_missing_is_told_as_it_is() -> None:
    program = """
        import sys
        sys.modules["langcache.outcomes"] = None
        try:
            import langcache.telemetry
        except ImportError as error:
            print(error.name)
    """
    assert output_of(program) == ("langcache.outcomes\n", "")


def test_clients_that_do_not_ask_for_it_do_not_load_it() -> None:
    program = """
        import sys
        from langcache import LangCache
        LangCache("embedded://", cache_id="c").search(prompt="p")
        print("opentelemetry" in sys.modules)
    """
    assert output_of(program) == ("False\n", "")


def test_one_plugin_serves_clients_that_are_made_at_the_same_time() -> None:
    plugin, made = OpenTelemetry(provider(), MeterProvider([InMemoryMetricReader()])), list[LangCache]()

    def make() -> None:
        made.append(LangCache("http://cache.example", "k", "c", transport=FakeTransport([HIT]), plugins=[plugin]))

    threads = [threading.Thread(target=make) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(plugin._circuits._breakers) == 20  # pyright: ignore[reportPrivateUsage]
