"""Parsing: an answer becomes a result where those outside can see it, and where its failure is one of the call.

Whatever changes an answer stands inside of it. Those outside find the result under ``parsed`` in the response's
extensions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import ResponseValidationError, raise_for_status
from ..hookspecs import hookimpl
from ..http import Request, Response
from ..steps import Middleware, Next, Steps


class Parsed(NamedTuple):
    """A result, and the body that says it."""

    content: bytes
    result: Any


def parse_answer(request: Request, call_next: Next) -> Steps[Response]:
    """Add the result to the answer; raises ResponseValidationError where its form is another.

    An answer that is no success is an error here too: a plugin may have put it in another's place behind error mapping,
    or error mapping may be left out.
    """
    response = yield from call_next(request)
    parse = request.options.get("parse")
    if parse is None or not isinstance(response, Response):
        return response
    raise_for_status(response)
    try:
        result = parse(response)
    except ResponseValidationError as error:
        error.attempts = response.extensions.get("attempts", 1)
        raise
    return response.with_extensions(parsed=Parsed(response.content, result))


@hookimpl
def langcache_call_middleware() -> Middleware:
    """Stand outside of the users', who may change the answer, and inside of fail-open."""
    return parse_answer
