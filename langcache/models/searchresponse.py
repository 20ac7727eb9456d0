"""What the service answers to a search."""

from __future__ import annotations

from typing import Annotated

from typing_extensions import TypedDict

from .base import NullableList, WireModel
from .cacheentry import CacheEntry, CacheEntryTypedDict


class SearchResponseTypedDict(TypedDict):
    """`SearchResponse` as a dict."""

    data: list[CacheEntryTypedDict]


class SearchResponse(WireModel):
    """The entries that were found, the best first; none on a miss."""

    data: Annotated[list[CacheEntry], NullableList]
