"""The middleware: around a call, and around each attempt, that which makes its record of what became of it."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar, Union

from ..errors import AuditError, PluginError
from ..http import Request, Response
from ..outcomes import Outcome, outcome_of, outcome_of_error
from ..processes import PerProcess
from ..steps import Next, Steps, resolve
from .entries import Entry
from .queue import Queue
from .records import AuditRecord, Treatment, record_of, treated
from .records import actor as current_actor

T = TypeVar("T")

ActorSource = Union[str, Callable[[], Union[str, Awaitable[Union[str, None]], None]], None]
"""Who calls: a name, or a plain or async callable that returns it, or None where it is not known."""


class Call:
    """What the attempts of a call have to know of it, and their records, which wait for that of the call."""

    __slots__ = ("actor", "attempts", "is_over", "records")

    def __init__(self, actor: str | None) -> None:
        self.actor = actor
        self.attempts = 0
        self.records: list[AuditRecord] = []
        self.is_over = False


class Once:
    """Makes a record at the first call, and returns the same one at each."""

    __slots__ = ("_make", "_record")

    def __init__(self, make: Callable[[], AuditRecord]) -> None:
        self._make = make
        self._record: AuditRecord | None = None

    def __call__(self) -> AuditRecord:
        """Return the record."""
        if self._record is None:
            self._record = self._make()
        return self._record


Keep = Callable[[Once, bool], Steps[Union[str, None]]]
"""Takes what makes a record, and whether it may be waited for; returns why it is not kept though it has to be.

What was done by an earlier call, which was interrupted, is not done again.
"""


class Recording:
    """Records what becomes of what is inside; `wall` and `clock` give seconds, of the day and of a stopwatch."""

    def __init__(
        self,
        queues: PerProcess[Queue],
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.queues = queues
        self._wall = wall
        self._clock = clock

    def perform(
        self, request: Request, call_next: Next, record: Callable[..., AuditRecord], keep: Keep
    ) -> Steps[Response]:
        """Pass `request` on, and keep the record of what became of it; raises AuditError where that cannot be.

        A child that was forked during the call and drops it records nothing: its parent goes on with the call.
        """
        began, start, process = self._wall(), self._clock(), os.getpid()

        def made(read: Callable[[], Outcome]) -> Once:
            return Once(lambda: record(read(), began=began, seconds=self._clock() - start))

        try:
            response = yield from call_next(request)
        except Exception as error:
            problem = yield from _kept(keep, made(partial(outcome_of_error, request, error)), process)
            if problem is not None:
                raise _late(request, problem, None) from error
            raise
        except BaseException as error:  # who is interrupted or cancelled waits for nothing, and is told nothing else
            if os.getpid() == process:
                yield from keep(made(partial(outcome_of_error, request, error)), False)
            raise
        problem = yield from _kept(keep, made(partial(_outcome, request, response)), process)
        if problem is not None:
            raise _late(request, problem, response)
        return response

    def keep(self, entry: Entry, call: Call | None, make: Once, waits: bool) -> Steps[str | None]:
        """Keep the record of a call, behind those of its attempts."""
        earlier: list[AuditRecord] = []
        if call is not None:
            call.is_over = True
            earlier = call.records
        queue = self.queues.get()  # another one, where the process was forked during the call
        try:
            records = (*earlier, make())
        except Exception as error:  # noqa: BLE001 - what is inside is anybody's
            return queue.lose(entry, len(earlier) + 1, error)
        return (yield from queue.keep(entry, records, waits))


def _kept(keep: Keep, make: Once, process: int) -> Steps[str | None]:
    try:
        return (yield from keep(make, True))
    except BaseException:  # who is interrupted meanwhile still has a record
        if os.getpid() == process:
            yield from keep(make, False)
        raise


def _outcome(request: Request, response: object) -> Outcome:
    if isinstance(response, Response):
        return outcome_of(request, response)
    return outcome_of_error(request, PluginError("a middleware returned no response"))  # whoever asked is told so


def _late(request: Request, problem: str, response: object) -> AuditError:
    answer = response if isinstance(response, Response) else None
    name = request.operation
    return AuditError(f"{name}: it was made, but is not recorded: {problem}", answer, nothing_sent=False)


class CallAudit:
    """Makes the record of each call, for whom the `source` of actors names, with its prompt as that is `treated`.

    An actor in the context stands before the source. Attempts find under `key` in the request's options what they have
    to know; None is for attempts that are not recorded.
    """

    stands_outside = True
    """Asks for a place outside of all other plugins: they may answer calls too."""

    def __init__(self, recording: Recording, source: ActorSource, treatment: Treatment, key: str | None) -> None:
        self._recording = recording
        self._source = source
        self._treatment: Treatment = treatment
        self._key = key

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Record this call; raises AuditError, before anything is sent, where it cannot be and has to be."""
        actor: str | None
        if isinstance(self._source, str) and current_actor.get() is None:
            actor = self._source
        else:
            actor = yield from self._tried(request, "who calls", self._who())
        prompt = None
        if self._treatment != "none":
            prompt = yield from self._tried(request, "the prompt", treated(self._treatment, request))
        queue = self._recording.queues.get()
        entry = yield from queue.admit(request)
        try:
            call = None
            if self._key is not None:
                call = Call(actor)
                request = request.with_options(**{self._key: call})
            record = partial(record_of, "call", actor=actor, prompt=prompt)
            keep = partial(self._recording.keep, entry, call)
            return (yield from self._recording.perform(request, call_next, record, keep))
        finally:
            queue.leave(entry)

    def _who(self) -> Steps[str | None]:
        actor: object = current_actor.get()
        if actor is None and self._source is not None:
            source = self._source
            actor = (yield from resolve(source)) if callable(source) else source
        if actor is None or isinstance(actor, str):
            return actor
        raise AuditError(f"an actor must be a string, not {type(actor).__name__}")

    def _tried(self, request: Request, what: str, steps: Steps[T]) -> Steps[T | None]:
        """Return what `steps` do, or None where they fail and that is to stop no call."""
        queue = self._recording.queues.get()
        try:
            return (yield from steps)
        except Exception as error:
            why = str(error) if isinstance(error, AuditError) else f"{type(error).__name__} was raised"
            problem = f"{what} cannot be told: {why}"
            if queue.policy.strict:
                raise AuditError(f"{request.operation}: not sent, because it cannot be recorded: {problem}") from error
            queue.notices.add(AuditError(problem))
            return None


class AttemptAudit:
    """Makes the record of each attempt, for which its call has taken room; it is written with that of the call."""

    def __init__(self, recording: Recording, key: str) -> None:
        self._recording = recording
        self._key = key

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Record this attempt."""
        known = request.options.get(self._key)
        if isinstance(known, Call) and not known.is_over:
            return (yield from self._perform(request, call_next, known, partial(self._keep, known)))
        # It is a request that some middleware makes on its own.
        queue = self._recording.queues.get()
        entry = yield from queue.admit(request)
        try:
            keep = partial(self._recording.keep, entry, None)
            return (yield from self._perform(request, call_next, Call(current_actor.get()), keep))
        finally:
            queue.leave(entry)

    def _perform(self, request: Request, call_next: Next, call: Call, keep: Keep) -> Steps[Response]:
        call.attempts += 1
        record = partial(record_of, "attempt", actor=call.actor, attempt=call.attempts)
        return (yield from self._recording.perform(request, call_next, record, keep))

    def _keep(self, call: Call, make: Once, waits: bool) -> Steps[str | None]:
        queue = self._recording.queues.get()
        try:
            record = make()
        except Exception as error:  # noqa: BLE001 - what is inside is anybody's
            return queue.lose(Entry(), 1, error)
        if call.is_over:  # it did not wait for this attempt
            return (yield from queue.keep(Entry(), [record], waits))
        if not any(earlier is record for earlier in call.records):
            call.records.append(record)
        return None
