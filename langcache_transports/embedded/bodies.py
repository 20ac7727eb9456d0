"""What the data plane accepts as a request's body: the service's limits, declared.

Members that are not known are ignored, and an optional one that is null counts as absent.
"""

from __future__ import annotations

from typing import Annotated, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, from_json

from .problems import FieldProblem, invalid_data
from .search import Strategy

LONGEST_PROMPT = 1024
"""How many characters a prompt has at the most."""

Prompt = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_PROMPT)]
AttributeName = Annotated[str, StringConstraints(pattern="^[a-zA-Z0-9_-]{1,32}$")]
AttributeValue = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern="^[^,]*$")]
Attributes = Annotated[dict[AttributeName, AttributeValue], Field(max_length=5)]


class Body(BaseModel):
    """A JSON object with camelCase members; nothing is converted from another JSON type."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, frozen=True)


class SetBody(Body):
    """An entry to store."""

    prompt: Prompt
    response: str
    attributes: Attributes | None = None
    ttl_millis: Annotated[int, Field(ge=1, le=31_556_952_000)] | None = None


class SearchBody(Body):
    """A prompt to look for."""

    prompt: Prompt
    similarity_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    search_strategies: Annotated[list[Strategy], Field(min_length=1)] | None = None
    attributes: Attributes | None = None
    max_results: Annotated[int, Field(ge=1)] | None = None


class ConversationalSearchBody(SearchBody):
    """A prompt to look for, and the questions that came before it, the oldest first."""

    context: list[str] | None = None


class DeleteQueryBody(Body):
    """What entries must carry to be deleted. It cannot be empty: that would delete everything, as flush does."""

    attributes: Annotated[Attributes, Field(min_length=1)]


BodyT = TypeVar("BodyT", bound=Body)

_RULES = {
    "missing": "required",
    "string_too_short": "min_length",
    "string_too_long": "max_length",
    "string_pattern_mismatch": "pattern",
    "greater_than_equal": "range",
    "less_than_equal": "range",
    "finite_number": "range",
    "too_short": "min_items",
    "too_long": "max_items",
    "literal_error": "unknown",
}
"""Which of the service's rules stands for which of pydantic's kinds of error; any other is a wrong type."""


def read_body(model: type[BodyT], content: bytes) -> BodyT:
    """Return `content` as a `model`; raises ProblemError, 400, where it is none."""
    document = _json_object(content)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        fields = [_field_problem(detail) for detail in error.errors()]
        raise invalid_data("; ".join(f"{field.field}: {field.message}" for field in fields), fields) from error


def _json_object(content: bytes) -> object:
    try:
        # This reader also refuses bytes that are not UTF-8 and lone surrogates (RFC 8259, sections 8.1 and 8.2).
        document: object = from_json(content, allow_inf_nan=False)
    except ValueError as error:
        raise invalid_data(f"The body is not valid JSON: {error}") from error
    if not isinstance(document, dict):
        raise invalid_data("The body must be a JSON object")
    return cast(object, document)


def _field_problem(detail: ErrorDetails) -> FieldProblem:
    name, *inside = detail["loc"]
    where = f"at {', '.join(repr(part) for part in inside if part != '[key]')}: " if inside else ""
    return FieldProblem(str(name), _RULES.get(detail["type"], "type"), where + detail["msg"])
