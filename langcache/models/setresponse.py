"""What the service answers when an entry was stored."""

from __future__ import annotations

from typing_extensions import TypedDict

from .metadata import ResultModel


class SetResponseTypedDict(TypedDict):
    """`SetResponse` as a dict."""

    entry_id: str


class SetResponse(ResultModel):
    """The stored entry's id."""

    entry_id: str
