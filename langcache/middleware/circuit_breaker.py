"""Circuit breaker: a service that fails again and again is left alone for a while, and calls fail at once.

    closed --(too many failures)--> open --(open_ms are over)--> half-open --(a probe succeeds)--> closed
                                     ^                               |
                                     `-----(a probe fails)-----------'

1. A circuit is changed under its lock, which is never held across a yield. It is reentrant: a signal's handler or a
   finalizer may make a call while its own thread has it. Such a call finds the circuit half changed, and counts as
   nothing.
2. Each call that is let through has a ticket: the number of the circuit's state. When the call ends and the state is
   another by then, what came of it counts as nothing.
3. A probe that ends without telling anything - it was cancelled, say - makes room for the next one. So does one that
   goes on for too long: each has a lease, since a call may hang, and an interrupt may come where nothing is tidied up.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Final, Literal, NamedTuple

from ..config import UNSET, Settings, Unset
from ..errors import CircuitOpen, DeadlineExceeded, LangCacheError, PoolTimeout, RequestError, ResponseTooLargeError
from ..hookspecs import hookimpl
from ..http import Request, Response, display_url
from ..logs import INFORM, WARN, Tell, identified, teller
from ..policies import BreakerPolicy
from ..processes import PerProcess
from ..steps import Middleware, Next, Steps

MOST_CIRCUITS: Final = 256
"""How many circuits a client remembers. Those that were not used for the longest time are forgotten first, and of the
open ones one only where there is no closed one."""

SHORTEST_LEASE: Final = 1.0
"""For how many seconds a probe keeps its place at the least, where a circuit is open for a shorter time."""

_NO_STATE: Final = -1
"""The number of a state that no circuit has."""

_UNTOLD: Final = frozenset({408, 424, 429})
"""Statuses that say neither that the service works nor that it fails."""


class Ticket(NamedTuple):
    """What a call has that was let through."""

    state: int
    lease: float | None = None
    """Until when a probe keeps its place; None where it is no probe."""


CircuitState = Literal["closed", "half-open", "open"]


class Circuit:
    """The state of the way to one service; times are seconds on one clock. It is shared by threads."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._lock = threading.RLock()
        self._is_changing = False
        self._state = 0
        """The number of the state: it changes whenever the circuit opens or closes."""
        self._open_until: float | None = None
        """None while the circuit is closed."""
        self._leases: list[float] = []
        """Until when each probe that is out keeps its place."""
        self._failed: deque[bool] = deque()
        """Which of the last calls failed, the oldest first."""
        self._failures = 0
        self._on_end = 0

    @property
    def is_closed(self) -> bool:
        """Whether all calls are let through."""
        return self._open_until is None

    def state(self, now: float) -> CircuitState:
        """Return which of its states it is in: half-open is that a call would be let through to try, or is trying."""
        open_until = self._open_until
        if open_until is None:
            return "closed"
        return "open" if now < open_until else "half-open"

    def enter(self, now: float) -> Ticket | None:
        """Return a ticket for a call, or None where it is not let through."""
        with self._lock:
            if self._is_changing:
                return None if self.state(now) == "open" else Ticket(_NO_STATE)
            self._is_changing = True
            try:
                return self._entered(now)
            finally:
                self._is_changing = False

    def _entered(self, now: float) -> Ticket | None:
        if self._open_until is None:
            return Ticket(self._state)
        self._leases = [end for end in self._leases if end > now]
        if now < self._open_until or len(self._leases) >= self._policy.probes:
            return None
        lease = now + max(self._policy.open_ms / 1000, SHORTEST_LEASE)
        self._leases.append(lease)
        return Ticket(self._state, lease)

    def left(self, now: float) -> float:
        """Return after how many seconds a call is let through at the latest, if none of those that try succeeds."""
        with self._lock:
            open_until, leases = self._open_until, self._leases.copy()
        if open_until is None:
            return 0.0
        if now >= open_until and len(leases) >= self._policy.probes:
            return max(min(leases) - now, 0.0)
        return max(open_until - now, 0.0)

    def leave(self, ticket: Ticket, failed: bool | None, now: float) -> bool | None:
        """Take back a ticket, with whether the call failed, or None where it told nothing.

        Return True where that opened the circuit, False where it closed it, and None where it did neither.
        """
        with self._lock:
            if self._is_changing:  # the lease of a probe is over in time
                return None
            self._is_changing = True
            try:
                return self._left_by(ticket, failed, now)
            finally:
                self._is_changing = False

    def _left_by(self, ticket: Ticket, failed: bool | None, now: float) -> bool | None:
        if ticket.state != self._state:
            return None
        if self._open_until is not None:
            if ticket.lease in self._leases:  # or it is over, and another one may have the place
                self._leases.remove(ticket.lease)
            if failed is None:
                return None
            return self._open(now) if failed else self._close()
        if failed is None:
            return None
        self._count(failed)
        return self._open(now) if failed and self._is_too_much() else None

    def _count(self, failed: bool) -> None:
        self._on_end = self._on_end + 1 if failed else 0
        self._failed.append(failed)
        self._failures += failed
        if len(self._failed) > self._policy.window:
            self._failures -= self._failed.popleft()

    def _is_too_much(self) -> bool:
        if self._on_end >= self._policy.consecutive_failures:
            return True
        known = len(self._failed)
        # A quotient is rounded as the rate itself is; a product may be more than the failures of which it is the share.
        return known >= self._policy.minimum_calls and self._failures / known >= self._policy.failure_rate

    def _open(self, now: float) -> bool:
        self._open_until = now + self._policy.open_ms / 1000
        self._begin_anew()
        return True

    def _close(self) -> bool:
        self._open_until = None
        self._begin_anew()
        return False

    def _begin_anew(self) -> None:
        self._state += 1
        self._failures = self._on_end = 0
        self._leases.clear()
        self._failed.clear()


class Circuits:
    """The circuits of one client, in one process, those that were used last at the end. They are shared by threads."""

    def __init__(self) -> None:
        self._circuits: OrderedDict[tuple[BreakerPolicy, str], Circuit] = OrderedDict()
        self._lock = threading.RLock()

    def of(self, policy: BreakerPolicy, origin: str) -> Circuit:
        """Return the circuit to `origin`, which is made where there is none."""
        key = policy, origin
        with self._lock:
            circuit = self._circuits.get(key)
            if circuit is None:
                if len(self._circuits) >= MOST_CIRCUITS:
                    self._forget_one()
                circuit = self._circuits[key] = Circuit(policy)
            else:
                self._circuits.move_to_end(key)
            return circuit

    def _forget_one(self) -> None:
        closed = (key for key, circuit in self._circuits.items() if circuit.is_closed)
        del self._circuits[next(closed, next(iter(self._circuits)))]

    def states(self, now: float) -> list[tuple[str, CircuitState]]:
        """Return their origins, which several may share, and their states."""
        with self._lock:
            known = list(self._circuits.items())
        return [(origin, circuit.state(now)) for (_, origin), circuit in known]


class CircuitBreaker:
    """Lets calls through as the circuits say; the call's own ``breaker`` stands before the client's.

    `clock` gives seconds. `warn` takes the line for the log that says that a circuit opened, and `tell` the one that
    says that it closed.
    """

    def __init__(
        self,
        policy: BreakerPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        warn: Tell = WARN,
        tell: Tell = INFORM,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._warn = warn
        self._tell = tell
        # At a fork, a thread may hold a lock that the child does not have.
        self._circuits = PerProcess(Circuits)

    def options(self) -> Mapping[str, object]:
        """Return what `explain` shows."""
        return {"breaker": self._policy}

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Let this call through, or raise CircuitOpen."""
        chosen = request.options.get("breaker", UNSET)
        policy: BreakerPolicy | None = self._policy if isinstance(chosen, Unset) else chosen
        if policy is None:
            return call_next(request)  # without a generator of its own, which would have nothing to do
        return self._let_through(request, call_next, policy)

    def _let_through(self, request: Request, call_next: Next, policy: BreakerPolicy) -> Steps[Response]:
        circuit = self._circuits.get().of(policy, _origin(request.url))
        ticket = circuit.enter(self._clock())
        if ticket is None:
            raise self._refusal(circuit, request)
        failed: bool | None = None
        theirs: str | None = None
        try:
            response = yield from call_next(request)
            failed = False
        except LangCacheError as error:
            failed, theirs = tells_failure(error), error.request_id
            raise
        finally:
            self._tell_change(circuit.leave(ticket, failed, self._clock()), policy, request, theirs)
        return response

    def circuits(self) -> list[tuple[str, CircuitState]]:
        """Return the circuits of this process: their origins, which several may share, and their states."""
        return self._circuits.get().states(self._clock())

    def _refusal(self, circuit: Circuit, request: Request) -> CircuitOpen:
        now = self._clock()
        left = circuit.left(now)
        until = datetime.now(timezone.utc) + timedelta(seconds=left)
        when = f"until {until.isoformat(timespec='milliseconds')}"
        if circuit.state(now) != "open":
            when = f"while it is being tried again, {when} at the latest"
        where = display_url(_origin(request.url))
        error = CircuitOpen(f"{request.operation}: {where} failed too often and is left alone {when}", until, left)
        error.attempts, error.elapsed = 0, 0.0
        return error

    def _tell_change(
        self, opened: bool | None, policy: BreakerPolicy, request: Request, server_request_id: str | None
    ) -> None:
        if opened is None:
            return
        where, identity = display_url(_origin(request.url)), request.options.get("request_id")
        ids = identified(identity, server_request_id)
        facts = {
            "operation": request.operation,
            "request_id": identity,
            "server_request_id": server_request_id,
            "server": where,
        }
        if opened:
            line = "%s failed too often: it is left alone for %.3g s%s"
            self._warn(line, where, policy.open_ms / 1000, ids, event="breaker_opened", open_ms=policy.open_ms, **facts)
        else:
            self._tell("%s works again%s", where, ids, event="breaker_closed", **facts)


def tells_failure(error: LangCacheError) -> bool | None:
    """Say whether `error` tells that the service fails (True), that it is there (False), or nothing (None)."""
    if isinstance(error, DeadlineExceeded) and not _ended_an_exchange(error):
        # The time is over elsewhere: what there is to tell, the attempts before have told.
        return tells_failure(error.previous[-1]) if error.previous else None
    if isinstance(error, RequestError):
        if isinstance(error, PoolTimeout):
            return None
        return not isinstance(error, ResponseTooLargeError)
    if not error.status_code or error.status_code in _UNTOLD:
        return None
    return error.status_code >= 500


def _ended_an_exchange(error: DeadlineExceeded) -> bool:
    """Say whether the service had its time, and not a wait for a connection or a thread, nor anything else."""
    return error.during == "send" and error.begun and not isinstance(error.__cause__, PoolTimeout)


def _origin(url: str) -> str:
    """Return a URL's scheme and authority."""
    scheme, separator, rest = url.partition("://")
    return scheme + separator + rest.partition("/")[0]


@hookimpl(trylast=True)
def langcache_call_middleware(settings: Settings) -> Middleware:
    """Stand around retries: what counts is what became of a call in the end."""
    logger = settings.debug_logger
    warn, tell = teller(logger, logging.WARNING), teller(logger, logging.INFO)
    return CircuitBreaker(settings.breaker, warn=warn, tell=tell)
