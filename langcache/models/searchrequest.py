"""What is sent to search a cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from typing_extensions import NotRequired, TypedDict

from .base import RequestModel, Text
from .searchstrategy import SearchStrategy, SentSearchStrategy


class SearchRequestTypedDict(TypedDict):
    """`SearchRequest` as a dict."""

    prompt: str
    similarity_threshold: NotRequired[float | None]
    search_strategies: NotRequired[Sequence[SearchStrategy | str] | None]
    attributes: NotRequired[Mapping[str, str] | None]
    max_results: NotRequired[int | None]


class SearchRequest(RequestModel):
    """A prompt to look for."""

    prompt: Text
    """The prompt to look for."""
    similarity_threshold: float | None = None
    """The least similarity of a hit: normalised cosine similarity, 0 to 1; None is the cache's default."""
    search_strategies: list[SentSearchStrategy] | None = None
    """The strategies to try, the preferred one first; None is semantic alone."""
    attributes: dict[Text, Text] | None = None
    """Only entries that carry all of these are found."""
    max_results: int | None = None
    """How many entries to return at the most; None is the service's default, one."""
