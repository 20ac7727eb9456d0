"""The inbox: what is put comes out in order, and the thread is told no more often than it looks."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future

import pytest

from langcache.audit import inbox as module
from langcache.audit.inbox import Inbox, Item, Told
from tests.audit.recording import record


def collected(inbox: Inbox) -> list[Item]:
    pending: deque[Item] = deque()
    inbox.collect(pending)
    return list(pending)


@pytest.mark.parametrize("hurry", [True, False])
def test_all_there_is_is_taken_at_once_and_in_order(hurry: bool) -> None:
    inbox, items = Inbox(), [Item([record(number)]) for number in range(5)]
    for item in items:
        inbox.put(item, hurry)
    assert collected(inbox) == items


def test_who_is_in_a_hurry_is_waited_for_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_SECONDS", 3600)
    inbox, item = Inbox(), Item(())
    inbox.put(item, hurry=True)
    assert collected(inbox) == [item]
    inbox.look_around()
    assert collected(inbox) == []


def test_a_thread_that_is_held_up_finds_one_call_to_look_around_however_many_there_were() -> None:
    inbox = Inbox()
    for _ in range(1_000):
        inbox.look_around()
    assert inbox._items.qsize() == inbox._hurry.qsize() == 1  # pyright: ignore[reportPrivateUsage]
    assert collected(inbox) == []
    inbox.look_around()
    assert collected(inbox) == []


def test_what_is_pending_is_tried_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    held = Item([record()])
    pending = deque([held])
    Inbox().collect(pending)
    assert list(pending) == [held]


def test_who_wants_to_know_is_told_once_unless_he_waits_no_more() -> None:
    told: Told = Future()
    item = Item((), told)
    item.tell(None)
    item.tell(OSError())
    assert told.result(0) is None
    gone: Told = Future()
    gone.cancel()
    Item((), gone).tell(None)
