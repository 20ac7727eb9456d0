"""Redaction: no word of what is cached is shown, and what is asked for is still recognised."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache.redaction import MOST_BYTES, plain, redacted, shortened

CANARY = "a canary in the coal mine"
TEXTS = st.just(CANARY)
VALUES: st.SearchStrategy[Any] = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["prompt", "attributes", "type", "id", "data", "detail", "searchStrategy", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(VALUES)
def test_no_text_is_shown_wherever_it_stands(value: Any) -> None:
    shown = redacted(json.dumps(value).encode())
    assert "canary" not in shown
    json.loads(shown)


def test_a_search_and_its_answer_are_still_recognised() -> None:
    request = {"prompt": CANARY, "searchStrategies": ["exact", "semantic"], "similarityThreshold": 0.9}
    assert redacted(json.dumps(request).encode()) == (
        '{"prompt":"<25 characters>","searchStrategies":["exact","semantic"],"similarityThreshold":0.9}'
    )
    entry = {"id": "e1", "prompt": CANARY, "response": CANARY, "attributes": {"lang": "en"}, "similarity": 1}
    answer = {"data": [{**entry, "searchStrategy": "exact"}]}
    assert json.loads(redacted(json.dumps(answer).encode())) == {
        "data": [
            {
                "id": "e1",
                "prompt": "<25 characters>",
                "response": "<25 characters>",
                "attributes": {"lang": "<2 characters>"},
                "similarity": 1,
                "searchStrategy": "exact",
            }
        ]
    }


@pytest.mark.parametrize("name", ["id", "type", "status", "searchStrategy"])
def test_an_attribute_may_have_the_name_of_something_that_is_shown(name: str) -> None:
    assert "canary" not in redacted(json.dumps({"attributes": {name: "canary"}}).encode())
    assert "canary" not in redacted(json.dumps({"attributes": [{name: ["canary"]}]}).encode())


def test_a_problem_is_shown_by_its_kind() -> None:
    """Its texts may quote the prompt."""
    problem = {"type": "/errors/invalid-data", "title": f"{CANARY} is too long", "status": 400, "detail": CANARY}
    shown = json.loads(redacted(json.dumps(problem).encode()))
    assert (shown["type"], shown["status"]) == ("/errors/invalid-data", 400)
    assert "canary" not in json.dumps(shown)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"", "no body"),
        (b"<html>canary</html>", "<19 bytes, no JSON>"),
        (b"\xff\xfe", "<2 bytes, no JSON>"),
        (b"[" * 100_000, "<100000 bytes, no JSON>"),
        (b'"' + b"a" * MOST_BYTES + b'"', f"<{MOST_BYTES + 2} bytes>"),
    ],
)
def test_of_what_is_no_json_or_is_large_the_size_is_said(body: bytes, shown: str) -> None:
    assert redacted(body) == shown


def test_plain_text_is_on_one_line() -> None:
    assert plain(b'{"prompt":"gr\xc3\xbcn\n\x1b[31m"}') == repr('{"prompt":"grün\n\x1b[31m"}')
    assert plain(b"") == "no body"
    assert "\n" not in plain("a\r\nb\u2028".encode())


def test_what_is_too_long_is_cut() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("abcdef", 2) == "ab... (4 more characters)"
    assert shortened("abc", 0) == "... (3 more characters)"
