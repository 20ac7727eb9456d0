"""Wire log: what is sent and received, in the log of those who ask for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import ConfigurationError, LangCacheError
from ..hookspecs import hookimpl
from ..http import Headers, Request, Response, display_url
from ..logs import WIRE, Logger, Teller
from ..redaction import plain, redacted, shortened, shown_headers
from ..steps import Middleware, Next, Steps


class WireLog:
    """A plugin that shows each attempt's request and answer in the log ``langcache.wire``, at DEBUG.

    Of headers, the values of those are shown that are known to be harmless, such as ``Content-Type``; the others are
    named only. In bodies, what somebody wrote - prompts, responses, the values of attributes, and whatever is not known
    - is replaced by its length, unless `prompts` says that it may be shown; and no more than `limit` characters of each
    body are. `logger` is another one that takes the lines.
    """

    def __init__(self, *, prompts: bool = False, limit: int = 2_000, logger: Logger = WIRE) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise ConfigurationError(f"limit must be a whole number of 0 or more characters, not {limit!r}")
        self._prompts = prompts
        self._show: Callable[[bytes], str] = plain if prompts else redacted
        self._limit = limit
        self._tell = Teller(logger)

    def options(self) -> Mapping[str, object]:
        """Return what `explain` shows."""
        return {"prompts": self._prompts, "limit": self._limit, "listens": self._tell.is_heard()}

    @hookimpl(trylast=True)
    def langcache_attempt_middleware(self) -> Middleware:
        """Stand inside of auth, to show what is sent."""
        return self._middleware

    def _middleware(self, request: Request, call_next: Next) -> Steps[Response]:
        if not self._tell.is_heard():
            return (yield from call_next(request))
        where = f"{request.method} {display_url(request.url)}"
        self._tell_part("request", request, f"> {where}", request.headers, request.content or b"")
        try:
            response = yield from call_next(request)
        except LangCacheError as error:
            if isinstance(error.raw_response, Response):
                self._tell_answer(request, error.raw_response)
            raise
        self._tell_answer(request, response)
        return response

    def _tell_answer(self, request: Request, response: Response) -> None:
        self._tell_part("response", request, f"< {response.status_code}", response.headers, response.content)

    def _tell_part(self, event: str, request: Request, start: str, headers: Headers, body: bytes) -> None:
        identity: str | None = request.options.get("request_id")
        self._tell(
            "%s: %s %s %s%s",
            request.operation,
            start,
            shown_headers(headers),
            shortened(self._show(body), self._limit),
            f" [{identity}]" if identity else "",
            event=event,
            operation=request.operation,
            request_id=identity,
            attempt=request.options.get("attempt", 1),
        )
