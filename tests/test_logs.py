"""Lines of the log: their fields, and loggers of every kind."""

from __future__ import annotations

import ast
import io
import logging
import sys
import threading
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from langcache import logs
from langcache.logs import LOGGER, SECONDS_BETWEEN, WIRE, Logger, Seldom, Teller, identified, teller
from tests.middleware.stepping import Clock

# What a record has by itself; `logging` refuses a field that would replace one.
OWN = {*vars(logging.makeLogRecord({})), "message", "asctime"}


def capturing(level: int = logging.DEBUG) -> tuple[logging.Logger, list[logging.LogRecord]]:
    """Return a logger of the standard library's, and the list of its records."""
    records: list[logging.LogRecord] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    logger = logging.Logger("captured", level)
    logger.addHandler(Handler())
    return logger, records


def test_facts_become_fields_where_they_are_known() -> None:
    logger, records = capturing()
    Teller(logger)("%s: %s", "search", "done", event="attempt", operation="search", status=200, error=None)
    [record] = records
    assert record.getMessage() == "search: done"
    fields = {name: value for name, value in vars(record).items() if name not in OWN}
    assert fields == {"langcache_event": "attempt", "langcache_operation": "search", "langcache_status": 200}


@pytest.mark.parametrize("name", ["name", "args", "message", "module", "process", "exc_info", "asctime", "taskName"])
def test_a_fact_may_have_a_name_that_a_record_has_too(name: str) -> None:
    logger, records = capturing()
    Teller(logger)("line", **{name: "fact"})
    assert vars(records[0])[f"langcache_{name}"] == "fact"


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.WARNING])
def test_a_line_has_the_tellers_level_and_the_place_in_the_code_that_told(level: int) -> None:
    logger, records = capturing()
    Teller(logger, level)("line")
    assert (records[0].levelno, records[0].filename, records[0].funcName) == (
        level,
        "test_logs.py",
        "test_a_line_has_the_tellers_level_and_the_place_in_the_code_that_told",
    )


def test_a_line_that_nobody_hears_is_not_written() -> None:
    logger, records = capturing(logging.WARNING)
    tell = Teller(logger, logging.INFO)
    assert not tell.is_heard()
    tell("line", event="any")
    assert records == []
    assert Teller(logger, logging.WARNING).is_heard()


def test_an_adapter_takes_fields_too() -> None:
    logger, records = capturing()
    Teller(logging.LoggerAdapter(logger, {}))("line")
    assert records[0].getMessage() == "line"


def test_a_logger_without_extra_is_given_the_line_alone() -> None:
    """The specification's protocol asks for no more of `debug` than that it can be called."""
    lines: list[str] = []

    class Plain:
        def debug(self, msg: str, *args: object) -> None:
            lines.append(msg % args)

    plain: Any = Plain()
    tell = Teller(plain)
    assert tell.is_heard()
    tell("%s: %s", "search", "done", event="attempt")
    assert lines == ["search: done"]


def test_a_logger_that_takes_anything_is_given_the_fields() -> None:
    given: list[dict[str, Any]] = []

    class Open:
        def debug(self, msg: str, *args: object, **kwargs: Any) -> None:
            given.append(kwargs)

    Teller(Open())("line", event="attempt")
    assert given == [{"extra": {"langcache_event": "attempt"}}]


class Extra:
    def __init__(self) -> None:
        self.extra: object = None

    def debug(self, msg: str, *args: object, extra: object = None) -> None:
        self.extra = extra


def test_a_logger_with_extra_is_given_the_fields() -> None:
    logger = Extra()
    given: Any = logger
    Teller(given)("line", event="attempt")
    assert logger.extra == {"langcache_event": "attempt"}


def test_a_mock_is_a_logger() -> None:
    mock = MagicMock()
    Teller(mock)("line %s", 1, event="attempt")
    mock.debug.assert_called_once_with("line %s", 1, extra={"langcache_event": "attempt"})


def test_a_method_that_cannot_be_inspected_is_given_the_line_alone() -> None:
    lines: list[str] = []

    class BuiltIn:
        debug = lines.append

    built_in: Any = BuiltIn()
    Teller(built_in)("line", event="attempt")
    assert lines == ["line"]


class Broken:
    """A logger that fails."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.is_asked = False

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the standard library's name
        if self.is_asked:
            raise self.error
        return True

    def debug(self, msg: str, *args: object, **kwargs: object) -> None:
        raise self.error


@pytest.mark.parametrize("is_asked", [False, True])
def test_what_a_logger_raises_is_reported_and_no_more(is_asked: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """As `logging` does with what a handler raises."""
    logger = Broken(LookupError("broken"))
    logger.is_asked = is_asked
    Teller(logger)("line")
    told = capsys.readouterr().err
    assert told.startswith("--- langcache: logging failed ---\nTraceback")
    assert "LookupError: broken" in told


def test_a_report_does_not_quote_what_was_being_handled(capsys: pytest.CaptureFixture[str]) -> None:
    """That is the error of a call, and may have a prompt in its text."""
    try:
        raise ValueError("a private prompt")
    except ValueError:
        Teller(Broken(LookupError("broken")))("line")
    told = capsys.readouterr().err
    assert told.startswith("--- langcache: logging failed ---")
    assert "private" not in told


def test_where_logging_is_told_not_to_report_nothing_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    Teller(Broken(LookupError("broken")))("line")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_a_report_that_cannot_be_written_is_left(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None) -> None:
    if stream is not None:
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    Teller(Broken(LookupError("broken")))("line")


def test_an_interrupt_of_a_logger_is_nobodys_failure() -> None:
    with pytest.raises(KeyboardInterrupt):
        Teller(Broken(KeyboardInterrupt()))("line")


def test_the_first_of_many_is_warned_of_and_then_one_in_a_minute() -> None:
    clock = Clock()
    seldom = Seldom(clock)
    assert [seldom.turn() for _ in range(1_000)] == [0] + [None] * 999
    clock.now = SECONDS_BETWEEN - 0.001
    assert seldom.turn() is None
    clock.now = SECONDS_BETWEEN
    assert [seldom.turn() for _ in range(3)] == [1_000, None, None]
    clock.now = 10 * SECONDS_BETWEEN
    assert seldom.turn() == 2


def test_threads_lose_none() -> None:
    seldom, turns = Seldom(Clock()), list[int | None]()
    threads = [threading.Thread(target=lambda: turns.extend(seldom.turn() for _ in range(500))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(turns), turns.count(0), turns.count(None)) == (4_000, 1, 3_999)


def test_a_clients_logger_is_told_at_the_level_where_it_is_a_standard_one() -> None:
    logger, records = capturing()
    teller(logger, logging.WARNING)("line")
    assert records[0].levelno == logging.WARNING
    mock = MagicMock()
    teller(mock, logging.WARNING)("line")
    mock.debug.assert_called_once()
    mock.warning.assert_not_called()


@pytest.mark.parametrize(
    ("own", "theirs", "said"),
    [
        ("r1", None, " [r1]"),
        ("r1", "s1", " [r1; the service's s1]"),
        (None, "s1", " [the service's s1]"),
        (None, None, ""),
        ("r1", "s\x1b[31m\x07", " [r1; the service's s?[31m?]"),
        ("r1", "s" * 1_000, f" [r1; the service's {'s' * 128}]"),
    ],
)
def test_a_line_ends_with_the_ids_of_the_call(own: str | None, theirs: str | None, said: str) -> None:
    """The service's is a stranger's text, and can fill neither the log nor a terminal with what it likes."""
    assert identified(own, theirs) == said


def test_the_names_are_the_standard_ones() -> None:
    loggers: list[Logger] = [logging.getLogger("langcache"), logging.getLogger("langcache.wire")]
    assert loggers == [LOGGER, WIRE]


def test_every_line_and_its_fields_are_in_the_guide() -> None:
    guide = (Path(__file__).parents[1] / "docs" / "observability.md").read_text(encoding="utf-8")
    told: set[str] = set()
    for file in Path(logs.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            keywords = {each.arg: each.value for each in node.keywords} if isinstance(node, ast.Call) else {}
            if isinstance(event := keywords.get("event"), ast.Constant):
                told |= {str(event.value), *(f"langcache_{name}" for name in keywords if name)}
    assert {"breaker_opened", "langcache_open_ms"} <= told
    assert [name for name in sorted(told) if f"`{name}`" not in guide] == []
