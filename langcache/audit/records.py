"""Records: what an audit tells of a call or of an attempt - who, what, and of the prompt what the caller chose.

1. `AuditRecord` is frozen, and its form in JSON is one line.
2. Who calls is a context variable, `actor`, which travels through threads' contexts and tasks.
3. Of a prompt a record has nothing, unless the caller chooses a treatment. Responses are never treated, because they
   are never recorded.
"""

from __future__ import annotations

import hmac
import json
import math
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final, Literal, Union, cast

from pydantic_core import from_json

from ..errors import AuditError, ConfigurationError
from ..http import Request
from ..outcomes import Kind, Outcome
from ..secret import SecretText, is_secret, revealed
from ..steps import Steps, resolve

# Who

actor: ContextVar[str | None] = ContextVar("langcache.audit.actor", default=None)
"""Who calls, where that is said for a task, a request or a thread; it stands before an audit's own actor.

It is read where a call begins. A task has a copy of the context that it was made in; a new thread begins without one,
unless it is run in a copy (`contextvars.copy_context`).
"""


@contextmanager
def acting_as(name: str) -> Generator[None, None, None]:
    """Have the calls in this ``with`` block recorded as those of `name`."""
    token = actor.set(name)
    try:
        yield
    finally:
        actor.reset(token)


# Keys, which digests are made with

Key = Union[SecretText, bytes]
"""A secret; of pydantic's SecretStr, the UTF-8 encoding is used."""

SHORTEST_KEY: Final = 16
"""How many bytes a key has at the least: a shorter one could be found by trying."""


def key_bytes(name: str, key: Key) -> bytes:
    """Return the argument `name` as bytes; raises ConfigurationError, which does not show it, where it is no key."""
    plain = revealed(key)
    if is_secret(key) and isinstance(plain, str):
        plain = plain.encode("utf-8", "surrogatepass")
    if not isinstance(plain, bytes):
        raise ConfigurationError(f"{name} must be bytes or a SecretStr, not {type(key).__name__}")
    if len(plain) < SHORTEST_KEY:
        raise ConfigurationError(
            f"{name} must have {SHORTEST_KEY} bytes or more, not {len(plain)}; make one with secrets.token_bytes(32)"
        )
    return plain


# Prompts

Redactor = Callable[[str], Union[str, Awaitable[str]]]
"""Returns a text without what is not to be recorded; a plain or an async callable."""


@dataclass(frozen=True)
class Prompt:
    """What a record tells of a call's prompt."""

    form: str
    """What was done with it: ``"plain"`` for nothing, ``"redacted"`` or ``"hmac-sha256"``."""
    text: str
    context: tuple[str, ...] | None = None
    """The same of what was said before, where the call is a conversational search."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as it stands in a record's JSON form."""
        context = {} if self.context is None else {"context": list(self.context)}
        return {"form": self.form, "text": self.text, **context}


class HashedPrompts:
    """Records a keyed hash of a prompt, HMAC-SHA-256 in 64 hexadecimal digits: who has the key can tell it again.

    Without a key, prompts could be found by trying likely ones. Raises ConfigurationError for a key under 16 bytes.
    """

    form = "hmac-sha256"

    def __init__(self, key: Key) -> None:
        self._key = key_bytes("the key of HashedPrompts", key)

    def digest(self, text: str) -> str:
        """Return what a record has in the place of `text`, to find a prompt that is known."""
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256").hex()


class RedactedPrompts:
    """Records what `redact` makes of a prompt. It is called in the caller's thread or task, before anything is sent."""

    form = "redacted"

    def __init__(self, redact: Redactor) -> None:
        if not callable(redact):
            raise ConfigurationError(f"redact must be a callable that takes a text, not {type(redact).__name__}")
        self.redact = redact


Treatment = Union[Literal["none", "plain"], HashedPrompts, RedactedPrompts]
"""What becomes of prompts in records: they are left out, kept as they are, hashed or redacted."""


def checked_treatment(prompts: Treatment) -> Treatment:
    """Return the argument `prompts`; raises ConfigurationError where it is none."""
    if isinstance(prompts, (HashedPrompts, RedactedPrompts)) or prompts in ("none", "plain"):
        return prompts
    shown = repr(prompts) if isinstance(prompts, str) else type(prompts).__name__
    raise ConfigurationError(
        f'prompts must be "none", "plain", HashedPrompts(key) or RedactedPrompts(redact), not {shown}'
    )


def treated(treatment: Treatment, request: Request) -> Steps[Prompt | None]:
    """Return what a record tells of the prompt of `request`; None where it has none, or nothing is to be told."""
    if treatment == "none":
        return None
    found = _texts(request)
    if found is None:
        return None
    prompt, context = found
    texts = [prompt, *(context or ())]
    if isinstance(treatment, RedactedPrompts):
        form, told = treatment.form, list[str]()
        for text in texts:
            told += [(yield from _redacted(treatment.redact, text))]
    elif isinstance(treatment, HashedPrompts):
        form, told = treatment.form, [treatment.digest(text) for text in texts]
    else:
        form, told = treatment, texts
    return Prompt(form, told[0], None if context is None else tuple(told[1:]))


def _redacted(redact: Redactor, text: str) -> Steps[str]:
    redacted: object = yield from resolve(lambda: redact(text))
    if not isinstance(redacted, str):  # never the text itself, and never the repr of something that may hold it
        raise AuditError(f"redact must return a string, not {type(redacted).__name__}")
    return redacted


def _texts(request: Request) -> tuple[str, list[str] | None] | None:
    """Return the prompt of `request`, and what was said before in a conversation."""
    try:
        body: Any = from_json(request.content or b"")
        prompt: Any = body["prompt"]
        context: Any = body.get("context")
    except (ValueError, TypeError, KeyError):  # it has none, or somebody outside has put another body in its place
        return None
    if not isinstance(prompt, str):
        return None
    if not isinstance(context, list):
        return prompt, None
    return prompt, [text for text in cast("list[object]", context) if isinstance(text, str)]


# Records

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
