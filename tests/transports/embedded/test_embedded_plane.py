"""The data plane's answers, asked for by the client's own operations."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache import Response
from langcache.models import CacheEntry, SearchStrategy
from langcache.operations import (
    CONVERSATIONAL_SEARCH,
    DELETE_BY_ID,
    DELETE_QUERY,
    FLUSH,
    HEALTH,
    OPERATIONS,
    SEARCH,
    SET,
    Target,
)
from langcache_transports.embedded import DEFAULT_THRESHOLD, DataPlane
from langcache_transports.embedded.bodies import LONGEST_PROMPT
from langcache_transports.embedded.plane import in_context

from .calls import CONVERSATIONS, ENTRIES, SEARCH_ENTRIES, TARGET, Clock, ask, perform, refusal, rules, unhurried

PROMPTS = st.text(min_size=1, max_size=LONGEST_PROMPT)
NAMES = st.from_regex("[a-zA-Z0-9_-]{1,32}", fullmatch=True)
VALUES = st.text(min_size=1, max_size=500).filter(lambda value: "," not in value)

HOW = "How does semantic caching work?"
REWORDED = "how do semantic caches work"


@pytest.fixture
def plane() -> DataPlane:
    return DataPlane()


def prompts(data: list[CacheEntry]) -> list[str]:
    return [entry.prompt for entry in data]


@unhurried
@given(PROMPTS, st.text(max_size=2000), st.dictionaries(NAMES, VALUES, max_size=5))
def test_what_was_set_is_found_by_its_prompt(prompt: str, response: str, attributes: dict[str, str]) -> None:
    plane = DataPlane()
    key = perform(plane, SET, prompt=prompt, response=response, attributes=attributes).entry_id
    for strategy in SearchStrategy:
        found = perform(plane, SEARCH, prompt=prompt, search_strategies=[strategy], attributes=attributes).data
        assert found == [
            CacheEntry(
                id=key,
                prompt=prompt,
                response=response,
                attributes=attributes,
                similarity=1.0,
                search_strategy=strategy,
            )
        ]


def test_each_operation_answers_with_its_documented_status_and_content_type(plane: DataPlane) -> None:
    key = perform(plane, SET, prompt="p", response="r").entry_id
    arguments = {
        "prompt": "p",
        "response": "r",
        "entry_id": key,
        "attributes": {"x": "y"},
    }
    for operation in OPERATIONS:
        wanted = {name: value for name, value in arguments.items() if name in operation.model.model_fields}
        response = plane.handle(operation.request(TARGET, wanted))
        assert response.status_code == operation.status
        if operation.status == 204:
            assert response == Response(204)
        else:
            assert response.headers["content-type"] == "application/json"


def test_a_reworded_question_is_found_by_default(plane: DataPlane) -> None:
    perform(plane, SET, prompt=HOW, response="r")
    (hit,) = perform(plane, SEARCH, prompt=REWORDED).data
    assert hit.search_strategy is SearchStrategy.SEMANTIC
    assert DEFAULT_THRESHOLD < hit.similarity < 1


def test_a_search_without_a_hit_is_an_empty_list(plane: DataPlane) -> None:
    assert perform(plane, SEARCH, prompt="p").data == []
    perform(plane, SET, prompt=HOW, response="r")
    assert perform(plane, SEARCH, prompt="What is the capital of France?").data == []


def test_a_hit_is_as_similar_as_the_threshold_says(plane: DataPlane) -> None:
    perform(plane, SET, prompt=HOW, response="r")
    (hit,) = perform(plane, SEARCH, prompt=REWORDED).data
    assert perform(plane, SEARCH, prompt=REWORDED, similarity_threshold=hit.similarity).data == [hit]
    assert perform(plane, SEARCH, prompt=REWORDED, similarity_threshold=1.0).data == []
    assert len(perform(plane, SEARCH, prompt="tax forms", similarity_threshold=0).data) == 1
    assert len(perform(plane, SEARCH, prompt=HOW, similarity_threshold=1).data) == 1


def test_a_plane_has_the_threshold_that_it_was_given() -> None:
    plane = DataPlane(threshold=0.5)
    perform(plane, SET, prompt=HOW, response="r")
    assert len(perform(plane, SEARCH, prompt="tax forms").data) == 1


def test_semantic_hits_come_the_most_similar_first_and_the_newest_among_equals(plane: DataPlane) -> None:
    for prompt in ("What is Redis?", "what is redis", "Is Redis fast?", "What is REDIS"):
        perform(plane, SET, prompt=prompt, response="r")
    found = perform(plane, SEARCH, prompt="What is Redis?", max_results=10, similarity_threshold=0.5).data
    assert prompts(found) == ["What is REDIS", "what is redis", "What is Redis?", "Is Redis fast?"]


def test_one_entry_is_returned_unless_more_are_asked_for(plane: DataPlane) -> None:
    for number in range(5):
        perform(plane, SET, prompt="p", response="r", attributes={"n": str(number)})
    assert len(perform(plane, SEARCH, prompt="p").data) == 1
    assert len(perform(plane, SEARCH, prompt="p", max_results=3).data) == 3
    assert len(perform(plane, SEARCH, prompt="p", max_results=10**30).data) == 5


def test_an_exact_search_sees_no_case_and_nothing_but_equality(plane: DataPlane) -> None:
    perform(plane, SET, prompt="What is Redis?", response="r")
    (hit,) = perform(plane, SEARCH, prompt="WHAT IS REDIS?", search_strategies=["exact"]).data
    assert (hit.similarity, hit.search_strategy) == (1.0, SearchStrategy.EXACT)
    assert perform(plane, SEARCH, prompt="What is Redis", search_strategies=["exact"]).data == []


def test_the_hits_of_the_first_strategy_come_first_and_no_entry_comes_twice(plane: DataPlane) -> None:
    for prompt in (HOW, REWORDED):
        perform(plane, SET, prompt=prompt, response="r")

    def search(*strategies: str) -> list[tuple[str, str]]:
        found = perform(plane, SEARCH, prompt=REWORDED, search_strategies=list(strategies), max_results=9).data
        return [(entry.prompt, entry.search_strategy) for entry in found]

    assert search("exact", "semantic") == [(REWORDED, "exact"), (HOW, "semantic")]
    assert search("semantic", "exact") == [(REWORDED, "semantic"), (HOW, "semantic")]
    assert search("exact", "exact") == [(REWORDED, "exact")]


def test_only_entries_that_carry_all_the_attributes_are_found(plane: DataPlane) -> None:
    perform(plane, SET, prompt="p", response="en", attributes={"language": "en", "user": "a/b"})
    perform(plane, SET, prompt="p", response="de", attributes={"language": "de"})
    (hit,) = perform(plane, SEARCH, prompt="p", attributes={"language": "en"}, max_results=9).data
    assert (hit.response, hit.attributes) == ("en", {"language": "en", "user": "a/b"})
    assert perform(plane, SEARCH, prompt="p", attributes={"language": "en", "user": "c"}).data == []
    assert len(perform(plane, SEARCH, prompt="p", attributes={}, max_results=9).data) == 2


def test_an_entry_expires_after_its_milliseconds() -> None:
    clock = Clock()
    plane = DataPlane(clock=clock)
    perform(plane, SET, prompt="p", response="r", ttl_millis=1500)
    clock.now += 1.4
    assert len(perform(plane, SEARCH, prompt="p").data) == 1
    clock.now += 0.2
    assert perform(plane, SEARCH, prompt="p").data == []


def test_a_set_in_the_service_s_own_bounds_is_accepted(plane: DataPlane) -> None:
    attributes = {f"{number}_-{'n' * 29}": "v" * 500 for number in range(5)}
    perform(plane, SET, prompt="p" * 1024, response="", attributes=attributes, ttl_millis=31_556_952_000)
    perform(plane, SET, prompt="\U0001f600" * 1024, response="r", ttl_millis=1)


def test_members_that_are_not_known_are_ignored_and_null_is_absent(plane: DataPlane) -> None:
    body = {"prompt": "p", "response": "r", "attributes": None, "ttlMillis": None, "new": {"in": [1]}}
    assert ask(plane, "POST", ENTRIES, body).status_code == 201
    search = {"prompt": "p", "similarityThreshold": None, "searchStrategies": None, "maxResults": None, "new": 1}
    assert len(ask(plane, "POST", SEARCH_ENTRIES, search).json()["data"]) == 1


def test_a_conversation_is_searched_by_its_questions_and_the_prompt(plane: DataPlane) -> None:
    context = ["Tell me about Norway.", "Is it cold there?"]
    perform(plane, SET, prompt="Tell me about Norway. Is it cold there? And in summer?", response="r")
    answer = perform(plane, CONVERSATIONAL_SEARCH, prompt="And in summer?", context=context)
    assert answer.actual_prompt == "Tell me about Norway. Is it cold there? And in summer?"
    assert [hit.similarity for hit in answer.data] == [1.0]
    other = perform(plane, CONVERSATIONAL_SEARCH, prompt="And in summer?", context=["Tell me about Chile."])
    assert other.data == []


@pytest.mark.parametrize("context", [None, []])
def test_a_conversation_without_context_is_searched_by_the_prompt(plane: DataPlane, context: list[str] | None) -> None:
    perform(plane, SET, prompt=HOW, response="r")
    answer = perform(plane, CONVERSATIONAL_SEARCH, prompt=REWORDED, context=context)
    assert answer.actual_prompt == REWORDED
    assert prompts(answer.data) == [HOW]


@unhurried
@given(PROMPTS, st.lists(st.text(max_size=600), max_size=6))
def test_an_actual_prompt_ends_with_the_prompt_and_can_be_stored(prompt: str, context: list[str]) -> None:
    actual = in_context(prompt, context)
    assert len(actual) <= LONGEST_PROMPT
    assert actual in {" ".join([*context[start:], prompt]) for start in range(len(context) + 1)}


def test_the_oldest_questions_are_left_out_where_all_are_too_long_for_a_prompt() -> None:
    recent = "b" * 122 + " " + "p" * 500
    assert in_context("p" * 500, ["first", "a" * 400, "b" * 122]) == "a" * 400 + " " + recent
    assert in_context("p" * 500, ["first", "a" * 401, "b" * 122]) == recent
    assert in_context("p", ["a" * 1022]) == "a" * 1022 + " p"
    assert in_context("p", ["a" * 1023]) == "p"


def test_an_entry_is_deleted_by_its_id_once(plane: DataPlane) -> None:
    key = perform(plane, SET, prompt="p", response="r").entry_id
    assert perform(plane, DELETE_BY_ID, entry_id=key) is None
    assert perform(plane, SEARCH, prompt="p").data == []
    problem = refusal(plane.handle(DELETE_BY_ID.request(TARGET, {"entry_id": key})), 404)
    assert problem["type"] == "/errors/resource-not-found"


def test_entries_are_deleted_that_carry_all_the_attributes(plane: DataPlane) -> None:
    for number in range(4):
        perform(plane, SET, prompt="p", response="r", attributes={"parity": str(number % 2), "half": str(number // 2)})
    assert perform(plane, DELETE_QUERY, attributes={"parity": "0", "half": "1"}).deleted_entries_count == 1
    assert perform(plane, DELETE_QUERY, attributes={"parity": "0", "half": "1"}).deleted_entries_count == 0
    assert perform(plane, DELETE_QUERY, attributes={"parity": "1"}).deleted_entries_count == 2
    assert len(perform(plane, SEARCH, prompt="p", max_results=9).data) == 1


def test_a_flush_empties_one_cache_and_no_other(plane: DataPlane) -> None:
    other = Target("embedded://", "other")
    for target in (TARGET, other):
        perform(plane, SET, target, prompt="p", response="r")
    perform(plane, FLUSH)
    perform(plane, FLUSH)
    assert perform(plane, SEARCH, prompt="p").data == []
    assert len(perform(plane, SEARCH, other, prompt="p").data) == 1


def test_a_plane_is_healthy_before_a_cache_is_used(plane: DataPlane) -> None:
    assert perform(plane, HEALTH).details == {"status": "ok"}


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("POST", ENTRIES, {"prompt": "p", "response": "r", "attributes": {"user": "a"}}),
        ("POST", SEARCH_ENTRIES, {"prompt": "p", "attributes": {"user": "a"}}),
        ("POST", CONVERSATIONS, {"prompt": "p", "attributes": {"user": "a"}}),
        ("DELETE", ENTRIES, {"attributes": {"user": "a"}}),
    ],
)
def test_an_attribute_that_is_not_configured_is_refused(method: str, url: str, body: dict[str, object]) -> None:
    none_configured = ask(DataPlane(attributes=[]), method, url, body)
    assert rules(none_configured) == [("attributes", "unknown")]
    assert "no attributes are configured for this cache" in refusal(none_configured)["detail"]
    others_configured = ask(DataPlane(attributes=["language"]), method, url, body)
    assert rules(others_configured) == [("attributes", "unknown")]
    assert "no attributes are configured" not in others_configured.text
    assert "user" in refusal(others_configured)["detail"]
    assert ask(DataPlane(attributes=["language", "user"]), method, url, body).status_code < 300


def test_where_no_attributes_are_configured_requests_without_any_are_served() -> None:
    plane = DataPlane(attributes=[])
    perform(plane, SET, prompt="p", response="r", attributes={})
    assert len(perform(plane, SEARCH, prompt="p", attributes={}).data) == 1


def test_a_mistake_in_the_plane_itself_is_not_hidden_behind_an_answer() -> None:
    def broken_clock() -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        perform(DataPlane(clock=broken_clock), SET, prompt="p", response="r", ttl_millis=1)


def test_threads_may_share_a_plane(plane: DataPlane) -> None:
    def work(worker: int) -> list[str]:
        mine = {"worker": str(worker)}
        for number in range(20):
            perform(plane, SET, prompt=f"question {number}", response=str(worker), attributes=mine)
            found = perform(plane, SEARCH, prompt=f"question {number}", attributes=mine).data
            assert [hit.response for hit in found] == [str(worker)]
        return [hit.id for hit in perform(plane, SEARCH, prompt="question 1", attributes=mine, max_results=99).data]

    with ThreadPoolExecutor(8) as pool:
        ids = [key for keys in pool.map(work, range(8)) for key in keys]
    assert len(ids) == len(set(ids)) == 8
    assert (
        sum(perform(plane, DELETE_QUERY, attributes={"worker": str(n)}).deleted_entries_count for n in range(8)) == 160
    )
