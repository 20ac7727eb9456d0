"""Identity: every call has an id, which is sent with its attempts, and is on its errors and its lines in the log."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from ..config import Settings
from ..errors import LangCacheError
from ..hookspecs import hookimpl
from ..http import Request, Response
from ..steps import Middleware, Next, Steps


def random_id() -> str:
    """Return 32 random hexadecimal digits, as a trace id of W3C Trace Context has them."""
    return os.urandom(16).hex()


class RequestIdentity:
    """Gives each call an id, made with `make`, and sends it in `header`, or not at all for None.

    An id that the caller gives in that header, for this call, is the call's; an empty one is none. The error that ends
    a call has the id, and how many seconds the call took; `clock` gives seconds.
    """

    def __init__(
        self,
        header: str | None,
        make: Callable[[], str] = random_id,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._header = header
        self._make = make
        self._clock = clock

    def options(self) -> Mapping[str, object]:
        """Return what `explain` shows."""
        return {"request_id_header": self._header}

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Give this call its id."""
        begun = self._clock()
        given = None if self._header is None else request.headers.get(self._header)
        identity = given or self._make()
        headers = request.headers
        if self._header is not None and not given:
            headers = headers.merged({self._header: identity})
        request = request.replace(headers=headers, options={**request.options, "request_id": identity})
        try:
            response = yield from call_next(request)
        except LangCacheError as error:
            error.client_request_id, error.elapsed = identity, self._clock() - begun
            raise
        if not isinstance(response, Response):  # the mistake of a middleware, which whoever asked is told of
            return response
        return response.with_extensions(request_id=identity)


@hookimpl(tryfirst=True)
def langcache_call_middleware(settings: Settings) -> Middleware:
    """Stand outermost, so that everybody knows the id."""
    return RequestIdentity(settings.request_id_header)
