"""Errors: the class follows the status, the message is the body, and the facts survive a pickle."""

from __future__ import annotations

import copy
import functools
import inspect
import json
import pickle
import re
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from types import MappingProxyType
from typing import Any

import httpx
import pydantic
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from langcache import Headers, Response, errors
from langcache.errors import (
    LONGEST_WAIT,
    APIError,
    AuditError,
    AuthenticationError,
    BadRequestError,
    CircuitOpen,
    ClientClosedError,
    ConfigurationError,
    ConnectError,
    ConnectTimeout,
    DeadlineExceeded,
    DecodingError,
    FailedDependencyError,
    ForbiddenError,
    LangCacheError,
    NetworkError,
    NoResponseError,
    NotFoundError,
    PayloadTooLargeError,
    PluginError,
    PoolTimeout,
    ProxyError,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
    RequestError,
    ResponseTooLargeError,
    ResponseValidationError,
    StatusError,
    TimeoutException,
    TooManyRequestsError,
    UnexpectedAwaitableError,
    UnexpectedError,
    UnknownTransportError,
    WriteError,
    WriteTimeout,
    describe,
    error_for,
    retry_after,
)
from langcache.models import FieldError, SetResponse, problems

# The specification's table: status, class, its older and newer names, its problem types in both dialects.
TABLE: tuple[tuple[int, type[StatusError], tuple[str, ...], tuple[str, ...]], ...] = (
    (400, BadRequestError, ("BadRequest",), ("/errors/invalid-data",)),
    (401, AuthenticationError, ("Authentication",), ("/errors/authentication-failed",)),
    (403, ForbiddenError, ("Forbidden",), ("/errors/insufficient-permissions",)),
    (
        404,
        NotFoundError,
        ("NotFound",),
        (
            "/errors/resource/not-found",
            "/errors/cache/not-found",
            "/errors/cache/entry/not-found",
            "/errors/token/not-found",
            "/errors/resource-not-found",
        ),
    ),
    (413, PayloadTooLargeError, ("PayloadTooLarge",), ("/errors/payload-too-large",)),
    (
        424,
        FailedDependencyError,
        ("ResourceUnavailable", "FailedDependency"),
        (
            "/errors/database/resource-database-unavailable",
            "/errors/database/out-of-memory",
            "/errors/embeddings/unauthorized",
            "/errors/embeddings/too-many-requests",
            "/errors/cache/index-not-found",
            "/errors/resource-unavailable",
            "/errors/database-out-of-memory",
        ),
    ),
    (429, TooManyRequestsError, ("TooManyRequests",), ("/errors/too-many-requests",)),
    (
        500,
        UnexpectedError,
        ("Unexpected",),
        (
            "/errors/unexpected-error",
            "/errors/cache/authentication",
            "/errors/cache/unexpected-error",
            "/errors/embeddings/unexpected-error",
        ),
    ),
)
KINDS = tuple((status, kind) for status, kind, _, _ in TABLE)
OWN_CLASS = frozenset(status for status, _ in KINDS)

BODIES: Mapping[str, bytes] = {
    "html": b"<html><body>502</body></html>",
    "empty": b"",
    "white space": b" \n",
    "array": b'[{"title": "t"}]',
    "string": b'"title"',
    "number": b"1",
    "null": b"null",
    "foreign members": b'{"error": {"code": 7}, "message": "no"}',
    "wrong types": b'{"title": 1, "type": [], "status": "x", "detail": {}, "instance": 2, "fields": "f"}',
    "unknown type": b'{"title": "t", "type": "/errors/of-tomorrow", "status": 400}',
    "cut off": b'{"title": "t", "ty',
    "deep": b"[" * 100_000,
    "deep and whole": b'{"title": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "invalid utf-8": b'{"title": "\xff\xfe"}',
    "lone surrogate": b'{"title": "\\ud800"}',
    "huge number": b'{"status": ' + b"9" * 10_000 + b"}",
}


def problem_of(status: int, **members: Any) -> Response:
    """An error answer with a problem document."""
    document = {"title": "Title", "type": "/errors/x", "status": status, **members}
    return Response(status, {"Content-Type": "application/problem+json"}, json.dumps(document).encode())


# The class follows the status


@pytest.mark.parametrize(
    ("status", "kind", "type_"), [(status, kind, type_) for status, kind, _, types in TABLE for type_ in types]
)
def test_an_error_of_either_dialect_has_the_class_of_its_status_and_its_problem(
    status: int, kind: type[StatusError], type_: str
) -> None:
    response = problem_of(status, type=type_, detail="the detail", instance="/v1/caches/c")
    error = error_for(response)
    assert type(error) is kind
    assert error.status_code == status
    assert error.data.type == type_
    assert isinstance(error.data.type, str)
    assert type(error.data.type) is not str  # the member of its enum
    assert (error.data.title, error.data.status) == ("Title", status)
    assert (error.data.detail, error.data.instance) == ("the detail", "/v1/caches/c")
    assert error.raw_response is response


@pytest.mark.parametrize(("status", "kind"), KINDS)
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_the_class_follows_the_status_whatever_the_body_is(status: int, kind: type[StatusError], body: bytes) -> None:
    error = error_for(Response(status, {}, body))
    assert type(error) is kind
    assert error.status_code == status
    assert error.body == body.decode(errors="replace")
    assert type(error.data) is problems.problem_of(kind.status)
    assert isinstance(error.data.title, str)


@pytest.mark.parametrize("status", [402, 405, 408, 409, 418, 499, 501, 502, 503, 504, 599])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_status_without_a_class_of_its_own_is_an_api_error_whatever_the_body_is(status: int, body: bytes) -> None:
    error = error_for(Response(status, {}, body))
    assert type(error) is APIError
    assert error.status_code == status
    assert error.body == body.decode(errors="replace")
    assert type(error.data) is problems.Problem


@given(st.integers(100, 999), st.binary())
def test_every_answer_becomes_an_error_with_its_status(status: int, body: bytes) -> None:
    error = error_for(Response(status, {}, body))
    assert error.status_code == status
    assert isinstance(error, StatusError) is (status in OWN_CLASS)
    assert str(error) == error.message != ""


@pytest.mark.parametrize("status", [199, 302, 399, 600, 999])
def test_an_answer_that_is_no_error_has_no_problem(status: int) -> None:
    error = error_for(problem_of(status))
    assert type(error) is APIError
    assert error.data is None


def test_an_api_error_has_the_problem_that_the_body_describes() -> None:
    error = error_for(problem_of(503, detail="the detail"))
    assert (error.data.title, error.data.status, error.data.detail) == ("Title", 503, "the detail")


@pytest.mark.parametrize(
    ("body", "title", "detail"),
    [
        (b'{"detail": "the detail"}', "Bad Request", "the detail"),
        (b'{"title": 1, "detail": "the detail", "fields": 3}', "Bad Request", "the detail"),
        (b'{"title": "Title", "detail": []}', "Title", None),
        (b"<html>", "Bad Request", None),
    ],
)
def test_of_a_partial_problem_the_good_members_are_kept(body: bytes, title: str, detail: str | None) -> None:
    data = error_for(Response(400, {}, body)).data
    assert (data.title, data.type, data.status, data.detail) == (title, "about:blank", 400, detail)


def test_an_unknown_problem_type_stays_a_string() -> None:
    data = error_for(problem_of(404, type="/errors/of-tomorrow")).data
    assert data.type == "/errors/of-tomorrow"
    assert type(data.type) is str


def test_a_bad_request_says_which_fields_are_wrong() -> None:
    error = error_for(problem_of(400, fields=[{"field": "prompt", "rule": "max_length", "message": "too long"}]))
    assert error.data.fields == [FieldError(field="prompt", rule="max_length", message="too long")]


def test_the_detail_that_programs_search_for_is_in_the_text() -> None:
    error = error_for(problem_of(400, detail="bad: no attributes are configured for this cache"))
    assert "no attributes are configured for this cache" in str(error)


# Messages


@pytest.mark.parametrize(("status", "kind"), KINDS)
@pytest.mark.parametrize("body", ["<html>", " ", '{"title": "h\xe9"}', "x" * 10_000])
def test_str_and_message_of_a_typed_error_are_its_body(status: int, kind: type[StatusError], body: str) -> None:
    error = error_for(Response(status, {}, body.encode()))
    assert isinstance(error, kind)
    assert str(error) == error.message == error.body == body
    assert error.args == (body,)


@pytest.mark.parametrize("length", [10_001, 10_500, 250_000])
@pytest.mark.parametrize("status", [400, 503])
def test_a_long_body_is_cut_in_the_message_and_whole_in_body(status: int, length: int) -> None:
    body = "".join(chr(ord("a") + position % 26) for position in range(length))
    error = error_for(Response(status, {}, body.encode()))
    assert str(error) == error.message
    assert error.message.endswith(f"{body[:10_000]}... ({length - 10_000} more characters; see body)")
    assert body[:10_001] not in error.message
    assert error.body == body


@pytest.mark.parametrize(
    ("status", "line"),
    [(400, "400 Bad Request"), (429, "429 Too Many Requests"), (503, "503 Service Unavailable"), (599, "599")],
)
def test_an_empty_body_gives_a_message_all_the_same(status: int, line: str) -> None:
    error = error_for(Response(status))
    assert str(error) == error.message == f"The service answered {line} with an empty body"
    assert error.body == ""


@pytest.mark.parametrize(
    ("headers", "kind"), [({"Content-Type": "text/html"}, "text/html"), (dict[str, str](), "no content type")]
)
def test_an_api_error_says_what_came(headers: dict[str, str], kind: str) -> None:
    error = error_for(Response(503, headers, b"<html>busy"))
    assert str(error) == f"The service answered 503 Service Unavailable ({kind}): <html>busy"
    assert error.body == "<html>busy"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 399])
def test_a_redirect_is_an_error_that_says_where_to(status: int) -> None:
    error = error_for(Response(status, {"Location": "https://other.example/"}, b"moved"))
    assert type(error) is APIError
    assert str(error).startswith(f"The service answered {status}")
    assert str(error).endswith(": a redirect to 'https://other.example/', which was not followed")
    assert error.body == "moved"
    assert error.data is None
    assert error.retryable is False


def test_a_redirect_to_nowhere_says_what_came() -> None:
    assert str(error_for(Response(304))) == "The service answered 304 Not Modified with an empty body"
    assert str(error_for(Response(300, {}, b"a b"))).endswith("300 Multiple Choices (no content type): a b")


def test_a_location_is_no_redirect_outside_of_3xx() -> None:
    for status in (299, 402, 503):
        assert str(error_for(Response(status, {"Location": "/"}, b"busy"))).endswith("(no content type): busy")


# Names


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, f"{name}ErrorResponseContent") for _, kind, names, _ in TABLE for name in names]
)
def test_the_names_of_the_specification_are_the_same_classes(kind: type[StatusError], name: str) -> None:
    assert getattr(errors, name) is kind
    assert getattr(errors, f"{name}Data") is problems.problem_of(kind.status)


@pytest.mark.parametrize(("status", "kind"), KINDS)
def test_a_typed_error_knows_its_status_and_its_problem(status: int, kind: type[StatusError]) -> None:
    assert kind.status == status
    assert problems.problem_of(kind.status).__name__ == f"{kind.__name__}Data"


TREE: tuple[tuple[type[LangCacheError], tuple[type[BaseException], ...]], ...] = (
    (LangCacheError, (Exception,)),
    (APIError, (LangCacheError,)),
    (StatusError, (LangCacheError,)),
    *((kind, (StatusError,)) for _, kind in KINDS),
    (ResponseValidationError, (LangCacheError,)),
    (NoResponseError, (LangCacheError,)),
    (RequestError, (LangCacheError,)),
    (NetworkError, (RequestError,)),
    (ConnectError, (NetworkError,)),
    (ReadError, (NetworkError,)),
    (WriteError, (NetworkError,)),
    (TimeoutException, (RequestError,)),
    (ConnectTimeout, (TimeoutException,)),
    (ReadTimeout, (TimeoutException,)),
    (WriteTimeout, (TimeoutException,)),
    (PoolTimeout, (TimeoutException,)),
    (DeadlineExceeded, (TimeoutException,)),
    (CircuitOpen, (RequestError,)),
    (ProxyError, (RequestError,)),
    (RemoteProtocolError, (RequestError,)),
    (DecodingError, (RequestError,)),
    (ResponseTooLargeError, (RequestError,)),
    (AuditError, (LangCacheError,)),
    (ConfigurationError, (LangCacheError, ValueError)),
    (UnknownTransportError, (ConfigurationError,)),
    (PluginError, (ConfigurationError,)),
    (ClientClosedError, (LangCacheError, RuntimeError)),
    (UnexpectedAwaitableError, (LangCacheError, TypeError)),
)


@pytest.mark.parametrize(("kind", "bases"), TREE)
def test_the_tree_is_as_it_is_drawn(kind: type[LangCacheError], bases: tuple[type[BaseException], ...]) -> None:
    assert kind.__bases__ == bases


def test_the_tree_is_complete_here_and_in_the_drawing() -> None:
    kinds = {kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, LangCacheError)}
    assert kinds == {kind for kind, _ in TREE}
    drawn = errors.__doc__ or ""
    assert kinds - {StatusError} == {kind for kind in kinds if re.search(rf"\b{kind.__name__}\b", drawn)}


# Facts


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_the_statuses_that_may_pass_are_retryable(status: int) -> None:
    assert error_for(Response(status)).retryable is True


@pytest.mark.parametrize("status", [300, 307, 400, 401, 403, 404, 408, 409, 413, 418, 424, 501, 505, 599])
def test_the_other_statuses_are_not_retryable(status: int) -> None:
    assert error_for(Response(status)).retryable is False


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [
        (RequestError, True),
        (ConnectError, True),
        (ReadError, True),
        (WriteError, True),
        (ConnectTimeout, True),
        (ReadTimeout, True),
        (WriteTimeout, True),
        (PoolTimeout, True),
        (ProxyError, True),
        (RemoteProtocolError, None),
        (DecodingError, None),
        (ResponseTooLargeError, False),
        (AuditError, False),
        (ConfigurationError, False),
        (UnknownTransportError, False),
        (PluginError, False),
        (ClientClosedError, False),
        (UnexpectedAwaitableError, False),
        (LangCacheError, None),
    ],
)
def test_an_error_without_an_answer_says_whether_it_may_pass(
    kind: type[LangCacheError], retryable: bool | None
) -> None:
    error = kind("boom")
    assert error.retryable is retryable
    assert str(error) == error.message == "boom"
    assert error.status_code == 0
    assert error.headers == {}
    assert error.body == ""
    assert error.raw_response is None
    assert error.data is None
    assert error.retry_after is None
    assert error.request_id is None


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("0", 0.0),
        ("2", 2.0),
        (" 2 ", 2.0),
        ("0.5", 0.5),
        ("86400", 86400.0),
        ("", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("1e999", None),
        ("soon", None),
        ("2 seconds", None),
        ("2, 3", None),
        ("Wed", None),
        ("Wed, 21 Oct 99999 07:28:00 GMT", LONGEST_WAIT),
        ("Wed, 21 Oct 9999 07:28:00 GMT", LONGEST_WAIT),
        ("9999999999999999999", LONGEST_WAIT),
        ("1" + "0" * 400, LONGEST_WAIT),
        ("1000000001.5", LONGEST_WAIT),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wednesday, 21-Oct-15 07:28:00 GMT", 0.0),
        ("Wed Oct 21 07:28:00 2015", 0.0),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date_or_absent(value: str, wait: float | None) -> None:
    assert retry_after({"retry-after": value}) == wait
    assert error_for(Response(429, {"Retry-After": value})).retry_after == wait


@given(st.integers(-(10**9), 10**9))
def test_a_date_says_how_long_to_wait_from_now(offset: int) -> None:
    now = 1_700_000_000.5
    date = formatdate(1_700_000_000 + offset, usegmt=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: now)
        assert retry_after({"retry-after": date}) == max(0.0, offset - 0.5)


def test_a_date_in_another_time_zone_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 01:00:00 -0100"}) == 7200.0


@pytest.mark.parametrize(
    ("milliseconds", "wait"),
    [("1500", 1.5), ("0", 0.0), ("0.5", 0.0005), ("-1", 7.0), ("nan", 7.0), ("inf", 7.0), ("soon", 7.0), ("", 7.0)],
)
def test_retry_after_in_milliseconds_comes_first_where_it_is_good(milliseconds: str, wait: float) -> None:
    assert retry_after({"retry-after-ms": milliseconds, "retry-after": "7"}) == wait
    assert error_for(Response(503, {"Retry-After-Ms": milliseconds, "Retry-After": "7"})).retry_after == wait


@given(st.text() | st.from_regex(r"\w{3}, \d{1,5} \w{3} \d{1,5} \d+:\d+:\d+ [+-]?\w*", fullmatch=True))
def test_retry_after_is_a_good_number_or_none_whatever_the_service_sends(value: str) -> None:
    for name in ("retry-after", "retry-after-ms"):
        wait = retry_after({name: value})
        assert wait is None or 0 <= wait < float("inf")


def test_without_the_header_there_is_no_retry_after() -> None:
    assert error_for(Response(429)).retry_after is None


@pytest.mark.parametrize("name", ["X-Request-Id", "x-request-id", "Request-Id", "X-Amzn-RequestId", "X-Correlation-Id"])
def test_the_request_id_is_found_under_its_usual_names(name: str) -> None:
    assert error_for(Response(500, {name: "r-1"})).request_id == "r-1"


def test_the_services_own_request_id_comes_first() -> None:
    headers = {"X-Correlation-Id": "c-1", "X-Amzn-RequestId": "a-1", "X-Request-Id": "r-1"}
    assert error_for(Response(500, headers)).request_id == "r-1"
    assert error_for(Response(500)).request_id is None


def test_the_headers_of_an_error_know_no_case() -> None:
    error = error_for(Response(500, {"X-One": "1"}))
    assert error.headers["x-ONE"] == "1"
    assert isinstance(error.headers, Headers)


# Errors that callers build


class Foreign:
    """A response of another library: it has what an error needs, and a connection that cannot be pickled."""

    def __init__(self, status_code: int = 503, text: str = "busy", **headers: str) -> None:
        self.status_code = status_code
        self.text = text
        self.headers = headers

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("has an open connection")


def test_an_error_is_built_around_a_message_alone() -> None:
    assert str(LangCacheError("boom")) == "boom"
    assert LangCacheError(message="boom").message == "boom"


def test_an_error_is_built_around_any_response() -> None:
    response = Foreign(503, "busy", a="1")
    error = LangCacheError("boom", response)
    assert str(error) == error.message == "boom"
    assert error.status_code == 503
    assert error.body == "busy"
    assert error.headers == {"a": "1"}
    assert error.raw_response is response
    assert error.retryable is True


def test_an_error_is_built_around_a_response_of_requests() -> None:
    foreign = requests.Response()
    foreign.status_code = 404
    foreign.headers["X-Request-Id"] = "r-1"
    error = LangCacheError("boom", foreign)
    assert (error.status_code, error.request_id, error.body) == (404, "r-1", "")


def test_the_facts_of_a_plain_dict_of_headers_know_no_case() -> None:
    error = LangCacheError("boom", Foreign(429, **{"RETRY-After": "3", "X-Request-ID": "r-1"}))
    assert (error.retry_after, error.request_id) == (3.0, "r-1")
    assert error.headers["retry-after"] == "3"


def test_a_body_that_is_given_comes_before_that_of_the_response() -> None:
    assert LangCacheError("boom", Response(500, {}, b"theirs"), "mine").body == "mine"
    assert LangCacheError("boom", Response(500, {}, b"theirs"), "").body == ""


@pytest.mark.parametrize(("status", "kind"), KINDS)
def test_a_typed_error_is_built_from_its_data_and_a_response(status: int, kind: type[StatusError]) -> None:
    data = problems.problem_of(status)(title="Title")
    response = Foreign(status, "why")
    error = kind(data, response)
    assert error.data is data
    assert str(error) == error.body == "why"
    assert str(kind(data, response, "mine")) == kind(data=data, raw_response=response, body="mine").body == "mine"


def test_a_validation_error_says_what_and_why_and_keeps_its_cause() -> None:
    cause = ValueError("entry_id is missing")
    error = ResponseValidationError("wrong form", Response(200, {}, b"{}"), cause)
    assert str(error) == error.message == "wrong form: entry_id is missing"
    assert error.cause is cause
    assert error.body == "{}"
    assert error.status_code == 200
    assert error.retryable is False
    assert ResponseValidationError("wrong form", None, cause, "mine").body == "mine"


def test_a_missing_response_has_a_message_of_its_own() -> None:
    assert str(NoResponseError()) == "No response received"
    assert str(NoResponseError("nothing")) == NoResponseError("nothing").message == "nothing"
    assert NoResponseError().status_code == 0


def test_an_audit_error_is_never_repeated_and_keeps_an_answer_that_came() -> None:
    refused = AuditError("down")
    assert (refused.nothing_sent, refused.retryable, refused.raw_response) == (True, False, None)
    late = AuditError("down", Response(503, {}, b"busy"), nothing_sent=False)
    assert (late.nothing_sent, late.retryable, late.body, str(late)) == (False, False, "busy", "down")
    assert pickled(late).nothing_sent is False


# Pickles and copies


def pickled(error: Any) -> Any:
    return pickle.loads(pickle.dumps(error))  # noqa: S301


def validation_error() -> ResponseValidationError:
    try:
        SetResponse.model_validate_json("{}")
    except pydantic.ValidationError as cause:
        return ResponseValidationError("wrong form", Response(200, {"X-One": "1"}, b"{}"), cause)
    raise AssertionError("an answer without an entry id is none")


EXAMPLES: tuple[LangCacheError, ...] = (
    *(error_for(problem_of(status, detail="d")) for status in sorted(OWN_CLASS)),
    error_for(Response(503, {"Retry-After": "3", "X-Request-Id": "r-1"}, b"busy", object())),
    error_for(Response(302, {"Location": "/"})),
    error_for(Response(500, {}, b"x" * 20_000)),
    *(
        kind("boom")
        for kind, _ in TREE
        if issubclass(kind, (RequestError, ConfigurationError, ClientClosedError, UnexpectedAwaitableError))
    ),
    AuditError("boom"),
    AuditError("boom", Response(200, {}, b"{}"), nothing_sent=False),
    LangCacheError("boom"),
    LangCacheError("boom", Response(404, {"X-One": "1"}, b"gone"), "mine"),
    NoResponseError(),
    validation_error(),
)


@pytest.mark.parametrize("duplicate", [pickled, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_keeps_its_fields_in_pickles_and_copies(
    error: LangCacheError, duplicate: Callable[[LangCacheError], LangCacheError]
) -> None:
    other = duplicate(error)
    assert type(other) is type(error)
    assert other is not error
    assert other.args == error.args
    assert str(other) == str(error)
    for name in ("message", "status_code", "headers", "body", "raw_response", "data", "retryable"):
        assert getattr(other, name) == getattr(error, name), name
    assert (other.retry_after, other.request_id) == (error.retry_after, error.request_id)
    assert str(getattr(other, "cause", None)) == str(getattr(error, "cause", None))
    assert repr(other) == repr(error)


@pytest.mark.parametrize("duplicate", [pickled, copy.copy, copy.deepcopy])
def test_the_cause_of_a_validation_error_is_kept_whole(
    duplicate: Callable[[ResponseValidationError], ResponseValidationError],
) -> None:
    cause = duplicate(validation_error()).cause
    assert isinstance(cause, pydantic.ValidationError)
    assert [detail["loc"] for detail in cause.errors()] == [("entryId",)]


@pytest.mark.parametrize("duplicate", [pickled, copy.copy, copy.deepcopy])
def test_an_error_around_a_foreign_response_keeps_what_the_response_said(
    duplicate: Callable[[LangCacheError], LangCacheError],
) -> None:
    other = duplicate(LangCacheError("boom", Foreign(429, "h\xe9", **{"Retry-After": "3"})))
    assert (other.status_code, other.body, other.retry_after) == (429, "h\xe9", 3.0)
    assert other.raw_response == Response(429, {"Retry-After": "3"}, "h\xe9".encode())
    assert other.raw_response.text == "h\xe9"


def test_a_pickle_keeps_the_bytes_of_a_foreign_response() -> None:
    foreign = requests.Response()
    foreign.status_code, foreign.encoding = 500, "utf-8"
    foreign._content = b"\xff"  # pyright: ignore[reportPrivateUsage]
    other = pickled(LangCacheError("boom", foreign))
    assert other.raw_response == Response(500, {}, b"\xff")
    assert other.body == "\ufffd"


def test_a_pickle_keeps_what_was_added_to_an_error() -> None:
    error = ConnectError("boom")
    error.attempts = 3
    assert pickled(error).attempts == 3


class OwnError(LangCacheError):
    """An error of a program, with a constructor of its own."""

    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(f"{code}: {hint}")
        self.code = code


def test_an_error_with_a_constructor_of_its_own_is_pickled_too() -> None:
    other = pickled(OwnError(7, hint="try later"))
    assert type(other) is OwnError
    assert (str(other), other.code) == ("7: try later", 7)


def test_an_unpickled_error_can_be_raised_and_caught() -> None:
    with pytest.raises(NotFoundError) as caught:
        raise pickled(error_for(problem_of(404)))
    assert caught.value.data.status == 404


# describe


def test_a_thing_is_named_by_its_kind_and_never_by_its_value() -> None:
    assert describe(Foreign) == describe(Foreign()) == f"{__name__}.Foreign"
    assert describe(describe) == "langcache.errors.describe"
    assert describe(errors) == "langcache.errors"
    assert describe(functools.partial(print, "sk-5ecret")) == "functools.partial"
    assert describe("sk-5ecret") == "builtins.str"


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "7"}, MappingProxyType({"Retry-After": "7"})], ids=["dict", "proxy"]
)
def test_headers_ignore_case_whatever_the_error_was_built_with(headers: Mapping[str, str]) -> None:
    class Answer:
        status_code = 429
        text = ""

    answer: Any = Answer()
    answer.headers = headers
    error = errors.LangCacheError("boom", answer)
    assert error.headers["retry-after"] == "7"
    assert error.retry_after == 7


def test_an_error_of_a_programs_own_tests_shows_status_and_body() -> None:
    error = APIError("API error occurred", Response(418, {}, b"x"), "no attributes are configured")
    assert str(error) == "API error occurred: 418 I'm a Teapot: no attributes are configured"
    assert str(APIError("API error occurred", Response(418), "")).endswith(": an empty body")


def test_an_error_with_an_answer_that_was_not_read_survives_a_pickle() -> None:
    """As one has it whose httpx client streams."""
    unread = httpx.Response(503, stream=httpx.ByteStream(b"x"))
    error = LangCacheError("boom", unread, "body")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (again.status_code, again.body, again.raw_response.content) == (503, "body", b"body")
    assert copy.copy(error).body == "body"


def test_a_byte_order_mark_does_not_hide_the_problem() -> None:
    document = b'\xef\xbb\xbf{"title": "Wrong", "type": "/errors/invalid-data", "detail": "d"}'
    error = error_for(Response(400, {"Content-Type": "application/json"}, document))
    assert (error.data.title, error.data.detail) == ("Wrong", "d")
