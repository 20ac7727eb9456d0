"""What is wrong with one field of a refused request."""

from __future__ import annotations

from typing_extensions import TypedDict

from .base import WireModel


class FieldErrorTypedDict(TypedDict):
    """`FieldError` as a dict."""

    field: str
    rule: str
    message: str


class FieldError(WireModel):
    """One field that a refused request got wrong."""

    field: str
    """The field's name on the wire."""
    rule: str
    """The rule that it breaks."""
    message: str
    """What is wrong, in words."""
