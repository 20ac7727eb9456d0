"""Lines of the log, each with a text for people and the same facts as fields of its record for programs.

1. All go to the standard library's logger ``langcache``, what is sent and received to ``langcache.wire``. How they are
   shown is the application's to configure.
2. The fields are given to `logging` in ``extra``. Their names begin with ``langcache_``, so that they never meet those
   that a LogRecord has: ``langcache_event`` says what happened, and the others are there where they are known.
3. No line, and no field, has a body, a key, or the text of an error answer in it.
4. A call does not fail because the log does: what a logger, a filter or a handler raises is reported as `logging`
   itself reports it.
"""

from __future__ import annotations

import inspect
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

LOGGER: Final = logging.getLogger("langcache")
WIRE: Final = logging.getLogger("langcache.wire")

SECONDS_BETWEEN: Final = 60.0
"""How long nothing else is warned of, after a warning of what can happen to every call."""

LONGEST_FOREIGN_ID: Final = 128
"""How many characters of a service's id a line shows."""

_METHODS: Final = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning"}


if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:  # Python 3.10 cannot name its stream's type at run time
    _StreamHandler = logging.StreamHandler


class DebugHandler(_StreamHandler):
    """Shows lines on standard error, for LANGCACHE_DEBUG: they are for somebody who looks, and kept nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))


class Logger(Protocol):
    """What a debug logger must offer; a `logging.Logger` does."""

    def debug(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Take a message with its %-arguments."""


class Tell(Protocol):
    """Takes a line for the log, with its %-arguments and with `facts`, which become fields where they are not None."""

    def __call__(self, line: str, *arguments: object, **facts: object) -> None:
        """Write the line."""


class Teller:
    """Writes lines to `logger`, at `level`: DEBUG, INFO or WARNING.

    A logger need not be one of the standard library's. Where it has no ``isEnabledFor`` it is always written to, and
    where its method takes no ``extra`` it is not given the fields.
    """

    def __init__(self, logger: Logger = LOGGER, level: int = logging.DEBUG) -> None:
        self._write: Callable[..., object] = getattr(logger, _METHODS[level])
        self._is_enabled: Callable[[], bool] = partial(getattr(logger, "isEnabledFor", _always), level)
        standard = _is_standard(logger)
        self._takes_extra = standard or _takes_extra(self._write)
        # The place in the code that a record names is where it was written from, and not here.
        self._options: dict[str, Any] = {"stacklevel": 2} if standard else {}

    def is_heard(self) -> bool:
        """Say whether the logger takes such lines; where it does not, nothing else need be done for one."""
        try:
            return self._is_enabled()
        except Exception:  # noqa: BLE001 - a stranger's logger may raise whatever it likes
            _report()
            return False

    def __call__(self, line: str, *arguments: object, **facts: object) -> None:
        """Write the line, where it is heard."""
        if not self.is_heard():
            return
        try:
            if self._takes_extra:
                fields = {f"langcache_{name}": value for name, value in facts.items() if value is not None}
                self._write(line, *arguments, extra=fields, **self._options)
            else:
                self._write(line, *arguments)
        except Exception:  # noqa: BLE001 - so may a filter, which `logging` lets through
            _report()


def teller(logger: Logger | None, level: int) -> Teller:
    """Return what tells at `level` the client's debug logger, or ours where it has none.

    A logger that is not one of the standard library's need not have more than `debug`, so that is what it is told by.
    """
    if logger is None:
        return Teller(level=level)
    return Teller(logger, level if _is_standard(logger) else logging.DEBUG)


class Seldom:
    """Says which lines are to be warnings, of those of which there may be as many as there are calls.

    It is the first one, and then one in a minute at the most; `clock` gives seconds. It is shared by threads.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.RLock()  # a signal's handler may make a call while its thread has it
        self._silent_until = float("-inf")
        self._suppressed = 0

    def turn(self) -> int | None:
        """Return None where a line is not to be a warning, or else how many were not since the last that was."""
        with self._lock:
            now = self._clock()
            if now < self._silent_until:
                self._suppressed += 1
                return None
            self._silent_until = now + SECONDS_BETWEEN
            suppressed, self._suppressed = self._suppressed, 0
            return suppressed


def identified(request_id: object, server_request_id: str | None = None) -> str:
    """Return the end of a line that tells the ids of a call: the client's, and the service's where it has sent one."""
    own = f"{request_id}" if request_id else ""
    if not server_request_id:
        return f" [{own}]" if own else ""
    shown = "".join(one if one.isprintable() else "?" for one in server_request_id[:LONGEST_FOREIGN_ID])
    return f" [{own}{'; ' if own else ''}the service's {shown}]"


def _report() -> None:
    """Report the exception that is being handled as `logging.Handler.handleError` does."""
    if logging.raiseExceptions and sys.stderr is not None:  # pyright: ignore[reportUnnecessaryComparison]
        with suppress(OSError, ValueError):  # it is closed, say
            sys.stderr.write("--- langcache: logging failed ---\n")
            # Without what was being handled meanwhile: that is a call's, and may quote a prompt.
            traceback.print_exc(file=sys.stderr, chain=False)


def _is_standard(logger: object) -> bool:
    return isinstance(logger, (logging.Logger, logging.LoggerAdapter))


def _always(_level: int) -> bool:
    return True


def _takes_extra(write: Callable[..., object]) -> bool:
    try:
        parameters = inspect.signature(write).parameters.values()
    except (TypeError, ValueError):  # it is not written in Python
        return False
    return any(parameter.name == "extra" or parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


DETAIL: Final = Teller()
"""For what helps to find out why."""

INFORM: Final = Teller(level=logging.INFO)
"""For what an operator may want to know, and what happens rarely."""

WARN: Final = Teller(level=logging.WARNING)
"""For what somebody should look at."""
