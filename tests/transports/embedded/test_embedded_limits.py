"""What the data plane refuses with 400, and that it names the field and the rule."""

from __future__ import annotations

import pytest

from langcache.errors import BadRequestError, error_for
from langcache.models.problems import BadRequestErrorData
from langcache_transports.embedded import DataPlane

from .calls import CONVERSATIONS, ENTRIES, SEARCH_ENTRIES, ask, refusal, rules


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"prompt": ""}, ("prompt", "min_length")),
        ({"prompt": "p" * 1025}, ("prompt", "max_length")),
        ({"prompt": 1}, ("prompt", "type")),
        ({"prompt": None}, ("prompt", "type")),
        ({"response": None}, ("response", "type")),
        ({"response": ["r"]}, ("response", "type")),
        ({"ttlMillis": 0}, ("ttlMillis", "range")),
        ({"ttlMillis": -1}, ("ttlMillis", "range")),
        ({"ttlMillis": 31_556_952_001}, ("ttlMillis", "range")),
        ({"ttlMillis": 10**40}, ("ttlMillis", "range")),
        ({"ttlMillis": 1.5}, ("ttlMillis", "type")),
        ({"ttlMillis": True}, ("ttlMillis", "type")),
        ({"ttlMillis": "1000"}, ("ttlMillis", "type")),
        ({"attributes": []}, ("attributes", "type")),
        ({"attributes": {"a": 1}}, ("attributes", "type")),
        ({"attributes": {"a": ""}}, ("attributes", "min_length")),
        ({"attributes": {"a": "v" * 501}}, ("attributes", "max_length")),
        ({"attributes": {"a": "b,c"}}, ("attributes", "pattern")),
        ({"attributes": {"": "v"}}, ("attributes", "pattern")),
        ({"attributes": {"n" * 33: "v"}}, ("attributes", "pattern")),
        ({"attributes": {"a b": "v"}}, ("attributes", "pattern")),
        ({"attributes": {"a\n": "v"}}, ("attributes", "pattern")),
        ({"attributes": {"\u00e9": "v"}}, ("attributes", "pattern")),
        ({"attributes": {str(number): "v" for number in range(6)}}, ("attributes", "max_items")),
    ],
)
def test_a_set_beyond_the_service_s_limits_is_refused(wrong: dict[str, object], complaint: tuple[str, str]) -> None:
    assert rules(ask(DataPlane(), "POST", ENTRIES, {"prompt": "p", "response": "r", **wrong})) == [complaint]


@pytest.mark.parametrize("url", [SEARCH_ENTRIES, CONVERSATIONS])
@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"prompt": ""}, ("prompt", "min_length")),
        ({"prompt": "p" * 1025}, ("prompt", "max_length")),
        ({"similarityThreshold": -0.1}, ("similarityThreshold", "range")),
        ({"similarityThreshold": 1.1}, ("similarityThreshold", "range")),
        ({"similarityThreshold": "0.9"}, ("similarityThreshold", "type")),
        ({"similarityThreshold": True}, ("similarityThreshold", "type")),
        ({"searchStrategies": []}, ("searchStrategies", "min_items")),
        ({"searchStrategies": ["exact", "fuzzy"]}, ("searchStrategies", "unknown")),
        ({"searchStrategies": ["EXACT"]}, ("searchStrategies", "unknown")),
        ({"searchStrategies": "exact"}, ("searchStrategies", "type")),
        ({"maxResults": 0}, ("maxResults", "range")),
        ({"maxResults": 1.5}, ("maxResults", "type")),
        ({"attributes": {"a": "b,c"}}, ("attributes", "pattern")),
    ],
)
def test_a_search_beyond_the_service_s_limits_is_refused(
    url: str, wrong: dict[str, object], complaint: tuple[str, str]
) -> None:
    assert rules(ask(DataPlane(), "POST", url, {"prompt": "p", **wrong})) == [complaint]


@pytest.mark.parametrize("context", ["question", [1], {"0": "question"}])
def test_a_context_is_a_list_of_strings(context: object) -> None:
    response = ask(DataPlane(), "POST", CONVERSATIONS, {"prompt": "p", "context": context})
    assert rules(response) == [("context", "type")]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({}, ("attributes", "required")),
        ({"attributes": None}, ("attributes", "type")),
        ({"attributes": {}}, ("attributes", "min_items")),
    ],
)
def test_a_delete_without_attributes_is_refused_and_deletes_nothing(
    body: dict[str, object], complaint: tuple[str, str]
) -> None:
    plane = DataPlane()
    ask(plane, "POST", ENTRIES, {"prompt": "p", "response": "r"})
    assert rules(ask(plane, "DELETE", ENTRIES, body)) == [complaint]
    assert len(ask(plane, "POST", SEARCH_ENTRIES, {"prompt": "p"}).json()["data"]) == 1


def test_everything_that_is_wrong_is_said_at_once() -> None:
    response = ask(DataPlane(), "POST", ENTRIES, {"ttlMillis": 0})
    assert rules(response) == [("prompt", "required"), ("response", "required"), ("ttlMillis", "range")]
    assert all(name in refusal(response)["detail"] for name in ("prompt", "response", "ttlMillis"))


def test_a_complaint_about_attributes_says_which_one() -> None:
    problem = refusal(ask(DataPlane(), "POST", SEARCH_ENTRIES, {"prompt": "p", "attributes": {"user": "a,b"}}))
    assert "'user'" in problem["fields"][0]["message"]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"{",
        b"nonsense",
        b"null",
        b"[]",
        b'"prompt"',
        b'{"prompt": "p", "response": "r", "x": NaN}',
        b'{"prompt": "p", "response": "\xff"}',
        b'{"prompt": "\\ud800", "response": "r"}',
        b'{"prompt": "p", "response": "\\udc00 r"}',
        b'{"prompt": "p", "response": "r", "attributes": {"a": "\\ud800"}}',
        b'{"prompt": "p", "response": "r"} trailing',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_json_object_is_refused(method: str, content: bytes | None) -> None:
    problem = refusal(ask(DataPlane(), method, ENTRIES, content))
    assert problem["type"] == "/errors/invalid-data"
    assert "fields" not in problem
    assert "JSON" in problem["detail"]


def test_the_client_reads_a_refusal_as_its_own_error() -> None:
    error = error_for(ask(DataPlane(), "POST", ENTRIES, {"prompt": "p"}))
    assert isinstance(error, BadRequestError)
    assert isinstance(error.data, BadRequestErrorData)
    assert [field.field for field in error.data.fields or []] == ["response"]
