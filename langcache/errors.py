"""The exceptions of this package.

    LangCacheError                         base of all; for each error answer: status_code, headers, body, data
    |-- APIError                           an error answer whose status has no class of its own
    |-- BadRequestError                    400
    |-- AuthenticationError                401
    |-- ForbiddenError                     403
    |-- NotFoundError                      404
    |-- PayloadTooLargeError               413
    |-- FailedDependencyError              424
    |-- TooManyRequestsError               429
    |-- UnexpectedError                    500
    |-- ResponseValidationError            a good answer that does not have the documented form
    |-- NoResponseError                    no answer where there should be one
    |-- RequestError                       the exchange broke off, so there is no answer
    |   |-- NetworkError
    |   |   |-- ConnectError               no connection was made: nothing was sent
    |   |   |-- ReadError                  the connection broke before the answer was complete
    |   |   `-- WriteError                 the connection broke while the request was sent
    |   |-- TimeoutException
    |   |   |-- ConnectTimeout             no connection in time: nothing was sent
    |   |   |-- ReadTimeout                no complete answer in time
    |   |   |-- WriteTimeout               the request could not be sent in time
    |   |   |-- PoolTimeout                no connection or thread was free in time: nothing was sent
    |   |   `-- DeadlineExceeded           the call as a whole took longer than it may
    |   |-- CircuitOpen                    the service failed too often and is left alone: nothing was sent
    |   |-- ProxyError                     the proxy refused or failed: nothing was sent
    |   |-- RemoteProtocolError            the answer is not valid HTTP
    |   |-- DecodingError                  the answer's body is not encoded as it says
    |   `-- ResponseTooLargeError          the answer's body is larger than is accepted
    |-- AuditError                         the call could not be recorded
    |-- ConfigurationError (ValueError)    an argument or a setting cannot work; nothing was sent
    |   |-- UnknownTransportError
    |   `-- PluginError
    |-- ClientClosedError (RuntimeError)   the client was used after it was closed
    `-- UnexpectedAwaitableError (TypeError)   something async was given to a sync call

Errors carry facts, so that nobody has to know a status by heart: `retryable`, `retry_after`, `status_code`,
`request_id`, `nothing_sent`; and how the call went: `attempts`, `elapsed`, `previous`. A fact that is not known is
None. The class follows the status, whatever the body is.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Mapping
from datetime import MAXYEAR, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from . import models
from .http import NO_HEADERS, Headers, Response, display_url, request_id_of, status_phrase
from .lazy import loader

if TYPE_CHECKING:
    from .models.problems import (
        AuthenticationErrorResponseContentData,
        BadRequestErrorResponseContentData,
        FailedDependencyErrorResponseContentData,
        ForbiddenErrorResponseContentData,
        NotFoundErrorResponseContentData,
        PayloadTooLargeErrorResponseContentData,
        ResourceUnavailableErrorResponseContentData,
        TooManyRequestsErrorResponseContentData,
        UnexpectedErrorResponseContentData,
    )

__all__ = [
    "APIError",
    "AuditError",
    "AuthenticationError",
    "AuthenticationErrorResponseContent",
    "AuthenticationErrorResponseContentData",
    "BadRequestError",
    "BadRequestErrorResponseContent",
    "BadRequestErrorResponseContentData",
    "CircuitOpen",
    "ClientClosedError",
    "ConfigurationError",
    "ConnectError",
    "ConnectTimeout",
    "DeadlineExceeded",
    "DecodingError",
    "FailedDependencyError",
    "FailedDependencyErrorResponseContent",
    "FailedDependencyErrorResponseContentData",
    "ForbiddenError",
    "ForbiddenErrorResponseContent",
    "ForbiddenErrorResponseContentData",
    "LangCacheError",
    "NetworkError",
    "NoResponseError",
    "NotFoundError",
    "NotFoundErrorResponseContent",
    "NotFoundErrorResponseContentData",
    "PayloadTooLargeError",
    "PayloadTooLargeErrorResponseContent",
    "PayloadTooLargeErrorResponseContentData",
    "PluginError",
    "PoolTimeout",
    "ProxyError",
    "ReadError",
    "ReadTimeout",
    "RemoteProtocolError",
    "RequestError",
    "ResourceUnavailableErrorResponseContent",
    "ResourceUnavailableErrorResponseContentData",
    "ResponseTooLargeError",
    "ResponseValidationError",
    "TimeoutException",
    "TooManyRequestsError",
    "TooManyRequestsErrorResponseContent",
    "TooManyRequestsErrorResponseContentData",
    "UnexpectedAwaitableError",
    "UnexpectedError",
    "UnexpectedErrorResponseContent",
    "UnexpectedErrorResponseContentData",
    "UnknownTransportError",
    "WriteError",
    "WriteTimeout",
]

LONGEST_MESSAGE = 10_000
"""How many characters of a body a message shows at the most."""

RETRYABLE_STATUSES = frozenset({429, 500, 502, 503, 504})
"""The statuses after which the same request may succeed a little later."""

LONGEST_WAIT = 1_000_000_000.0
"""The longest time that a service can ask for, in seconds: thirty years, and what the system can wait for."""

_NUMBER = re.compile(r"\s*[0-9]+(\.[0-9]*)?\s*")


class RawResponse(Protocol):
    """What an error needs of a response; `langcache.http.Response` and those of HTTP libraries have it."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, whatever the case of their names."""
        ...

    @property
    def text(self) -> str:
        """The body as text."""
        ...


class LangCacheError(Exception):
    """The base of all errors of this package, and the class of error answers in general.

    Where there was no answer, `status_code` is 0, `headers` and `body` are empty and `raw_response` is None.
    """

    message: str
    """What went wrong; for an error answer the body as it came, cut after 10,000 characters."""
    status_code: int
    """The HTTP status of the answer, or 0 where there was none."""
    headers: Mapping[str, str]
    """The answer's headers: a case-insensitive mapping."""
    body: str
    """The answer's whole body as text."""
    raw_response: Any
    """The answer: a `langcache.http.Response`, or what the caller built the error with, or None."""
    data: Any = None
    """The problem that the body describes (`title`, `type`, `status`, `detail`, `instance`), where there is one."""
    retryable: bool | None = None
    """Whether the same request may succeed a little later; None where it cannot be told."""
    nothing_sent: bool = False
    """Whether it is certain that nothing of the request came to the service."""
    attempts: int | None = None
    """How many attempts the call took, 0 where it was refused before; None where nobody has counted them."""
    elapsed: float | None = None
    """How many seconds the call took, with all its attempts and waits."""
    previous: tuple[LangCacheError, ...] = ()
    """What the attempts before this one ended with, the first one first: the last 20 of them. Of a body that is longer
    than 10,000 characters, these keep no more, and no `data`."""
    client_request_id: str | None = None
    """The id that the client gave the call; it is sent with each attempt, and is in the log."""

    def __init__(self, message: str, raw_response: RawResponse | None = None, body: str | None = None) -> None:
        self.message = message
        self.raw_response = raw_response
        self.status_code = 0 if raw_response is None else raw_response.status_code
        headers = NO_HEADERS if raw_response is None else raw_response.headers
        # The libraries' own kinds of headers ignore the case of names already; plain mappings do not.
        self.headers = Headers(headers) if isinstance(headers, (dict, MappingProxyType)) else headers
        if body is None:
            body = _text(raw_response)
        self.body = body
        if raw_response is not None:
            self.retryable = self.status_code in RETRYABLE_STATUSES
        super().__init__(message)

    @property
    def retry_after(self) -> float | None:
        """How many seconds the service asks to wait before the next try; None where it asks nothing."""
        return retry_after(self.headers)

    @property
    def request_id(self) -> str | None:
        """The service's id for the exchange, for its operators; None where it sent none."""
        return request_id_of(self.headers)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is pickled by its arguments, which its subclasses do not share; its fields say it all.
        detached = _detached(self.raw_response, self.body)
        return _restore, (type(self), self.args, {**self.__dict__, "raw_response": detached})


def _restore(kind: type[LangCacheError], args: tuple[Any, ...], fields: dict[str, Any]) -> LangCacheError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


def _detached(response: Any, body: str) -> Any:
    """Return `response` free of its connection, which cannot be pickled."""
    if response is None or isinstance(response, Response):
        return response
    try:
        content = getattr(response, "content", None)
    except RuntimeError:  # an httpx response that was never read
        content = None
    if not isinstance(content, bytes):
        content = body.encode()
    return Response(response.status_code, response.headers, content)


def _text(response: RawResponse | None) -> str:
    try:
        return "" if response is None else response.text
    except RuntimeError:  # an httpx response that was never read: no reason to lose the error
        return ""


class APIError(LangCacheError):
    """An error answer whose status has no class of its own."""

    def __init__(self, message: str, raw_response: RawResponse | None = None, body: str | None = None) -> None:
        if raw_response is not None and body is not None:  # as programs build one, in their tests
            message = f"{message}: {_status_line(raw_response)}: {_shortened(body) or 'an empty body'}"
        super().__init__(message, raw_response, body)


class ResponseValidationError(LangCacheError):
    """A good answer that does not have the documented form; `cause` is the error that says where."""

    cause: Exception

    def __init__(
        self, message: str, raw_response: RawResponse | None, cause: Exception, body: str | None = None
    ) -> None:
        super().__init__(f"{message}: {cause}", raw_response, body)
        self.cause = cause
        self.retryable = False


class NoResponseError(LangCacheError):
    """No answer where there should be one."""

    def __init__(self, message: str = "No response received") -> None:
        super().__init__(message)


class StatusError(LangCacheError):
    """The common part of the classes that stand for one status each; `data` is the problem of that status."""

    status: ClassVar[int]

    def __init__(self, data: Any, raw_response: RawResponse, body: str | None = None) -> None:
        text = raw_response.text if body is None else body
        super().__init__(_shortened(text) or _empty_body_message(raw_response), raw_response, text)
        self.data = data


class BadRequestError(StatusError):
    """400: the request is not valid; `data.fields` says which fields, where the service tells."""

    status = 400
    data: models.problems.BadRequestErrorData


class AuthenticationError(StatusError):
    """401: the API key is missing, wrong or expired."""

    status = 401
    data: models.problems.AuthenticationErrorData


class ForbiddenError(StatusError):
    """403: the API key may not do this."""

    status = 403
    data: models.problems.ForbiddenErrorData


class NotFoundError(StatusError):
    """404: there is no such cache or entry."""

    status = 404
    data: models.problems.NotFoundErrorData


class PayloadTooLargeError(StatusError):
    """413: the request is larger than the service takes."""

    status = 413
    data: models.problems.PayloadTooLargeErrorData


class FailedDependencyError(StatusError):
    """424: what the service depends on, its database or its embeddings, is not available."""

    status = 424
    data: models.problems.FailedDependencyErrorData


class TooManyRequestsError(StatusError):
    """429: the caller sends more than it may; `retry_after` says how long to wait, where the service tells."""

    status = 429
    data: models.problems.TooManyRequestsErrorData


class UnexpectedError(StatusError):
    """500: the service failed."""

    status = 500
    data: models.problems.UnexpectedErrorData


_BY_STATUS: dict[int, type[StatusError]] = {
    kind.status: kind
    for kind in (
        BadRequestError,
        AuthenticationError,
        ForbiddenError,
        NotFoundError,
        PayloadTooLargeError,
        FailedDependencyError,
        TooManyRequestsError,
        UnexpectedError,
    )
}


def error_for(response: Response) -> LangCacheError:
    """Return the error that stands for `response`: the class follows the status, whatever the body is."""
    kind = _BY_STATUS.get(response.status_code)
    if kind is not None:
        return kind(_problem(response), response)
    error = APIError(_answer_message(response), response)
    if 400 <= response.status_code < 600:
        error.data = _problem(response)
    return error


def raise_for_status(response: Response) -> None:
    """Raise the error that stands for `response`, unless that is a 2xx: each is a success, documented or not."""
    if not 200 <= response.status_code < 300:
        error = error_for(response)
        error.attempts = response.extensions.get("attempts", 1)
        raise error


def _problem(response: Response) -> models.problems.Problem:
    """Return what the body says; as text without a byte order mark, which JSON may not have (RFC 8259, section 8.1)."""
    status = response.status_code
    return models.problems.problem_of(status).read(response.text.removeprefix("\ufeff"), status)


class RequestError(LangCacheError):
    """The exchange broke off, so there is no answer; ``__cause__`` is the HTTP library's own exception."""

    retryable: bool | None = True


class NetworkError(RequestError):
    """The connection failed."""


class ConnectError(NetworkError):
    """No connection was made, so nothing was sent."""

    nothing_sent = True


class ReadError(NetworkError):
    """The connection broke before the answer was complete; the service may have done what was asked."""


class WriteError(NetworkError):
    """The connection broke while the request was sent."""


class TimeoutException(RequestError):
    """The attempt took longer than it may."""


class ConnectTimeout(TimeoutException):
    """No connection was made in time, so nothing was sent."""

    nothing_sent = True


class ReadTimeout(TimeoutException):
    """No complete answer came in time; the service may have done what was asked."""


class WriteTimeout(TimeoutException):
    """The request could not be sent in time."""


class PoolTimeout(TimeoutException):
    """No connection, or no thread, was free in time, so nothing was sent."""

    nothing_sent = True


class DeadlineExceeded(TimeoutException):
    """The call as a whole - its attempts, waits, key providers and hooks - took longer than it may.

    `during` is what it was about, ``"send"``, ``"sleep"``, ``"resolve"`` or ``"wait"``, and `begun` whether that had
    begun or there was no time left for it.
    """

    def __init__(self, message: str, during: str = "", begun: bool = True) -> None:
        super().__init__(message)
        self.during = during
        self.begun = begun


class CircuitOpen(RequestError):
    """The service failed too often and is left alone for a while, so nothing was sent.

    `until` is when it is tried again, in UTC, and `retry_after` how many seconds that is from when this was raised.
    Where it is being tried at this very moment, that is when it is tried once more, if nothing comes of this.
    """

    nothing_sent = True

    until: datetime | None

    def __init__(self, message: str, until: datetime | None = None, seconds: float | None = None) -> None:
        super().__init__(message)
        self.until = until
        self._seconds = seconds

    @property
    def retry_after(self) -> float | None:
        """How many seconds it is until the service is tried again."""
        return self._seconds


class ProxyError(RequestError):
    """The proxy refused the connection or failed, so nothing was sent."""

    nothing_sent = True


class RemoteProtocolError(RequestError):
    """The answer is not valid HTTP."""

    retryable = None


class DecodingError(RequestError):
    """The answer's body is not encoded as its headers say."""

    retryable = None


class ResponseTooLargeError(RequestError):
    """The answer's body is larger than is accepted; the rest of it was not read."""

    retryable = False


class AuditError(LangCacheError):
    """The call could not be recorded, and whoever set up the audit wants no call without a record.

    `nothing_sent` says whether it was refused before anything was sent. Where it was not, and there was an answer,
    that is the `raw_response`; where there was none, the error that the call ended with is the ``__cause__``.
    """

    nothing_sent = True

    def __init__(self, message: str, raw_response: RawResponse | None = None, nothing_sent: bool = True) -> None:
        super().__init__(message, raw_response)
        self.retryable = False
        self.nothing_sent = nothing_sent


class ConfigurationError(LangCacheError, ValueError):
    """An argument or a setting cannot work; nothing was sent."""

    retryable = False
    nothing_sent = True


class UnknownTransportError(ConfigurationError):
    """No plugin answers to the name of a transport."""


class PluginError(ConfigurationError):
    """A plugin cannot be used as it is."""


class ClientClosedError(LangCacheError, RuntimeError):
    """The client was used after it was closed."""

    retryable = False


class UnexpectedAwaitableError(LangCacheError, TypeError):
    """Something async was given to a sync call."""

    retryable = False


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how many seconds to wait from ``Retry-After`` (RFC 9110, section 10.2.3) or ``retry-after-ms``.

    The former is a number of seconds or a date. A value that is neither, or negative, counts as absent; one of more
    than thirty years is `LONGEST_WAIT`.
    """
    milliseconds = _positive(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, LONGEST_WAIT)
    value = headers.get("retry-after")
    seconds = _positive(value)
    if seconds is None and value:
        seconds = _seconds_until(value)
    return None if seconds is None else min(seconds, LONGEST_WAIT)


def _positive(value: str | None) -> float | None:
    return float(value) if value and _NUMBER.fullmatch(value) else None  # infinite, where it has hundreds of digits


def _seconds_until(date: str) -> float | None:
    from email.utils import mktime_tz, parsedate_tz  # on first use: the module is large, and dates are rare

    parsed = parsedate_tz(date)
    if parsed is None:
        return None
    try:
        return max(0.0, mktime_tz(parsed) - time.time())
    except (OverflowError, ValueError):  # a date that is well-formed and that no calendar of Python's has
        return LONGEST_WAIT if parsed[0] > MAXYEAR else None


def describe(thing: object) -> str:
    """Name `thing` by its kind: unlike its ``repr``, that is safe to show whatever it holds."""
    if inspect.ismodule(thing):
        return thing.__name__
    named = thing if inspect.isclass(thing) or inspect.isroutine(thing) else type(thing)
    return f"{named.__module__}.{named.__qualname__}"


def shorten(error: LangCacheError) -> None:
    """Have `error` keep no more of a long body than its message shows, and not the frames that hold the answer."""
    if error.raw_response is None:
        return
    error.__traceback__ = None  # of an answer, it tells nothing but our own way to here
    if len(error.body) > LONGEST_MESSAGE:
        error.body, error.data = error.body[:LONGEST_MESSAGE], None
        response = error.raw_response
        if isinstance(response, Response):
            error.raw_response = Response(response.status_code, response.headers, response.content[:LONGEST_MESSAGE])


def _shortened(text: str) -> str:
    left_out = len(text) - LONGEST_MESSAGE
    return text if left_out <= 0 else f"{text[:LONGEST_MESSAGE]}... ({left_out} more characters; see body)"


def _empty_body_message(response: RawResponse) -> str:
    return f"The service answered {_status_line(response)} with an empty body"


def _answer_message(response: Response) -> str:
    where = response.headers.get("location")
    if 300 <= response.status_code < 400 and where is not None:
        shown = display_url(where)
        return f"The service answered {_status_line(response)}: a redirect to {shown!r}, which was not followed"
    if not response.content:
        return _empty_body_message(response)
    kind = response.headers.get("content-type", "no content type")
    return f"The service answered {_status_line(response)} ({kind}): {_shortened(response.text)}"


def _status_line(response: RawResponse) -> str:
    phrase = status_phrase(response.status_code)
    return f"{response.status_code} {phrase}".rstrip()


# The specification's names of the same classes.
AuthenticationErrorResponseContent = AuthenticationError
BadRequestErrorResponseContent = BadRequestError
FailedDependencyErrorResponseContent = FailedDependencyError
ForbiddenErrorResponseContent = ForbiddenError
NotFoundErrorResponseContent = NotFoundError
PayloadTooLargeErrorResponseContent = PayloadTooLargeError
ResourceUnavailableErrorResponseContent = FailedDependencyError
TooManyRequestsErrorResponseContent = TooManyRequestsError
UnexpectedErrorResponseContent = UnexpectedError

if not TYPE_CHECKING:  # a type checker would take every name for one of ours
    __getattr__ = loader(__name__, {"langcache.models.problems": [name for name in __all__ if name.endswith("Data")]})
