"""Requests and results: pydantic models with Python names inside and wire names outside."""

from __future__ import annotations

import copy
import json
import pickle
from enum import Enum
from typing import Any, get_origin

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import NotRequired, get_type_hints

from langcache import models
from langcache.models import (
    CacheEntry,
    ConversationalSearchBody,
    ConversationalSearchResponseContent,
    DeleteByIDRequest,
    DeleteQueryRequest,
    DeleteQueryResponse,
    FieldError,
    FlushRequest,
    HealthResponse,
    SearchRequest,
    SearchResponse,
    SearchStrategy,
    Security,
    SetRequest,
    SetResponse,
)
from langcache.models.base import OpenEnumMeta

MODELS: tuple[type[models.BaseModel], ...] = (
    CacheEntry,
    ConversationalSearchBody,
    ConversationalSearchResponseContent,
    DeleteByIDRequest,
    DeleteQueryRequest,
    DeleteQueryResponse,
    FieldError,
    FlushRequest,
    SearchRequest,
    SearchResponse,
    Security,
    SetRequest,
    SetResponse,
)

ENTRY: dict[str, Any] = {
    "id": "5eb63bbbe01eeed093cb22bb8f5acdc3",
    "prompt": "p",
    "response": "r",
    "attributes": {"a": "1"},
    "similarity": 0.97,
    "search_strategy": SearchStrategy.SEMANTIC,
}

FULL: tuple[tuple[type[models.BaseModel], dict[str, Any], dict[str, Any]], ...] = (
    # Each with all its members by their Python names, and what they are on the wire.
    (CacheEntry, ENTRY, {**{name: ENTRY[name] for name in list(ENTRY)[:5]}, "searchStrategy": "semantic"}),
    (
        ConversationalSearchBody,
        {
            "prompt": "p",
            "similarity_threshold": 0.9,
            "search_strategies": [SearchStrategy.EXACT, "new"],
            "attributes": {"a": "1"},
            "max_results": 3,
            "context": ["q1", "q2"],
        },
        {
            "prompt": "p",
            "similarityThreshold": 0.9,
            "searchStrategies": ["exact", "new"],
            "attributes": {"a": "1"},
            "maxResults": 3,
            "context": ["q1", "q2"],
        },
    ),
    (ConversationalSearchResponseContent, {"actual_prompt": "p", "data": []}, {"actualPrompt": "p", "data": []}),
    (DeleteByIDRequest, {"entry_id": "e"}, {"entryId": "e"}),
    (DeleteQueryRequest, {"attributes": {"a": "1"}}, {"attributes": {"a": "1"}}),
    (DeleteQueryResponse, {"deleted_entries_count": 2}, {"deletedEntriesCount": 2}),
    (FieldError, {"field": "f", "rule": "r", "message": "m"}, {"field": "f", "rule": "r", "message": "m"}),
    (
        SearchRequest,
        {
            "prompt": "p",
            "similarity_threshold": 0.9,
            "search_strategies": [SearchStrategy.EXACT, SearchStrategy.SEMANTIC],
            "attributes": {},
            "max_results": 3,
        },
        {
            "prompt": "p",
            "similarityThreshold": 0.9,
            "searchStrategies": ["exact", "semantic"],
            "attributes": {},
            "maxResults": 3,
        },
    ),
    (SearchResponse, {"data": []}, {"data": []}),
    (Security, {"api_key": "k"}, {"apiKey": "k"}),
    (
        SetRequest,
        {"prompt": "p", "response": "r", "attributes": {"a": "1"}, "ttl_millis": 5},
        {"prompt": "p", "response": "r", "attributes": {"a": "1"}, "ttlMillis": 5},
    ),
    (SetResponse, {"entry_id": "e"}, {"entryId": "e"}),
)

RESULTS: tuple[pydantic.BaseModel, ...] = (
    SetResponse(entry_id=""),
    SearchResponse(data=[]),
    ConversationalSearchResponseContent(actual_prompt="", data=[]),
    DeleteQueryResponse(deleted_entries_count=0),
    HealthResponse(),
)


@pytest.mark.parametrize(("model", "by_name", "by_alias"), FULL)
def test_a_model_is_built_by_python_names_or_by_wire_names(
    model: type[models.BaseModel], by_name: dict[str, Any], by_alias: dict[str, Any]
) -> None:
    built = model(**by_name)
    assert model(**by_alias) == built
    assert model.model_validate(by_name) == model.model_validate(by_alias) == built
    assert model.model_validate_json(json.dumps(by_alias)) == built


@pytest.mark.parametrize(("model", "by_name", "by_alias"), FULL)
def test_a_model_dumps_python_names_and_on_demand_wire_names(
    model: type[models.BaseModel], by_name: dict[str, Any], by_alias: dict[str, Any]
) -> None:
    assert model(**by_alias).model_dump() == by_name
    assert model(**by_name).model_dump(mode="json", by_alias=True) == by_alias


@pytest.mark.parametrize(("model", "by_name", "by_alias"), FULL)
def test_a_model_ignores_members_that_it_does_not_know(
    model: type[models.BaseModel], by_name: dict[str, Any], by_alias: dict[str, Any]
) -> None:
    built = model.model_validate({**by_alias, "newMember": {"a": [1]}})
    assert built == model(**by_name)
    assert not hasattr(built, "newMember")


@pytest.mark.parametrize(("model", "by_name", "by_alias"), FULL)
def test_a_model_survives_copies_and_pickles(
    model: type[models.BaseModel], by_name: dict[str, Any], by_alias: dict[str, Any]
) -> None:
    built = model(**by_name)
    assert pickle.loads(pickle.dumps(built)) == copy.deepcopy(built) == copy.copy(built) == model(**by_alias)  # noqa: S301


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_typed_dict_of_a_model_has_exactly_its_members(model: type[models.BaseModel]) -> None:
    hints = get_type_hints(getattr(models, f"{model.__name__}TypedDict"), include_extras=True)
    assert set(hints) == set(model.model_fields)
    not_required: Any = NotRequired
    required = {name for name, hint in hints.items() if get_origin(hint) is not not_required}
    always_there = {"attributes"} if model is CacheEntry else set[str]()
    assert required - always_there == {name for name, member in model.model_fields.items() if member.is_required()}


def test_every_public_model_is_covered_here() -> None:
    public = {getattr(models, name) for name in models.__all__}
    assert {item for item in public if isinstance(item, type) and issubclass(item, pydantic.BaseModel)} == {
        *MODELS,
        HealthResponse,
        models.Statistics,  # no answer of the service; tests/test_statistics.py has it
    }


@pytest.mark.parametrize(
    ("submodule", "name"),
    [
        ("cacheentry", "CacheEntry"),
        ("searchresponse", "SearchResponse"),
        ("searchstrategy", "SearchStrategy"),
        ("setresponse", "SetResponse"),
    ],
)
def test_a_submodule_holds_the_same_model(submodule: str, name: str) -> None:
    assert getattr(getattr(models, submodule), name) is getattr(models, name)


# Results


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_a_result_is_true_even_when_empty(result: pydantic.BaseModel) -> None:
    assert bool(result) is True


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
@pytest.mark.parametrize(
    "name",
    ["results", "entries", "hits", "hit", "match", "matches", "response", "get", "__len__", "__getitem__"],
)
def test_a_result_lacks_what_programs_tell_versions_apart_by(result: pydantic.BaseModel, name: str) -> None:
    assert not hasattr(result, name)


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        (SetResponse(entry_id="e1"), "entry_id='e1'"),
        (SearchResponse(data=[]), "data=[]"),
        (
            SearchResponse(data=[CacheEntry(**ENTRY)]),
            "data=[CacheEntry(id='5eb63bbbe01eeed093cb22bb8f5acdc3', prompt='p', response='r', attributes={'a': '1'}, "
            "similarity=0.97, search_strategy=<SearchStrategy.SEMANTIC: 'semantic'>)]",
        ),
        (ConversationalSearchResponseContent(actual_prompt="p", data=[]), "actual_prompt='p' data=[]"),
        (DeleteQueryResponse(deleted_entries_count=3), "deleted_entries_count=3"),
    ],
)
def test_str_shows_the_members_and_repr_adds_the_class(model: pydantic.BaseModel, shown: str) -> None:
    assert str(model) == shown
    assert repr(model) == f"{type(model).__name__}({shown.replace(' data=', ', data=')})"


@given(st.integers(-1000, 1000) | st.floats(allow_nan=False, allow_infinity=False))
def test_the_similarity_is_a_float_also_where_json_has_an_integer(similarity: float) -> None:
    document = {"data": [{**ENTRY, "similarity": similarity}]}
    (entry,) = SearchResponse.model_validate_json(json.dumps(document)).data
    assert type(entry.similarity) is float
    assert entry.similarity == similarity


def test_the_data_of_a_result_is_a_list_of_entries() -> None:
    result = SearchResponse.model_validate({"data": (ENTRY,)})
    assert type(result.data) is list
    assert type(result.data[0]) is CacheEntry


def test_an_entry_without_attributes_has_none_of_its_own() -> None:
    bare = {name: value for name, value in ENTRY.items() if name != "attributes"}
    one, other = CacheEntry.model_validate(bare), CacheEntry.model_validate(bare)
    assert one.attributes == other.attributes == {}
    assert one.attributes is not other.attributes


def test_the_vars_of_a_deletion_go_through_json() -> None:
    result = DeleteQueryResponse(deleted_entries_count=3)
    assert result.__dict__ == {"deleted_entries_count": 3}
    assert json.dumps(result.__dict__) == '{"deleted_entries_count": 3}'


def test_a_credential_is_not_shown() -> None:
    security = Security(api_key="sk-5ecret")
    assert security.api_key == "sk-5ecret"
    assert "sk-5ecret" not in repr(security)
    assert "sk-5ecret" not in str(security)
    assert Security().api_key is None


# Search strategies


def test_a_strategy_is_a_string_and_an_enum_member() -> None:
    assert isinstance(SearchStrategy.EXACT, str)
    assert isinstance(SearchStrategy.EXACT, Enum)
    assert issubclass(SearchStrategy, str)


@pytest.mark.parametrize(("member", "value"), [(SearchStrategy.EXACT, "exact"), (SearchStrategy.SEMANTIC, "semantic")])
def test_a_strategy_equals_its_value(member: SearchStrategy, value: str) -> None:
    assert member == value
    assert value == member
    assert member.value == value
    assert type(member.value) is str
    assert hash(member) == hash(value)
    assert json.dumps([member]) == f'["{value}"]'
    assert SearchStrategy(value) is member
    assert SearchStrategy(member) is member


def test_the_str_of_a_strategy_names_the_member() -> None:
    assert str(SearchStrategy.EXACT) == "SearchStrategy.EXACT"
    assert str(SearchStrategy.SEMANTIC) == "SearchStrategy.SEMANTIC"
    assert repr(SearchStrategy.EXACT) == "<SearchStrategy.EXACT: 'exact'>"


def test_the_strategies_are_those_of_the_specification() -> None:
    assert list(SearchStrategy) == [SearchStrategy.EXACT, SearchStrategy.SEMANTIC]
    assert len(SearchStrategy) == 2
    assert SearchStrategy["EXACT"] is SearchStrategy.EXACT
    assert list(SearchStrategy.__members__) == ["EXACT", "SEMANTIC"]


@given(st.text().filter(lambda value: value not in ("exact", "semantic")))
def test_an_unknown_strategy_stays_a_plain_string(value: str) -> None:
    strategy: Any = SearchStrategy(value)
    assert strategy == value
    assert type(strategy) is str


@pytest.mark.parametrize("value", [1, None, b"exact", 1.5, []])
def test_what_is_no_string_is_no_strategy(value: Any) -> None:
    with pytest.raises(ValueError, match="is not a valid SearchStrategy"):
        SearchStrategy(value)


@pytest.mark.parametrize("member", list(SearchStrategy))
def test_a_strategy_survives_copies_and_pickles(member: SearchStrategy) -> None:
    assert copy.copy(member) is member
    assert copy.deepcopy(member) is member
    assert pickle.loads(pickle.dumps(member)) is member  # noqa: S301


def test_an_open_enum_without_members_still_makes_enums() -> None:
    class Base(str, Enum, metaclass=OpenEnumMeta):
        pass

    make: Any = Base
    made = make("Made", {"ONE": "one"})
    assert made.ONE == "one"
    assert made("one") is made.ONE
    assert made("two") == "two"


# Requests


@pytest.mark.parametrize("model", [SearchRequest, ConversationalSearchBody])
@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), float("-inf")])
def test_a_threshold_that_json_cannot_carry_is_refused(model: type[SearchRequest], threshold: float) -> None:
    with pytest.raises(ValueError, match="finite number"):
        model(prompt="p", similarity_threshold=threshold)


@pytest.mark.parametrize(
    ("model", "members"),
    [
        (SetRequest, {"prompt": "x" * 5000, "response": "", "attributes": {"": "a,b/c"}, "ttl_millis": -1}),
        (SearchRequest, {"prompt": "", "similarity_threshold": 7.5, "max_results": -3}),
        (DeleteQueryRequest, {"attributes": {}}),
    ],
)
def test_the_limits_are_left_to_the_service(model: type[models.BaseModel], members: dict[str, Any]) -> None:
    assert model(**members).model_dump(exclude_none=True) == members


@pytest.mark.parametrize(
    ("model", "missing"),
    [
        (SetRequest, {"prompt", "response"}),
        (SearchRequest, {"prompt"}),
        (ConversationalSearchBody, {"prompt"}),
        (DeleteByIDRequest, {"entry_id"}),
        (DeleteQueryRequest, {"attributes"}),
        (FlushRequest, set[str]()),
    ],
)
def test_a_request_requires_what_the_service_requires(model: type[models.BaseModel], missing: set[str]) -> None:
    assert {name for name, member in model.model_fields.items() if member.is_required()} == missing
