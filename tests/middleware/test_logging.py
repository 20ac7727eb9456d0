"""The debug log of attempts, stepped by hand."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from langcache import Request, Response, send
from langcache.config import Settings
from langcache.errors import ConnectError, LangCacheError, error_for
from langcache.middleware.logging import AttemptLog, langcache_attempt_middleware
from tests.middleware.stepping import fail, fields_of, finish
from tests.test_logs import capturing

REQUEST = Request(
    "POST",
    "http://user:secret@cache.example/v1/caches/c/entries?key=secret",
    headers={"Authorization": "Bearer secret"},
    content=b'{"prompt":"secret"}',
    operation="set",
)


class Lines:
    """A debug logger that is no `logging.Logger`."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def debug(self, msg: str, *args: object, **kwargs: object) -> None:
        self.lines.append(msg % args)


def ticks(*seconds: float) -> Callable[[], float]:
    remaining: Iterator[float] = iter(seconds)
    return lambda: next(remaining)


def test_an_answer_is_one_line_without_secrets_and_bodies() -> None:
    lines = Lines()
    steps = AttemptLog(lines, ticks(1.0, 1.0125))(REQUEST, send)
    next(steps)
    with pytest.raises(StopIteration):
        steps.send(Response(201, {}, b'{"entryId":"secret"}'))
    assert lines.lines == ["set: POST http://cache.example/v1/caches/c/entries -> 201, 20 bytes in 12.5 ms"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (error_for(Response(503)), "503, APIError"),
        (ConnectError("secret"), "ConnectError"),
        (KeyboardInterrupt("secret"), "KeyboardInterrupt"),
    ],
)
def test_a_failure_is_one_line_and_passes_on(error: BaseException, outcome: str) -> None:
    lines = Lines()
    steps = AttemptLog(lines, ticks(0, 0))(REQUEST, send)
    next(steps)
    with pytest.raises(type(error)) as caught:
        steps.throw(error)
    assert caught.value is error
    assert lines.lines == [f"set: POST http://cache.example/v1/caches/c/entries -> {outcome} in 0.0 ms"]


def fields_logged(request: Request, end: Response | BaseException) -> dict[str, object]:
    """Return the fields of the line for an attempt that ends so."""
    logger, records = capturing()
    steps = AttemptLog(logger, ticks(1.0, 1.25))(request, send)
    next(steps)
    if isinstance(end, Response):
        finish(steps, end)
    else:
        fail(steps, end)
    [record] = records
    return fields_of(record)


COMMON: dict[str, object] = {
    "event": "attempt",
    "operation": "set",
    "method": "POST",
    "url": "http://cache.example/v1/caches/c/entries",
    "duration_ms": 250.0,
    "request_bytes": 19,
}


def test_an_answers_line_has_the_facts_as_fields() -> None:
    request = REQUEST.with_options(request_id="r1", attempt=2)
    assert fields_logged(request, Response(201, {}, b'{"entryId":"secret"}')) == {
        **COMMON, "request_id": "r1", "attempt": 2, "status": 201, "response_bytes": 20,
    }  # fmt: skip


def test_a_failures_line_has_the_class_of_the_error_as_a_field() -> None:
    assert fields_logged(REQUEST, error_for(Response(503, {}, b"secret"))) == {
        **COMMON, "attempt": 1, "status": 503, "error": "APIError", "response_bytes": 6,
    }  # fmt: skip
    assert fields_logged(REQUEST, ConnectError("secret")) == {**COMMON, "attempt": 1, "error": "ConnectError"}


def test_a_logger_that_does_not_listen_costs_not_even_the_clock() -> None:
    def no_clock() -> float:
        raise AssertionError("asked for the time")

    logger = logging.Logger("deaf", logging.WARNING)
    steps = AttemptLog(logger, no_clock)(REQUEST, send)
    next(steps)
    with pytest.raises(StopIteration):
        steps.send(Response(200))


def test_the_debug_logger_of_the_client_is_used() -> None:
    lines = Lines()
    middleware = langcache_attempt_middleware(Settings(debug_logger=lines))
    assert middleware is not None
    steps = middleware(REQUEST, send)
    next(steps)
    with pytest.raises(LangCacheError):
        steps.throw(ConnectError("down"))
    assert len(lines.lines) == 1


def run_program(program: str, debug: str) -> str:
    """Run `program` in a process of its own, since logging is configured for a whole process; return its stderr."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"LANGCACHE_DEBUG": debug}
    )
    return done.stderr


_SEARCH = """
import logging
from langcache import LangCache
root_before = list(logging.getLogger().handlers)
client = LangCache("embedded://", cache_id="c")
client.search(prompt="a very private prompt")
assert logging.getLogger().handlers == root_before, "the root logger is the application's"
LangCache("embedded://", cache_id="c").search(prompt="again")
"""


@pytest.mark.parametrize("debug", ["1", "true", "yes"])
def test_the_environment_turns_the_debug_log_on(debug: str) -> None:
    """Once for each attempt, however many clients there are, and without touching the root logger."""
    lines = run_program(_SEARCH, debug).splitlines()
    assert len(lines) == 2
    assert all(" langcache DEBUG search: POST embedded:///v1/caches/c/entries/search -> 200" in line for line in lines)
    assert "private" not in "".join(lines)


@pytest.mark.parametrize("debug", ["", "0", "false", "no", "OFF"])
def test_the_environment_leaves_the_debug_log_off(debug: str) -> None:
    assert run_program(_SEARCH, debug) == ""


def test_the_environment_overrides_nothing_that_the_application_has_configured() -> None:
    """Its level stays, and its handler is the only one; where it has set neither, both are there."""
    program = (
        """
import logging
logger = logging.getLogger("langcache")
logger.setLevel(logging.WARNING)
"""
        + _SEARCH
        + """
assert logger.level == logging.WARNING, logger.level
"""
    )
    assert run_program(program, "1") == ""
    own = (
        """
import logging
logging.basicConfig(format="mine: %(levelname)s")
"""
        + _SEARCH.replace("root_before = ", "root_before = own = ")
        + """
assert logging.getLogger("langcache").handlers == [], "the application's own handler shows the lines"
"""
    )
    assert run_program(own, "1").splitlines() == ["mine: DEBUG"] * 2


def test_nothing_of_an_outage_is_louder_than_the_level_that_the_guide_names() -> None:
    """However many calls: an attempt is DEBUG, its repetition INFO, and what is told at WARNING is told once."""
    program = """
import logging, sys
from langcache import LangCache, RetryPolicy
from langcache.errors import ConnectError, LangCacheError
from langcache_transports.testing import FakeTransport


class Levels(logging.Handler):
    def emit(self, record):
        seen.append(record.levelname)


def down(request):
    raise ConnectError("down")


seen = []
logger = logging.getLogger("langcache")
logger.setLevel(logging.DEBUG)
logger.addHandler(Levels())
cache = LangCache(
    "http://cache.example",
    "k",
    "c",
    transport=FakeTransport(down),
    retry_config=RetryPolicy(max_attempts=2, initial_ms=0, burst=50),
)
for _ in range(50):
    try:
        cache.search(prompt="a very private prompt")
    except LangCacheError:
        pass
print({level: seen.count(level) for level in sorted(set(seen))}, file=sys.stderr)
"""
    assert run_program(program, "") == "{'DEBUG': 100, 'INFO': 50}\n"
