"""What becomes of good answers, also of ones that are not as documented."""

from __future__ import annotations

import gzip
from typing import Any

from ..packages import OPERATIONS
from ..stage import call_case
from ..wire import ENTRY, MINIMAL, MISSED, SUCCESS, answer, entry, found, text_answer


def _add(label: str, operation: str, scripted: Any) -> None:
    call_case(f"answers/{operation}/{label}", operation, MINIMAL[operation], scripted)


for _name in OPERATIONS:
    for _status in (200, 201, 202, 204, 206, 299):
        _add(f"status {_status}", _name, {**SUCCESS[_name], "status": _status})
    _add("empty body", _name, answer(200))
    _add("empty body with the documented status", _name, answer(SUCCESS[_name]["status"]))
    _add("HTML", _name, text_answer(SUCCESS[_name]["status"], "<p>Hello</p>"))
    if _name not in ("delete_by_id", "flush"):
        _body = str(SUCCESS[_name]["body"])
        _status = int(SUCCESS[_name]["status"])
        for _label, _type in {
            "charset": "application/json; charset=utf-8",
            "upper case": "Application/JSON",
            "problem": "application/problem+json",
            "vendor": "application/vnd.redis+json",
            "text": "text/plain",
            "none": None,
            "JSON as HTML": "text/html",
        }.items():
            _add(f"content type {_label}", _name, text_answer(_status, _body, _type))
        for _label, _text in {
            "null": "null",
            "list": "[]",
            "empty object": "{}",
            "number": "1",
            "cut off": _body[:-3],
            "byte order mark": "\xef\xbb\xbf" + _body,
            "white space around": f"\n {_body} \n",
            "not UTF-8": _body.replace("a", "\xff"),
        }.items():
            _add(f"body {_label}", _name, text_answer(_status, _text, "application/json"))

_add("extra members", "set", answer(201, {"entryId": "1", "more": {"a": [1]}}))
_add("id as a number", "set", answer(201, {"entryId": 1}))
_add("id null", "set", answer(201, {"entryId": None}))
_add("snake case", "set", answer(201, {"entry_id": "1"}))
_add("count as text", "delete_query", answer(200, {"deletedEntriesCount": "3"}))
_add("count as a float", "delete_query", answer(200, {"deletedEntriesCount": 3.0}))
_add("count as a word", "delete_query", answer(200, {"deletedEntriesCount": "three"}))
_add("count extra members", "delete_query", answer(200, {"deletedEntriesCount": 0, "more": 1}))
_add("no actual prompt", "conversational_search", answer(200, {"data": []}))
_add("actual prompt null", "conversational_search", answer(200, {"actualPrompt": None, "data": []}))
_add("data null", "conversational_search", answer(200, {"actualPrompt": "p", "data": None}))

for _label, _entry in {
    "extra members": entry(more=1, model="m"),
    "unknown strategy": entry(searchStrategy="fuzzy"),
    "strategy exact": entry(searchStrategy="exact"),
    "strategy null": entry(searchStrategy=None),
    "strategy number": entry(searchStrategy=1),
    "strategy missing": entry(searchStrategy=...),
    "similarity int": entry(similarity=1),
    "similarity text": entry(similarity="0.5"),
    "similarity null": entry(similarity=None),
    "similarity missing": entry(similarity=...),
    "id missing": entry(id=...),
    "prompt missing": entry(prompt=...),
    "response null": entry(response=None),
    "response number": entry(response=1),
    "attributes missing": entry(attributes=...),
    "attributes null": entry(attributes=None),
    "attributes empty": entry(attributes={}),
    "attribute number": entry(attributes={"a": 1}),
    "attributes list": entry(attributes=[]),
    "umlaut": entry(prompt="\u00fc \U0001f600"),
}.items():
    _add(f"entry {_label}", "search", found(_entry))

_add("several entries", "search", found(ENTRY, entry(id="2"), entry(id="3", searchStrategy="exact")))
_add("miss", "search", MISSED)
_add("extra members", "search", answer(200, {"data": [], "more": 1}))
_add("data null", "search", answer(200, {"data": None}))
_add("data missing", "search", answer(200, {}))
_add("data an object", "search", answer(200, {"data": {}}))
_add("data NaN", "search", text_answer(200, '{"data": NaN}', "application/json"))
_LATIN = str(found(entry(prompt="a?b"))["body"]).replace("a?b", "a\xfcb")
_add("charset latin-1", "search", text_answer(200, _LATIN, "application/json; charset=latin-1"))


def _zipped(damaged: bool) -> dict[str, Any]:
    body = gzip.compress(str(SUCCESS["search"]["body"]).encode(), mtime=0)
    text = (body[: len(body) // 2] if damaged else body).decode("iso-8859-1")
    return text_answer(200, text, "application/json", ("Content-Encoding", "gzip"))


_add("gzip", "search", _zipped(damaged=False))
_add("gzip cut off", "search", _zipped(damaged=True))
_add("no gzip, though it says so", "search", {**MISSED, "headers": [*MISSED["headers"], ["Content-Encoding", "gzip"]]})
_add("cut off", "search", {"do": "raw", "body": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"})
_add("no HTTP", "search", {"do": "raw", "body": "Hello\r\n\r\n"})
_add(
    "without a length",
    "search",
    {"do": "raw", "body": 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"data": []}'},
)
_add(
    "HTTP/1.0", "search", {"do": "raw", "body": 'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{"data": []}'}
)
