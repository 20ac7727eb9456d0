"""Time in tests: what a call can do at its fastest, since the machine may be busy with other things."""

from __future__ import annotations

from collections.abc import Callable

_TRIES = 10


def fastest(attempt: Callable[[], float], limit: float) -> float:
    """Return how many seconds the fastest of some attempts took; the first that takes at most `limit` is the last."""
    took = [attempt()]
    while min(took) > limit and len(took) < _TRIES:
        took.append(attempt())
    return min(took)
