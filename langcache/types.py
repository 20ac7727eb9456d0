"""The specification's names for the models' base and for arguments that were not given."""

from __future__ import annotations

from .config import UNSET, OptionalNullable, Unset
from .models.base import BaseModel

__all__ = ["UNSET", "BaseModel", "OptionalNullable", "Unset"]
