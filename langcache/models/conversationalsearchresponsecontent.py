"""What the service answers to a search with a conversation's context."""

from __future__ import annotations

from typing import Annotated

from typing_extensions import TypedDict

from .base import NullableList
from .cacheentry import CacheEntry, CacheEntryTypedDict
from .metadata import ResultModel


class ConversationalSearchResponseContentTypedDict(TypedDict):
    """`ConversationalSearchResponseContent` as a dict."""

    actual_prompt: str
    data: list[CacheEntryTypedDict]


class ConversationalSearchResponseContent(ResultModel):
    """The entries that were found, and the prompt that was looked for."""

    actual_prompt: str
    """The prompt with its context worked in: store the answer under this one."""
    data: Annotated[list[CacheEntry], NullableList]
    """The entries that were found, the best first; none on a miss."""
