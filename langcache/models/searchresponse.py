"""What the service answers to a search."""

from __future__ import annotations

from typing import Annotated

from typing_extensions import TypedDict

from .base import NullableList
from .cacheentry import CacheEntry, CacheEntryTypedDict
from .metadata import ResultModel


class SearchResponseTypedDict(TypedDict):
    """`SearchResponse` as a dict."""

    data: list[CacheEntryTypedDict]


class SearchResponse(ResultModel):
    """The entries that were found, the best first; none on a miss."""

    data: Annotated[list[CacheEntry], NullableList]
