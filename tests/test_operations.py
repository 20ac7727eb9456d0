"""Operations: the service's interface, word for word, and what becomes of its answers."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

import pydantic
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from langcache import Headers, Request, Response
from langcache.errors import ConfigurationError, ResponseValidationError
from langcache.models import (
    CacheEntry,
    ConversationalSearchResponseContent,
    DeleteQueryResponse,
    HealthResponse,
    SearchResponse,
    SearchStrategy,
    SetResponse,
)
from langcache.operations import (
    CONVERSATIONAL_SEARCH,
    DELETE_BY_ID,
    DELETE_QUERY,
    FLUSH,
    HEALTH,
    OPERATIONS,
    SEARCH,
    SET,
    Operation,
    Target,
)

TARGET = Target("https://cache.example", "c1")
CACHE = "https://cache.example/v1/caches/c1"
SENDS_JSON = {"Content-Type": "application/json"}
WANTS_JSON = {"Accept": "application/json"}
NOTHING: dict[str, str] = {}

SEARCHES = (SEARCH, CONVERSATIONAL_SEARCH)
WITH_JSON_RESULT = (SET, SEARCH, CONVERSATIONAL_SEARCH, DELETE_QUERY)
TWO_HUNDREDS = (200, 201, 202, 203, 204, 206, 226, 299)

ENTRY: dict[str, Any] = {
    "id": "5eb63bbbe01eeed093cb22bb8f5acdc3",
    "prompt": "p",
    "response": "r",
    "attributes": {"a": "1"},
    "similarity": 0.97,
    "searchStrategy": "semantic",
}

ANY_TEXT = st.text()
IDS = st.text(st.characters(codec="utf-8") | st.sampled_from("./?#%&=;@:\\ +"), min_size=1)

# One good set of arguments for each operation.
ARGUMENTS: Mapping[str, dict[str, Any]] = {
    "set": {"prompt": "p", "response": "r"},
    "search": {"prompt": "p"},
    "conversational_search": {"prompt": "p"},
    "delete_by_id": {"entry_id": "e1"},
    "delete_query": {"attributes": {"a": "1"}},
    "flush": {},
    "health": {},
}


def body(operation: Operation[Any], **arguments: Any) -> Any:
    """Return the JSON that is sent, parsed."""
    content = operation.request(TARGET, arguments).content
    assert content is not None
    return json.loads(content)


# Requests


@pytest.mark.parametrize(
    ("operation", "arguments", "method", "url", "headers", "content"),
    [
        (
            SET,
            {"prompt": "p", "response": "r", "attributes": {"a": "1"}, "ttl_millis": 5},
            "POST",
            f"{CACHE}/entries",
            SENDS_JSON | WANTS_JSON,
            {"prompt": "p", "response": "r", "attributes": {"a": "1"}, "ttlMillis": 5},
        ),
        (
            SEARCH,
            {
                "prompt": "p",
                "similarity_threshold": 0.9,
                "search_strategies": [SearchStrategy.EXACT, SearchStrategy.SEMANTIC],
                "attributes": {"a": "1"},
                "max_results": 3,
            },
            "POST",
            f"{CACHE}/entries/search",
            SENDS_JSON | WANTS_JSON,
            {
                "prompt": "p",
                "similarityThreshold": 0.9,
                "searchStrategies": ["exact", "semantic"],
                "attributes": {"a": "1"},
                "maxResults": 3,
            },
        ),
        (
            CONVERSATIONAL_SEARCH,
            {
                "prompt": "p",
                "similarity_threshold": 1.0,
                "search_strategies": ["semantic"],
                "attributes": {"a": "1"},
                "max_results": 3,
                "context": ["oldest", "newest"],
            },
            "POST",
            f"{CACHE}/conversations/search",
            SENDS_JSON | WANTS_JSON,
            {
                "prompt": "p",
                "similarityThreshold": 1.0,
                "searchStrategies": ["semantic"],
                "attributes": {"a": "1"},
                "maxResults": 3,
                "context": ["oldest", "newest"],
            },
        ),
        (DELETE_BY_ID, {"entry_id": "e1"}, "DELETE", f"{CACHE}/entries/e1", NOTHING, None),
        (
            DELETE_QUERY,
            {"attributes": {"a": "1"}},
            "DELETE",
            f"{CACHE}/entries",
            SENDS_JSON | WANTS_JSON,
            {"attributes": {"a": "1"}},
        ),
        (FLUSH, {}, "POST", f"{CACHE}/flush", NOTHING, None),
        (HEALTH, {}, "GET", f"{CACHE}/health", WANTS_JSON, None),
    ],
    ids=lambda value: value.name if isinstance(value, Operation) else "",
)
def test_a_request_is_the_one_of_the_services_interface(
    operation: Operation[Any],
    arguments: dict[str, Any],
    method: str,
    url: str,
    headers: dict[str, str],
    content: dict[str, Any] | None,
) -> None:
    request = operation.request(TARGET, arguments)
    assert (request.method, request.url, request.headers.as_dict()) == (method, url, headers)
    assert (None if request.content is None else json.loads(request.content)) == content
    assert request.operation == operation.name
    assert request.timeout is None
    assert request.options == {}


@pytest.mark.parametrize(
    ("operation", "name", "status"),
    [
        (SET, "set", 201),
        (SEARCH, "search", 200),
        (CONVERSATIONAL_SEARCH, "conversational_search", 200),
        (DELETE_BY_ID, "delete_by_id", 204),
        (DELETE_QUERY, "delete_query", 200),
        (FLUSH, "flush", 204),
        (HEALTH, "health", 200),
    ],
)
def test_an_operation_has_its_name_and_its_documented_status(operation: Operation[Any], name: str, status: int) -> None:
    assert (operation.name, operation.status) == (name, status)
    assert operation in OPERATIONS


def test_every_operation_is_covered_here() -> None:
    assert [operation.name for operation in OPERATIONS] == list(ARGUMENTS)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_everything_but_set_may_be_done_twice(operation: Operation[Any]) -> None:
    assert operation.idempotent is (operation is not SET)
    assert operation.request(TARGET, ARGUMENTS[operation.name]).idempotent is (operation is not SET)


@pytest.mark.parametrize(
    ("operation", "optional"),
    [
        (SET, ("attributes", "ttl_millis")),
        *((search, ("similarity_threshold", "search_strategies", "attributes", "max_results")) for search in SEARCHES),
        (CONVERSATIONAL_SEARCH, ("context",)),
    ],
)
def test_an_optional_argument_that_is_none_is_left_off(operation: Operation[Any], optional: tuple[str, ...]) -> None:
    required = ARGUMENTS[operation.name]
    assert body(operation, **required, **dict.fromkeys(optional)) == body(operation, **required) == required


@pytest.mark.parametrize("operation", [SET, *SEARCHES, DELETE_QUERY], ids=lambda operation: operation.name)
def test_empty_attributes_are_sent(operation: Operation[Any]) -> None:
    assert body(operation, **(ARGUMENTS[operation.name] | {"attributes": {}}))["attributes"] == {}


def test_empty_lists_and_zeros_are_sent() -> None:
    empty: dict[str, Any] = {"similarity_threshold": 0.0, "search_strategies": [], "max_results": 0, "context": []}
    assert body(CONVERSATIONAL_SEARCH, prompt="", **empty) == {
        "prompt": "",
        "similarityThreshold": 0.0,
        "searchStrategies": [],
        "maxResults": 0,
        "context": [],
    }
    assert body(SET, prompt="", response="", ttl_millis=0) == {"prompt": "", "response": "", "ttlMillis": 0}


@given(prompt=ANY_TEXT, response=ANY_TEXT, attributes=st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=3))
def test_every_text_reaches_the_service_as_it_is(prompt: str, response: str, attributes: dict[str, str]) -> None:
    sent = {"prompt": prompt, "response": response, "attributes": attributes}
    request = SET.request(TARGET, sent)
    assert request.content is not None
    assert json.loads(request.content.decode("utf-8")) == sent


@pytest.mark.parametrize(
    "base", ["https://gateway.example/team/langcache", "http://127.0.0.1:8080", "http://[::1]:8080", "embedded://"]
)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_the_path_follows_whatever_base_there_is(operation: Operation[Any], base: str) -> None:
    here = operation.request(TARGET, ARGUMENTS[operation.name]).url
    there = operation.request(Target(base, "c1"), ARGUMENTS[operation.name]).url
    assert there == base + here.removeprefix("https://cache.example")


def test_the_headers_of_a_call_replace_the_operations_and_those_replace_the_targets() -> None:
    target = Target("https://cache.example", "c1", Headers({"User-Agent": "langcache", "ACCEPT": "*/*", "X-One": "1"}))
    assert SEARCH.request(target, {"prompt": "p"}).headers == {
        "User-Agent": "langcache",
        "Accept": "application/json",
        "X-One": "1",
        "Content-Type": "application/json",
    }
    assert SEARCH.request(target, {"prompt": "p"}, headers={"x-one": "2", "content-type": "x/y"}).headers == {
        "User-Agent": "langcache",
        "Accept": "application/json",
        "x-one": "2",
        "content-type": "x/y",
    }
    assert target.headers == {"User-Agent": "langcache", "ACCEPT": "*/*", "X-One": "1"}


def test_the_timeout_and_the_options_of_a_call_are_on_the_request_and_not_on_the_wire() -> None:
    plain = SET.request(TARGET, ARGUMENTS["set"])
    request = SET.request(TARGET, ARGUMENTS["set"], timeout=2.5, options={"retries": None})
    assert (request.timeout, request.options) == (2.5, {"retries": None})
    assert (request.url, request.headers, request.content) == (plain.url, plain.headers, plain.content)


# Path arguments


def segments(request: Request) -> list[str]:
    """Return the path's segments as a server sees them, before it decodes them."""
    parts = urlsplit(request.url)
    assert (parts.scheme, parts.netloc, parts.query, parts.fragment) == ("https", "cache.example", "", "")
    return parts.path.split("/")[1:]


@pytest.mark.parametrize(
    ("entry_id", "segment"),
    [
        ("../x?y#z", "..%2Fx%3Fy%23z"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("...", "..."),
        ("a/b", "a%2Fb"),
        ("/", "%2F"),
        ("a b+c", "a%20b%2Bc"),
        ("100%", "100%25"),
        ("%2E%2E", "%252E%252E"),
        ("h\xe9\U0001f511", "h%C3%A9%F0%9F%94%91"),
        ("a\\b;c", "a%5Cb%3Bc"),
        ("\r\nX-Evil: 1", "%0D%0AX-Evil%3A%201"),
        ("{cache_id}", "%7Bcache_id%7D"),
        ("5eb63bbbe01eeed093cb22bb8f5acdc3", "5eb63bbbe01eeed093cb22bb8f5acdc3"),
        ("a-b_c.d~e", "a-b_c.d~e"),
    ],
)
def test_a_path_argument_is_one_segment_whatever_it_contains(entry_id: str, segment: str) -> None:
    assert DELETE_BY_ID.request(TARGET, {"entry_id": entry_id}).url == f"{CACHE}/entries/{segment}"
    target = Target("https://cache.example", entry_id)
    assert FLUSH.request(target, {}).url == f"https://cache.example/v1/caches/{segment}/flush"


@given(IDS, IDS)
def test_path_arguments_are_one_segment_each_and_decode_to_what_they_were(cache_id: str, entry_id: str) -> None:
    request = DELETE_BY_ID.request(Target("https://cache.example", cache_id), {"entry_id": entry_id})
    found = segments(request)
    assert [unquote(segment) for segment in found] == ["v1", "caches", cache_id, "entries", entry_id]
    assert not {".", ".."} & set(found)
    assert request.url.isascii()
    assert request.url.isprintable()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_an_empty_cache_id_is_refused(operation: Operation[Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"^cache_id must not be empty$"):
        operation.request(Target("https://cache.example", ""), ARGUMENTS[operation.name])


def test_an_empty_entry_id_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"^entry_id must not be empty$"):
        DELETE_BY_ID.request(TARGET, {"entry_id": ""})


@pytest.mark.parametrize("entry_id", [None, 7, ["e1"]])
def test_an_entry_id_that_is_no_string_is_a_value_error(entry_id: object) -> None:
    with pytest.raises(ValueError, match="entry_id"):
        DELETE_BY_ID.request(TARGET, {"entry_id": entry_id})


# What is refused before anything is sent


PLACES: tuple[tuple[Operation[Any], Callable[[str], dict[str, Any]]], ...] = (
    # Every place in the arguments that takes text.
    (SET, lambda text: {"prompt": text, "response": "r"}),
    (SET, lambda text: {"prompt": "p", "response": text}),
    (SET, lambda text: {"prompt": "p", "response": "r", "attributes": {text: "1"}}),
    (SET, lambda text: {"prompt": "p", "response": "r", "attributes": {"a": text}}),
    (SEARCH, lambda text: {"prompt": text}),
    (SEARCH, lambda text: {"prompt": "p", "attributes": {text: "1"}}),
    (SEARCH, lambda text: {"prompt": "p", "attributes": {"a": text}}),
    (SEARCH, lambda text: {"prompt": "p", "search_strategies": ["exact", text]}),
    (CONVERSATIONAL_SEARCH, lambda text: {"prompt": text}),
    (CONVERSATIONAL_SEARCH, lambda text: {"prompt": "p", "context": ["q", text]}),
    (CONVERSATIONAL_SEARCH, lambda text: {"prompt": "p", "attributes": {text: "1"}}),
    (CONVERSATIONAL_SEARCH, lambda text: {"prompt": "p", "attributes": {"a": text}}),
    (CONVERSATIONAL_SEARCH, lambda text: {"prompt": "p", "search_strategies": [text]}),
    (DELETE_QUERY, lambda text: {"attributes": {text: "1"}}),
    (DELETE_QUERY, lambda text: {"attributes": {"a": text}}),
    (DELETE_BY_ID, lambda text: {"entry_id": text}),
)


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "caf\xe9 \udce9"])
@pytest.mark.parametrize(("operation", "arguments"), PLACES)
def test_a_lone_surrogate_is_refused_wherever_text_is_sent(
    operation: Operation[Any], arguments: Callable[[str], dict[str, Any]], text: str
) -> None:
    operation.request(TARGET, arguments("text"))
    with pytest.raises(ValueError, match=r"contains a lone surrogate \(U\+D[89A-F]..\) at position \d+, which UTF-8"):
        operation.request(TARGET, arguments(text))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_a_lone_surrogate_is_refused_in_the_cache_id(operation: Operation[Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"^cache_id contains a lone surrogate at position 1, which UTF-8"):
        operation.request(Target("https://cache.example", "c\ud800"), ARGUMENTS[operation.name])


@pytest.mark.parametrize("operation", SEARCHES, ids=lambda operation: operation.name)
@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), float("-inf"), "high", [0.9]])
def test_a_threshold_that_is_no_finite_number_is_refused(operation: Operation[Any], threshold: object) -> None:
    with pytest.raises(ValueError, match="similarity_threshold"):
        operation.request(TARGET, {"prompt": "p", "similarity_threshold": threshold})


@pytest.mark.parametrize("operation", [SET, *SEARCHES, DELETE_QUERY], ids=lambda operation: operation.name)
@pytest.mark.parametrize("attributes", [{"a": 1}, {"a": None}, {"a": True}, {"a": ["1"]}, {1: "a"}, ["a"], "a"])
def test_attributes_other_than_strings_are_a_value_error(operation: Operation[Any], attributes: object) -> None:
    with pytest.raises(ValueError, match="attributes") as caught:
        operation.request(TARGET, ARGUMENTS[operation.name] | {"attributes": attributes})
    assert isinstance(caught.value, pydantic.ValidationError)


@pytest.mark.parametrize("name", ["prompt", "response"])
@pytest.mark.parametrize("value", [None, 1, ["p"], b"\xff"])
def test_a_prompt_or_response_that_is_no_text_is_a_value_error(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        SET.request(TARGET, ARGUMENTS["set"] | {name: value})


def test_the_attributes_of_a_deletion_are_required() -> None:
    with pytest.raises(ValueError, match="attributes"):
        DELETE_QUERY.request(TARGET, {"attributes": None})
    with pytest.raises(ValueError, match="attributes"):
        DELETE_QUERY.request(TARGET, {})


# Strategies and other collections


@pytest.mark.parametrize("operation", SEARCHES, ids=lambda operation: operation.name)
@pytest.mark.parametrize(
    "strategies",
    [
        ["exact", "semantic"],
        [SearchStrategy.EXACT, "semantic"],
        (SearchStrategy.EXACT, SearchStrategy.SEMANTIC),
        deque(["exact", "semantic"]),
        {"exact": 1, "semantic": 2}.keys(),
        SearchStrategy,
    ],
    ids=lambda value: type(value).__name__,
)
def test_strategies_are_members_or_strings_in_any_collection(operation: Operation[Any], strategies: object) -> None:
    sent = body(operation, prompt="p", search_strategies=strategies)
    assert sent["searchStrategies"] == ["exact", "semantic"]


def test_strategies_and_context_may_come_from_generators() -> None:
    sent = body(
        CONVERSATIONAL_SEARCH,
        prompt="p",
        search_strategies=(strategy for strategy in SearchStrategy),
        context=(question for question in ["q1", "q2"]),
    )
    assert sent == {"prompt": "p", "searchStrategies": ["exact", "semantic"], "context": ["q1", "q2"]}
    assert body(SEARCH, prompt="p", search_strategies={"exact"})["searchStrategies"] == ["exact"]


@pytest.mark.parametrize("operation", SEARCHES, ids=lambda operation: operation.name)
@given(strategies=st.lists(st.sampled_from(["exact", "semantic"]) | ANY_TEXT))
def test_unknown_strategies_are_sent_as_they_are(operation: Operation[Any], strategies: list[str]) -> None:
    assert body(operation, prompt="p", search_strategies=strategies)["searchStrategies"] == strategies


@pytest.mark.parametrize("strategies", ["exact", SearchStrategy.EXACT, [1], [None], 7, {"exact": 1}])
def test_what_is_no_collection_of_strategies_is_a_value_error(strategies: object) -> None:
    with pytest.raises(ValueError, match="search_strategies"):
        SEARCH.request(TARGET, {"prompt": "p", "search_strategies": strategies})


@pytest.mark.parametrize("context", ["one question", [1], 7])
def test_what_is_no_collection_of_questions_is_a_value_error(context: object) -> None:
    with pytest.raises(ValueError, match="context"):
        CONVERSATIONAL_SEARCH.request(TARGET, {"prompt": "p", "context": context})


def test_attributes_may_be_any_mapping() -> None:
    assert body(DELETE_QUERY, attributes=MappingProxyType({"a": "1"})) == {"attributes": {"a": "1"}}


# Answers


def answer(document: object, status: int = 200) -> Response:
    return Response(status, {"Content-Type": "application/json"}, json.dumps(document).encode())


@pytest.mark.parametrize("status", TWO_HUNDREDS)
@pytest.mark.parametrize(
    ("operation", "document", "result"),
    [
        (SET, {"entryId": "e1"}, SetResponse(entry_id="e1")),
        (SEARCH, {"data": []}, SearchResponse(data=[])),
        (SEARCH, {"data": [ENTRY]}, SearchResponse(data=[CacheEntry(**ENTRY)])),
        (SEARCH, {"data": [ENTRY, ENTRY]}, SearchResponse(data=[CacheEntry(**ENTRY)] * 2)),
        (
            CONVERSATIONAL_SEARCH,
            {"actualPrompt": "whole", "data": [ENTRY]},
            ConversationalSearchResponseContent(actual_prompt="whole", data=[CacheEntry(**ENTRY)]),
        ),
        (
            CONVERSATIONAL_SEARCH,
            {"actualPrompt": "", "data": []},
            ConversationalSearchResponseContent(actual_prompt="", data=[]),
        ),
        (DELETE_QUERY, {"deletedEntriesCount": 0}, DeleteQueryResponse(deleted_entries_count=0)),
        (HEALTH, {"status": "ok"}, HealthResponse(details={"status": "ok"})),
    ],
)
def test_a_documented_answer_is_its_result_with_every_2xx(
    operation: Operation[Any], document: object, result: object, status: int
) -> None:
    parsed = operation.parse(answer(document, status))
    assert type(parsed) is type(result)
    assert parsed == result


@pytest.mark.parametrize("status", TWO_HUNDREDS)
@pytest.mark.parametrize("content", [b"", b"{}", b"<html>", b"\xff"])
@pytest.mark.parametrize("operation", [DELETE_BY_ID, FLUSH], ids=lambda operation: operation.name)
def test_an_answer_that_says_nothing_may_say_anything(operation: Operation[Any], content: bytes, status: int) -> None:
    assert operation.parse(Response(status, {}, content)) is None


def test_members_that_are_unknown_are_ignored() -> None:
    entry = {**ENTRY, "new": {"a": [1, {"b": None}]}}
    assert SEARCH.parse(answer({"data": [entry], "next": "x"})).data == [CacheEntry(**ENTRY)]
    assert SET.parse(answer({"entryId": "e1", "data": 7})).entry_id == "e1"


@given(ANY_TEXT)
def test_an_unknown_strategy_stays_a_string(strategy: str) -> None:
    assume(strategy not in ("exact", "semantic"))
    (entry,) = SEARCH.parse(answer({"data": [{**ENTRY, "searchStrategy": strategy}]})).data
    assert entry.search_strategy == strategy
    assert type(entry.search_strategy) is str


@pytest.mark.parametrize("member", SearchStrategy)
def test_a_known_strategy_is_its_member(member: SearchStrategy) -> None:
    (entry,) = SEARCH.parse(answer({"data": [{**ENTRY, "searchStrategy": member.value}]})).data
    assert entry.search_strategy is member


@given(st.integers(0, 1) | st.floats(0, 1))
def test_the_similarity_is_a_float_whatever_number_comes(similarity: float) -> None:
    (entry,) = SEARCH.parse(answer({"data": [{**ENTRY, "similarity": similarity}]})).data
    assert type(entry.similarity) is float
    assert entry.similarity == similarity


WRONG: Mapping[str, bytes] = {
    "html": b"<html><body>sign in</body></html>",
    "empty": b"",
    "text": b"ok",
    "cut off": b'{"entryId": "e1", "data": [], "actualPrompt": "p", "deletedEntriesCount": 1',
    "null": b"null",
    "array": b"[]",
    "string": b'"e1"',
    "no members": b"{}",
    "wrong types": b'{"entryId": 1, "data": "none", "actualPrompt": [], "deletedEntriesCount": "many"}',
    "nulls": b'{"entryId": null, "data": [null], "actualPrompt": null, "deletedEntriesCount": null}',
    "foreign entry": b'{"entryId": {}, "data": [{"id": "1"}], "actualPrompt": "p", "deletedEntriesCount": 1.5}',
    "entry of another type": b'{"entryId": [], "data": ["e1"], "actualPrompt": "p", "deletedEntriesCount": {}}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("status", [200, 201, 299])
@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("operation", WITH_JSON_RESULT, ids=lambda operation: operation.name)
def test_an_answer_of_another_form_is_a_validation_error_with_its_cause(
    operation: Operation[Any], content: bytes, status: int
) -> None:
    response = Response(status, {"X-Request-Id": "r-1"}, content)
    with pytest.raises(ResponseValidationError, match=r"^The answer does not have the documented form: ") as caught:
        operation.parse(response)
    error = caught.value
    assert isinstance(error.cause, pydantic.ValidationError)
    assert error.__cause__ is error.cause
    assert error.raw_response is response
    assert (error.status_code, error.request_id, error.retryable) == (status, "r-1", False)
    assert error.body == content.decode(errors="replace")


@pytest.mark.parametrize("missing", ["id", "prompt", "response", "similarity", "searchStrategy"])
def test_an_entry_without_a_member_is_named_by_the_cause(missing: str) -> None:
    entry = {name: value for name, value in ENTRY.items() if name != missing}
    with pytest.raises(ResponseValidationError, match=rf"data\.1\.{missing}\b"):
        SEARCH.parse(answer({"data": [ENTRY, entry]}))


@given(st.sampled_from(WITH_JSON_RESULT), st.binary())
def test_an_answer_gives_a_result_or_a_validation_error(operation: Operation[Any], content: bytes) -> None:
    try:
        result: object = operation.parse(Response(200, {}, content))
    except ResponseValidationError as error:
        result = error.cause
    assert isinstance(result, (pydantic.BaseModel, pydantic.ValidationError))


@pytest.mark.parametrize(
    ("content", "details"),
    [
        (b"", None),
        (b'{"status": "ok", "parts": [1]}', {"status": "ok", "parts": [1]}),
        (b"[1]", [1]),
        (b"true", True),
        (b"OK", "OK"),
        (b"<html>", "<html>"),
        (b"\xff", "\ufffd"),
        (b"[" * 100_000, "[" * 100_000),
    ],
)
def test_the_answer_of_a_healthy_service_is_handed_on_as_it_came(content: bytes, details: object) -> None:
    assert HEALTH.parse(Response(200, {}, content)) == HealthResponse(details=details)


def test_the_text_of_a_healthy_service_is_read_in_its_charset() -> None:
    response = Response(200, {"Content-Type": "text/plain; charset=latin-1"}, b"pr\xeat")
    assert HEALTH.parse(response).details == "pr\xeat"


def test_null_counts_as_an_empty_collection() -> None:
    """Services in some languages write null for it, and neither a miss nor a hit may fail over that."""
    assert SEARCH.parse(Response(200, {}, b'{"data": null}')).data == []
    assert CONVERSATIONAL_SEARCH.parse(Response(200, {}, b'{"data": null, "actualPrompt": "p"}')).data == []
    entry = (
        b'{"id": "1", "prompt": "p", "response": "r", "attributes": null, "similarity": 1, "searchStrategy": "exact"}'
    )
    assert SEARCH.parse(Response(200, {}, b'{"data": [' + entry + b"]}")).data[0].attributes == {}


@pytest.mark.parametrize(
    ("content", "content_type", "prompt"),
    [
        ('"ü"'.encode("latin-1"), "application/json; charset=iso-8859-1", "ü"),
        (b'"\xff"', "application/json", "\ufffd"),
        (b'"p"', "application/json; charset=utf-8-sig", "p"),
    ],
)
def test_an_answer_that_is_not_utf_8_is_read_all_the_same(content: bytes, content_type: str, prompt: str) -> None:
    """In its own charset, or with what cannot be decoded replaced."""
    answer = b'{"data": [], "actualPrompt": ' + content + b"}"
    for body in (answer, b"\xef\xbb\xbf" + answer) if prompt == "p" else (answer,):
        found = CONVERSATIONAL_SEARCH.parse(Response(200, {"Content-Type": content_type}, body))
        assert found.actual_prompt == prompt
