"""What the adapters of the libraries share: answers and exceptions become ours, without importing any library."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from langcache import errors
from langcache.causes import behind, forget_variables
from langcache.http import NO_HEADERS, Request, Response, display_url, headers_problem

from .kinds import is_of_certificates, kind_of

_RAISING_ON_CLOSED = frozenset({"aiohttp", "httpx"})
"""The libraries whose word for a client that is closed is a bare RuntimeError."""

_WANTS_CREDENTIALS = re.compile(r"(^|: )407\b")
"""The status of a proxy that did not open a tunnel, as the libraries show it (RFC 9110, section 15.5.8)."""


@dataclass
class Exchange:
    """What an adapter knows of the exchange that goes on."""

    sent: Any = None
    """The library's own form of the request, once there is one."""


class Translated:
    """Raise the exceptions of HTTP libraries as ours, from the original; any other passes.

    The frames that a library's came through keep no variables, which hold credentials.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._exchange = Exchange()

    def __enter__(self) -> Exchange:
        return self._exchange

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, errors.LangCacheError):
            return
        ours = self._translated(error)
        if ours is None:
            return
        forget_variables(error)
        try:
            if _is_of_header(error, self._request):
                raise ours from None  # the libraries show the value, which may be the key
            raise ours from error
        finally:
            # This frame is in the traceback of ours: with them, a reference cycle; and aiohttp's repr shows headers.
            del error, ours

    def _translated(self, error: Exception) -> errors.LangCacheError | None:
        if _is_of_header(error, self._request):
            problem = headers_problem(self._request.headers) or "a header has a character that HTTP cannot carry"
            return errors.ConfigurationError(f"{self._request.method} {display_url(self._request.url)}: {problem}")
        if _tells_status(error):
            return _of_status(error, self._request, self._exchange.sent)
        ours = _of_kind(error, self._request)
        failed = _attribute(error, "request")
        if ours is not None and failed is not None and not _is_same(failed, self._request, self._exchange.sent):
            ours.nothing_sent = False  # it was a request of the caller's own, which may have come after ours
        return ours


def _is_of_header(error: Exception, request: Request) -> bool:
    """Say whether `error` is a library's word for a header that cannot be sent."""
    if isinstance(error, ValueError):  # urllib3 has an InvalidHeader too, of answers, which requests wraps in its own
        if any(type(each).__module__.startswith("urllib3") for each in (*error.args, error.__context__)):
            return False
        return type(error).__name__ == "InvalidHeader" or headers_problem(request.headers) is not None
    return type(error).__name__ == "LocalProtocolError" and "header" in str(error)


def _tells_status(error: Exception) -> bool:
    """Say whether `error` is what a library's raise_for_status raises, which some hooks and some sessions call."""
    names = {f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in type(error).__mro__}
    if "aiohttp.ClientResponseError" in names:  # it stands for other things too: then with a class or a cause more
        return type(error).__name__ == "ClientResponseError" and error.__cause__ is None
    # An error answer of requests counts as false.
    return "httpx.HTTPStatusError" in names or (
        "requests.HTTPError" in names and getattr(error, "response", None) is not None
    )


def _of_status(error: Any, request: Request, sent: Any) -> errors.LangCacheError | None:
    """Return the error of the status that answers `request`, or None where it answers one of the caller's own.

    A hook or an auth of the caller's may ask for a token, say, on the way.
    """
    answer = getattr(error, "response", None)
    if answer is None:  # aiohttp's tells of the answer itself, and has no body
        if _is_same(error.request_info, request, sent):
            return errors.error_for(Response(error.status, error.headers or NO_HEADERS))
        return None
    answers = [answer, *getattr(answer, "history", ())]
    if any(_is_same(_attribute(one, "request"), request, sent) for one in answers):
        return errors.error_for(neutral(answer, answer.status_code, _read(answer)))
    return None


def _of_kind(error: Exception, request: Request) -> errors.LangCacheError | None:
    kind = _kind(error, request)
    if kind is None:
        return None
    where = "the caller's own HTTP client is closed: " if kind is errors.ClientClosedError else ""
    reason = " ".join(_said(error).split()) or type(error).__name__
    query = request.url.partition("?")[2]
    if query:  # some libraries show the whole URL, and a query can carry a credential
        reason = reason.replace(query, "...")
    ours = kind(f"{request.method} {display_url(request.url)}: {where}{reason}")
    if is_of_certificates(error) or (kind is errors.ProxyError and _WANTS_CREDENTIALS.search(reason)):
        ours.retryable = False  # the same would come of it again
    return ours


def _said(error: Exception) -> str:
    if not isinstance(error, UnicodeError) and any(isinstance(each, UnicodeError) for each in behind(error)):
        return "a header or the URL has a character that HTTP cannot carry"  # they would be quoted
    return str(error)


def _kind(error: Exception, request: Request) -> type[errors.LangCacheError] | None:
    if _tells_closed(error):
        return errors.ClientClosedError
    kind = kind_of(error)
    if (isinstance(error, UnicodeError) or kind is errors.ConnectError) and not _is_possible(request.url):
        return errors.ConfigurationError
    return kind


def _is_possible(url: str) -> bool:
    """Say whether the host of a URL can be one; where not, some libraries let Python's own UnicodeError out."""
    try:
        return bool((urlsplit(url).hostname or "").encode("idna"))
    except ValueError:
        return False


def _tells_closed(error: Exception) -> bool:
    """Say whether a library has raised `error` because the client that it was called with is closed."""
    if type(error) is not RuntimeError or "closed" not in str(error):
        return False
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)  # where it was raised
    return str(frame.f_globals.get("__name__")).partition(".")[0] in _RAISING_ON_CLOSED


def _is_same(answered: Any, request: Request, sent: Any) -> bool:
    """Say whether the request that was answered is ours, as it was sent: it may have been rewritten, or copied."""
    return answered is not None and (answered is sent or _target(answered) in (_target(request), _target(sent)))


def _target(request: Any) -> tuple[str, str]:
    return str(getattr(request, "method", "")).upper(), str(getattr(request, "url", ""))


def _attribute(thing: Any, name: str) -> Any:
    try:
        return getattr(thing, name, None)
    except RuntimeError:  # httpx's word for one that was not set
        return None


def _read(answer: Any) -> bytes:
    try:
        content = answer.content
    except RuntimeError:  # httpx runs hooks before the body is read, and closes the answer when one raises
        return b""
    return content if isinstance(content, bytes) else b""


def has_own_timeout(request: Request) -> bool:
    """Say whether the caller set a timeout or a deadline; where not, the one of the caller's client holds, if any."""
    return request.options.get("timeout_ms") is not None or request.options.get("deadline") is not None


def own_limit(request: Request) -> float | None:
    """Return the timeout that the caller set, in seconds, or None where the client's own holds, whatever that is."""
    return request.timeout if has_own_timeout(request) else None


def neutral(answer: Any, status: int, content: bytes) -> Response:
    """Return a library's answer as ours."""
    return Response(status, answer.headers.items(), content, answer)
