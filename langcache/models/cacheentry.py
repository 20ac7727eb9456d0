"""One entry of a cache, as a search finds it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from .base import OPEN, NullableDict, WireModel
from .searchstrategy import SearchStrategy


class CacheEntryTypedDict(TypedDict):
    """`CacheEntry` as a dict."""

    id: str
    prompt: str
    response: str
    attributes: dict[str, str]
    similarity: float
    search_strategy: SearchStrategy


class CacheEntry(WireModel):
    """One entry that a search found."""

    id: str
    """The entry's id, for `delete_by_id`."""
    prompt: str
    """The prompt it was stored under."""
    response: str
    """The stored answer."""
    attributes: Annotated[dict[str, str], NullableDict] = Field(default_factory=dict)
    """The attributes it was stored with."""
    similarity: float
    """How close its prompt is to the searched one: normalised cosine similarity, 0 to 1, higher is closer."""
    search_strategy: Annotated[SearchStrategy, OPEN]
    """The strategy that found it."""
