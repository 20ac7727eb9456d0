"""What a self-managed service answers when it is asked for its health."""

from __future__ import annotations

from typing import Any

from .metadata import ResultModel


class HealthResponse(ResultModel):
    """A healthy service's answer. Its form is undocumented, so it is handed on as it came."""

    details: Any = None
    """The answer parsed as JSON, or as text where it is none, or None where it is empty."""
