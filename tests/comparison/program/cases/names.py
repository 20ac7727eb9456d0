"""The names that programs import, their signatures and how they are related."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from typing import Any
from unittest.mock import AsyncMock, create_autospec, patch

import pydantic

from ..packages import (
    ENUMS,
    ERROR_DATA,
    ERRORS,
    OPERATIONS,
    PLAIN_MODELS,
    STATUS_ERRORS,
    errors,
    httpclient,
    langcache,
    models,
    types,
    utils,
)
from ..stage import Stage, case

SUBMODULES = (
    *(
        f"models.{name.lower()}"
        for name in PLAIN_MODELS
        if not name.endswith("Request") or name in ("SetRequest", "SearchRequest", "DeleteQueryRequest")
    ),
    *(f"models.{name.lower()}" for name in ENUMS),
    "models.deletebyidop",
    "models.flushop",
    "models.setop",
    "models.searchop",
    "models.deletequeryop",
    "models.conversationalsearchop",
    *(f"errors.{name.lower()}" for name in ERRORS if name != "NoResponseError"),
    "errors.no_response_error",
    "sdk",
    "basesdk",
    "sdkconfiguration",
    "httpclient",
    "types.basemodel",
    "utils.retries",
    "utils.logger",
    "utils.enums",
)
"""The submodules in which the official SDK keeps public names."""


def _present(module: Any, names: list[str]) -> dict[str, bool]:
    return {name: hasattr(module, name) for name in names}


@case("names/imported", modes=("sync",))
async def _imported(stage: Stage) -> None:
    stage.note(
        "langcache",
        _present(langcache, ["LangCache", "errors", "models", "utils", "types", "__version__", "httpclient"]),
    )
    stage.note("errors", _present(errors, [*ERRORS, *ERROR_DATA]))
    stage.note("models", _present(models, [*PLAIN_MODELS, *(f"{name}TypedDict" for name in PLAIN_MODELS), *ENUMS]))
    stage.note("utils", _present(utils, ["RetryConfig", "BackoffStrategy", "Logger", "OpenEnumMeta"]))
    stage.note(
        "types",
        _present(
            types,
            [
                "BaseModel",
                "OptionalNullable",
                "Nullable",
                "UNSET",
                "UNSET_SENTINEL",
                "UnrecognizedStr",
                "UnrecognizedInt",
            ],
        ),
    )
    stage.note("httpclient", _present(httpclient, ["HttpClient", "AsyncHttpClient", "ClientOwner", "close_clients"]))
    stage.note(
        "root",
        _present(
            langcache,
            ["VERSION", "USER_AGENT", "SDKConfiguration", "BaseSDK", "RetryConfig", "SearchStrategy", "LangCacheError"],
        ),
    )
    stage.note("star", "LangCache" in _starred())


def _starred() -> dict[str, Any]:
    space: dict[str, Any] = {}
    exec("from langcache import *", space)  # noqa: S102 - as programs write it
    return space


@case("names/exported by the generator's modules", modes=("sync",))
async def _exported(stage: Stage) -> None:
    globals_ = [
        f"{name}Globals" for name in ("Set", "Search", "ConversationalSearch", "DeleteByID", "DeleteQuery", "Flush")
    ]
    stage.note("models", _present(models, [*globals_, *(f"{name}TypedDict" for name in globals_), "internal"]))
    stage.note("client", _present(langcache.LangCache, ["sdk_configuration", "close", "aclose", "do_request"]))
    instance = langcache.LangCache("http://host.example", "k", "c")
    stage.note("instance", _present(instance, ["sdk_configuration", "parent_ref"]))


@case("names/submodules", modes=("sync",))
async def _submodules(stage: Stage) -> None:
    for name in SUBMODULES:
        stage.probe(name, importlib.import_module, f"langcache.{name}")


@case("names/from submodules", modes=("sync",))
async def _from_submodules(stage: Stage) -> None:
    for module, name in (
        ("cacheentry", "CacheEntry"),
        ("searchresponse", "SearchResponse"),
        ("searchstrategy", "SearchStrategy"),
        ("setresponse", "SetResponse"),
        ("deletequeryresponse", "DeleteQueryResponse"),
        ("fielderror", "FieldError"),
    ):
        found = getattr(importlib.import_module(f"langcache.models.{module}"), name)
        stage.note(name, [found is getattr(models, name), found.__module__, found.__qualname__])


@case("names/relations", modes=("sync",))
async def _relations(stage: Stage) -> None:
    for name in ERRORS:
        kind = getattr(errors, name)
        stage.note(name, [base for base in ERRORS if issubclass(kind, getattr(errors, base))])
        stage.note(f"{name} is called", kind.__name__)
        stage.note(f"{name} stands in", kind.__module__)
        stage.note(f"{name} is an Exception", issubclass(kind, Exception))
    for name in ERROR_DATA:
        kind = getattr(errors, name)
        stage.note(name, [issubclass(kind, types.BaseModel), issubclass(kind, pydantic.BaseModel)])
        stage.note(f"{name} is called", kind.__name__)
        stage.note(f"{name} fields", sorted(kind.model_fields))
    for name in ENUMS:
        stage.note(name, issubclass(getattr(models, name), str))
    stage.note("statuses", list(STATUS_ERRORS))


def _signature(function: Any) -> list[list[str]]:
    parameters = inspect.signature(function).parameters.values()
    return [[parameter.name, parameter.kind.name, _default(parameter.default)] for parameter in parameters]


def _default(value: Any) -> str:
    return "none" if value is inspect.Parameter.empty else "UNSET" if value is types.UNSET else repr(value)


@case("names/signatures", modes=("sync",))
async def _signatures(stage: Stage) -> None:
    for operation in OPERATIONS:
        for name in (operation, f"{operation}_async"):
            method = getattr(langcache.LangCache, name)
            stage.note(name, _signature(method))
            stage.note(f"{name} is a coroutine function", inspect.iscoroutinefunction(method))
    stage.note("constructor", _signature(langcache.LangCache)[:8])
    for name in ("RetryConfig", "BackoffStrategy"):
        stage.note(name, _signature(getattr(utils, name)))
    for name in ERRORS:
        stage.note(name, _signature(getattr(errors, name)))


@case("names/mocked", modes=("sync",))
async def _mocked(stage: Stage) -> None:
    mock = create_autospec(langcache.LangCache)
    for operation in OPERATIONS:
        stage.note(operation, isinstance(getattr(mock, f"{operation}_async"), AsyncMock))
    with patch("langcache.LangCache") as patched:
        late: Any = importlib.import_module("langcache").LangCache
        stage.note("patched", late is patched)
    stage.note("restored", langcache.LangCache is not patched)
    with patch.object(langcache.LangCache, "search", return_value=1):
        stage.note("method patched", langcache.LangCache("http://host.example").search(prompt="p"))


@case("names/distribution", modes=("sync",))
async def _distribution(stage: Stage) -> None:
    distribution = importlib.metadata.distribution("langcache")
    stage.note("name", distribution.metadata["Name"])
    stage.note("version satisfies >=0.11", tuple(map(int, distribution.version.split(".")))[:2] >= (0, 11))
    stage.note("version is __version__", distribution.version == langcache.__version__)
    stage.note("typed", any(str(path).endswith("langcache/py.typed") for path in distribution.files or ()))
    needs = {line.split(";")[0].split()[0] for line in distribution.requires or () if "extra ==" not in line}
    stage.note("requires httpx", any(name.startswith("httpx") for name in needs))
