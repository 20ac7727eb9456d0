"""Prompts: what a record has in their place, stepped by hand."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from pydantic import SecretStr

from langcache import Request, Response, Steps
from langcache.audit import HashedPrompts, Prompt, RedactedPrompts
from langcache.audit.prompts import Treatment, checked_treatment, treated
from langcache.errors import ConfigurationError
from langcache.steps import Resolve, run
from tests.audit.recording import KEY

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
    with pytest.raises(TypeError, match="redact must return a string") as caught:
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
