"""How the data plane finds entries: the strategies in the order of their priority, over a list of entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from .embedding import embed, similarity
from .store import Entry

Strategy = Literal["exact", "semantic"]


@dataclass(frozen=True)
class Hit:
    """An entry that was found: how close its prompt is, from 0 to 1, and the strategy that found it."""

    entry: Entry
    similarity: float
    strategy: Strategy


def find(entries: Sequence[Entry], prompt: str, strategies: Iterable[Strategy], threshold: float) -> Iterator[Hit]:
    """Give the hits among `entries`, which come the newest first; an entry is given once, by its first strategy."""
    seen: set[str] = set()
    for strategy in dict.fromkeys(strategies):
        rest = [entry for entry in entries if entry.id not in seen]
        hits = _exact(rest, prompt) if strategy == "exact" else _semantic(rest, prompt, threshold)
        seen.update(hit.entry.id for hit in hits)
        yield from hits


def _exact(entries: Iterable[Entry], prompt: str) -> list[Hit]:
    folded = prompt.casefold()
    return [Hit(entry, 1.0, "exact") for entry in entries if entry.prompt.casefold() == folded]


def _semantic(entries: Iterable[Entry], prompt: str, threshold: float) -> list[Hit]:
    vector = embed(prompt)
    hits = [Hit(entry, similarity(vector, entry.vector), "semantic") for entry in entries]
    # Sorting is stable, so of equally close entries the newest stays first.
    return sorted((hit for hit in hits if hit.similarity >= threshold), key=lambda hit: -hit.similarity)
