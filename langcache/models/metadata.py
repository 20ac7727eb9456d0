"""What is known of a result beside its data: how the call went that it came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from .base import WireModel


@dataclass(frozen=True)
class ResponseMetadata:
    """How a call went; what is not known is None, as it is for a result that no call gave."""

    request_id: str | None = None
    """The id that the client gave the call; it was sent with each attempt, and is in the log."""
    server_request_id: str | None = None
    """The service's own id for the exchange, where it sent one."""
    attempts: int | None = None
    """How many attempts the call took."""
    degraded: Exception | None = None
    """The error in whose place the result stands, where the service did not serve the call and a miss was asked for."""


class ResultModel(WireModel):
    """A model that a call returns."""

    # It is no field, and no private attribute: neither comparisons nor dumps nor `__dict__` may know of it.
    __slots__ = ("_metadata",)

    @property
    def metadata(self) -> ResponseMetadata:
        """How the call went that this came from; it is no part of the data, and is left out of dumps and copies."""
        make = cast("Callable[[], ResponseMetadata] | None", _of(self))
        return ResponseMetadata() if make is None else make()


def keep_metadata(result: ResultModel, make: Callable[[], ResponseMetadata]) -> None:
    """Have `make` called when the result's metadata are asked for."""
    object.__setattr__(result, "_metadata", make)


def _of(result: ResultModel) -> object:
    try:
        return object.__getattribute__(result, "_metadata")
    except AttributeError:
        return None
