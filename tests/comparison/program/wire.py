"""The answers of the service, for the server's script."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Answer = dict[str, Any]

_JSON = (("Content-Type", "application/json"), ("X-Request-Id", "request-1"))

HANG: Answer = {"do": "hang"}
CLOSE: Answer = {"do": "close"}

ENTRY: Mapping[str, Any] = {
    "id": "0123456789abcdef0123456789abcdef",
    "prompt": "What is it?",
    "response": "It is this.",
    "attributes": {"topic": "ai"},
    "similarity": 0.95,
    "searchStrategy": "semantic",
}


def answer(status: int, body: Any = None, *headers: tuple[str, str], **more: Any) -> Answer:
    """Return an answer with a body in JSON, or with none; `headers` come after the usual ones."""
    text = "" if body is None else json.dumps(body)
    return {"status": status, "headers": [*_JSON, *headers], "body": text, **more}


def text_answer(status: int, body: str, content_type: str | None = "text/html", *headers: tuple[str, str]) -> Answer:
    """Return an answer with a body of another type; its characters stand for bytes."""
    types = [] if content_type is None else [("Content-Type", content_type)]
    return {"status": status, "headers": [*types, *headers], "body": body}


def problem(http_status: int, kind: str, **members: Any) -> Answer:
    """Return an error answer with a problem document of the type `kind`."""
    document = {
        "title": "A title",
        "type": kind,
        "status": http_status,
        "detail": "A detail",
        "instance": "/an/instance",
    }
    return answer(http_status, document | members)


def found(*entries: Mapping[str, Any]) -> Answer:
    """Return the answer of a search that found `entries`."""
    return answer(200, {"data": list(entries)})


def entry(**members: Any) -> dict[str, Any]:
    """Return an entry in which `members` replace others; one that is ``...`` is left out."""
    return {name: value for name, value in {**ENTRY, **members}.items() if value is not ...}


CREATED = answer(201, {"entryId": "0123456789abcdef0123456789abcdef"})
FOUND = found(ENTRY)
MISSED = found()
REFORMULATED = answer(200, {"actualPrompt": "What is it, in full?", "data": [dict(ENTRY)]})
DELETED = answer(200, {"deletedEntriesCount": 3})
DONE: Answer = {"status": 204, "headers": []}
BUSY = problem(503, "/errors/unavailable")

SUCCESS: Mapping[str, Answer] = {
    "set": CREATED,
    "search": FOUND,
    "conversational_search": REFORMULATED,
    "delete_by_id": DONE,
    "delete_query": DELETED,
    "flush": DONE,
}
"""The documented answer of each operation."""

MINIMAL: Mapping[str, Mapping[str, Any]] = {
    "set": {"prompt": "What is it?", "response": "It is this."},
    "search": {"prompt": "What is it?"},
    "conversational_search": {"prompt": "What is it?"},
    "delete_by_id": {"entry_id": "0123456789abcdef0123456789abcdef"},
    "delete_query": {"attributes": {"topic": "ai"}},
    "flush": {},
}
"""The fewest arguments that each operation takes."""
