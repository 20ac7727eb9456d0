"""The wire log, stepped by hand, and in a client."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from langcache import LangCache, Request, Response, RetryPolicy, Steps, WireLog, send
from langcache.errors import ConfigurationError, ConnectError, error_for
from langcache_transports.testing import FakeTransport
from tests.middleware.stepping import fail, fields_of, finish
from tests.middleware.test_logging import Lines, run_program

REQUEST = Request(
    "POST",
    "http://user:secret@cache.example/v1/caches/c/entries/search?key=secret",
    headers={"Authorization": "Bearer secret", "X-Team": "support"},
    content=b'{"prompt":"private"}',
    operation="search",
    options={"request_id": "r1"},
)
ANSWER = Response(200, {"Set-Cookie": "secret", "X-Request-ID": "theirs"}, b'{"data":[]}')
WHERE = "> POST http://cache.example/v1/caches/c/entries/search"


def begin(log: WireLog) -> Steps[Response]:
    steps = log.langcache_attempt_middleware()(REQUEST, send)
    next(steps)
    return steps


def test_a_request_and_its_answer_are_a_line_each_without_secrets_and_texts() -> None:
    lines = Lines()
    assert finish(begin(WireLog(logger=lines)), ANSWER) is ANSWER
    assert lines.lines == [
        f"search: {WHERE} {{'Authorization': '***', 'X-Team': '***'}} {{\"prompt\":\"<7 characters>\"}} [r1]",
        "search: < 200 {'set-cookie': '***', 'x-request-id': 'theirs'} {\"data\":[]} [r1]",
    ]


def test_texts_are_shown_where_that_is_asked_for_and_secrets_never() -> None:
    lines = Lines()
    finish(begin(WireLog(prompts=True, logger=lines)), ANSWER)
    assert """'{"prompt":"private"}'""" in lines.lines[0]
    assert "secret" not in "".join(lines.lines)


def test_bodies_are_cut() -> None:
    lines = Lines()
    finish(begin(WireLog(prompts=True, limit=5, logger=lines)), ANSWER)
    assert lines.lines[0].endswith("""'{"pr... (17 more characters) [r1]""")


def test_an_error_answer_is_shown_and_passes_on() -> None:
    lines = Lines()
    error = error_for(Response(400, {}, b'{"detail":"private","type":"/errors/invalid-data"}'))
    assert fail(begin(WireLog(logger=lines)), error) is error
    assert lines.lines[1] == 'search: < 400 {} {"detail":"<7 characters>","type":"/errors/invalid-data"} [r1]'


@pytest.mark.parametrize("error", [ConnectError("down"), KeyboardInterrupt()], ids=repr)
def test_where_there_is_no_answer_none_is_shown(error: BaseException) -> None:
    lines = Lines()
    assert fail(begin(WireLog(logger=lines)), error) is error
    assert len(lines.lines) == 1


def test_the_query_of_a_redirect_is_not_shown() -> None:
    lines = Lines()
    answer = Response(302, {"Location": "https://user:secret@other.example/x?token=secret"})
    fail(begin(WireLog(logger=lines)), error_for(answer))
    assert lines.lines[1].startswith("search: < 302 {'location': 'https://other.example/x'}")


CREDENTIALS = {
    "X-JWT": "s3cret",
    "X-Credential": "s3cret",
    "X-Session": "s3cret",
    "X-Pwd": "s3cret",
    "baggage": "user=s3cret",
    "tracestate": "vendor=s3cret",
    "Link": "<https://user:s3cret@cache.example/?token=s3cret>; rel=next",
    "Refresh": "5; url=https://cache.example/?token=s3cret",
    "Location": "https://user:s3cret@cache.example/x?token=s3cret#s3cret",
    "Content-Location": "https://cache.example/?token=s3cret",
    "Referer": "https://cache.example/?token=s3cret",
}


@pytest.mark.parametrize("name", CREDENTIALS)
def test_of_a_header_that_is_not_known_to_be_harmless_only_the_name_is_shown(name: str) -> None:
    lines = Lines()
    log = WireLog(prompts=True, logger=lines).langcache_attempt_middleware()
    headers = {name: CREDENTIALS[name]}
    steps = log(REQUEST.with_headers(headers), send)
    next(steps)
    finish(steps, Response(200, headers))
    assert len(lines.lines) == 2
    for line in lines.lines:
        assert name.lower() in line.lower()
        assert "s3cret" not in line


def test_a_logger_that_does_not_listen_costs_no_look_at_the_body() -> None:
    untouched: Any = object()
    steps = WireLog(logger=logging.Logger("deaf", logging.INFO)).langcache_attempt_middleware()(untouched, send)
    next(steps)
    assert finish(steps, ANSWER) is ANSWER


@pytest.mark.parametrize("limit", [-1, 1.5, True, "5"])
def test_a_limit_that_is_none_is_refused(limit: Any) -> None:
    with pytest.raises(ConfigurationError, match="limit must be a whole number of 0 or more characters"):
        WireLog(limit=limit)


def test_a_client_shows_what_is_really_sent_with_each_attempt(caplog: pytest.LogCaptureFixture) -> None:
    """The key that auth adds is among the headers, hidden; an attempt has its number."""
    transport = FakeTransport([Response(503), ANSWER])
    cache = LangCache(
        "http://cache.example", "s3cret", "c", transport=transport, plugins=[WireLog()],
        retry_config=RetryPolicy(initial_ms=0),
    )  # fmt: skip
    with caplog.at_level(logging.DEBUG, "langcache.wire"):
        cache.search(prompt="private", attributes={"a": "private"})
    shown = [record for record in caplog.records if record.name == "langcache.wire"]
    assert [(fields_of(record)["event"], fields_of(record)["attempt"]) for record in shown] == [
        ("request", 1), ("response", 1), ("request", 2), ("response", 2),
    ]  # fmt: skip
    assert "'Authorization': '***'" in shown[0].getMessage()
    everything = repr([vars(record) for record in caplog.records])
    assert "private" not in everything
    assert "s3cret" not in everything


def test_its_options_are_explained() -> None:
    cache = LangCache("http://x", "k", "c", transport=FakeTransport(), plugins=[WireLog(limit=5)])
    assert "prompts=False, limit=5, listens=False" in cache.explain()


_PROGRAM = """
from langcache import LangCache, WireLog
LangCache("embedded://", cache_id="c", plugins=[{plugin}]).search(prompt="a very private prompt")
"""


def test_the_environment_alone_shows_no_bodies() -> None:
    assert "langcache.wire" not in run_program(_PROGRAM.format(plugin=""), "1")


def test_where_it_is_asked_for_the_environment_shows_it_too() -> None:
    shown = run_program(_PROGRAM.format(plugin="WireLog()"), "1")
    assert shown.count("langcache.wire DEBUG search: ") == 2
    assert "private" not in shown
    assert run_program(_PROGRAM.format(plugin="WireLog()"), "") == ""
