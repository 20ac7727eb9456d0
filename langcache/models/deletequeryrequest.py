"""What is sent to delete entries by their attributes."""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import TypedDict

from .base import RequestModel, Text


class DeleteQueryRequestTypedDict(TypedDict):
    """`DeleteQueryRequest` as a dict."""

    attributes: Mapping[str, str]


class DeleteQueryRequest(RequestModel):
    """The attributes that an entry must carry, all of them, to be deleted."""

    attributes: dict[Text, Text]
