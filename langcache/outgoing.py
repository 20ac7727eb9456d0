"""What is sent: the last look at a request's headers, which middleware may have set, before a transport sends them.

What callers give is checked where they give it. This is for what plugins add, and it holds for all transports: HTTP
libraries differ in what they refuse, and a length that is not the body's has the rest of it read as another request.
"""

from __future__ import annotations

from typing import Final

from .errors import ConfigurationError
from .http import FRAMING_HEADERS, Request, header_name_problem, header_value_problem

_MOST: Final = 64
"""How many names are remembered at the most; a program sends a dozen."""

_SAME: Final = frozenset({"accept", "content-type", "user-agent"})
"""The headers, in lower case, whose values are remembered: any other may have a credential, or somebody's name."""

# What was found good, so that it need not be looked at with every request.
_good_names: set[str] = set()
_good_values: dict[str, str] = {}


def checked_request(request: Request) -> Request:
    """Return `request`; raises ConfigurationError where a header of it cannot be sent, or is the transport's own."""
    for name, value in request.headers.pairs():
        if type(value) is str and type(name) is str:  # no subclass, which may say that it is equal to another
            if _good_values.get(name) == value:
                continue
            # Most values are printable ASCII without white space at their ends, which is found out faster.
            if name in _good_names and value.isascii() and value.isprintable() and value == value.strip():
                continue
        problem = _problem(name, value)
        if problem is not None:
            del value, request  # the traceback holds this frame, and the value may be a credential
            raise ConfigurationError(problem)
        _remember(name, value)
    return request


def _problem(name: str, value: object) -> str | None:
    problem = header_name_problem(name)
    if problem is not None:
        return f"The header name {name!r}, which a plugin set, {problem}"
    if name.lower() in FRAMING_HEADERS:
        return f"The header {name!r} is set by the transport, from the body; a plugin cannot set it"
    problem = header_value_problem(value)
    return None if problem is None else f"The value of the header {name!r}, which a plugin set, {problem}"


def _remember(name: str, value: str) -> None:
    """Remember a header that is good: its name, and the first value of one that is the same in most requests."""
    if type(name) is str and name not in _good_names and len(_good_names) < _MOST:
        _good_names.add(name)
        if type(value) is str and name.lower() in _SAME:
            _good_values[name] = value
