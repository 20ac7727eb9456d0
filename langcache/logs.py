"""Lines of the log, each with a text for people and the same facts as fields of its record for programs.

1. All go to the standard library's logger ``langcache``, what is sent and received to ``langcache.wire``. How they are
   shown is the application's to configure.
2. The fields are given to `logging` in ``extra``. Their names begin with ``langcache_``, so that they never meet those
   that a LogRecord has: ``langcache_event`` says what happened, and the others are there where they are known.
3. No line, and no field, has a body, a key, or the text of an error answer in it.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

LOGGER: Final = logging.getLogger("langcache")
WIRE: Final = logging.getLogger("langcache.wire")

_METHODS: Final = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning"}


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
        self.is_heard: Callable[[], bool] = partial(getattr(logger, "isEnabledFor", _always), level)
        """Says whether the logger takes such lines; where it does not, nothing else need be done for one."""
        standard = isinstance(logger, (logging.Logger, logging.LoggerAdapter))
        self._takes_extra = standard or _takes_extra(self._write)
        # The place in the code that a record names is where it was written from, and not here.
        self._options: dict[str, Any] = {"stacklevel": 2} if standard else {}

    def __call__(self, line: str, *arguments: object, **facts: object) -> None:
        """Write the line, where it is heard."""
        if not self.is_heard():
            return
        if self._takes_extra:
            fields = {f"langcache_{name}": value for name, value in facts.items() if value is not None}
            self._write(line, *arguments, extra=fields, **self._options)
        else:
            self._write(line, *arguments)


def _always(_level: int) -> bool:
    return True


def _takes_extra(write: Callable[..., object]) -> bool:
    try:
        parameters = inspect.signature(write).parameters.values()
    except (TypeError, ValueError):  # it is not written in Python
        return False
    return any(parameter.name == "extra" or parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


INFORM: Final = Teller(level=logging.INFO)
"""For what an operator may want to know, and what happens rarely."""

WARN: Final = Teller(level=logging.WARNING)
"""For what somebody should look at."""
