"""The state: what wakes the thread."""

from __future__ import annotations

from collections.abc import Callable

from langcache.audit.state import Bell


def test_a_bell_that_rings_twice_has_rung_once() -> None:
    bell = Bell()
    rings: list[Callable[[], None]] = [bell.ring, bell.ring]
    for ring in rings:
        ring()
    bell.wait(None)
    bell.wait(0)
