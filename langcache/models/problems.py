"""The problem documents (RFC 9457, formerly RFC 7807) that explain an error, one model a status.

They are read leniently, because an error must never hide behind another one: a member of the wrong type is left
out, an unknown problem type stays a string, and where there is no problem document at all its defaults apply
(RFC 9457, section 4.2.1): the type ``about:blank``, and the status's own phrase as the title.
"""

from __future__ import annotations

from typing import Annotated, Any, cast

from pydantic import GetPydanticSchema, ValidationError
from pydantic_core import from_json
from typing_extensions import Self

from ..http import status_phrase
from .base import OPEN, WireModel
from .fielderror import FieldError
from .problemtypes import (
    AuthenticationErrorType,
    BadRequestErrorType,
    FailedDependencyErrorType,
    ForbiddenErrorType,
    NotFoundErrorType,
    PayloadTooLargeErrorType,
    TooManyRequestsErrorType,
    UnexpectedErrorType,
)

_BLANK: Any = "about:blank"

# To type checkers the type of a problem is what each status makes of it, which "str" would not let them.
_TEXT = GetPydanticSchema(lambda _, handler: handler(str))


class Problem(WireModel):
    """A problem document."""

    title: str
    """The kind of problem, in a few words."""
    type: Annotated[Any, _TEXT] = _BLANK
    """The kind of problem, as a URI reference."""
    status: int | None = None
    """The HTTP status."""
    detail: str | None = None
    """What went wrong this time."""
    instance: str | None = None
    """Where it went wrong, as a URI reference."""

    @classmethod
    def read(cls, content: bytes | str, status: int) -> Self:
        """Read what `content` says of an error with this HTTP `status`; it never fails."""
        document: dict[str, Any] = {"title": status_phrase(status), "status": status, **_members(content)}
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            wrong = {str(detail["loc"][0]) for detail in error.errors()}
        members = {name: value for name, value in document.items() if name not in wrong}
        return cls.model_validate({"title": status_phrase(status), "status": status, **members})


def _members(content: bytes | str) -> dict[str, Any]:
    try:
        document: object = from_json(content)
    except ValueError:
        return {}
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}


class BadRequestErrorData(Problem):
    """The problem of a 400."""

    type: Annotated[BadRequestErrorType, OPEN] = _BLANK
    status: int | None = 400
    fields: list[FieldError] | None = None
    """The fields that the request got wrong, where the service tells."""


class AuthenticationErrorData(Problem):
    """The problem of a 401."""

    type: Annotated[AuthenticationErrorType, OPEN] = _BLANK
    status: int | None = 401


class ForbiddenErrorData(Problem):
    """The problem of a 403."""

    type: Annotated[ForbiddenErrorType, OPEN] = _BLANK
    status: int | None = 403


class NotFoundErrorData(Problem):
    """The problem of a 404."""

    type: Annotated[NotFoundErrorType, OPEN] = _BLANK
    status: int | None = 404


class PayloadTooLargeErrorData(Problem):
    """The problem of a 413."""

    type: Annotated[PayloadTooLargeErrorType, OPEN] = _BLANK
    status: int | None = 413


class FailedDependencyErrorData(Problem):
    """The problem of a 424."""

    type: Annotated[FailedDependencyErrorType, OPEN] = _BLANK
    status: int | None = 424


class TooManyRequestsErrorData(Problem):
    """The problem of a 429."""

    type: Annotated[TooManyRequestsErrorType, OPEN] = _BLANK
    status: int | None = 429


class UnexpectedErrorData(Problem):
    """The problem of a 500."""

    type: Annotated[UnexpectedErrorType, OPEN] = _BLANK
    status: int | None = 500


_BY_STATUS: dict[int, type[Problem]] = {
    400: BadRequestErrorData,
    401: AuthenticationErrorData,
    403: ForbiddenErrorData,
    404: NotFoundErrorData,
    413: PayloadTooLargeErrorData,
    424: FailedDependencyErrorData,
    429: TooManyRequestsErrorData,
    500: UnexpectedErrorData,
}


def problem_of(status: int) -> type[Problem]:
    """Return the model of the problems that come with this HTTP `status`."""
    return _BY_STATUS.get(status, Problem)


# The specification's names of the same models.
AuthenticationErrorResponseContentData = AuthenticationErrorData
BadRequestErrorResponseContentData = BadRequestErrorData
FailedDependencyErrorResponseContentData = FailedDependencyErrorData
ForbiddenErrorResponseContentData = ForbiddenErrorData
NotFoundErrorResponseContentData = NotFoundErrorData
PayloadTooLargeErrorResponseContentData = PayloadTooLargeErrorData
ResourceUnavailableErrorResponseContentData = FailedDependencyErrorData
TooManyRequestsErrorResponseContentData = TooManyRequestsErrorData
UnexpectedErrorResponseContentData = UnexpectedErrorData
