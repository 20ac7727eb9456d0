"""What spans and metrics say of a call, by the conventions for HTTP clients, and beside these in ``langcache.*``.

Source: OpenTelemetry's semantic conventions for HTTP, version 1.27. The text of an error is left out: it may quote the
prompt. So are queries and user information of URLs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, Union, cast
from urllib.parse import urlsplit

from ..errors import LangCacheError
from ..http import Request, Response, display_url, request_id_of
from ..operations import OPERATIONS
from ..outcomes import Outcome

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.27.0"

Attributes = dict[str, Union[str, bool, int, float]]

_TEMPLATES: Final = {operation.name: operation.path for operation in OPERATIONS}
_PORTS: Final = {"http": 80, "https": 443}


def is_http(request: Request) -> bool:
    """Say whether `request` is sent over HTTP; the embedded data plane, say, is asked without."""
    return request.url.partition("://")[0].lower() in _PORTS


def span_name(request: Request) -> str:
    """Return the method and the template of the path, which is the same for all calls of an operation."""
    if not is_http(request):
        return f"langcache {request.operation}"
    template = _TEMPLATES.get(request.operation)
    return request.method if template is None else f"{request.method} {template}"


def of_request(request: Request) -> Attributes:
    """Return what is known when a call begins, which may decide whether it is sampled."""
    http: Attributes = {**of_series(request), "url.full": display_url(request.url)} if is_http(request) else {}
    return {
        **http,
        **_known(
            {
                "langcache.operation": request.operation,
                "langcache.cache_id": request.options.get("cache_id"),
                "langcache.request_id": request.options.get("request_id"),
            }
        ),
    }


def of_series(request: Request) -> Attributes:
    """Return what tells one series of measurements from another."""
    return _known(
        {
            "http.request.method": request.method,
            "url.template": _TEMPLATES.get(request.operation),
            **of_server(request.url),
        }
    )


def of_cache(request: Request) -> Attributes:
    """Return what tells one series of counts from another."""
    return _known({"langcache.operation": request.operation, "langcache.cache_id": request.options.get("cache_id")})


def of_server(url: str) -> Attributes:
    """Return the server's address and port; nothing where the URL names none."""
    scheme, separator, rest = url.partition("://")
    return dict(_of_origin(scheme + separator + rest.partition("/")[0]))


@lru_cache(maxsize=256)
def _of_origin(origin: str) -> tuple[tuple[str, Union[str, bool, int, float]], ...]:
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:  # a URL of a middleware's making
        return ()
    return tuple(_known({"server.address": host, "server.port": port}).items())


def of_outcome(outcome: Outcome, is_http: bool) -> Attributes:
    """Return what is known when a call has ended, and of HTTP where it `is_http`."""
    is_search = outcome.kind in ("hit", "miss")
    return _known(
        {
            "http.response.status_code": outcome.status_code if is_http else None,
            "error.type": error_type(outcome.error, outcome.status_code),
            "langcache.hit": outcome.kind == "hit" if is_search else None,
            "langcache.entries": len(outcome.entry_ids) if is_search else None,
            "langcache.similarity": outcome.similarity,
            "langcache.strategy": outcome.strategy,
            "langcache.deleted": outcome.deleted,
            "langcache.degraded": outcome.kind == "degraded" or None,
            "langcache.server_request_id": outcome.server_request_id,
        }
    )


def of_attempt(number: int, seconds: float, response: Response | None, error: BaseException | None) -> Attributes:
    """Return what is known of an attempt when it has ended, with an answer or with an error."""
    told = error if isinstance(error, LangCacheError) else response
    status = None if told is None else told.status_code or None
    return _known(
        {
            "langcache.attempt.number": number,
            "langcache.attempt.duration": seconds,
            "http.response.status_code": status,
            "error.type": error_type(error, status),
            "langcache.server_request_id": None if told is None else request_id_of(told.headers),
        }
    )


def error_type(error: BaseException | None, status: int | None) -> str | None:
    """Return the status of an error answer, or the class of another error; None where there is none."""
    if error is None:
        return None
    if status and not 200 <= status < 300:
        return str(status)
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def of_prompt(request: Request) -> Attributes:
    """Return the prompt of a call, and the response that it stores, where its body has them."""
    try:
        body: Any = request.json()
    except ValueError:
        return {}
    if not isinstance(body, dict):
        return {}
    members = cast("dict[str, Any]", body)
    return _texts({"langcache.prompt": members.get("prompt"), "langcache.response": members.get("response")})


def of_response(response: Response) -> Attributes:
    """Return the response that was found, of the best entry."""
    parsed = response.extensions.get("parsed")
    entries: Any = None if parsed is None else getattr(parsed.result, "data", None)
    return _texts({"langcache.response": entries[0].response}) if entries else {}


def _texts(values: dict[str, Any]) -> Attributes:
    return {name: value for name, value in values.items() if isinstance(value, str)}


def _known(values: dict[str, Any]) -> Attributes:
    return {name: value for name, value in values.items() if value is not None}
