"""The metrics of calls: how long they and their requests took, what became of them, and the states of circuits."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import Any, Final
from weakref import WeakKeyDictionary

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Histogram, Meter, MeterProvider, Observation

from ..http import Request
from ..middleware.circuit_breaker import CircuitBreaker, CircuitState
from ..outcomes import Outcome
from ..processes import PerProcess
from .attributes import Attributes, error_type, is_http, of_cache, of_series, of_server

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The bounds of the buckets that the conventions ask for."""

_STATES: Final[dict[CircuitState, int]] = {"closed": 0, "half-open": 1, "open": 2}


_ENDED: Final = ("http.response.status_code", "error.type")
"""What tells one series of requests from another, of what is known when they have ended."""


class Instruments:
    """What is measured, with one meter."""

    def __init__(self, meter: Meter, circuits: Circuits) -> None:
        self._requests = _duration(meter, "http.client.request.duration", "Duration of HTTP client requests.")
        self._calls = _duration(meter, "langcache.call.duration", "Whole calls, with their attempts and waits")
        self._hits = meter.create_counter("langcache.hits", "{call}", "Searches that found something")
        self._misses = meter.create_counter("langcache.misses", "{call}", "Searches that found nothing")
        self._degraded = meter.create_counter("langcache.degraded", "{call}", "Calls that the program went on without")
        self._errors = meter.create_counter("langcache.errors", "{call}", "Calls that raised an error")
        self._retries = meter.create_counter("langcache.retries", "{attempt}", "Attempts beside the first of each call")
        meter.create_observable_gauge(
            "langcache.breaker.state",
            [circuits.observe],
            "1",
            "The state of the circuit to a server: 0 closed, 1 half-open, 2 open",
        )

    def record(self, request: Request, outcome: Outcome, retries: int, seconds: float) -> None:
        """Record a call that has ended."""
        cache = of_cache(request)
        error = error_type(outcome.error, outcome.status_code)
        self._calls.record(seconds, cache if error is None else {**cache, "error.type": error})
        if retries:
            self._retries.add(retries, cache)
        if outcome.kind == "hit":
            self._hits.add(1, cache)
        elif outcome.kind == "miss":
            self._misses.add(1, cache)
        elif error is not None:
            counter = self._degraded if outcome.kind == "degraded" else self._errors
            counter.add(1, {**cache, "error.type": error})

    def record_request(self, request: Request, known: Attributes, seconds: float) -> None:
        """Record a request that has ended, of which this is `known`; the conventions are for those of HTTP alone."""
        if is_http(request):
            series = of_series(request)
            series.update({name: known[name] for name in _ENDED if name in known})
            self._requests.record(seconds, series)


def _duration(meter: Meter, name: str, description: str) -> Histogram:
    unit = "s"
    advice: dict[str, Any] = {"explicit_bucket_boundaries_advisory": _SECONDS}
    try:
        return meter.create_histogram(name, unit, description, **advice)
    except TypeError:  # an older API, in which a view has to give the bounds
        return meter.create_histogram(name, unit, description)


class Circuits:
    """The circuits of all clients that are measured with the same meter provider, as long as the clients are there."""

    def __init__(self) -> None:
        self._lock = PerProcess(threading.Lock)
        self._breakers: tuple[weakref.ref[CircuitBreaker], ...] = ()

    def add(self, breaker: CircuitBreaker) -> None:
        """Observe the circuits of `breaker` too."""
        with self._lock.get():
            there = [known for known in self._breakers if known() is not None]
            self._breakers = (*there, weakref.ref(breaker))

    def observe(self, _options: CallbackOptions) -> Iterable[Observation]:
        """Return the states; where there are several circuits to a server, the worst one."""
        worst: dict[tuple[tuple[str, Any], ...], int] = {}
        for origin, state in (found for circuits in _measured_with(self) for found in circuits.states()):
            server = tuple(of_server(origin).items())
            worst[server] = max(_STATES[state], worst.get(server, 0))
        return [Observation(state, dict(server)) for server, state in worst.items()]

    def states(self) -> Iterator[tuple[str, CircuitState]]:
        """Yield the circuits' origins and their states."""
        for known in self._breakers:
            breaker = known()
            if breaker is not None:
                yield from breaker.circuits()


_global = Circuits()
_by_provider: WeakKeyDictionary[MeterProvider, Circuits] = WeakKeyDictionary()


def circuits_of(provider: MeterProvider | None) -> Circuits:
    """Return the circuits that are measured with `provider`, or with the global one for None.

    A meter takes one callback for each instrument and ignores further ones, so all plugins share it.
    """
    if provider is None or provider is metrics.get_meter_provider():
        return _global
    return _by_provider.setdefault(provider, Circuits())


def _measured_with(circuits: Circuits) -> Iterable[Circuits]:
    """Return all that are measured as `circuits` are: a provider may be the global one only after it was handed in."""
    same = (_global, _by_provider.get(metrics.get_meter_provider(), _global))
    return set(same) if circuits in same else (circuits,)
