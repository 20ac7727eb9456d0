"""Prompts: what a record tells of the texts that were asked or stored - nothing, unless the caller chooses otherwise.

A treatment is given the texts of one call, and returns what the record has in their place. Responses are never treated,
because they are never recorded.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, Union, cast

from pydantic_core import from_json

from ..errors import ConfigurationError
from ..http import Request
from ..steps import Steps, resolve
from .keys import Key, key_bytes

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
        raise TypeError(f"redact must return a string, not {type(redacted).__name__}")
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
