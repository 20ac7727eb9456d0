"""The credential, as a model."""

from __future__ import annotations

from pydantic import Field
from typing_extensions import NotRequired, TypedDict

from .base import WireModel


class SecurityTypedDict(TypedDict):
    """`Security` as a dict."""

    api_key: NotRequired[str | None]


class Security(WireModel):
    """An API key; ``repr`` and ``str`` do not show it."""

    api_key: str | None = Field(default=None, repr=False)
