"""Whose User-Agent is sent: that of the call, else the caller's client's, else ours, and never a library's default."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import cast

from langcache.http import Request

_NAME = "User-Agent"
_OURS = re.compile(r"langcache/\S+ python/\S+")
"""The one that every request has where the call, or a middleware, gives no other."""

_OF_LIBRARIES = ("python-httpx/", "python-requests/", "python-urllib3/")


def default(request: Request) -> str | None:
    """Return our own User-Agent where the request has no other."""
    value = request.headers.get(_NAME, "")
    return value if _OURS.fullmatch(value) else None


def without_default(request: Request) -> dict[str, str]:
    """Return the request's headers but for our own User-Agent, which `complete` adds where nobody sets another."""
    ours = default(request)
    return {name: value for name, value in request.headers.items() if ours is None or name.lower() != _NAME.lower()}


def complete(headers: object, request: Request) -> None:
    """Add our own User-Agent to the `headers` that a library has put together, unless the caller's client set one."""
    ours = default(request)
    if ours is not None and not _has_callers(headers) and isinstance(headers, MutableMapping):
        cast("MutableMapping[str, str]", headers)[_NAME] = ours


def beside(headers: object, request: Request) -> dict[str, str]:
    """Return the request's headers, but for our own User-Agent where `headers` of the caller's client have one."""
    return without_default(request) if _has_callers(headers) else request.headers.as_dict()


def _has_callers(headers: object) -> bool:
    if not isinstance(headers, Mapping):
        return False
    items = cast("Mapping[object, object]", headers).items()
    values = [value for name, value in items if str(name).lower() == _NAME.lower()]
    return any(value and not str(value).startswith(_OF_LIBRARIES) for value in values)
