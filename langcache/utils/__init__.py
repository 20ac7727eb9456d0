"""The specification's names for retries and loggers."""

from __future__ import annotations

from ..config import BackoffStrategy, Logger, RetryConfig

__all__ = ["BackoffStrategy", "Logger", "RetryConfig"]
