"""``langcache demo``: the main job end to end - set, search, hit and miss, delete - with what each step took."""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from .. import LangCache
from ..errors import LangCacheError
from ..models import SearchStrategy
from . import connection

if TYPE_CHECKING:
    from .connection import Commands

_KNOWLEDGE = (
    (
        "How does semantic caching work?",
        "It stores an answer with its question's meaning, and gives it again to other questions of that meaning.",
    ),
    ("What is the capital of France?", "Paris."),
    (
        "How do I reset my password?",
        "Open the sign-in page, choose 'Forgot password', and follow the link that is mailed to you.",
    ),
    ("What are your opening hours?", "Monday to Friday, 9:00 to 17:00."),
)

_QUESTIONS = (
    "How does semantic caching work?",
    "how do semantic caches work",
    "what's the capital of france",
    "How can I reset the password?",
    "Which moons does Jupiter have?",
)

_DESCRIPTION = """\
Store a handful of questions with their answers, search for the same questions, for reworded ones and for a strange
one, show hit or miss, similarity and time of each, and delete what was stored. Without a server URL it runs on the
embedded data plane, in this process; with one, against that service. What it stores expires after ten minutes."""

_TTL_MILLIS = 600_000


def add_to(commands: Commands) -> None:
    """Add this command to the parser's `commands`."""
    parser = commands.add_parser(
        "demo", help="show the cache at work, here or against a service", description=_DESCRIPTION
    )
    connection.add_options(parser, "embedded://", "the embedded data plane")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> int:
    url = str(chosen.server_url)
    cache_id = chosen.cache_id or os.environ.get("LANGCACHE_CACHE_ID") or ("demo" if url == "embedded://" else None)
    try:
        with LangCache(server_url=url, cache_id=cache_id, api_key=chosen.api_key) as client:
            _show(client, url)
    except (LangCacheError, ValueError) as error:
        print(f"langcache demo: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _show(client: LangCache, url: str) -> None:
    print(f"Cache at {url}" + (" (the data plane in this process)" if url == "embedded://" else ""))
    stored: list[str] = []
    try:
        print("\nSet")
        for prompt, response in _KNOWLEDGE:
            _set(client, prompt, response, stored)
        print("\nSearch")
        strategies = [SearchStrategy.EXACT, SearchStrategy.SEMANTIC]
        hits = sum(_search(client, question, strategies) for question in _QUESTIONS)
        print(f"  {hits} of {len(_QUESTIONS)} questions answered from the cache")
    finally:
        _delete(client, stored)
    print(
        f"  {len(stored)} of {len(stored)} entries deleted" if stored else "\nNothing was stored, and nothing deleted"
    )


def _set(client: LangCache, prompt: str, response: str, stored: list[str]) -> None:
    """Store one answer and note its id in `stored`; an entry that is there already is somebody's, and left alone.

    An entry's id is a digest of its prompt, so setting it again would overwrite it, and deleting it afterwards lose it.
    """
    if client.search(prompt=prompt, search_strategies=[SearchStrategy.EXACT]).data:
        print(f"  there already  {prompt}")
        return
    entry, milliseconds = _timed(client.set, prompt=prompt, response=response, ttl_millis=_TTL_MILLIS)
    stored.append(entry.entry_id)
    print(f"  {milliseconds:8.2f} ms  {prompt}")


def _search(client: LangCache, question: str, strategies: list[SearchStrategy]) -> bool:
    """Search for one question, show what came of it, and say whether it was a hit."""
    found, milliseconds = _timed(client.search, prompt=question, search_strategies=strategies)
    print(f"  {milliseconds:8.2f} ms  {question}")
    if not found.data:
        print("               miss: here the application asks its LLM, and sets the answer")
        return False
    entry = found.data[0]
    strategy = getattr(entry.search_strategy, "value", entry.search_strategy)
    print(f"               hit, {strategy}, similarity {entry.similarity:.3f}: {entry.response}")
    return True


def _delete(client: LangCache, stored: list[str]) -> None:
    """Delete what the demo stored, and nothing else: the cache may be somebody's."""
    if stored:
        print("\nDelete")
    for entry_id in stored:
        _, milliseconds = _timed(client.delete_by_id, entry_id=entry_id)
        print(f"  {milliseconds:8.2f} ms  entry {entry_id}")


def _timed(call: Any, **arguments: Any) -> tuple[Any, float]:
    """Return what `call` returns, and how many milliseconds it took."""
    start = time.perf_counter()
    result = call(**arguments)
    return result, (time.perf_counter() - start) * 1000
