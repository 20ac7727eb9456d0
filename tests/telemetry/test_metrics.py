"""Metrics: durations by the conventions, counts of what became of calls, and the states of circuits."""

from __future__ import annotations

import gc
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.metrics import CallbackOptions
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from langcache import BreakerPolicy, FunctionPlugin, LangCache, Request, Response, RetryPolicy, errors
from langcache.telemetry import OpenTelemetry
from langcache.telemetry.metrics import Circuits
from langcache_transports.testing import FakeTransport
from tests.telemetry.collecting import BUSY, HIT, MISS, Collected, attributes_of, cache_of

REQUESTS, CALLS = "http.client.request.duration", "langcache.call.duration"
CACHE = {"langcache.operation": "search", "langcache.cache_id": "c1"}
SERIES = {
    "http.request.method": "POST",
    "url.template": "/v1/caches/{cache_id}/entries/search",
    "server.address": "cache.example",
    "server.port": 443,
}


def search(cache: LangCache, times: int = 1) -> None:
    for _ in range(times):
        with suppress(errors.LangCacheError):
            cache.search(prompt="p")


def test_hits_misses_errors_degraded_calls_and_retries_are_counted() -> None:
    collected = Collected()
    retries = RetryPolicy(max_attempts=2, initial_ms=0)
    search(cache_of(collected, HIT, HIT, MISS, BUSY, MISS, BUSY, BUSY, retry_config=retries), 5)
    search(cache_of(collected, errors.ConnectError("down"), on_failure="miss"))
    found = collected.metrics()
    assert found["langcache.hits"] == [(CACHE, 2)]
    assert found["langcache.misses"] == [(CACHE, 2)]
    assert found["langcache.retries"] == [(CACHE, 2)]
    assert found["langcache.errors"] == [({**CACHE, "error.type": "503"}, 1)]
    assert found["langcache.degraded"] == [({**CACHE, "error.type": "langcache.errors.ConnectError"}, 1)]


def test_a_call_that_is_excused_for_its_provider_is_counted_as_degraded_and_not_as_an_error() -> None:
    """Whatever the exception is, and in the spans too; the hooks of other plugins see the same."""
    seen: list[object] = []

    def watch(_: Request, response: Response) -> None:
        seen.append(response.extensions["degraded"])

    watching = FunctionPlugin(name="watching", after_call=watch)
    collected = Collected()

    def vault() -> str:
        raise ConnectionRefusedError("no vault")

    cache = LangCache(
        "https://cache.example",
        vault,
        "c",
        transport=FakeTransport(),
        plugins=[collected.plugin(), watching],
        order={"watching": "before:fail_open"},
        on_failure="miss",
    )
    degraded = cache.search(prompt="p").metadata.degraded
    assert isinstance(degraded, ConnectionRefusedError)
    found = collected.metrics()
    [(attributes, count)] = found["langcache.degraded"]
    assert (attributes["error.type"], count) == ("ConnectionRefusedError", 1)
    assert "langcache.errors" not in found
    assert attributes_of(collected.span())["langcache.degraded"] is True
    assert seen == [degraded]


def test_the_durations_are_those_of_each_request_by_the_conventions_and_of_whole_calls_in_seconds() -> None:
    ticks = iter([10.0, 10.1, 10.2, 10.3, 10.5, 11.0])
    collected = Collected()
    plugin = collected.plugin(clock=lambda: next(ticks))
    transport = FakeTransport([BUSY, HIT])
    retries = RetryPolicy(initial_ms=0)
    LangCache("https://cache.example", "k", "c1", transport=transport, plugins=[plugin], retry_config=retries).search(
        prompt="p"
    )
    found = collected.metrics()
    assert found[REQUESTS] == [
        ({**SERIES, "http.response.status_code": 503, "error.type": "503"}, (1, pytest.approx(0.1))),
        ({**SERIES, "http.response.status_code": 200}, (1, pytest.approx(0.2))),
    ]
    assert found[CALLS] == [(CACHE, (1, pytest.approx(1.0)))]


def test_a_call_for_which_nothing_was_sent_is_no_request() -> None:
    """Such as one that an open circuit refuses."""
    collected = Collected()
    cache = cache_of(collected, BUSY, breaker=BreakerPolicy(consecutive_failures=1))
    search(cache, 4)
    found = collected.metrics()
    assert [count for _, (count, _) in found[REQUESTS]] == [1]
    assert [(attributes, count) for attributes, (count, _) in found[CALLS]] == [
        ({**CACHE, "error.type": "503"}, 1),
        ({**CACHE, "error.type": "langcache.errors.CircuitOpen"}, 3),
    ]


def test_a_request_that_cannot_be_sent_is_none() -> None:
    """Its attempt is told in the span all the same."""
    collected = Collected()
    lying = FunctionPlugin(before_attempt=lambda request: request.with_headers({"Content-Length": "3"}))
    transport = FakeTransport([HIT])
    cache = LangCache("https://cache.example", "k", "c1", transport=transport, plugins=[collected.plugin(), lying])
    search(cache)
    found = collected.metrics()
    assert transport.requests == []
    assert REQUESTS not in found
    assert [attributes["error.type"] for attributes, _ in found[CALLS]] == ["langcache.errors.ConfigurationError"]
    assert len(collected.span().events) == 1


@pytest.mark.parametrize("last", [HIT, errors.ConnectError("down")])
def test_a_redirect_that_is_followed_is_a_request_of_its_own(last: Any) -> None:
    """Whatever comes of the next one; the attempt, which is an event, is both of them."""
    ticks = iter([10.0, 10.1, 10.2, 10.4, 11.0])
    collected = Collected()
    plugin = collected.plugin(clock=lambda: next(ticks))
    transport = FakeTransport([Response(307, {"Location": "/elsewhere"}), last])
    search(LangCache("https://cache.example", "k", "c1", transport=transport, plugins=[plugin]))
    assert len(transport.requests) == 2
    ended = {"http.response.status_code": 200} if last is HIT else {"error.type": "langcache.errors.ConnectError"}
    assert collected.metrics()[REQUESTS] == [
        ({**SERIES, "http.response.status_code": 307}, (1, pytest.approx(0.1))),
        ({**SERIES, **ended}, (1, pytest.approx(0.2))),
    ]
    [event] = collected.span().events
    assert (event.attributes or {})["langcache.attempt.duration"] == pytest.approx(0.3)
    assert attributes_of(collected.span())["http.request.resend_count"] == 1


def test_a_redirect_that_is_not_followed_is_one_request() -> None:
    collected = Collected()
    search(cache_of(collected, Response(307, {"Location": "https://elsewhere.example/"})))
    [(attributes, (count, _))] = collected.metrics()[REQUESTS]
    assert (attributes["http.response.status_code"], count) == (307, 1)


def test_what_is_asked_without_http_has_no_metric_of_http() -> None:
    collected = Collected()
    LangCache("embedded://", cache_id="c1", plugins=[collected.plugin()]).search(prompt="p")
    found = collected.metrics()
    assert REQUESTS not in found
    assert [attributes for attributes, _ in found[CALLS]] == [CACHE]


def test_the_buckets_are_those_of_the_conventions() -> None:
    reader = InMemoryMetricReader()
    transport = FakeTransport([HIT])
    plugin = OpenTelemetry(None, MeterProvider([reader]))
    LangCache("https://cache.example", "k", "c", transport=transport, plugins=[plugin]).search(prompt="p")
    data: Any = reader.get_metrics_data()
    metrics = {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    for name in (REQUESTS, CALLS):
        duration = metrics[name]
        assert (duration.unit, duration.data.data_points[0].explicit_bounds[:3]) == ("s", (0.005, 0.01, 0.025))


@pytest.mark.parametrize(
    ("reply", "more"),
    [
        (BUSY, {"http.response.status_code": 503, "error.type": "503"}),
        (errors.ReadTimeout("slow"), {"error.type": "langcache.errors.ReadTimeout"}),
    ],
)
def test_the_duration_of_a_failure_says_what_it_was(reply: Any, more: dict[str, Any]) -> None:
    collected = Collected()
    search(cache_of(collected, reply))
    [(attributes, _)] = collected.metrics()[REQUESTS]
    assert attributes == {**SERIES, **more}


def test_calls_whose_spans_are_not_sampled_are_measured_all_the_same() -> None:
    collected = Collected()
    plugin = OpenTelemetry(TracerProvider(sampler=ALWAYS_OFF), collected.meters)
    cache = LangCache("https://cache.example", "k", "c1", transport=FakeTransport([HIT, BUSY]), plugins=[plugin])
    search(cache, 2)
    found = collected.metrics()
    assert (found["langcache.hits"], found["langcache.errors"]) == (
        [(CACHE, 1)],
        [({**CACHE, "error.type": "503"}, 1)],
    )


# Circuits

SERVER = {"server.address": "cache.example", "server.port": 443}
STATE = "langcache.breaker.state"


def test_the_state_of_a_circuit_is_observed() -> None:
    collected = Collected()
    cache = cache_of(collected, MISS, BUSY, breaker=BreakerPolicy(consecutive_failures=1))
    assert STATE not in collected.metrics()
    search(cache)
    assert collected.metrics()[STATE] == [(SERVER, 0)]
    search(cache)
    assert collected.metrics()[STATE] == [(SERVER, 2)]


def test_a_circuit_that_may_be_tried_is_half_open() -> None:
    collected = Collected()
    cache = cache_of(collected, BUSY, breaker=BreakerPolicy(consecutive_failures=1, open_ms=0))
    search(cache)
    assert collected.metrics()[STATE] == [(SERVER, 1)]


def test_of_several_circuits_to_a_server_the_worst_is_told() -> None:
    """Of several clients, with a plugin each, too: a meter keeps one callback only."""
    collected = Collected()
    policy = BreakerPolicy(consecutive_failures=1)
    clients = [cache_of(collected, reply, breaker=policy) for reply in (MISS, BUSY, MISS)]
    for client in clients:
        search(client)
    assert collected.metrics()[STATE] == [(SERVER, 2)]


def test_a_client_that_is_gone_is_observed_no_more() -> None:
    collected = Collected()
    cache = cache_of(collected, BUSY, breaker=BreakerPolicy(consecutive_failures=1))
    search(cache)
    del cache
    gc.collect()
    assert STATE not in collected.metrics()


def test_clients_without_a_breaker_have_no_circuits() -> None:
    collected = Collected()
    search(cache_of(collected, MISS))
    assert STATE not in collected.metrics()
    search(cache_of(collected, MISS, without=["circuit_breaker"]))
    assert STATE not in collected.metrics()


def test_providers_do_not_see_one_anothers_circuits() -> None:
    first, second = Collected(), Collected()
    policy = BreakerPolicy(consecutive_failures=1)
    cache, other = cache_of(first, BUSY, breaker=policy), cache_of(second, MISS, breaker=policy)
    search(cache)
    search(other)
    assert first.metrics()[STATE] == [(SERVER, 2)]
    assert second.metrics()[STATE] == [(SERVER, 0)]


def test_nothing_is_observed_where_there_is_nothing() -> None:
    assert list(Circuits().observe(CallbackOptions())) == []
