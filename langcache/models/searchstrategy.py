"""How a search compares prompts."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import Field

from .base import OpenEnumMeta, Text


class SearchStrategy(str, Enum, metaclass=OpenEnumMeta):
    """How a search compares prompts; an unknown value, of a newer service, stays a plain string."""

    EXACT = "exact"
    """Equality of the prompts, whatever their case."""
    SEMANTIC = "semantic"
    """Likeness of meaning."""


SentSearchStrategy = Annotated[SearchStrategy | Text, Field(union_mode="left_to_right")]
"""A strategy in a request: the member where it is a known one."""
