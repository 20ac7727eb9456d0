"""Fail-open, stepped by hand, and what the client's methods return then."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from langcache import (
    BreakerPolicy,
    LangCache,
    Middleware,
    Next,
    Request,
    Response,
    Steps,
    errors,
    hookimpl,
    models,
    send,
)
from langcache.errors import LangCacheError
from langcache.middleware.fail_open import FailOpen
from langcache.operations import CONVERSATIONAL_SEARCH, OPERATIONS, SEARCH
from langcache_transports.testing import FakeTransport
from tests.middleware.stepping import Clock, fail, failure, fields_of, finish

SERVICES = [
    *(failure(status) for status in (408, 424, 429, 500, 502, 503, 504, 599)),
    errors.ConnectError("down"),
    errors.ReadTimeout("slow"),
    errors.DeadlineExceeded("over"),
    errors.CircuitOpen("open"),
    errors.ProxyError("refused"),
    errors.DecodingError("no gzip"),
    errors.RemoteProtocolError("no HTTP"),
    errors.ResponseTooLargeError("large"),
    errors.ResponseValidationError("odd", Response(200), ValueError("odd")),
]
CALLERS = [
    *(failure(status) for status in (301, 400, 401, 403, 404, 409, 413, 418)),
    errors.ConfigurationError("wrong"),
    errors.ClientClosedError("closed"),
    errors.AuditError("not recorded"),
    LookupError("a provider's"),
    KeyboardInterrupt(),
]


def asking(operation: str = "search", **options: Any) -> Request:
    return Request(
        "POST",
        "http://cache.example/search",
        operation=operation,
        options={"substitute": SEARCH.substitute, **options},
    )


def begin(middleware: FailOpen, request: Request) -> Steps[Response]:
    steps = middleware(request, send)
    next(steps)
    return steps


@pytest.mark.parametrize("error", SERVICES, ids=repr)
def test_what_is_the_services_is_a_miss(error: LangCacheError) -> None:
    lines: list[str] = []

    def tell(line: str, *arguments: object, **facts: object) -> None:
        lines.append(line % arguments)

    middleware = FailOpen("miss", tell)
    steps = begin(middleware, asking(request_id="r1"))
    with pytest.raises(StopIteration) as stop:
        steps.throw(error)
    response = stop.value.value
    assert (response.status_code, response.json()) == (200, {"data": []})
    assert response.extensions["degraded"] is error
    assert error.client_request_id == "r1"
    [line] = lines
    assert line.startswith(f"search: not served, counted as a miss: {type(error).__name__}")
    assert "[r1]" in line


@pytest.mark.parametrize("error", CALLERS, ids=repr)
def test_what_is_the_callers_is_raised(error: BaseException) -> None:
    def tell(line: str, *arguments: object, **facts: object) -> None:
        raise AssertionError("nothing is told")

    steps = begin(FailOpen("miss", tell), asking())
    assert fail(steps, error) is error


@pytest.mark.parametrize("error", [ConnectionRefusedError(111, "no vault: token=s3cret"), TimeoutError(), OSError()])
def test_what_a_provider_cannot_reach_is_a_miss_too(error: OSError) -> None:
    """A vault that is down is no reason for the program to be. The text is a stranger's, and is not told."""
    lines: list[str] = []

    def tell(line: str, *arguments: object, **facts: object) -> None:
        lines.append(f"{line % arguments} {facts}")

    steps = begin(FailOpen("miss", tell), asking(request_id="r1"))
    with pytest.raises(StopIteration) as stop:
        steps.throw(error)
    assert stop.value.value.extensions == {"degraded": error, "attempts": None}
    [line] = lines
    assert line.startswith(f"search: not served, counted as a miss: {type(error).__name__} [r1]")
    assert "s3cret" not in line


@pytest.mark.parametrize("deadline_ms", [None, 10_000])
def test_a_vault_that_is_down_takes_no_program_down(deadline_ms: float | None) -> None:
    def vault() -> str:
        raise ConnectionRefusedError("no vault")

    cache = LangCache("http://cache.example", vault, "c", transport=FakeTransport(), deadline_ms=deadline_ms)
    found = cache.search(prompt="p", on_failure="miss")
    assert found.data == []
    assert isinstance(found.metadata.degraded, ConnectionRefusedError)
    assert (found.metadata.attempts, found.metadata.server_request_id) == (None, None)
    assert found.metadata.request_id
    assert cache.statistics().total.degraded == 1
    with pytest.raises(ConnectionRefusedError):
        cache.search(prompt="p")


def test_an_outage_is_warned_of_once_a_minute_and_the_rest_is_told_in_detail() -> None:
    clock, warnings, details = Clock(), list[str](), list[str]()

    def warn(line: str, *arguments: object, **facts: object) -> None:
        warnings.append(f"{line % arguments} {facts['suppressed']}")

    def quiet(line: str, *arguments: object, **facts: object) -> None:
        details.append(line % arguments)

    middleware = FailOpen("miss", warn, quiet, clock)

    def fall_back(times: int = 1, operation: str = "search") -> None:
        for _ in range(times):
            with pytest.raises(StopIteration):
                begin(middleware, asking(operation)).throw(failure(503))

    fall_back(1_000)
    said = "search: not served, counted as a miss: APIError (503)"
    assert (warnings, len(details), set(details)) == ([f"{said} None"], 999, {said})
    fall_back(operation="set")
    assert len(warnings) == 2, "of each operation"
    clock.now = 60.0
    fall_back(2)
    assert warnings[2:] == [f"{said}; 999 more since the last warning 999"]
    assert len(details) == 1_000


@pytest.mark.parametrize("error", SERVICES, ids=repr)
def test_by_default_everything_is_raised(error: LangCacheError) -> None:
    assert fail(begin(FailOpen(), asking()), error) is error


def test_an_answer_passes_as_it_is() -> None:
    response = Response(200, {}, b'{"data":[]}')
    assert finish(begin(FailOpen("miss"), asking()), response) is response


def test_an_answer_of_another_form_is_a_miss() -> None:
    """A gateway's page under status 200, say."""
    page = FakeTransport(lambda request: Response(200, {}, b"<html>sign in</html>"))
    result = LangCache("http://cache.example", "k", "c", transport=page, on_failure="miss").search(prompt="p")
    assert isinstance(result.metadata.degraded, errors.ResponseValidationError)
    assert result.metadata.attempts == 1


@pytest.mark.parametrize(
    ("clients", "calls", "is_raised"), [("miss", "raise", True), ("raise", "miss", False), ("miss", None, False)]
)
def test_the_call_stands_before_the_client(clients: Any, calls: Any, is_raised: bool) -> None:
    steps = begin(FailOpen(clients), asking(on_failure=calls))
    error = failure(503)
    if is_raised:
        assert fail(steps, error) is error
    else:
        with pytest.raises(StopIteration):
            steps.throw(error)


def test_every_operation_but_health_has_something_in_its_place() -> None:
    assert [operation.name for operation in OPERATIONS if operation.substitute is None] == ["health"]


CALLS: dict[str, tuple[Callable[[LangCache], Any], Any]] = {
    "search": (lambda cache: cache.search(prompt="p"), {"data": []}),
    "conversational_search": (
        lambda cache: cache.conversational_search(prompt="grün?", context=["q"]),
        {"actual_prompt": "grün?", "data": []},
    ),
    "set": (lambda cache: cache.set(prompt="p", response="r"), {"entry_id": ""}),
    "delete_query": (lambda cache: cache.delete_query(attributes={"a": "b"}), {"deleted_entries_count": 0}),
}
NOTHING: dict[str, Callable[[LangCache], Any]] = {
    "delete_by_id": lambda cache: cache.delete_by_id(entry_id="e"),
    "flush": lambda cache: cache.flush(),
}


def failing(**arguments: Any) -> LangCache:
    def answer(request: Request) -> Response:
        return Response(503, {"X-Request-ID": "theirs"}, b"{}")

    return LangCache("http://cache.example", "k", "c", transport=FakeTransport(answer), **arguments)


@pytest.mark.parametrize("name", CALLS)
def test_results_are_empty_and_tell_why(name: str, caplog: pytest.LogCaptureFixture) -> None:
    call, empty = CALLS[name]
    result = call(failing(on_failure="miss"))
    assert result.model_dump() == empty
    degraded = result.metadata.degraded
    assert isinstance(degraded, LangCacheError)
    assert degraded.status_code == 503
    assert (result.metadata.attempts, result.metadata.server_request_id) == (1, "theirs")
    assert result.metadata.request_id == degraded.client_request_id
    [record] = caplog.records
    assert (record.name, record.levelno) == ("langcache", logging.WARNING)
    assert result.metadata.request_id in record.getMessage()
    assert fields_of(record) == {
        "event": "degraded",
        "operation": name,
        "request_id": result.metadata.request_id,
        "server_request_id": "theirs",
        "attempts": 1,
        "status": 503,
        "error": "APIError",
    }


@pytest.mark.parametrize("name", NOTHING)
def test_what_returns_nothing_goes_on_and_is_in_the_log(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each time: nothing else tells that something was not deleted."""
    cache = failing(on_failure="miss")
    for _ in range(3):
        NOTHING[name](cache)
    said = f"{name}: not served, counted as not done: APIError (503)"
    assert [record.levelname for record in caplog.records if record.getMessage().startswith(said)] == ["WARNING"] * 3


def test_health_is_never_excused() -> None:
    with pytest.raises(LangCacheError):
        failing(on_failure="miss").health()


def test_a_miss_of_the_service_is_no_degraded_one() -> None:
    cache = LangCache("embedded://", cache_id="c", on_failure="miss")
    assert cache.search(prompt="p").metadata.degraded is None


def test_an_open_circuit_is_a_miss() -> None:
    cache = failing(on_failure="miss", breaker=BreakerPolicy(consecutive_failures=1))
    kinds = [type(cache.search(prompt="p").metadata.degraded) for _ in range(2)]
    assert kinds == [errors.APIError, errors.CircuitOpen]


def test_plugins_outside_see_the_miss_and_those_inside_the_error() -> None:
    """So metrics can count both."""
    seen: list[object] = []

    def watch(name: str) -> Middleware:
        def watching(request: Request, call_next: Next) -> Steps[Response]:
            try:
                response = yield from call_next(request)
            except LangCacheError as error:
                seen.append((name, error.status_code))
                raise
            seen.append((name, type(response.extensions.get("degraded")).__name__))
            return response

        return watching

    class Inside:
        @hookimpl
        def langcache_call_middleware(self) -> Middleware:
            return watch("inside")

    class Outside:
        @hookimpl(tryfirst=True)
        def langcache_call_middleware(self) -> Middleware:
            return watch("outside")

    failing(on_failure="miss", plugins=[Inside(), Outside()]).search(prompt="p")
    assert seen == [("inside", 503), ("outside", "APIError")]


def test_the_substitute_of_a_conversational_search_survives_a_body_that_is_none() -> None:
    assert CONVERSATIONAL_SEARCH.substitute is not None
    body = CONVERSATIONAL_SEARCH.substitute(Request("POST", "http://cache.example/"))
    assert models.ConversationalSearchResponseContent.model_validate_json(body).actual_prompt == ""
