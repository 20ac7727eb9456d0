"""What became of a call, for those that count, log, trace or audit it: read once, in the same way by all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal
from urllib.parse import unquote

from .errors import LangCacheError
from .http import Request, Response, request_id_of

Kind = Literal["hit", "miss", "done", "degraded", "failed"]
"""A search that found something or nothing, another operation that was done, a call that the service did not serve
while the program goes on without it, and one that ended with an error."""


@dataclass(frozen=True)
class Outcome:
    """What became of a call; what is not known, or does not apply, is None or empty."""

    kind: Kind
    operation: str
    cache_id: str | None = None
    transport: str | None = None
    """What sent it, or was to send it."""
    request_id: str | None = None
    """The id that the client gave the call."""
    server_request_id: str | None = None
    attempts: int | None = None
    status_code: int | None = None
    error: BaseException | None = None
    """What it failed with, or what it would have failed with where it is degraded."""
    entry_ids: tuple[str, ...] = ()
    """The entries that were found, the best first, or the one that was stored, or was to be deleted."""
    similarity: float | None = None
    """Of the best entry that was found."""
    strategy: str | None = None
    """The search strategy that found it: ``"exact"`` or ``"semantic"``."""
    deleted: int | None = None
    """How many entries were deleted, where the service tells."""
    request_bytes: int = 0
    """The size of the request's body."""
    response_bytes: int | None = None
    """The size of the answer's body, decoded; None where there was no answer."""


def outcome_of(request: Request, response: Response) -> Outcome:
    """Return what became of a call that was answered; it stands outside of parsing (see `langcache.middleware`)."""
    kind = kind_of(response.extensions)
    if kind == "degraded":
        return _failed(request, response.extensions["degraded"], kind)
    result = _result(response.extensions)
    entries: list[Any] | None = result.get("data")
    return _made(
        request,
        kind=kind,
        server_request_id=request_id_of(response.headers),
        attempts=response.extensions.get("attempts", 1),
        status_code=response.status_code,
        deleted=result.get("deleted_entries_count"),
        response_bytes=len(response.content),
        **(_found(entries) if entries else {"entry_ids": _named(request, result.get("entry_id"))}),
    )


def kind_of(facts: Mapping[str, Any]) -> Kind:
    """Return how a call ended that was answered, by its response's extensions."""
    if facts.get("degraded") is not None:
        return "degraded"
    entries: list[Any] | None = _result(facts).get("data")
    return "done" if entries is None else "hit" if entries else "miss"


def _result(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of the result, where there is one."""
    parsed = facts.get("parsed")
    # By name and not by attribute: a model takes microseconds to say that it has none.
    return {} if parsed is None else getattr(parsed.result, "__dict__", {})


def outcome_of_error(request: Request, error: BaseException) -> Outcome:
    """Return what became of a call that ended with `error`."""
    return _failed(request, error, "failed")


def _failed(request: Request, error: BaseException, kind: Kind) -> Outcome:
    if not isinstance(error, LangCacheError):
        return _made(request, kind=kind, error=error, entry_ids=_named(request))
    return _made(
        request,
        kind=kind,
        server_request_id=error.request_id,
        attempts=error.attempts,
        status_code=error.status_code or None,
        error=error,
        entry_ids=_named(request),
        response_bytes=len(error.raw_response.content) if isinstance(error.raw_response, Response) else None,
    )


def _made(request: Request, **facts: Any) -> Outcome:
    """Return an outcome; the class's own way of making one does nothing else, but takes several times as long."""
    outcome = object.__new__(Outcome)
    options = request.options
    outcome.__dict__.update(
        _UNKNOWN,
        operation=request.operation,
        cache_id=options.get("cache_id"),
        transport=options.get("transport"),
        request_id=options.get("request_id"),
        request_bytes=len(request.content or b""),
        **facts,
    )
    return outcome


_UNKNOWN = {field.name: field.default for field in fields(Outcome)}


def _named(request: Request, stored: str | None = None) -> tuple[str, ...]:
    """Return the entry that was stored, or that the request itself names, in its path."""
    if stored:
        return (stored,)
    return (unquote(request.url.rpartition("/")[2]),) if request.operation == "delete_by_id" else ()


def _found(entries: list[Any]) -> dict[str, Any]:
    best = entries[0]
    strategy = best.search_strategy
    return {
        "entry_ids": tuple(entry.id for entry in entries),
        "similarity": best.similarity,
        "strategy": str(getattr(strategy, "value", strategy)),
    }
