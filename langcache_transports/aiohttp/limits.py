"""The limit of a piece of async work: asyncio's, or before Python 3.11 that on which aiohttp depends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

if sys.version_info >= (3, 11):
    from asyncio import timeout
else:
    from async_timeout import timeout  # pyright: ignore

time_limit: Callable[[float | None], AbstractAsyncContextManager[Any]] = timeout  # pyright: ignore
"""Cancels what is done within it after that many seconds, and raises asyncio.TimeoutError; None is no limit."""
