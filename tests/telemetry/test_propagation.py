"""The trace context in the headers of a call."""

from __future__ import annotations

import pytest
from opentelemetry import baggage, propagate
from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

from langcache import LangCache, RetryPolicy
from langcache_transports.testing import FakeTransport
from tests.telemetry.collecting import BUSY, HIT, Collected

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def headers_of(*, propagation: bool = True, http_headers: dict[str, str] | None = None) -> list[dict[str, str]]:
    """Return the headers about the trace that are sent with each attempt of a call."""
    collected, transport = Collected(), FakeTransport([BUSY, HIT])
    plugin = collected.plugin(propagation=propagation)
    cache = LangCache(
        "http://cache.example", "k", "c",
        transport=transport, plugins=[plugin], retry_config=RetryPolicy(initial_ms=0),
    )  # fmt: skip
    cache.search(prompt="p", http_headers=http_headers)
    usual = {"user-agent", "content-type", "accept", "authorization", "x-request-id"}
    return [
        {name: value for name, value in request.headers.items() if name.lower() not in usual}
        for request in transport.requests
    ]


def test_all_attempts_carry_the_context_of_the_one_span() -> None:
    first, second = headers_of()
    assert first == second
    assert list(first) == ["traceparent"]


def test_a_context_that_the_caller_gives_stands_before_it() -> None:
    assert headers_of(http_headers={"Traceparent": TRACEPARENT}) == [{"Traceparent": TRACEPARENT}] * 2


def test_baggage_that_the_caller_gives_stands_before_the_contexts_and_the_trace_goes_along() -> None:
    token = contexts.attach(baggage.set_baggage("team", "support"))
    try:
        [first, _] = headers_of(http_headers={"Baggage": "team=sales"})
        assert set(first) == {"Baggage", "traceparent"}
        assert first["Baggage"] == "team=sales"
        assert headers_of(http_headers={"Traceparent": TRACEPARENT}) == [{"Traceparent": TRACEPARENT}] * 2
    finally:
        contexts.detach(token)


def test_it_can_be_left_out() -> None:
    assert headers_of(propagation=False) == [{}, {}]


def test_baggage_goes_along_as_the_global_propagator_says() -> None:
    token = contexts.attach(baggage.set_baggage("team", "support"))
    try:
        assert headers_of()[0]["baggage"] == "team=support"
    finally:
        contexts.detach(token)


class Broken(TextMapPropagator):
    """A propagator that fails."""

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        raise AssertionError("never asked")

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        raise ValueError("broken")

    @property
    def fields(self) -> set[str]:
        return set()


class Careless(Broken):
    """A propagator that writes what no header can carry."""

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        setter.set(carrier, "X-Trace", "1\r\nX-Injected: 1")


@pytest.mark.parametrize(
    ("propagator", "said"),
    [
        (Broken(), "ValueError was raised"),
        (
            Careless(),
            "the propagator's header 'X-Trace' contains a line break at position 1 of 16; strip it",
        ),
    ],
)
def test_a_propagator_that_fails_fails_no_call(
    propagator: TextMapPropagator, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(propagator)
    try:
        assert headers_of() == [{}, {}]
    finally:
        propagate.set_global_textmap(before)
    [message] = caplog.messages
    assert message.endswith(said)
