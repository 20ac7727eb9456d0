"""Records: their JSON form is one line, always the same, and holds what is told and no more."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache.audit import AuditRecord, Prompt
from langcache.audit.records import record_of, rfc3339
from langcache.errors import NotFoundError, error_for
from langcache.http import Response
from langcache.outcomes import Outcome
from tests.audit.recording import record

MEMBERS = [
    "schema", "kind", "time", "actor", "operation", "cache_id", "request_id", "server_request_id", "outcome",
    "status_code", "error", "entry_ids", "similarity", "strategy", "deleted", "attempt", "attempts", "duration_ms",
    "transport", "request_bytes", "response_bytes", "prompt", "lost",
]  # fmt: skip

HIT = Outcome(
    "hit",
    "search",
    cache_id="c1",
    transport="a.Transport",
    request_id="ours",
    server_request_id="theirs",
    attempts=2,
    status_code=200,
    entry_ids=("e1", "e2"),
    similarity=0.9,
    strategy="semantic",
    request_bytes=14,
    response_bytes=153,
)


def test_a_record_tells_what_became_of_a_call() -> None:
    made = record_of("call", HIT, began=1_700_000_000.0625, seconds=0.0123456, actor="ann", prompt=Prompt("plain", "p"))
    assert json.loads(made.json()) == {
        "schema": 1,
        "kind": "call",
        "time": "2023-11-14T22:13:20.062Z",
        "actor": "ann",
        "operation": "search",
        "cache_id": "c1",
        "request_id": "ours",
        "server_request_id": "theirs",
        "outcome": "hit",
        "status_code": 200,
        "error": None,
        "entry_ids": ["e1", "e2"],
        "similarity": 0.9,
        "strategy": "semantic",
        "deleted": None,
        "attempt": None,
        "attempts": 2,
        "duration_ms": 12.346,
        "transport": "a.Transport",
        "request_bytes": 14,
        "response_bytes": 153,
        "prompt": {"form": "plain", "text": "p"},
        "lost": 0,
    }


def test_of_an_error_its_class_is_told_and_not_its_text() -> None:
    error = error_for(Response(404, {}, b"the prompt that was not found"))
    assert isinstance(error, NotFoundError)
    made = record_of("call", Outcome("failed", "search", error=error), began=0, seconds=0, actor=None)
    assert made.error == "NotFoundError"
    assert "prompt that" not in made.json()


def test_an_attempt_has_a_number_and_a_call_has_attempts() -> None:
    attempt = record_of("attempt", HIT, began=0, seconds=0, actor=None, attempt=3)
    call = record_of("call", HIT, began=0, seconds=0, actor=None)
    assert (attempt.attempt, attempt.attempts) == (3, None)
    assert (call.attempt, call.attempts) == (None, 2)


def made_by_the_class(other: Any) -> AuditRecord:
    return AuditRecord(**{field.name: getattr(other, field.name) for field in fields(other)})


@pytest.mark.parametrize("made", [record(), replace(record(), lost=3), made_by_the_class(record())])
def test_the_members_stand_in_the_same_order_however_a_record_was_made(made: AuditRecord) -> None:
    assert list(made.as_dict()) == list(json.loads(made.json())) == MEMBERS
    assert [field.name for field in fields(made)] == MEMBERS[1:]


def test_a_record_is_frozen_and_made_as_the_class_makes_it() -> None:
    made: Any = record(7, lost=1)
    assert made == made_by_the_class(made)
    assert hash(made) == hash(replace(made))
    with pytest.raises(FrozenInstanceError):
        made.actor = "eve"


@given(st.text(), st.lists(st.text()), st.text())
def test_the_json_form_is_one_line_of_ascii_whatever_is_in_it(actor: str, entry_ids: list[str], prompt: str) -> None:
    made = record(actor=actor, entry_ids=tuple(entry_ids), prompt=Prompt("plain", prompt, (prompt,)))
    line = made.json()
    assert line.isascii()
    assert line.isprintable()
    read = json.loads(line)
    assert (read["actor"], read["entry_ids"]) == (actor, entry_ids)
    assert read["prompt"] == {"form": "plain", "text": prompt, "context": [prompt]}


def test_half_a_surrogate_is_no_hindrance() -> None:
    assert json.loads(record(actor="\ud800").json())["actor"] == "\ud800"


@pytest.mark.parametrize("similarity", [float("nan"), float("inf"), -float("inf")])
def test_what_json_has_no_word_for_is_not_known(similarity: float) -> None:
    made = record_of("call", replace(HIT, similarity=similarity), began=0, seconds=0, actor=None)
    assert json.loads(made.json())["similarity"] is None


@given(st.datetimes(timezones=st.just(timezone.utc)))
def test_times_are_those_of_rfc_3339_in_utc_with_milliseconds(time: datetime) -> None:
    text = rfc3339(time)
    assert len(text) == len("2026-11-23T10:15:00.123Z")
    read = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    assert timedelta(0) <= time - read < timedelta(milliseconds=1)
