"""The public surface, pinned: a change here is a change for users, and belongs into the changelog."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import re
import time
from types import ModuleType
from typing import Any, get_type_hints
from unittest.mock import AsyncMock, create_autospec, patch

import pytest
from pydantic import BaseModel

import langcache
from langcache import LangCache, Response, errors, httpclient, models, types, utils
from langcache.models.problems import problem_of
from tests import user_code

OPTIONS = (
    "retries: 'Retries' = Unset(), server_url: 'str | None' = None, "
    "timeout_ms: 'float | None' = None, http_headers: 'Mapping[str, str] | None' = None, "
    "deadline_ms: 'float | None' = None, breaker: 'OptionalNullable[BreakerPolicy]' = Unset(), "
    "on_failure: 'OnFailure | None' = None"
)
SEARCH = (
    "self, *, prompt: 'str', similarity_threshold: 'float | None' = None, "
    "search_strategies: 'Iterable[models.SearchStrategy | str] | None' = None, "
    "attributes: 'Mapping[str, str] | None' = None, max_results: 'int | None' = None, "
)

SIGNATURES = {
    "__init__": (
        "(self, server_url: 'str | None' = None, api_key: 'ApiKey | KeyProvider | None' = None, "
        "cache_id: 'str | None' = None, client: 'object | None' = None, async_client: 'object | None' = None, "
        "retry_config: 'Retries' = Unset(), timeout_ms: 'float | None' = None, "
        "debug_logger: 'Logger | None' = None, *, transport: 'str | Transport | AsyncTransport | None' = None, "
        "async_transport: 'str | AsyncTransport | None' = None, plugins: 'Iterable[object]' = (), "
        "pool_size: 'int' = 32, tls: 'TLSConfig | None' = None, proxy: 'str | SecretText | None' = None, "
        "no_proxy: 'str | Iterable[str] | None' = None, trust_env: 'bool' = True, "
        "connect_timeout_ms: 'float | None' = None, idle_timeout_ms: 'float | None' = None, "
        "max_response_bytes: 'int | None' = None, deadline_ms: 'float | None' = None, "
        "breaker: 'BreakerPolicy | None' = None, on_failure: 'OnFailure' = 'raise', "
        "request_id_header: 'str | None' = 'X-Request-ID', without: 'Iterable[str]' = (), "
        "autoload: 'bool' = False, required: 'bool | Iterable[str]' = False, "
        "order: 'Mapping[str, str] | None' = None, hit_saves: 'HitSavings | None' = None) -> 'None'"
    ),
    "set": (
        "(self, *, prompt: 'str', response: 'str', attributes: 'Mapping[str, str] | None' = None, "
        f"ttl_millis: 'int | None' = None, {OPTIONS}) -> 'models.SetResponse'"
    ),
    "search": f"({SEARCH}{OPTIONS}) -> 'models.SearchResponse'",
    "conversational_search": (
        f"({SEARCH}context: 'Iterable[str] | None' = None, {OPTIONS}) -> 'models.ConversationalSearchResponseContent'"
    ),
    "delete_by_id": f"(self, *, entry_id: 'str', {OPTIONS}) -> 'None'",
    "delete_query": f"(self, *, attributes: 'Mapping[str, str]', {OPTIONS}) -> 'models.DeleteQueryResponse'",
    "flush": (
        f"(self, *, request: 'models.FlushRequest | models.FlushRequestTypedDict | None' = None, {OPTIONS}) -> 'None'"
    ),
    "health": f"(self, *, {OPTIONS}) -> 'models.HealthResponse'",
    "statistics": "(self) -> 'models.Statistics'",
    "reset_statistics": "(self) -> 'None'",
}

METHODS = [name for name in SIGNATURES if name not in ("__init__", "statistics", "reset_statistics")]

_MODEL_NAMES = """
    CacheEntry CacheEntryTypedDict ConversationalSearchBody ConversationalSearchBodyTypedDict
    ConversationalSearchResponseContent ConversationalSearchResponseContentTypedDict DeleteQueryRequest
    DeleteQueryRequestTypedDict DeleteQueryResponse DeleteQueryResponseTypedDict FieldError FieldErrorTypedDict
    SearchRequest SearchRequestTypedDict SearchResponse SearchResponseTypedDict SearchStrategy Security
    SecurityTypedDict SetRequest SetRequestTypedDict SetResponse SetResponseTypedDict AuthenticationErrorType
    AuthenticationErrorURI BadRequestErrorType BadRequestErrorURI FailedDependencyErrorType ForbiddenErrorType
    ForbiddenErrorURI NotFoundErrorType NotFoundErrorURI PayloadTooLargeErrorType PayloadTooLargeErrorURI
    ResourceUnavailableErrorURI TooManyRequestsErrorType TooManyRequestsErrorURI UnexpectedErrorType
    UnexpectedErrorURI FlushRequest FlushRequestTypedDict DeleteByIDRequest DeleteByIDRequestTypedDict
"""
MODEL_NAMES = _MODEL_NAMES.split()

STATUS_NAMES = {
    "BadRequestError": 400,
    "AuthenticationError": 401,
    "ForbiddenError": 403,
    "NotFoundError": 404,
    "PayloadTooLargeError": 413,
    "FailedDependencyError": 424,
    "ResourceUnavailableError": 424,
    "TooManyRequestsError": 429,
    "UnexpectedError": 500,
}

ENTRY = {
    "id": "1",
    "prompt": "p",
    "response": "r",
    "attributes": {"language": "en"},
    "similarity": 1,
    "searchStrategy": "exact",
}
ENTRY_DUMP = {
    "id": "1",
    "prompt": "p",
    "response": "r",
    "attributes": {"language": "en"},
    "similarity": 1.0,
    "search_strategy": models.SearchStrategy.EXACT,
}
ENTRY_REPR = (
    "CacheEntry(id='1', prompt='p', response='r', attributes={'language': 'en'}, similarity=1.0, "
    "search_strategy=<SearchStrategy.EXACT: 'exact'>)"
)
RESULTS: dict[str, tuple[BaseModel, dict[str, Any], str]] = {
    "SetResponse": (
        models.SetResponse.model_validate({"entryId": "e"}),
        {"entry_id": "e"},
        "SetResponse(entry_id='e')",
    ),
    "SearchResponse": (
        models.SearchResponse.model_validate({"data": [ENTRY]}),
        {"data": [ENTRY_DUMP]},
        f"SearchResponse(data=[{ENTRY_REPR}])",
    ),
    "ConversationalSearchResponseContent": (
        models.ConversationalSearchResponseContent.model_validate({"actualPrompt": "q", "data": [ENTRY]}),
        {"actual_prompt": "q", "data": [ENTRY_DUMP]},
        f"ConversationalSearchResponseContent(actual_prompt='q', data=[{ENTRY_REPR}])",
    ),
    "DeleteQueryResponse": (
        models.DeleteQueryResponse.model_validate({"deletedEntriesCount": 2}),
        {"deleted_entries_count": 2},
        "DeleteQueryResponse(deleted_entries_count=2)",
    ),
}

ABSENT = (
    "results", "entries", "hits", "hit", "match", "matches", "response", "get", "__len__", "__getitem__",
)  # fmt: skip


@pytest.mark.parametrize("name", SIGNATURES)
@pytest.mark.parametrize("suffix", ["", "_async"])
def test_frameworks_can_read_the_types_of_every_method(name: str, suffix: str) -> None:
    """Those that make tools or dependencies of methods do, and the models load for it."""
    method = getattr(LangCache, name + suffix, None)
    if method is None:
        assert name in ("__init__", "statistics", "reset_statistics")
        return
    hints = get_type_hints(method)
    assert hints.keys() >= {"return"}
    assert not any(isinstance(hint, str) for hint in hints.values())


@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name: str) -> None:
    """Arguments, their order, kinds, types and defaults, and the result's type."""
    assert str(inspect.signature(getattr(LangCache, name))) == SIGNATURES[name]


@pytest.mark.parametrize("name", METHODS)
def test_sync_and_async_are_alike(name: str) -> None:
    """The same signature, and only the async one is a coroutine function."""
    plain, twin = getattr(LangCache, name), getattr(LangCache, f"{name}_async")
    assert inspect.signature(plain) == inspect.signature(twin)
    assert inspect.iscoroutinefunction(twin)
    assert not inspect.iscoroutinefunction(plain)


def test_the_client_has_no_other_public_methods() -> None:
    public = {name for name in dir(LangCache) if not name.startswith("_")}
    others = {"aclose", "close", "explain", "reset_statistics", "statistics"}
    assert public == {*METHODS, *(f"{name}_async" for name in METHODS), *others}


@pytest.mark.parametrize("name", METHODS)
def test_positional_arguments_and_unknown_keywords_are_type_errors(name: str) -> None:
    client: Any = LangCache("embedded://", cache_id="c")
    with pytest.raises(TypeError, match="positional argument"):
        getattr(client, name)("p")
    with pytest.raises(TypeError, match="unexpected keyword argument 'unknown'"):
        getattr(client, name)(unknown=1)


def test_delete_query_requires_attributes() -> None:
    client: Any = LangCache("embedded://", cache_id="c")
    with pytest.raises(TypeError, match="attributes"):
        client.delete_query()


def test_names_of_the_package() -> None:
    assert set(langcache.__all__) >= {"LangCache", "errors", "models", "types", "utils", "httpclient"}
    assert langcache.__version__.count(".") == 2


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (models, MODEL_NAMES),
        (utils, ["RetryConfig", "BackoffStrategy"]),
        (types, ["BaseModel", "OptionalNullable", "UNSET"]),
        (httpclient, ["HttpClient", "AsyncHttpClient"]),
        (errors, ["LangCacheError", "APIError", "NoResponseError", "ResponseValidationError"]),
    ],
)
def test_names_of_the_specification(module: ModuleType, names: list[str]) -> None:
    assert [name for name in names if not hasattr(module, name)] == []


@pytest.mark.parametrize("name", ["cacheentry", "searchresponse", "searchstrategy", "setresponse"])
def test_submodules_that_programs_import(name: str) -> None:
    module = importlib.import_module(f"langcache.models.{name}")
    [public] = [key for key in models.__all__ if key.lower() == name]
    assert getattr(module, public) is getattr(models, public)


def test_a_bare_import_reaches_the_submodules() -> None:
    for name in ("errors", "models", "types", "utils", "httpclient"):
        assert inspect.ismodule(getattr(langcache, name))


@pytest.mark.parametrize(("name", "status"), STATUS_NAMES.items())
def test_the_specifications_error_names_are_aliases_of_the_short_ones(name: str, status: int) -> None:
    kind: Any = getattr(errors, f"{name}ResponseContent")
    assert kind is getattr(errors, name.replace("ResourceUnavailable", "FailedDependency"))
    assert (kind.status, problem_of(status)) == (status, getattr(errors, f"{name}ResponseContentData"))
    assert issubclass(kind, errors.LangCacheError)


@pytest.mark.parametrize("name", STATUS_NAMES)
def test_messages_of_error_answers(name: str) -> None:
    """The body as it came; where it is empty, the status in words."""
    status = STATUS_NAMES[name]
    error = errors.error_for(Response(status, {}, b'{"title":"t"}'))
    assert str(error) == error.message == error.body == '{"title":"t"}'
    assert str(errors.error_for(Response(status))).startswith(f"The service answered {status} ")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.error_for(Response(418, {"Content-Type": "text/plain"}, b"tea")),
         "The service answered 418 I'm a Teapot (text/plain): tea"),
        (errors.error_for(Response(503)), "The service answered 503 Service Unavailable with an empty body"),
        (errors.error_for(Response(307, {"Location": "https://h/x?token=1"})),
         "The service answered 307 Temporary Redirect: a redirect to 'https://h/x', which was not followed"),
        (errors.NoResponseError(), "No response received"),
        (errors.LangCacheError("boom", Response(500)), "boom"),
        (errors.ResponseValidationError("Bad answer", Response(200), ValueError("why")), "Bad answer: why"),
        (errors.ConnectError("down"), "down"),
    ],
)  # fmt: skip
def test_messages_of_other_errors(error: errors.LangCacheError, message: str) -> None:
    assert str(error) == error.message == message
    assert repr(error) == f"{type(error).__name__}({message!r})"


@pytest.mark.parametrize(("result", "dump", "shown"), RESULTS.values(), ids=RESULTS)
def test_results_dump_and_show(result: BaseModel, dump: dict[str, Any], shown: str) -> None:
    """Keys in snake_case, enum members, and the same text as ever."""
    assert result.model_dump() == dump
    assert list(result.model_dump()) == list(dump)
    assert repr(result) == shown
    fields = [f"{name}={value!r}" for name, value in result]
    assert str(result) == " ".join(fields)
    assert result


@pytest.mark.parametrize("result", [result for result, _, _ in RESULTS.values()], ids=RESULTS)
@pytest.mark.parametrize("name", ABSENT)
def test_what_results_must_not_have(result: BaseModel, name: str) -> None:
    """Programs tell the versions of the official SDK apart by the absence of these."""
    assert not hasattr(result, name)


def test_a_deleted_count_goes_through_json() -> None:
    assert json.dumps(RESULTS["DeleteQueryResponse"][0].__dict__) == '{"deleted_entries_count": 2}'


@pytest.mark.parametrize("name", METHODS)
def test_autospec_gives_async_mocks_for_async_methods(name: str) -> None:
    for mock in (create_autospec(LangCache), create_autospec(LangCache, instance=True)):
        assert isinstance(getattr(mock, f"{name}_async"), AsyncMock)
        assert not isinstance(getattr(mock, name), AsyncMock)


def test_star_imports_replace_no_names_of_programs() -> None:
    given = {"sleep": time.sleep, "time": time.time, "send": 1, "resolve": 2, "inspect": inspect, "re": re, "Any": Any}
    names: dict[str, Any] = dict(given)
    exec("from langcache import *; from langcache.errors import *; from langcache.utils import *", names)  # noqa: S102
    assert {name: names[name] for name in given} == given
    assert names["APIError"] is errors.APIError
    assert names["ResourceUnavailableErrorResponseContent"] is errors.FailedDependencyError


def test_programs_derive_models_from_the_base() -> None:
    class Own:
        pass

    class Mine(types.BaseModel):
        my_field: Own

    class Plain(types.BaseModel):
        my_field: str

    assert isinstance(Mine(my_field=Own()).my_field, Own)
    assert Plain(my_field="a").model_dump(by_alias=True) == {"my_field": "a"}
    assert isinstance(models.SetResponse(entry_id="e"), types.BaseModel)


def test_the_client_is_a_patch_target() -> None:
    """Before its first use as after, and afterwards it is the client again."""
    for _ in range(2):
        with patch("langcache.LangCache") as mock:
            from langcache import LangCache as Patched

            assert Patched is mock
        assert langcache.LangCache is LangCache


def test_programs_as_users_write_them_run() -> None:
    """What the type checkers were told of them is true."""
    assert user_code.main() == "A place for what was found out before."
    answers = user_code.Answers(user_code.fake())
    assert answers.find("anything") == "r"
    with LangCache("embedded://", cache_id="c") as cache:
        assert asyncio.run(user_code.Answers(cache).find_async("p")) == []
    assert user_code.is_model(cache) is False
    assert user_code.own_error(Response(500)).status_code == 500
