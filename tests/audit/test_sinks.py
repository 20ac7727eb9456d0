"""Sinks: callables, loggers, and what is none."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from langcache.audit import AuditRecord, JsonLinesFile, LoggerSink, Sink
from langcache.audit.sinks import CallableSink, sink_of
from langcache.errors import AuditError, ConfigurationError
from langcache.logs import DebugHandler
from tests.audit.recording import Kept, numbers, record


def test_a_callable_is_given_each_record() -> None:
    taken: list[AuditRecord] = []
    sink = sink_of(taken.append)
    sink.check()
    assert sink.write([record(1), record(2)]) == 1
    assert sink.write([record(2)]) == 1
    sink.close()
    assert numbers(taken) == [1, 2]


def test_what_a_callable_raises_is_told_without_its_text() -> None:
    def take(made: AuditRecord) -> None:
        raise ValueError("a prompt")

    with pytest.raises(AuditError, match=r"take raised ValueError$") as caught:
        CallableSink(take).write([record(3), record(4)])
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_callable_that_is_async_is_told_and_loses_nothing_unseen() -> None:
    async def take(made: AuditRecord) -> None:
        pass

    with pytest.raises(AuditError, match="take is async"):
        CallableSink(take).write([record()])


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger of the test's own, which nobody listens to yet."""
    logger = logging.getLogger("audit.of.a.test")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield logger
    logger.handlers.clear()


class Listening(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record)


def test_a_logger_gets_the_json_form_and_the_record(logger: logging.Logger) -> None:
    handler = Listening()
    logger.addHandler(handler)
    made = record(actor="100 %s")
    assert LoggerSink(logger, logging.WARNING).write([made, made]) == 1
    [first] = handler.seen
    assert json.loads(first.getMessage()) == made.as_dict()
    assert (first.audit, first.levelno, first.name) == (made, logging.WARNING, "audit.of.a.test")


def test_a_record_that_a_filter_of_the_logger_drops_is_not_written(logger: logging.Logger) -> None:
    handler, asked = Listening(), list[logging.LogRecord]()

    def passes(made: logging.LogRecord) -> bool:
        asked.append(made)
        return "ann" in made.getMessage()

    logger.addHandler(handler)
    logger.addFilter(passes)
    try:
        with pytest.raises(AuditError, match=r"A filter of the logger 'audit\.of\.a\.test' drops records"):
            LoggerSink(logger).write([record(actor="bob")])
        assert LoggerSink(logger).write([record(actor="ann")]) == 1
    finally:
        logger.removeFilter(passes)
    assert [made.audit.actor for made in handler.seen] == ["ann"]
    assert len(asked) == 2  # each once


@pytest.mark.skipif(sys.version_info < (3, 12), reason="filters could not replace records")
def test_a_filter_may_put_another_record_in_the_place_of_one(logger: logging.Logger) -> None:
    handler = Listening()
    other = logging.makeLogRecord({"msg": "other", "levelno": logging.INFO, "levelname": "INFO"})
    logger.addHandler(handler)

    def replaced(made: logging.LogRecord) -> Any:  # later Pythons have the type
        return other

    logger.addFilter(replaced)
    try:
        LoggerSink(logger).write([record()])
    finally:
        logger.removeFilter(replaced)
    assert handler.seen == [other]


def test_a_logger_that_nobody_listens_to_is_no_sink_that_works(logger: logging.Logger) -> None:
    sink = LoggerSink(logger)
    logger.handlers.clear()  # pytest's own
    with pytest.raises(AuditError, match=r"'audit\.of\.a\.test' has no handler"):
        sink.check()
    logger.addHandler(Listening())
    sink.check()
    logger.setLevel(logging.WARNING)
    for attempt in (sink.check, lambda: sink.write([record()])):
        with pytest.raises(AuditError, match="leaves out INFO; set its level"):
            attempt()


def test_a_handler_that_keeps_nothing_is_no_sink_that_works(logger: logging.Logger) -> None:
    """Neither one that leaves out the level, nor one that takes nothing, nor the one that LANGCACHE_DEBUG adds."""
    sink = LoggerSink(logger)
    logger.handlers.clear()  # pytest's own
    deaf = Listening()
    deaf.setLevel(logging.WARNING)
    for handler in (deaf, logging.NullHandler(), DebugHandler()):
        logger.addHandler(handler)
    for attempt in (sink.check, lambda: sink.write([record()])):
        with pytest.raises(AuditError, match=r"has no handler that takes INFO; add one, or set the level of one"):
            attempt()
    LoggerSink(logger, logging.WARNING).check()
    assert deaf.seen == []
    logger.addHandler(Listening())
    sink.check()


def test_a_handler_of_a_logger_above_is_one_where_lines_go_there(logger: logging.Logger) -> None:
    below = logger.getChild("below")
    logger.addHandler(Listening())
    LoggerSink(below).check()
    below.addHandler(logging.NullHandler())
    below.propagate = False
    with pytest.raises(AuditError, match="no handler that takes INFO"):
        LoggerSink(below).check()
    below.propagate = True


def test_the_logger_may_be_named() -> None:
    assert repr(LoggerSink()) == "LoggerSink('langcache.audit')"
    assert repr(LoggerSink("mine")) == "LoggerSink('mine')"


def test_any_object_with_the_methods_is_a_sink() -> None:
    kept = Kept()
    assert isinstance(kept, Sink)
    assert sink_of(kept) is kept


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (None, "sink must have"),
        ("audit.jsonl", "sink must have"),
        (JsonLinesFile, "is a class; hand in an instance"),
        (logging.getLogger("x"), r"wrap the logger in LoggerSink\(logger\)"),
    ],
)
def test_what_is_no_sink_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        sink_of(wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None,), "logger must be a logging.Logger or the name of one, not NoneType"),
        ((logging.LoggerAdapter(logging.getLogger("x"), {}),), "not LoggerAdapter"),
        (("x", "INFO"), "level must be a number, such as logging.INFO, not 'INFO'"),
        (("x", True), "not True"),
    ],
)
def test_what_cannot_log_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        LoggerSink(*arguments)
