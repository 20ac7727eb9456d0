"""Where the data plane keeps its entries: in memory, by cache id, until they expire."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from .embedding import Vector, embed

_FIRST_SWEEP = 64


@dataclass(frozen=True)
class Entry:
    """One stored answer; `vector` is its prompt's, and `expires_at` the clock's time at which it is gone, or None."""

    id: str
    prompt: str
    response: str
    attributes: Mapping[str, str]
    vector: Vector = field(repr=False)
    expires_at: float | None = None

    def carries(self, attributes: Mapping[str, str]) -> bool:
        """Whether the entry has all of `attributes`, each with the same value."""
        return attributes.items() <= self.attributes.items()


class EntryStore:
    """The entries of any number of caches; a cache comes into being with its first entry. Threads may share it.

    `clock` returns seconds. It is the time of day, as in Redis, and not a monotonic clock: that one may stand still
    while the machine sleeps, and would keep an answer alive for hours after its time. An entry that was seen to
    expire is gone, and a clock that is set back does not return it.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._caches: dict[str, _Cache] = {}

    def put(
        self, cache_id: str, prompt: str, response: str, attributes: Mapping[str, str], ttl: float | None = None
    ) -> str:
        """Store an entry that lives for `ttl` seconds, or for ever, and return its id; the same again replaces it."""
        key = entry_id(prompt, attributes)
        vector = embed(prompt)  # before the lock: it is the slow part
        with self._lock:
            now = self._clock()
            expires_at = None if ttl is None else now + ttl
            entry = Entry(key, prompt, response, dict(attributes), vector, expires_at)
            self._caches.setdefault(cache_id, _Cache()).put(entry, now)
        return key

    def entries(self, cache_id: str) -> list[Entry]:
        """Return the cache's entries that have not expired, the newest first."""
        with self._lock:
            return list(reversed(self._live(cache_id).values()))

    def remove(self, cache_id: str, key: str) -> bool:
        """Remove the entry with this id; return whether there was one."""
        with self._lock:
            return self._live(cache_id).pop(key, None) is not None

    def remove_carrying(self, cache_id: str, attributes: Mapping[str, str]) -> int:
        """Remove the entries that carry all of `attributes`; return how many there were."""
        with self._lock:
            live = self._live(cache_id)
            keys = [key for key, entry in live.items() if entry.carries(attributes)]
            for key in keys:
                del live[key]
            return len(keys)

    def clear(self, cache_id: str) -> None:
        """Remove all entries of the cache."""
        with self._lock:
            self._caches.pop(cache_id, None)

    def _live(self, cache_id: str) -> dict[str, Entry]:
        """Return the cache's entries, after those that have expired were dropped; the caller holds the lock."""
        cache = self._caches.get(cache_id)
        if cache is None:
            return {}
        cache.sweep(self._clock())
        return cache.entries


class _Cache:
    """One cache: its entries, the oldest first."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._sweep_at = _FIRST_SWEEP

    def put(self, entry: Entry, now: float) -> None:
        """Add `entry` as the newest."""
        self.entries.pop(entry.id, None)
        self.entries[entry.id] = entry
        # A cache that is only ever written to must not keep what has expired. It is looked through whenever it has
        # doubled, so that each write pays for a constant part of that.
        if len(self.entries) >= self._sweep_at:
            self.sweep(now)
            self._sweep_at = max(_FIRST_SWEEP, 2 * len(self.entries))

    def sweep(self, now: float) -> None:
        """Drop the entries that have expired."""
        expired = [
            key for key, entry in self.entries.items() if entry.expires_at is not None and entry.expires_at <= now
        ]
        for key in expired:
            del self.entries[key]


def entry_id(prompt: str, attributes: Mapping[str, str]) -> str:
    """Return the id of an entry: 32 hex digits that depend on its prompt and its attributes, in any order, alone."""
    content = json.dumps([prompt, sorted(attributes.items())])
    return blake2b(content.encode(), digest_size=16).hexdigest()
