"""What can be observed of a value or an exception, as JSON; the same for both packages."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from .packages import ERRORS, errors, httpx

Observation = dict[str, Any]

_BASES: tuple[type[BaseException], ...] = (ValueError, TypeError, RuntimeError, AttributeError, OSError, TimeoutError)


def attempt(deed: Callable[[], Any]) -> Observation:
    """Do `deed` and describe how it ended."""
    try:
        return returned(deed())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        return raised(error)


def returned(value: Any) -> Observation:
    """Describe a result."""
    return {"outcome": "returned", **_value(value)}


def _value(value: Any) -> Observation:
    seen: Observation = {"class": type(value).__name__, "repr": _repr(value)}
    if isinstance(value, BaseModel):
        seen["str"] = str(value)
        seen["true"] = bool(value)
        seen["model_dump"] = repr(value.model_dump())
        seen["by alias"] = repr(value.model_dump(by_alias=True))
        seen["json"] = _text(value.model_dump_json)
        seen["fields"] = {name: _field(getattr(value, name)) for name in type(value).model_fields}
    return seen


def _field(value: object) -> Any:
    if isinstance(value, list):
        return [_field(item) for item in cast("list[object]", value)]
    if isinstance(value, BaseModel):
        return {name: _field(getattr(value, name)) for name in type(value).model_fields}
    return f"{type(value).__name__}: {value!r}"


def raised(error: BaseException) -> Observation:
    """Describe an exception: an error answer by everything that programs read of it, another by its kind."""
    status: Any = getattr(error, "status_code", 0)
    seen: Observation = {
        "outcome": "raised an error answer" if status else "raised",
        "class": specified_name(error),
        "str": str(error),
        "is": [base.__name__ for base in _BASES if isinstance(error, base)]
        + [name for name in ERRORS if isinstance(error, getattr(errors, name))],
        "is pydantic's ValidationError": isinstance(error, ValidationError),
        "is httpx's RequestError": isinstance(error, httpx.RequestError),
    }
    return {**seen, **(_answer(error) if status else {})}


def specified_name(error: BaseException) -> str:
    """Return the specification's name for the class, which is the same in both packages, or else its own."""
    return next((name for name in ERRORS if getattr(errors, name) is type(error)), type(error).__name__)


def _answer(error: Any) -> Observation:
    """Describe what an error answer carries."""
    data, cause = getattr(error, "data", None), getattr(error, "cause", None)
    return {
        "message is str": error.message == str(error),
        "status_code": _field(error.status_code),
        "body": error.body,
        "data": None if data is None else _data(data),
        "cause": None if cause is None else type(cause).__name__,
        "headers": sorted([name.lower(), value] for name, value in error.headers.items()),
        "raw_response": [
            error.raw_response.status_code == error.status_code,
            error.raw_response.text == error.body,
            repr(error.raw_response.content),
        ],
    }


def _data(data: Any) -> Observation:
    members = {name: getattr(data, name) for name in ("title", "type", "status", "detail", "instance")}
    fields = getattr(data, "fields", None)
    return {
        **{name: _field(_plain(value)) for name, value in members.items()},
        "fields": None if fields is None else repr(fields),
        "type is an enum member": isinstance(data.type, Enum),
    }


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def in_depth(error: Any) -> Observation:
    """Describe how an error answer behaves beyond what it carries."""
    return {
        "class name": type(error).__name__,
        "module": type(error).__module__,
        "names the body": error.body in repr(error),
        "args": repr(error.args),
        "headers": _headers(error.headers),
        "raw_response": _raw_response(error.raw_response),
        "data": attempt(lambda: type(error.data).__name__),
        "pickled": attempt(lambda: _copied(pickle.loads(pickle.dumps(error)))),  # noqa: S301 - its own bytes
        "copied": attempt(lambda: _copied(copy.copy(error))),
        "copied deeply": attempt(lambda: _copied(copy.deepcopy(error))),
        "hashable": attempt(lambda: isinstance(hash(error), int)),
    }


def _copied(error: Any) -> bool:
    return bool(str(error) and error.status_code and error.body and error.headers.get("x-request-id"))


def _headers(given: Any) -> Observation:
    return {
        "names": list(given),
        "mapping": isinstance(given, Mapping),
        "any case": [given.get("CONTENT-TYPE"), given.get("content-type"), "Content-Type" in given],
        "missing": attempt(lambda: given["x-missing"])["class"],
        "default": given.get("x-missing", "default"),
        "dict": attempt(lambda: len(dict(given)))["repr"],
        "get_list, multi_items": [hasattr(given, "get_list"), hasattr(given, "multi_items")],
    }


def _raw_response(given: Any) -> Observation:
    return {
        "documented": {name: hasattr(given, name) for name in ("status_code", "headers", "text", "content", "json")},
        "json": attempt(given.json),
        "content type": given.headers.get("Content-Type"),
        "is httpx's Response": isinstance(given, httpx.Response),
        **{
            name: hasattr(given, name)
            for name in ("reason_phrase", "url", "is_error", "is_success", "request", "cookies")
        },
        "raise_for_status": attempt(lambda: given.raise_for_status())["class"],
    }


def _repr(value: Any) -> str:
    return repr(value)


def _text(deed: Callable[[], str]) -> str:
    try:
        return deed()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        return f"{type(error).__name__}: {error}"
