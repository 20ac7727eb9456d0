"""Results, requests and enums as programs build and read them without any call."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pydantic

from ..packages import ENUMS, STATUS_ERRORS, errors, httpx, models, types, utils
from ..stage import Stage, case
from ..wire import ENTRY

_NOT_RESULTS = ("results", "entries", "hits", "hit", "match", "matches", "response", "get", "__len__", "__getitem__")

_BUILT: dict[str, tuple[dict[str, Any], ...]] = {
    "SetResponse": ({"entry_id": "e"}, {"entryId": "e"}, {}, {"entry_id": 1}),
    "SearchResponse": ({"data": []}, {"data": [dict(ENTRY)]}, {}, {"data": ()}),
    "ConversationalSearchResponseContent": ({"actual_prompt": "p", "data": []}, {"actualPrompt": "p", "data": []}),
    "DeleteQueryResponse": ({"deleted_entries_count": 3}, {"deletedEntriesCount": 3}),
    "CacheEntry": (
        {**ENTRY, "unknown": 1},
        {"id": "1", "prompt": "p", "response": "r", "attributes": {}, "similarity": 1, "search_strategy": "exact"},
        {"id": "1", "prompt": "p", "response": "r", "similarity": 1, "search_strategy": "exact"},
    ),
    "SetRequest": (
        {"prompt": "p", "response": "r"},
        {"prompt": "p", "response": "r", "ttlMillis": 5, "attributes": {}},
    ),
    "SearchRequest": (
        {"prompt": "p"},
        {
            "prompt": "p",
            "similarityThreshold": 1,
            "searchStrategies": ["exact"],
            "attributes": {"a": "b"},
            "maxResults": 2,
        },
        {"prompt": "p", "search_strategies": ["fuzzy"]},
    ),
    "ConversationalSearchBody": ({"prompt": "p"}, {"prompt": "p", "context": ["q"], "max_results": 2}),
    "DeleteQueryRequest": ({"attributes": {"a": "b"}}, {"attributes": {}}, {}),
    "DeleteByIDRequest": ({"entry_id": "e"}, {"entryId": "e"}),
    "FlushRequest": ({},),
    "FieldError": ({"field": "f", "rule": "r", "message": "m"}, {"field": "f"}),
}


def _add(name: str, given: tuple[dict[str, Any], ...]) -> None:
    async def play(stage: Stage) -> None:
        kind = getattr(models, name)
        for number, members in enumerate(given):
            stage.observe(f"built {number}", kind, **members)
            stage.observe(f"validated {number}", kind.model_validate, members)
        whole = kind(**given[0])
        stage.note("public names", [each for each in dir(whole) if not each.startswith("_")])
        stage.note("has what no result has", [each for each in _NOT_RESULTS if hasattr(whole, each)])
        stage.observe("pickled", lambda: pickle.loads(pickle.dumps(whole)) == whole)  # noqa: S301 - its own bytes
        stage.observe("copied", lambda: copy.deepcopy(whole) == whole)
        stage.observe("__dict__ as JSON", lambda: json.dumps(whole.__dict__, default=repr))
        stage.observe("equal", lambda: kind(**given[0]) == whole)
        stage.observe("assigned", lambda: setattr(whole, next(iter(kind.model_fields), "x"), 1))
        stage.observe("set unknown", lambda: setattr(whole, "unheard_of", 1))
        stage.note(
            "fields", [[field, info.alias or field, info.is_required()] for field, info in kind.model_fields.items()]
        )
        stage.note(
            "configuration",
            sorted(map(str, {k: v for k, v in kind.model_config.items() if k == "populate_by_name"}.items())),
        )
        stage.note(
            "is a BaseModel of the package and of pydantic",
            [issubclass(kind, types.BaseModel), issubclass(kind, pydantic.BaseModel)],
        )
        stage.observe("adapter", lambda: pydantic.TypeAdapter(kind).validate_python(given[0]))

    case(f"models/{name}", modes=("sync",))(play)


for _name, _given in _BUILT.items():
    _add(_name, _given)


@case("models/Security", modes=("sync",))
async def _security(stage: Stage) -> None:
    stage.note("key", models.Security(api_key="the-key").api_key)
    stage.note("default", models.Security().api_key)
    stage.note("key in repr", "the-key" in repr(models.Security(api_key="the-key")))


@case("models/enums", modes=("sync",))
async def _enums(stage: Stage) -> None:
    for name in ENUMS:
        enum = getattr(models, name)
        for member in enum:
            stage.note(
                f"{name}({member.value!r})", [str(member), isinstance(member, str), enum(member.value) is member]
            )
        stage.note(f"members of {name}", [[member.name, member.value] for member in enum])
        stage.observe(f"{name} unknown", enum, "unheard-of")


@case("models/SearchStrategy", modes=("sync",))
async def _strategy(stage: Stage) -> None:
    strategy = models.SearchStrategy
    exact = strategy.EXACT
    stage.note(
        "equals its text", [exact == "exact", exact == "EXACT", hash(exact) == hash("exact"), exact in ("exact",)]
    )
    stage.note(
        "texts", [str(exact), repr(exact), exact.value, exact.name, f"{exact}", json.dumps(exact), "".join([exact])]
    )
    stage.note("upper", exact.upper())
    stage.observe("by value", lambda: strategy("semantic"))
    stage.observe("by name", lambda: strategy["SEMANTIC"])
    stage.observe("unknown", lambda: strategy("fuzzy"))
    stage.observe("unknown name", lambda: strategy["FUZZY"])
    stage.observe("of a number", lambda: strategy(1))
    stage.observe("of None", lambda: strategy(None))
    stage.observe("without a value", lambda: strategy())
    stage.note("members", [member.name for member in strategy])
    stage.note("length", len(strategy))
    stage.observe("contains a member", lambda: exact in strategy)
    stage.observe("contains unknown text", lambda: "fuzzy" in strategy)
    stage.note("pickled", pickle.loads(pickle.dumps(exact)) is exact)  # noqa: S301 - its own bytes
    stage.note("in a dict", {exact: 1}.get("exact"))


@case("models/RetryConfig", modes=("sync",))
async def _retry_config(stage: Stage) -> None:
    backoff = utils.BackoffStrategy(1, 50, 1.1, 100)
    config = utils.RetryConfig("backoff", backoff, False)
    stage.note("backoff", [backoff.initial_interval, backoff.max_interval, backoff.exponent, backoff.max_elapsed_time])
    stage.note("config", [config.strategy, config.backoff is backoff, config.retry_connection_errors])
    stage.observe("jitter", lambda: utils.BackoffStrategy(1, 50, 1.1, 100, 5).jitter_ms)
    stage.observe("no jitter", lambda: backoff.jitter_ms)
    stage.probe("negative jitter", utils.BackoffStrategy, 1, 50, 1.1, 100, -5)
    stage.observe("statuses", lambda: utils.RetryConfig("backoff", backoff, False, ["404"]).status_codes_override)
    stage.probe("keywords", utils.RetryConfig, strategy="none", backoff=backoff, retry_connection_errors=True)
    stage.probe("too few", utils.RetryConfig, "backoff")
    stage.observe("hash", lambda: isinstance(hash(config), int))
    stage.observe(
        "equal to another with the same values", lambda: config == utils.RetryConfig("backoff", backoff, False)
    )
    stage.observe("assigned", lambda: setattr(config, "strategy", "none"))
    stage.observe("copied", lambda: copy.deepcopy(config).strategy)


@case("models/UNSET", modes=("sync",))
async def _unset(stage: Stage) -> None:
    stage.note("false", bool(types.UNSET))
    stage.note("repr", repr(types.UNSET))
    stage.probe("OptionalNullable", lambda: types.OptionalNullable[int])


class _Response:
    """A response as a program's tests fake it."""

    status_code = 418
    headers = httpx.Headers({"Content-Type": "text/plain", "X-Request-Id": "1"})
    text = "the text"
    content = b"the text"

    def json(self) -> Any:
        return {"a": 1}


def _built(kind: Any, *arguments: Any, **options: Any) -> list[Any]:
    error = kind(*arguments, **options)
    response = error.raw_response
    return [
        str(error),
        error.message,
        error.status_code,
        error.body,
        error.headers.get("content-type"),
        response is None,
    ]


@case("models/errors built by a program", modes=("sync",))
async def _errors(stage: Stage) -> None:
    fake = _Response()
    real = httpx.Response(500, text="real text", headers={"X-Request-Id": "1"})
    for label, response in {"fake": fake, "httpx": real}.items():
        for arguments in (("boom", response), ("boom", response, "body")):
            with_body = " with a body" if len(arguments) == 3 else ""
            stage.observe(f"LangCacheError{with_body} {label}", _built, errors.LangCacheError, *arguments)
            stage.observe(f"APIError{with_body} {label}", _built, errors.APIError, *arguments)
        cause = ValueError("cause")
        stage.observe(
            f"ResponseValidationError {label}", _built, errors.ResponseValidationError, "boom", response, cause
        )
        for name in STATUS_ERRORS.values():
            kind, data_kind = (getattr(errors, f"{name}ErrorResponseContent{suffix}") for suffix in ("", "Data"))
            problem_type = next(iter(getattr(models, f"{name}ErrorType")))
            stage.observe(f"{name} data", _members, data_kind, title="T", type=problem_type)
            stage.observe(f"{name} data without a type", _members, data_kind, title="T")
            stage.observe(f"{name} data without a title", _members, data_kind, type=problem_type)
            stage.observe(f"{name} {label}", _built, kind, data_kind(title="T", type=problem_type), response)
            stage.observe(f"{name} with None {label}", _built, kind, None, response)
    stage.observe("NoResponseError", lambda: str(errors.NoResponseError()))
    stage.observe("NoResponseError with a message", lambda: str(errors.NoResponseError("nothing")))
    stage.observe(
        "NoResponseError is a LangCacheError", lambda: issubclass(errors.NoResponseError, errors.LangCacheError)
    )
    stage.observe("LangCacheError without a response", lambda: errors.LangCacheError("boom"))
    stage.observe("LangCacheError with None", lambda: errors.LangCacheError("boom", None))
    stage.observe("LangCacheError by keyword", _built, errors.LangCacheError, message="boom", raw_response=fake)
    stage.observe("equal", lambda: errors.LangCacheError("boom", fake) == errors.LangCacheError("boom", fake))
    stage.observe("hashable", lambda: isinstance(hash(errors.LangCacheError("boom", fake)), int))
    stage.observe("assigned", lambda: setattr(errors.LangCacheError("boom", fake), "message", "other"))


def _members(kind: Any, **members: Any) -> list[Any]:
    data = kind(**members)
    return [data.title, str(data.type), data.status, data.detail, data.instance, sorted(data.model_dump())]
