"""What the models share: camelCase on the wire, snake_case in Python, and open enums."""

from __future__ import annotations

from enum import EnumMeta
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, GetPydanticSchema
from pydantic import BaseModel as PydanticBaseModel
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema


class BaseModel(PydanticBaseModel):
    """The base of all models; programs derive their own from it, with fields of any class and with aliases or not."""

    model_config = ConfigDict(populate_by_name=True, arbitrary_types_allowed=True, protected_namespaces=())


class WireModel(BaseModel):
    """A model that is built by Python names or wire names, ignores members it does not know and dumps Python names."""

    model_config = ConfigDict(alias_generator=to_camel)


class RequestModel(WireModel):
    """A model that is sent: it refuses what JSON cannot carry, and nothing else."""

    model_config = ConfigDict(allow_inf_nan=False)


def _require_unicode(text: str) -> str:
    """Refuse a lone surrogate, which no UTF-8 body can carry (RFC 8259, section 8.1)."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"contains a lone surrogate (U+{ord(text[error.start]):04X}) at position {error.start}, "
                "which UTF-8 cannot carry; decode the text correctly, or remove it"
            ) from None
    return text


Text = Annotated[str, AfterValidator(_require_unicode)]
"""A string that is sent."""


def _empty_for_null(kind: type[list[Any]] | type[dict[str, str]]) -> BeforeValidator:
    """Read null as an empty collection: some services write it for one, and a good answer must not fail over it."""
    return BeforeValidator(lambda value: kind() if value is None else value)


NullableList = _empty_for_null(list)
NullableDict = _empty_for_null(dict)


def _or_text(source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    return handler(Annotated[source | str, Field(union_mode="left_to_right")])


OPEN = GetPydanticSchema(_or_text)
"""Marks an enum in an answer: a value that it has not, of a newer service, stays a plain string.

To type checkers the field is the enum alone, as programs are written for it.
"""


class OpenEnumMeta(EnumMeta):
    """The type of an enum that a newer service may extend: calling it with an unknown value returns the value."""

    def __call__(cls, value: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the member with this value, or a string that no member has as it is."""
        if args or kwargs:  # the functional API, which makes a new enum
            return cast(object, super().__call__(value, *args, **kwargs))
        try:
            return super().__call__(value)
        except ValueError:
            if isinstance(value, str):
                return value
            raise
