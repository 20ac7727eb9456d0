"""What names the entry to delete."""

from __future__ import annotations

from typing_extensions import TypedDict

from .base import RequestModel, Text


class DeleteByIDRequestTypedDict(TypedDict):
    """`DeleteByIDRequest` as a dict."""

    entry_id: str


class DeleteByIDRequest(RequestModel):
    """The entry to delete."""

    entry_id: Text
