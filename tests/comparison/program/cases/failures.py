"""What becomes of error answers."""

from __future__ import annotations

from typing import Any

from ..packages import OPERATIONS, errors
from ..stage import Stage, call_case, case
from ..wire import MINIMAL, answer, problem, text_answer

TYPES = {
    400: ("/errors/invalid-data",),
    401: ("/errors/authentication-failed",),
    403: ("/errors/insufficient-permissions",),
    404: (
        "/errors/resource-not-found",
        "/errors/resource/not-found",
        "/errors/cache/not-found",
        "/errors/cache/entry/not-found",
        "/errors/token/not-found",
    ),
    413: ("/errors/payload-too-large",),
    424: (
        "/errors/resource-unavailable",
        "/errors/database-out-of-memory",
        "/errors/database/resource-database-unavailable",
        "/errors/database/out-of-memory",
        "/errors/embeddings/unauthorized",
        "/errors/embeddings/too-many-requests",
        "/errors/cache/index-not-found",
    ),
    429: ("/errors/too-many-requests",),
    500: (
        "/errors/unexpected-error",
        "/errors/cache/authentication",
        "/errors/cache/unexpected-error",
        "/errors/embeddings/unexpected-error",
    ),
}
"""The types of problem that each status comes with, in both dialects."""


def _add(label: str, scripted: Any, operation: str = "search") -> None:
    call_case(f"failures/{label}", operation, MINIMAL[operation], scripted)


for _status, _types in TYPES.items():
    for _type in _types:
        _add(f"{_status}/{_type}", problem(_status, _type))
    _document = {"title": "A title", "type": _types[0]}
    _add(f"{_status}/unknown type", problem(_status, "/errors/unheard-of"))
    _add(f"{_status}/only title and type", answer(_status, _document))
    _add(f"{_status}/extra members", problem(_status, _types[0], more={"a": 1}))
    _add(f"{_status}/status of another", problem(_status, _types[0], status=418))
    _add(f"{_status}/status as text", problem(_status, _types[0], status=str(_status)))
    _add(f"{_status}/detail a number", problem(_status, _types[0], detail=1))
    _add(f"{_status}/without a title", answer(_status, {"type": _types[0], "detail": "A detail"}))
    _add(f"{_status}/foreign JSON", answer(_status, {"error": {"message": "no"}}))
    _add(f"{_status}/JSON list", answer(_status, ["no"]))
    _add(f"{_status}/JSON as problem+json", text_answer(_status, '{"title": "T"}', "application/problem+json"))
    _add(f"{_status}/cut off JSON", text_answer(_status, '{"title": "T', "application/json"))
    _add(f"{_status}/empty body", answer(_status))
    _add(f"{_status}/empty body, no type", text_answer(_status, "", None))
    _add(f"{_status}/HTML", text_answer(_status, "<p>Sorry</p>"))
    _add(f"{_status}/text with charset", text_answer(_status, "Nicht mit mir: \xfc", "text/plain; charset=latin-1"))
    _add(f"{_status}/long body", problem(_status, _types[0], detail="x" * 20_000))

for _name in OPERATIONS:
    for _status in (400, 404, 500):
        _add(f"{_name}/{_status}", problem(_status, TYPES[_status][0]), _name)

_FIELD = {"field": "prompt", "rule": "maxLength", "message": "too long"}
for _label, _fields in {
    "one": [_FIELD],
    "two": [_FIELD, {**_FIELD, "field": "response"}],
    "none": [],
    "null": None,
    "extra members": [{**_FIELD, "more": 1}],
    "incomplete": [{"field": "prompt"}],
    "no list": {"prompt": "too long"},
}.items():
    _add(f"400/fields {_label}", problem(400, "/errors/invalid-data", fields=_fields))
_add(
    "400/no attributes configured",
    problem(400, "/errors/invalid-data", detail="no attributes are configured for this cache"),
)

for _status in (402, 405, 408, 409, 411, 415, 418, 422, 451, 499, 501, 502, 503, 504, 507, 599):
    _add(f"{_status}/problem", problem(_status, "/errors/unheard-of"))
    _add(f"{_status}/empty body", answer(_status))
    _add(f"{_status}/HTML", text_answer(_status, "<p>Sorry</p>"))
    _add(f"{_status}/text", text_answer(_status, "Sorry", "text/plain"))
_add("503/long HTML", text_answer(503, "x" * 20_000))
_add("503/no type", text_answer(503, "Sorry", None))

for _status in (300, 304, 305):
    _add(f"{_status}/no redirect", answer(_status))
for _status in (600, 799):
    _add(f"{_status}/problem", problem(_status, "/errors/unheard-of"))


def _redirect(status: int) -> None:
    target = "/elsewhere"

    async def redirect(stage: Stage) -> None:
        await stage.call("call", stage.client(), "search", prompt="p")

    case(f"failures/{status}/redirect", answer(status, None, ("Location", target)), answer(200, {"data": []}))(redirect)


for _status in (301, 302, 303, 307, 308):
    _redirect(_status)

_add("302/without a location", answer(302))


@case("failures/raised as itself and as its base", problem(404, "/errors/resource-not-found"))
async def _caught(stage: Stage) -> None:
    try:
        await stage.invoke(stage.client(), "search", prompt="p")
    except errors.NotFoundErrorResponseContent as error:
        stage.note("caught", [isinstance(error, errors.LangCacheError), "not-found" in str(error)])


def _in_depth(label: str, scripted: Any) -> None:
    async def play(stage: Stage) -> None:
        await stage.examine(stage.client(), "search", prompt="p")

    case(f"failures/in depth/{label}", scripted)(play)


for _status, _types in TYPES.items():
    _in_depth(f"{_status}", problem(_status, _types[0]))
_in_depth(
    "503", text_answer(503, "Sorry", "text/plain", ("X-Request-Id", "1"), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d"))
)
_in_depth("wrong shape", answer(200, {"data": 1}))
