"""What a flush takes, which is nothing."""

from __future__ import annotations

from typing_extensions import TypedDict

from .base import RequestModel


class FlushRequestTypedDict(TypedDict):
    """`FlushRequest` as a dict."""


class FlushRequest(RequestModel):
    """A flush has no arguments; the class exists for programs that pass one."""
