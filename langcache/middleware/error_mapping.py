"""Error mapping: an answer that is no success becomes the error of its status."""

from __future__ import annotations

from ..errors import raise_for_status
from ..hookspecs import hookimpl
from ..http import Request, Response
from ..steps import Middleware, Next, Steps


def map_errors(request: Request, call_next: Next) -> Steps[Response]:
    """Raise the error that stands for the answer, unless that is a 2xx.

    Every 2xx is a success, documented or not; the class of the error follows the status, whatever the body is.
    """
    response = yield from call_next(request)
    raise_for_status(response)
    return response


@hookimpl(trylast=True)
def langcache_attempt_middleware() -> Middleware:
    """Stand innermost, so that all others see errors instead of statuses."""
    return map_errors
