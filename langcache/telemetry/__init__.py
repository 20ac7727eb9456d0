"""OpenTelemetry: a span for each call, and metrics, by the conventions for HTTP clients.

It needs the extra: ``pip install "langcache[otel]"``.
"""

from __future__ import annotations

try:
    from .plugin import OpenTelemetry
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "opentelemetry":
        raise
    raise ImportError(
        f'langcache.telemetry needs OpenTelemetry ({error}): pip install "langcache[otel]"', name=error.name
    ) from error

__all__ = ["OpenTelemetry"]
