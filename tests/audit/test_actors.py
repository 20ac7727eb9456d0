"""Actors: a context variable, which tasks have a copy of and threads do not."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from langcache.audit import acting_as, actor


def test_the_actor_is_another_one_within_the_block_and_nobody_outside() -> None:
    assert actor.get() is None
    with acting_as("ann"):
        with acting_as("bob"):
            assert actor.get() == "bob"
        assert actor.get() == "ann"
    assert actor.get() is None


def test_an_exception_ends_it_too() -> None:
    with pytest.raises(LookupError), acting_as("ann"):
        raise LookupError
    assert actor.get() is None


def test_tasks_have_their_own() -> None:
    async def act(name: str, other: asyncio.Event, mine: asyncio.Event) -> str | None:
        with acting_as(name):
            mine.set()
            await other.wait()
            return actor.get()

    async def main() -> list[str | None]:
        first, second = asyncio.Event(), asyncio.Event()
        return list(await asyncio.gather(act("ann", first, second), act("bob", second, first)))

    assert asyncio.run(main()) == ["ann", "bob"]


def test_a_thread_has_it_where_it_runs_in_a_copy_of_the_context() -> None:
    seen: list[str | None] = []
    with acting_as("ann"):
        context = contextvars.copy_context()
        threads = [threading.Thread(target=lambda: context.run(lambda: seen.append(actor.get())))]
    for thread in threads:
        thread.start()
        thread.join()
    assert seen == ["ann"]
