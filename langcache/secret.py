"""Secrets: texts that no repr, log or traceback shows.

pydantic's ``SecretStr`` is taken wherever a secret is. Inside there is one of our own, because importing pydantic takes
longer than everything else that a client needs before its first call.
"""

from __future__ import annotations

from typing import Any, NoReturn, Protocol, TypeVar, cast

T = TypeVar("T")


class SecretText(Protocol):
    """What pydantic's ``SecretStr`` and `Secret` have."""

    def get_secret_value(self) -> str:
        """Return the text in plain."""
        ...


class Secret:
    """A text that its ``repr`` does not show. It cannot be pickled, since whoever has the pickle could read it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def get_secret_value(self) -> str:
        """Return the text in plain."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("A secret cannot be pickled: the pickle would show it; pickle where it comes from instead")

    def __str__(self) -> str:
        return "**********"

    def __repr__(self) -> str:
        return "Secret('**********')"


def is_secret(value: object) -> bool:
    """Say whether `value` hides a text. Its class is asked: a mock has whatever attribute it is asked for."""
    return callable(getattr(type(value), "get_secret_value", None))


def revealed(value: object) -> Any:
    """Return what `value` hides, or `value` itself where it hides nothing."""
    return cast("SecretText", value).get_secret_value() if is_secret(value) else value


def hidden(value: str | SecretText | T) -> T | Secret:
    """Return `value` as a secret, unless it is None or a callable: what an argument is to be before an error is raised.

    The traceback of the error holds the frame, and that the argument. What is no string is hidden too, for `wrong_type`
    to tell.
    """
    if value is None or isinstance(value, Secret) or (callable(value) and not is_secret(value)):
        return cast("T | Secret", value)
    return Secret(revealed(value))


def wrong_type(secret: object) -> str | None:
    """Return the name of the type of what is hidden where it is no string, or None where it is one."""
    plain = revealed(secret)
    return None if isinstance(plain, str) else type(plain).__name__
