"""What results know of their call is no part of their data."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from langcache import LangCache, models
from langcache.models.metadata import ResponseMetadata, ResultModel

KINDS = [
    models.SearchResponse,
    models.SetResponse,
    models.DeleteQueryResponse,
    models.ConversationalSearchResponseContent,
    models.HealthResponse,
]


@pytest.fixture
def found() -> models.SearchResponse:
    return LangCache("embedded://", cache_id="c").search(prompt="p")


@pytest.mark.parametrize("kind", KINDS)
def test_all_results_have_them(kind: type[ResultModel]) -> None:
    assert kind.model_construct().metadata == ResponseMetadata()


def test_they_are_no_part_of_the_data(found: models.SearchResponse) -> None:
    plain = models.SearchResponse(data=[])
    assert found.metadata.request_id
    assert found == plain
    assert found.model_dump() == plain.model_dump()
    assert found.__dict__ == plain.__dict__
    assert (repr(found), str(found)) == (repr(plain), str(plain))
    assert "metadata" not in models.SearchResponse.model_json_schema()["properties"]


@pytest.mark.parametrize("how", ["copy", "deepcopy", "model_copy", "pickle"])
def test_copies_have_none(found: models.SearchResponse, how: str) -> None:
    ways: dict[str, Callable[[], models.SearchResponse]] = {
        "copy": lambda: copy.copy(found),
        "deepcopy": lambda: copy.deepcopy(found),
        "model_copy": lambda: found.model_copy(),
        "pickle": lambda: pickle.loads(pickle.dumps(found)),  # noqa: S301 - our own
    }
    made = ways[how]()
    assert made == found
    assert made.metadata == ResponseMetadata()


def test_a_member_of_an_answer_that_has_the_name_is_no_matter() -> None:
    result = models.SearchResponse.model_validate({"data": [], "metadata": {"x": 1}})
    assert result.metadata == ResponseMetadata()
