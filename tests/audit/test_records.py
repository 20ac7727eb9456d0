"""Records: who is in them, what they have of a prompt, and their form in JSON, which is one line, always the same."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import hmac
import json
import threading
from dataclasses import FrozenInstanceError, fields, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from langcache import Request, Response, Steps
from langcache.audit import AuditRecord, Chain, HashedPrompts, Prompt, RedactedPrompts, acting_as, actor
from langcache.audit.records import Treatment, checked_treatment, key_bytes, record_of, rfc3339, treated
from langcache.errors import AuditError, ConfigurationError, NotFoundError, error_for
from langcache.outcomes import Outcome
from langcache.steps import Resolve, run
from tests.audit.recording import KEY, record

# Who


def test_the_actor_is_another_one_within_the_block_and_nobody_outside() -> None:
    assert actor.get() is None
    with acting_as("ann"):
        with acting_as("bob"):
            assert actor.get() == "bob"
        assert actor.get() == "ann"
    assert actor.get() is None


def test_an_exception_ends_it_too() -> None:
    with pytest.raises(LookupError), acting_as("ann"):
        raise LookupError
    assert actor.get() is None


def test_tasks_have_their_own() -> None:
    async def act(name: str, other: asyncio.Event, mine: asyncio.Event) -> str | None:
        with acting_as(name):
            mine.set()
            await other.wait()
            return actor.get()

    async def main() -> list[str | None]:
        first, second = asyncio.Event(), asyncio.Event()
        return list(await asyncio.gather(act("ann", first, second), act("bob", second, first)))

    assert asyncio.run(main()) == ["ann", "bob"]


def test_a_thread_has_it_where_it_runs_in_a_copy_of_the_context() -> None:
    seen: list[str | None] = []
    with acting_as("ann"):
        context = contextvars.copy_context()
        threads = [threading.Thread(target=lambda: context.run(lambda: seen.append(actor.get())))]
    for thread in threads:
        thread.start()
        thread.join()
    assert seen == ["ann"]


# Keys


def test_a_secret_string_is_its_encoding() -> None:
    assert key_bytes("key", SecretStr("ä" * 8)) == key_bytes("key", ("ä" * 8).encode())


@pytest.mark.parametrize("key", [b"too short", SecretStr("too short"), b"", "a string that is long enough", 7, None])
def test_what_is_no_key_is_refused_and_not_shown(key: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        key_bytes("the key", key)
    assert str(caught.value).startswith("the key must")
    assert "too short" not in str(caught.value)
    assert "a string" not in str(caught.value)


@pytest.mark.parametrize("holder", [HashedPrompts(b"5ecret" * 8), Chain(SecretStr("5ecret" * 8))])
def test_a_key_is_in_no_repr(holder: object) -> None:
    assert "5ecret" not in repr(holder)
    assert "5ecret" not in str(holder)


# Prompts


SEARCH = b'{"prompt":"What is my balance?","attributes":{"user":"ann"}}'
TALK = b'{"prompt":"And yesterday?","context":["What is my balance?","7"]}'
SET = b'{"prompt":"What is my balance?","response":"It is 7."}'


def asking(content: bytes | None) -> Request:
    return Request("POST", "http://cache.example/", content=content)


def nothing_is_sent(request: Request) -> Response:
    raise AssertionError("nothing is sent")


def told(treatment: Treatment, content: bytes | None) -> Prompt | None:
    return run(treated(treatment, asking(content)), nothing_is_sent)


@pytest.mark.parametrize("content", [SEARCH, TALK, SET, None])
def test_nothing_is_told_by_default(content: bytes | None) -> None:
    assert told("none", content) is None


def test_a_plain_prompt_is_as_it_is_and_a_response_is_never_told() -> None:
    assert told("plain", SET) == Prompt("plain", "What is my balance?")
    assert told("plain", TALK) == Prompt("plain", "And yesterday?", ("What is my balance?", "7"))


def test_a_hash_is_the_keyed_one_and_the_same_for_the_same_prompt() -> None:
    hashed = HashedPrompts(KEY)
    digest = hmac.new(KEY, b"What is my balance?", hashlib.sha256).hexdigest()
    assert told(hashed, SEARCH) == Prompt("hmac-sha256", digest)
    assert HashedPrompts(SecretStr(KEY.decode())).digest("What is my balance?") == digest
    talk = told(hashed, TALK)
    assert talk is not None
    assert talk.context is not None
    assert talk.context[0] == digest
    assert HashedPrompts(KEY + b"!").digest("What is my balance?") != digest


def test_a_redactor_is_asked_for_each_text_through_the_driver_so_that_it_may_be_async() -> None:
    steps = treated(RedactedPrompts(str.upper), asking(TALK))
    command = next(steps)
    for text in ("AND YESTERDAY?", "WHAT IS MY BALANCE?"):
        assert isinstance(command, Resolve)
        assert command.provider() == text
        command = steps.send(text)
    with pytest.raises(StopIteration) as stop:
        steps.send("*")
    assert stop.value.value == Prompt("redacted", "AND YESTERDAY?", ("WHAT IS MY BALANCE?", "*"))


@pytest.mark.parametrize("redacted", [None, b"bytes", 7])
def test_what_a_redactor_returns_is_a_text_or_an_error_that_shows_none(redacted: Any) -> None:
    steps: Steps[Prompt | None] = treated(RedactedPrompts(lambda text: redacted), asking(SEARCH))
    next(steps)
    with pytest.raises(AuditError, match="redact must return a string") as caught:
        steps.send(redacted)
    assert "balance" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[1]", b'"text"', b'{"prompt":7}', b'{"entryId":"e"}', b"\xff"])
@pytest.mark.parametrize("treatment", ["plain", HashedPrompts(KEY), RedactedPrompts(str.upper)])
def test_where_there_is_no_prompt_nothing_is_told(treatment: Treatment, content: bytes | None) -> None:
    assert told(treatment, content) is None


@pytest.mark.parametrize("context", [b"null", b"7", b'"text"', b'{"a":"b"}', b"[]"])
def test_a_context_of_another_form_is_none(context: bytes) -> None:
    prompt = told("plain", b'{"prompt":"p","context":' + context + b"}")
    assert prompt is not None
    assert not prompt.context


def test_half_a_surrogate_can_be_hashed() -> None:
    assert len(HashedPrompts(KEY).digest("\ud800")) == 64


@pytest.mark.parametrize("wrong", ["", "hash", None, True, str.upper, HashedPrompts, KEY])
def test_what_is_no_treatment_is_refused_and_not_shown(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="prompts must be") as caught:
        checked_treatment(wrong)
    assert "enough" not in str(caught.value)


def test_a_redactor_that_is_none_is_refused() -> None:
    wrong: Any = "x"
    with pytest.raises(ConfigurationError, match="redact must be a callable"):
        RedactedPrompts(wrong)


# Records


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
