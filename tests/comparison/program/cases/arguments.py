"""What each operation sends for its arguments, and which arguments it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..packages import OPERATIONS, models
from ..stage import Stage, call_case, case
from ..wire import CREATED, DELETED, DONE, MINIMAL, MISSED, SUCCESS

_STRATEGY = models.SearchStrategy
_QUERY = {
    "prompt": "What is it?",
    "similarity_threshold": 0.85,
    "search_strategies": [_STRATEGY.EXACT, _STRATEGY.SEMANTIC],
    "attributes": {"topic": "ai", "language": "en"},
    "max_results": 3,
}
_PER_CALL = {"retries": None, "timeout_ms": 3000, "http_headers": {"X-Own": "own"}}

FULL: Mapping[str, Mapping[str, Any]] = {
    "set": {
        "prompt": "What is it?",
        "response": 'It is this: \u00fc \u2603 \U0001f600 " \\ / \n',
        "attributes": {"topic": "ai", "language": "en"},
        "ttl_millis": 60_000,
    },
    "search": _QUERY,
    "conversational_search": {**_QUERY, "context": ["First?", "Second?"]},
    "delete_by_id": {"entry_id": "0123456789abcdef0123456789abcdef"},
    "delete_query": {"attributes": {"topic": "ai", "language": "en"}},
    "flush": {"request": {}},
}

OPTIONAL: Mapping[str, tuple[str, ...]] = {
    "set": ("attributes", "ttl_millis"),
    "search": ("similarity_threshold", "search_strategies", "attributes", "max_results"),
    "conversational_search": ("similarity_threshold", "search_strategies", "attributes", "max_results", "context"),
    "delete_by_id": (),
    "delete_query": (),
    "flush": ("request",),
}

for _name in OPERATIONS:
    call_case(f"arguments/{_name}/minimal", _name, MINIMAL[_name], SUCCESS[_name])
    call_case(f"arguments/{_name}/full", _name, {**FULL[_name], **_PER_CALL}, SUCCESS[_name])
    _nothing = dict.fromkeys((*OPTIONAL[_name], "retries", "server_url", "timeout_ms", "http_headers"))
    call_case(f"arguments/{_name}/None", _name, {**MINIMAL[_name], **_nothing}, SUCCESS[_name])
    call_case(f"arguments/{_name}/unknown keyword", _name, {**MINIMAL[_name], "unknown": 1}, SUCCESS[_name])

for _name in ("set", "search", "conversational_search", "delete_query"):
    call_case(f"arguments/{_name}/attributes empty", _name, {**MINIMAL[_name], "attributes": {}}, SUCCESS[_name])
    for _label, _value in {
        "int": {"topic": 1},
        "None": {"topic": None},
        "bool": {"topic": True},
        "list": {"topic": ["ai"]},
        "int name": {1: "ai"},
        "no mapping": [("topic", "ai")],
        "string": "topic",
        "bytes": {"topic": b"ai"},
        "empty value": {"topic": ""},
        "comma and slash": {"topic": "a,b/c"},
        "other mapping": MappingProxyType({"topic": "ai"}),
        "umlaut": {"topic": "\u00fc"},
    }.items():
        _arguments = {**MINIMAL[_name], "attributes": _value}
        call_case(f"arguments/{_name}/attributes {_label}", _name, _arguments, SUCCESS[_name])

for _label, _value in {
    "str": ["exact", "semantic"],
    "enum": [_STRATEGY.SEMANTIC],
    "mixed": ["exact", _STRATEGY.SEMANTIC],
    "unknown": ["fuzzy"],
    "unknown among known": [_STRATEGY.EXACT, "fuzzy"],
    "tuple": (_STRATEGY.EXACT,),
    "empty": [],
    "bare str": "exact",
    "bare enum": _STRATEGY.EXACT,
    "upper case": ["EXACT"],
    "int": [1],
    "set": {_STRATEGY.EXACT},
    "dict": {_STRATEGY.EXACT: 1},
}.items():
    call_case(f"arguments/strategies {_label}", "search", {"prompt": "p", "search_strategies": _value}, MISSED)


@case("arguments/strategies generator", MISSED)
async def _generator(stage: Stage) -> None:
    strategies = (strategy for strategy in (_STRATEGY.EXACT, _STRATEGY.SEMANTIC))
    await stage.call("call", stage.client(), "search", prompt="p", search_strategies=strategies)


for _label, _value in {
    "int": 1,
    "0": 0,
    "text": "0.5",
    "word": "high",
    "over 1": 1.5,
    "NaN": float("nan"),
    "infinity": float("inf"),
    "exponent": 1e-7,
    "long": 0.1 + 0.2,
    "whole float": 1.0,
    "bool": True,
}.items():
    call_case(f"arguments/threshold {_label}", "search", {"prompt": "p", "similarity_threshold": _value}, MISSED)

for _label, _value in {
    "0": 0,
    "negative": -1,
    "float": 5.0,
    "fraction": 5.5,
    "text": "5",
    "bool": True,
    "large": 2**63,
}.items():
    call_case(f"arguments/ttl {_label}", "set", {**MINIMAL["set"], "ttl_millis": _value}, CREATED)
    call_case(f"arguments/max_results {_label}", "search", {"prompt": "p", "max_results": _value}, MISSED)

for _label, _value in {
    "None": None,
    "int": 1,
    "empty": "",
    "bytes": b"p",
    "long": "p" * 2000,
    "control characters": "\x00\x1f\x7f\u2028",
    "surrogate": "\ud800",
    "str subclass": type("Text", (str,), {})("p"),
}.items():
    call_case(f"arguments/prompt {_label}", "search", {"prompt": _value}, MISSED)

for _label, _value in {
    "empty": [],
    "tuple": ("First?",),
    "bare str": "First?",
    "int": [1],
    "generator": iter(["First?"]),
}.items():
    call_case(
        f"arguments/context {_label}",
        "conversational_search",
        {"prompt": "p", "context": _value},
        SUCCESS["conversational_search"],
        modes=("sync",) if _label == "generator" else ("sync", "async"),
    )

call_case("arguments/search without a prompt", "search", {}, MISSED)
call_case("arguments/set without a response", "set", {"prompt": "p"}, CREATED)
call_case("arguments/delete_query without attributes", "delete_query", {}, DELETED)
call_case("arguments/delete_query attributes given as None", "delete_query", {"attributes": None}, DELETED)
call_case("arguments/delete_by_id without an id", "delete_by_id", {}, DONE)
call_case("arguments/delete_by_id None", "delete_by_id", {"entry_id": None}, DONE)
call_case("arguments/delete_by_id int", "delete_by_id", {"entry_id": 7}, DONE)
call_case("arguments/flush request model", "flush", {"request": models.FlushRequest()}, DONE)
call_case("arguments/flush request with a member", "flush", {"request": {"unknown": 1}}, DONE)
call_case("arguments/flush request of another type", "flush", {"request": 5}, DONE)


@case("arguments/positional", MISSED)
async def _positional(stage: Stage) -> None:
    client = stage.client()
    for operation in OPERATIONS:
        await stage.call(operation, client, operation, "p")
