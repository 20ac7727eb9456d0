"""What is sent to search a cache with a conversation's context."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import NotRequired

from .base import Text
from .searchrequest import SearchRequest, SearchRequestTypedDict


class ConversationalSearchBodyTypedDict(SearchRequestTypedDict):
    """`ConversationalSearchBody` as a dict."""

    context: NotRequired[Sequence[str] | None]


class ConversationalSearchBody(SearchRequest):
    """A prompt to look for, and the questions that came before it."""

    context: list[Text] | None = None
    """The conversation's earlier questions, the oldest first."""
