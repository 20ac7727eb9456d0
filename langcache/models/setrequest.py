"""What is sent to store an entry."""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import NotRequired, TypedDict

from .base import RequestModel, Text


class SetRequestTypedDict(TypedDict):
    """`SetRequest` as a dict."""

    prompt: str
    response: str
    attributes: NotRequired[Mapping[str, str] | None]
    ttl_millis: NotRequired[int | None]


class SetRequest(RequestModel):
    """An entry to store."""

    prompt: Text
    """The prompt to store it under."""
    response: Text
    """The answer to store."""
    attributes: dict[Text, Text] | None = None
    """Attributes that searches and deletes can ask for; the cache must have been configured with their names."""
    ttl_millis: int | None = None
    """How long the entry lives, in milliseconds; None is the cache's default."""
