"""The data plane's error answers: problem documents (RFC 9457) in the words of the service."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from langcache.http import Response

from .answers import json_answer


@dataclass(frozen=True)
class FieldProblem:
    """One field that a request got wrong: its name on the wire, the rule it breaks, and what is wrong in words."""

    field: str
    rule: str
    message: str


class ProblemError(Exception):
    """The data plane refuses a request; `response` is the answer that says why."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.text)
        self.response = response


def invalid_data(detail: str, fields: Iterable[FieldProblem] = ()) -> ProblemError:
    """Return the refusal of a request that is not valid; `fields` are what it got wrong, where it is a field."""
    listed = [asdict(field) for field in fields]
    extra = {"fields": listed} if listed else {}
    return ProblemError(_answer(HTTPStatus.BAD_REQUEST, "/errors/invalid-data", "Invalid data", detail, **extra))


def not_found(detail: str) -> ProblemError:
    """Return the refusal of a request for something that is not there."""
    return ProblemError(_answer(HTTPStatus.NOT_FOUND, "/errors/resource-not-found", "Resource not found", detail))


def method_not_allowed(allowed: Collection[str]) -> ProblemError:
    """Return the refusal of a method; `allowed` are those that the path has (RFC 9110, section 15.5.6)."""
    methods = ", ".join(sorted(allowed))
    status = HTTPStatus.METHOD_NOT_ALLOWED
    # RFC 9457, section 4.2.1: about:blank says no more than the status, and has its phrase for a title.
    answer = _answer(status, "about:blank", status.phrase, f"This path allows {methods}")
    return ProblemError(Response(answer.status_code, answer.headers.merged({"Allow": methods}), answer.content))


def _answer(status: HTTPStatus, kind: str, title: str, detail: str, **extra: Any) -> Response:
    # Not as application/problem+json (RFC 9457, section 3): clients in the field read errors as application/json alone.
    return json_answer(status, {"title": title, "type": kind, "status": int(status), "detail": detail, **extra})
