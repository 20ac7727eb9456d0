"""Audit: the plugin, which brings the middleware, the queue and the sink together."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Literal

from ..errors import ConfigurationError, PluginError, describe
from ..hookspecs import hookimpl
from ..processes import PerProcess
from ..steps import Middleware
from ..workers import in_thread, result_of_async
from .entries import AuditStats, Policy, WhenFull
from .middleware import ActorSource, AttemptAudit, CallAudit, Recording
from .queue import Queue
from .records import Treatment, checked_treatment
from .sinks import SinkLike, sink_of

if TYPE_CHECKING:
    from typing_extensions import Self

_LONGEST_MS = 3_600_000

_numbers = count(1)


class Audit:
    """A plugin that records each call of the clients that it is handed to: who did what, and what became of it.

    It stands around everything else, whatever other plugins ask for, so that the answers of plugins, misses in the
    place of failures, and calls that were never sent are recorded too; a client whose `order` puts another plugin
    around it is refused. A call whose arguments made no request is none. Several clients may share it, and any number
    of threads and tasks. Records are written by a thread of its own, never by a caller's.

    With ``on_error="raise"`` there is no call without a record: where one cannot be written,
    `langcache.errors.AuditError` is raised before anything is sent; a record that the sink does not take is kept and
    tried again, and meanwhile calls are refused. With ``on_error="ignore"`` calls go on; what the sink does not take is
    kept while there is room, and what is lost is counted, told of in the log, and noted in the next record.

    Whoever made it closes it, with `close`, `aclose`, ``with`` or ``async with``, after the clients. When a process
    ends, what is queued is written first, for up to `exit_ms`; what is not written then is told in the log.
    """

    def __init__(
        self,
        sink: SinkLike,
        *,
        actor: ActorSource = None,
        prompts: Treatment = "none",
        attempts: bool = False,
        on_error: Literal["raise", "ignore"] = "raise",
        when_full: WhenFull | None = None,
        queue_size: int = 10_000,
        wait_ms: float = 1_000,
        check_ms: float = 1_000,
        confirm: bool = False,
        exit_ms: float = 5_000,
    ) -> None:
        """Make an audit; nothing is opened yet.

        Args:
            sink: a `JsonLinesFile`, a `LoggerSink`, an object of your own with the methods of `Sink`, or a callable
                that takes one record.
            actor: who calls: a name, or a plain or async callable that returns it. The context variable
                `langcache.audit.actor` stands before it.
            prompts: what a record has of the prompt: ``"none"``, ``"plain"``, `HashedPrompts` or `RedactedPrompts`.
            attempts: whether each attempt has a record of its own, which is written before that of its call.
            on_error: whether a call that cannot be recorded is refused, or made all the same.
            when_full: what becomes of the records of a call for which the queue has no room. ``"block"``: the call
                waits, up to `wait_ms`, and then it is as with ``"fail"``: they count as failed, which `on_error` is
                for. ``"drop"``: they are left out and counted, whatever `on_error` is. None is ``"block"`` where calls
                are refused, and ``"drop"`` where they are not.
            queue_size: of how many calls the records may wait at a time, those included that have not ended.
            wait_ms: how long a call waits for its record, at each of its ends at the most, in milliseconds.
            check_ms: how long a sink that worked is taken for one that works, in milliseconds. A call after that has it
                looked at first; with 0 every call has.
            confirm: whether a call ends only when its records are written. Otherwise they are queued then, but for the
                first calls, which confirm until the sink has taken a record.
            exit_ms: how long the end of a process waits until what is queued is written, in milliseconds. What is not
                written then is told in the log.
        """
        _check_choice("on_error", on_error, "raise", "ignore")
        _check_choice("when_full", when_full, None, "block", "drop", "fail")
        for name, value in (("attempts", attempts), ("confirm", confirm)):
            _check_choice(name, value, True, False)
        if isinstance(queue_size, bool) or not isinstance(queue_size, int) or queue_size < 1:
            raise ConfigurationError(f"queue_size must be a whole number of 1 or more, not {queue_size!r}")
        if not (actor is None or isinstance(actor, str) or callable(actor)):
            raise ConfigurationError(f"actor must be a string or a callable, not {type(actor).__name__}")
        treatment = checked_treatment(prompts)
        self._sink = sink_of(sink)
        strict = on_error == "raise"
        policy = Policy(
            strict=strict,
            when_full=when_full or ("block" if strict else "drop"),
            size=queue_size,
            wait=_seconds("wait_ms", wait_ms),
            vouched=_seconds("check_ms", check_ms),
            confirms=confirm,
            last=_seconds("exit_ms", exit_ms),
        )
        self._options: dict[str, object] = {
            "sink": self._sink,
            "prompts": treatment if isinstance(treatment, str) else treatment.form,
            "attempts": attempts,
            "on_error": on_error,
            "when_full": policy.when_full,
            "queue_size": queue_size,
            "confirm": confirm,
        }
        # Threads do not survive a fork, and what is queued is written by the process that queued it.
        self._queues = PerProcess(partial(Queue, self._sink, policy))
        self._recording = Recording(self._queues)
        self._key = f"audit {next(_numbers)}" if attempts else None
        self._call_audit = CallAudit(self._recording, actor, treatment, self._key)
        # At the end of a process, the queues are closed by what waits for them.
        weakref.finalize(self, _end, self._queues).atexit = False

    @hookimpl(tryfirst=True)
    def langcache_call_middleware(self) -> Middleware:
        """Stand outside of what answers in the place of the service, and inside of what gives the call its id."""
        return self._call_audit

    @hookimpl(tryfirst=True)
    def langcache_attempt_middleware(self) -> Middleware | None:
        """Record attempts too, where that is wanted."""
        return None if self._key is None else AttemptAudit(self._recording, self._key)

    @hookimpl
    def langcache_composed(self, call_middleware: Sequence[Middleware]) -> None:
        """See that nothing of another plugin's stands outside: what it answers would not be recorded."""
        for middleware in call_middleware:
            if middleware is self._call_audit:
                return
            owner = getattr(middleware, "__module__", None) or ""
            if not isinstance(middleware, CallAudit) and not owner.startswith("langcache.middleware."):
                raise PluginError(
                    f"{describe(middleware)} stands outside of the audit, which would not record what it answers; let "
                    "'order' place it inside"
                )

    def options(self) -> Mapping[str, object]:
        """Return what `LangCache.explain` tells of it."""
        tell = getattr(self._sink, "options", dict[str, object])
        return {**self._options, **tell()}

    def stats(self) -> AuditStats:
        """Return what became of the records of this process."""
        return self._queues.get().stats

    def check(self) -> None:
        """Have the sink looked at; raises AuditError where no record can be written now, which a start may depend on.

        It waits for the writing thread, up to `wait_ms`.
        """
        self._queues.get().check()

    def flush(self, timeout_ms: float = 5_000) -> bool:
        """Wait until what is queued now is written, and say whether it is."""
        return self._queues.get().flush(_seconds("timeout_ms", timeout_ms))

    def close(self, timeout_ms: float = 5_000) -> bool:
        """Let no more calls in, write the records of all others, and close the sink; say whether all are written.

        Calls that have not ended are waited for, and recorded. It waits for `timeout_ms` milliseconds at the most. What
        the sink fails to take is tried again until then, and then it is lost. What is not written then because the sink
        is slow, or a call has not ended, is told in the log, and is written while the process lives. A second time does
        nothing.
        """
        return self._queues.get().close(_seconds("timeout_ms", timeout_ms))

    async def aclose(self, timeout_ms: float = 5_000) -> bool:
        """The same as `close`, for async programs."""
        return await result_of_async(in_thread(partial(self.close, timeout_ms)), None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"Audit({describe(self._sink)})"


def _end(queues: PerProcess[Queue]) -> None:
    queue = queues.get()
    queue.end(queue.policy.last)


def _check_choice(name: str, value: object, *choices: object) -> None:
    if not any(value is choice or (isinstance(choice, str) and value == choice) for choice in choices):
        shown = ", ".join(repr(choice) for choice in choices)
        raise ConfigurationError(f"{name} must be one of {shown}, not {value!r}")


def _seconds(name: str, milliseconds: float) -> float:
    number = isinstance(milliseconds, (int, float)) and not isinstance(milliseconds, bool)
    if not number or not 0 <= milliseconds <= _LONGEST_MS:
        raise ConfigurationError(
            f"{name} must be a number of milliseconds from 0 to {_LONGEST_MS}, not {milliseconds!r}"
        )
    return milliseconds / 1000
