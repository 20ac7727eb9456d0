"""What the commands that make a client share: the options that say which cache it asks, and a silent log."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # argparse has no public name for what add_subparsers returns.
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]


@contextmanager
def silent_log() -> Generator[None]:
    """Keep the log off the terminal: what it would warn of, the command tells itself."""
    logger, quiet = logging.getLogger("langcache"), logging.NullHandler()
    logger.addHandler(quiet)
    try:
        yield
    finally:
        logger.removeHandler(quiet)


def add_options(parser: argparse.ArgumentParser, default_url: str | None, default_meaning: str) -> None:
    """Add the options to `parser`; `default_meaning` says what `default_url` stands for.

    Only the URL is read from the environment here: the client reads the rest, and a key is best not passed around.
    """
    parser.add_argument(
        "--server-url",
        default=os.environ.get("LANGCACHE_SERVER_URL") or default_url,
        help=f"where the service is (or LANGCACHE_SERVER_URL); default: {default_meaning}",
    )
    parser.add_argument("--cache-id", default=None, help="the cache (or LANGCACHE_CACHE_ID)")
    parser.add_argument("--api-key", default=None, help="the API key (better: LANGCACHE_API_KEY)")
