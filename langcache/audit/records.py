"""Records: what an audit tells of a call or of an attempt, frozen, and its form in JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final, Literal

from ..outcomes import Kind, Outcome
from .prompts import Prompt

SCHEMA: Final = 1
"""The version of the JSON form. A new member does not change it; another name or meaning does."""


@dataclass(frozen=True)
class AuditRecord:
    """One call, or one attempt of it. What is not known, or does not apply, is None or empty.

    It has neither the key, nor a header, nor the text of a response or of an error; of the prompt it has what the
    caller chose.
    """

    kind: Literal["call", "attempt"]
    time: datetime
    """When it began, in UTC."""
    actor: str | None
    operation: str
    cache_id: str | None
    request_id: str | None
    """The id that the client gave the call; its attempts have the same one."""
    server_request_id: str | None
    outcome: Kind
    """``hit``, ``miss``, ``done``, ``degraded`` or ``failed``; of an attempt ``done`` or ``failed``."""
    status_code: int | None
    error: str | None
    """The class of the error that it ended with, or would have ended with where it is degraded."""
    entry_ids: tuple[str, ...]
    """The entries that were found, the best first, or the one that was stored, or was to be deleted."""
    similarity: float | None
    strategy: str | None
    deleted: int | None
    """How many entries were deleted, where the service tells."""
    attempt: int | None
    """Which attempt of its call it is, from 1; None for a call."""
    attempts: int | None
    """How many attempts the call took; None for an attempt."""
    duration_ms: float
    transport: str | None
    request_bytes: int
    response_bytes: int | None
    prompt: Prompt | None = None
    lost: int = 0
    """How many records this process has lost, by its audit's policy, since the one that it wrote before this one."""

    def as_dict(self) -> dict[str, Any]:
        """Return the members of the JSON form, in their order."""
        members: dict[str, Any] = {"schema": SCHEMA, **self.__dict__}
        members["time"] = rfc3339(self.time)
        members["entry_ids"] = list(self.entry_ids)
        members["prompt"] = None if self.prompt is None else self.prompt.as_dict()
        return members

    def json(self) -> str:
        """Return the JSON form: one line of ASCII, with the members always in the same order."""
        return _encode(self.as_dict())


_encode: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def rfc3339(time: datetime) -> str:
    """Return a moment in UTC in the form of RFC 3339, with milliseconds."""
    return f"{time.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def record_of(
    kind: Literal["call", "attempt"],
    outcome: Outcome,
    *,
    began: float,
    seconds: float,
    actor: str | None,
    prompt: Prompt | None = None,
    attempt: int | None = None,
) -> AuditRecord:
    """Return the record of what became of a call or of an attempt, which `began` at a time of the system's clock."""
    similarity = outcome.similarity
    record = object.__new__(AuditRecord)  # the class's own way does nothing else, but takes several times as long
    record.__dict__.update(
        kind=kind,
        time=datetime.fromtimestamp(began, timezone.utc),
        actor=actor,
        operation=outcome.operation,
        cache_id=outcome.cache_id,
        request_id=outcome.request_id,
        server_request_id=outcome.server_request_id,
        outcome=outcome.kind,
        status_code=outcome.status_code,
        error=None if outcome.error is None else type(outcome.error).__name__,
        entry_ids=outcome.entry_ids,
        # JSON knows neither infinity nor "not a number", which a service's answer can have all the same.
        similarity=similarity if similarity is not None and math.isfinite(similarity) else None,
        strategy=outcome.strategy,
        deleted=outcome.deleted,
        attempt=attempt,
        attempts=outcome.attempts if kind == "call" else None,
        duration_ms=round(seconds * 1000, 3),
        transport=outcome.transport,
        request_bytes=outcome.request_bytes,
        response_bytes=outcome.response_bytes,
        prompt=prompt,
        lost=0,
    )
    return record
