"""What the service answers when entries were deleted."""

from __future__ import annotations

from typing_extensions import TypedDict

from .metadata import ResultModel


class DeleteQueryResponseTypedDict(TypedDict):
    """`DeleteQueryResponse` as a dict."""

    deleted_entries_count: int


class DeleteQueryResponse(ResultModel):
    """How many entries were deleted."""

    deleted_entries_count: int
