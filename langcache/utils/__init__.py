"""The specification's names for retries and loggers."""

from __future__ import annotations

from ..config import Logger
from ..policies import BackoffStrategy, RetryConfig

__all__ = ["BackoffStrategy", "Logger", "RetryConfig"]
