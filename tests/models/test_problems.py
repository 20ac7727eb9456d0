"""The problem documents of errors, which are read whatever they are, and their types in both dialects."""

from __future__ import annotations

import json
import pickle
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache import models
from langcache.models import problems
from langcache.models.problems import Problem

# The specification's table; the first types are those of the new dialect.
TYPES: tuple[tuple[type[Problem], str, tuple[str, ...]], ...] = (
    (problems.BadRequestErrorData, "BadRequestError", ("/errors/invalid-data",)),
    (problems.AuthenticationErrorData, "AuthenticationError", ("/errors/authentication-failed",)),
    (problems.ForbiddenErrorData, "ForbiddenError", ("/errors/insufficient-permissions",)),
    (
        problems.NotFoundErrorData,
        "NotFoundError",
        (
            "/errors/resource-not-found",
            "/errors/resource/not-found",
            "/errors/cache/not-found",
            "/errors/cache/entry/not-found",
            "/errors/token/not-found",
        ),
    ),
    (problems.PayloadTooLargeErrorData, "PayloadTooLargeError", ("/errors/payload-too-large",)),
    (
        problems.FailedDependencyErrorData,
        "FailedDependencyError",
        (
            "/errors/resource-unavailable",
            "/errors/database-out-of-memory",
            "/errors/database/resource-database-unavailable",
            "/errors/database/out-of-memory",
            "/errors/embeddings/unauthorized",
            "/errors/embeddings/too-many-requests",
            "/errors/cache/index-not-found",
        ),
    ),
    (problems.TooManyRequestsErrorData, "TooManyRequestsError", ("/errors/too-many-requests",)),
    (
        problems.UnexpectedErrorData,
        "UnexpectedError",
        (
            "/errors/unexpected-error",
            "/errors/cache/authentication",
            "/errors/cache/unexpected-error",
            "/errors/embeddings/unexpected-error",
        ),
    ),
)
DATA = tuple(model for model, _, _ in TYPES)
ENUMS = tuple(getattr(models, f"{name}Type") for _, name, _ in TYPES)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(("model", "name", "types"), TYPES)
def test_a_type_of_either_dialect_is_the_member_of_its_enum(
    model: type[Problem], name: str, types: tuple[str, ...]
) -> None:
    kind = getattr(models, f"{name}Type")
    for value in types:
        problem = model.read(json.dumps({"type": value}).encode(), 400)
        assert problem.type == value
        assert type(problem.type) is kind
    assert {member.value for member in kind} == set(types)


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (name, name.replace("FailedDependency", "ResourceUnavailable").removesuffix("Type") + "URI")
        for name in (f"{name}Type" for _, name, _ in TYPES)
    ],
)
def test_an_enum_has_the_names_of_both_dialects(new: str, old: str) -> None:
    assert getattr(models, new) is getattr(models, old)
    assert {new, old} <= set(models.__all__)


@pytest.mark.parametrize("kind", ENUMS)
def test_a_problem_type_is_an_open_string_enum(kind: Any) -> None:
    assert issubclass(kind, str)
    assert issubclass(kind, Enum)
    assert type(kind("/errors/new")) is str
    for member in kind:
        assert kind(member.value) is member
        assert pickle.loads(pickle.dumps(member)) is member  # noqa: S301
        assert str(member) == f"{kind.__name__}.{member.name}"
    with pytest.raises(ValueError, match="is not a valid"):
        kind(1)


@pytest.mark.parametrize("model", DATA)
def test_an_unknown_type_stays_a_string(model: type[Problem]) -> None:
    problem = model.read(b'{"type": "/errors/new", "title": "t"}', 400)
    assert problem.type == "/errors/new"
    assert type(problem.type) is str
    assert problem.title == "t"


@pytest.mark.parametrize("model", [Problem, *DATA])
def test_a_whole_document_is_read(model: type[Problem]) -> None:
    document = {"title": "t", "type": "/errors/x", "status": 400, "detail": "d", "instance": "/i", "new": [1]}
    problem = model.read(json.dumps(document).encode(), 400)
    assert (problem.title, problem.type, problem.status) == ("t", "/errors/x", 400)
    assert (problem.detail, problem.instance) == ("d", "/i")
    assert not hasattr(problem, "new")


@pytest.mark.parametrize("model", [Problem, *DATA])
@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[1]", b'"text"', b"null", b"1", b'{"a": 1}', b"\xff", b"[" * 9999]
)
def test_where_there_is_no_document_its_defaults_apply(model: type[Problem], content: bytes) -> None:
    problem = model.read(content, 404)
    assert type(problem) is model
    assert problem == model(title="Not Found", type="about:blank", status=404, detail=None, instance=None)


@pytest.mark.parametrize(
    ("wrong", "member", "default"),
    [
        ({"title": 7}, "title", "Bad Request"),
        ({"title": None}, "title", "Bad Request"),
        ({"type": {}}, "type", "about:blank"),
        ({"type": None}, "type", "about:blank"),
        ({"status": "four hundred"}, "status", 400),
        ({"status": [400]}, "status", 400),
        ({"status": 400.5}, "status", 400),
        ({"detail": ["d"]}, "detail", None),
        ({"instance": 1}, "instance", None),
        ({"fields": {"field": "f"}}, "fields", None),
        ({"fields": [{"field": "f"}]}, "fields", None),
        ({"fields": ["f"]}, "fields", None),
    ],
)
def test_a_member_of_the_wrong_type_is_left_out_and_the_others_stay(
    wrong: dict[str, Any], member: str, default: object
) -> None:
    good = {"title": "t", "type": "/errors/invalid-data", "status": 400, "detail": "d", "instance": "/i"}
    problem = problems.BadRequestErrorData.read(json.dumps({**good, **wrong}).encode(), 400)
    assert getattr(problem, member) == default
    for name, value in good.items():
        assert name == member or getattr(problem, name) == value


def test_several_wrong_members_are_all_left_out() -> None:
    content = b'{"title": 1, "type": 2, "status": "x", "detail": "d", "instance": {}, "fields": 3}'
    assert problems.BadRequestErrorData.read(content, 400) == problems.BadRequestErrorData(
        title="Bad Request", status=400, detail="d"
    )


def test_the_fields_of_a_bad_request_are_read() -> None:
    content = b'{"title": "t", "fields": [{"field": "prompt", "rule": "max", "message": "too long", "new": 1}]}'
    problem = problems.BadRequestErrorData.read(content, 400)
    assert problem.fields == [models.FieldError(field="prompt", rule="max", message="too long")]


def test_only_a_bad_request_has_fields() -> None:
    assert [model for model in DATA if "fields" in model.model_fields] == [problems.BadRequestErrorData]


@given(
    st.sampled_from(DATA),
    st.dictionaries(st.sampled_from(["title", "type", "status", "detail", "instance", "fields", "new"]), JSON),
)
def test_reading_a_document_never_fails(model: type[Problem], document: dict[str, Any]) -> None:
    problem = model.read(json.dumps(document).encode(), 400)
    assert isinstance(problem.title, str)
    assert isinstance(problem.type, str)
    if isinstance(document.get("detail"), str):
        assert problem.detail == document["detail"]


@given(st.sampled_from(DATA), st.binary(), st.integers())
def test_reading_bytes_never_fails(model: type[Problem], content: bytes, status: int) -> None:
    assert isinstance(model.read(content, status), model)
