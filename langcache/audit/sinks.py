"""Sinks: what records are written to. They are called by one thread of the audit's, and never by a caller's."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, Union, runtime_checkable

from ..errors import AuditError, ConfigurationError, describe
from ..logs import DebugHandler
from .records import AuditRecord


@runtime_checkable
class Sink(Protocol):
    """What records are written to; any object with these methods is one.

    An exception's text is shown in logs and errors where it is an `AuditError`; of another one only the class is,
    because its text could quote a record.
    """

    def check(self) -> None:
        """Raise an exception where no record could be written now."""
        ...

    def write(self, records: Sequence[AuditRecord]) -> int:
        """Write as many of `records` as can be, from the first on, and return how many; raise where it is none.

        There is at least one. Those that were not written are given again.
        """
        ...

    def close(self) -> None:
        """Let go of what is open; a later `write` opens it again."""
        ...


SinkLike = Union[Sink, Callable[[AuditRecord], object]]
"""A sink, or a callable that takes one record at a time and raises where it cannot keep it."""


class CallableSink:
    """Gives each record to `take`; a record counts as written when that returns."""

    def __init__(self, take: Callable[[AuditRecord], object]) -> None:
        self._take = take

    def check(self) -> None:
        """Do nothing: whether a callable works, only a record can tell."""

    def write(self, records: Sequence[AuditRecord]) -> int:
        """Give the first record to the callable: it may be slow, and each record that it takes shows that it works."""
        self._give(records[0])
        return 1

    def _give(self, record: AuditRecord) -> None:
        try:
            result = self._take(record)
        except Exception as error:
            raise AuditError(f"{describe(self._take)} raised {type(error).__name__}") from error
        if inspect.isawaitable(result):  # nobody here awaits it, so that the record would be lost unseen
            if inspect.iscoroutine(result):
                result.close()
            raise AuditError(f"{describe(self._take)} is async: it returned an awaitable; give a plain callable")

    def close(self) -> None:
        """Do nothing."""

    def __repr__(self) -> str:
        return f"CallableSink({describe(self._take)})"


class LoggerSink:
    """Logs each record in its JSON form with a `logging.Logger`; the record itself is the log record's ``audit``.

    The standard library hides the errors of a logger's handlers, so that a failing one cannot be told from one that
    works. What can be told is that none takes the level: then records cannot be written. A NullHandler takes nothing,
    and the handler of LANGCACHE_DEBUG keeps nothing.
    """

    def __init__(self, logger: str | logging.Logger = "langcache.audit", level: int = logging.INFO) -> None:
        if not isinstance(logger, (str, logging.Logger)):
            raise ConfigurationError(f"logger must be a logging.Logger or the name of one, not {type(logger).__name__}")
        if isinstance(level, bool) or not isinstance(level, int):
            raise ConfigurationError(f"level must be a number, such as logging.INFO, not {level!r}")
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._level = level

    def check(self) -> None:
        """Raise AuditError where the logger leaves out the level, or no handler takes it."""
        name = self._logger.name
        if not self._logger.isEnabledFor(self._level):
            raise AuditError(f"The logger {name!r} leaves out {logging.getLevelName(self._level)}; set its level")
        if not self._logger.hasHandlers():
            raise AuditError(f"The logger {name!r} has no handler; add one")
        if not any(self._takes(handler) for handler in self._handlers()):
            raise AuditError(
                f"The logger {name!r} has no handler that takes {logging.getLevelName(self._level)}; add one, or set "
                "the level of one"
            )

    def _handlers(self) -> Iterator[logging.Handler]:
        logger: logging.Logger | None = self._logger
        while logger is not None:
            yield from logger.handlers
            logger = logger.parent if logger.propagate else None

    def _takes(self, handler: logging.Handler) -> bool:
        return handler.level <= self._level and not isinstance(handler, (logging.NullHandler, DebugHandler))

    def write(self, records: Sequence[AuditRecord]) -> int:
        """Log the first record: a handler may be slow, and each record that it takes shows that it works.

        Raises AuditError where a filter of the logger's drops it. Those of handlers cannot be told.
        """
        self.check()
        self._log(records[0])
        return 1

    def _log(self, record: AuditRecord) -> None:
        # As Logger.log does, which does not say whether a filter has dropped it.
        logger = self._logger
        file, line, function, _ = logger.findCaller()
        made = logger.makeRecord(
            logger.name, self._level, file, line, "%s", (record.json(),), None, function, {"audit": record}
        )
        passed: object = logger.filter(made)
        if not passed:
            raise AuditError(f"A filter of the logger {logger.name!r} drops records; remove it, or let them pass")
        logger.callHandlers(passed if isinstance(passed, logging.LogRecord) else made)

    def close(self) -> None:
        """Do nothing: handlers are their owner's."""

    def __repr__(self) -> str:
        return f"LoggerSink({self._logger.name!r})"


def sink_of(given: SinkLike) -> Sink:
    """Return the argument `sink` as a sink; raises ConfigurationError where it is none."""
    if isinstance(given, type):
        raise ConfigurationError(f"sink: {describe(given)} is a class; hand in an instance")
    if isinstance(given, Sink):
        return given
    if callable(given):
        return CallableSink(given)
    if isinstance(given, logging.Logger):
        raise ConfigurationError("sink: wrap the logger in LoggerSink(logger)")
    raise ConfigurationError(
        f"sink must have write(records), check() and close(), or be a callable, not {type(given).__name__}"
    )
