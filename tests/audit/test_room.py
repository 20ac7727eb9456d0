"""Room: who gets some, who waits, and what is known of the sink, by a clock that the test sets."""

from __future__ import annotations

import pytest

from langcache.audit import AuditStats
from langcache.audit.room import Room
from langcache.errors import AuditError
from tests.middleware.stepping import Clock

DOWN = AuditError("down")


def made(size: int = 2, vouched: float | None = 1.0, drops: bool = False) -> tuple[Room, Clock]:
    clock = Clock()
    return Room(size, vouched, drops, clock), clock


def test_nobody_gets_room_before_the_sink_is_looked_at() -> None:
    room, _ = made()
    assert not room.enter()
    asked = room.ask(waits=True, sure=True)
    assert room.is_asked
    room.works()
    room.answer()
    assert asked.result(0) == "room"
    assert room.enter()
    assert not room.enter()


def test_that_the_sink_worked_vouches_for_it_for_a_while() -> None:
    room, clock = made(size=9)
    room.works()
    clock.now = 1.0
    assert room.enter()
    clock.now = 1.01
    assert not room.enter()
    room.works(written=1, freed=1)
    assert room.enter()


def test_with_no_while_it_is_looked_at_each_time() -> None:
    room, clock = made(vouched=0)
    room.works()
    clock.now = 0.001
    assert not room.enter()


def test_while_the_sink_fails_all_who_ask_are_told_why() -> None:
    room, _ = made()
    room.works()
    room.fails(DOWN)
    assert not room.enter()
    asked = [room.ask(waits, sure=True) for waits in (True, False)]
    room.answer()
    assert [future.result(0) for future in asked] == [DOWN, DOWN]
    room.works()
    assert room.enter()


def test_where_nobody_has_to_be_sure_only_room_is_asked_for() -> None:
    room, _ = made(size=1, vouched=None)
    room.fails(DOWN)
    assert room.enter()
    assert not room.enter()
    asked = room.ask(waits=True, sure=False)
    room.answer()
    assert not asked.done()
    room.leave()
    room.answer()
    assert asked.result(0) == "room"


def test_who_waits_for_room_gets_it_in_turn_and_who_does_not_is_told_that_there_is_none() -> None:
    room, _ = made(size=1)
    room.works()
    assert room.enter()
    first, second, third = (
        room.ask(waits=True, sure=True),
        room.ask(waits=True, sure=True),
        room.ask(waits=False, sure=True),
    )
    assert third.result(0) == "full"  # at once: the sink may be what is slow
    room.answer()
    assert (first.done(), second.done()) == (False, False)
    assert room.fill(1, is_taken=True)
    room.works(written=1, freed=1)
    room.answer()
    assert (first.result(0), second.done()) == ("room", False)
    room.leave()
    room.answer()
    assert second.result(0) == "room"


def test_who_withdraws_is_forgotten_unless_he_has_an_answer() -> None:
    """Or those who have waited in vain for a sink that is stuck would be kept for ever."""
    room, _ = made()
    asked = room.ask(waits=True, sure=True)
    assert room.withdraw(asked) is None
    assert not room.is_asked
    room.works()
    answered = room.ask(waits=True, sure=True)
    room.answer()
    assert room.withdraw(answered) == "room"


def test_room_for_one_who_waits_no_more_is_the_next_ones() -> None:
    room, _ = made(size=1)
    room.works()
    gone, here = room.ask(waits=True, sure=True), room.ask(waits=True, sure=True)
    assert gone.cancel()
    room.answer()
    room.answer()
    assert here.result(0) == "room"


def test_a_record_without_room_is_counted_as_the_policy_says() -> None:
    for drops, stats in ((True, AuditStats(0, 1, 0, 1)), (False, AuditStats(0, 0, 1, 1))):
        room, _ = made(size=1, vouched=None, drops=drops)
        assert room.fill(1, is_taken=False)
        assert not room.fill(1, is_taken=False)
        assert room.stats == stats
        assert room.untold == 1


def test_what_is_lost_is_untold_until_a_record_tells_of_it() -> None:
    room, _ = made(size=2, vouched=None)
    room.lose(1)
    room.fill(1, is_taken=False)
    room.give_up(1, freed=1)
    assert room.untold == 2
    room.fill(1, is_taken=False)
    room.works(written=1, freed=1, told=2)
    assert (room.untold, room.stats) == (0, AuditStats(written=1, dropped=0, failed=2, queued=0))


def test_room_comes_back_however_it_was_used() -> None:
    room, _ = made(size=1, vouched=None)
    for _ in range(3):
        assert room.enter()
        room.leave()
        assert room.enter()
        assert room.fill(1, is_taken=True)
        room.works(written=1, freed=1)
        assert room.fill(1, is_taken=False)
        room.give_up(1, freed=1)
    assert room.enter()


def test_a_closed_room_takes_nothing_and_tells_so() -> None:
    room, _ = made()
    room.works()
    asked = room.ask(waits=True, sure=True)
    assert room.enter()
    room.close()
    assert room.is_closed
    room.answer()
    assert asked.result(0) == room.ask(waits=True, sure=True).result(0) == "closed"
    assert not room.enter()
    assert not room.fill(1, is_taken=True)
    assert room.stats.failed == 1


def test_an_error_is_kept_without_the_frames_that_it_came_through() -> None:
    room, _ = made()
    try:
        raise DOWN
    except AuditError as error:
        room.fails(error)
    assert DOWN.__traceback__ is None


@pytest.mark.parametrize("waits", [True, False])
def test_a_signals_handler_may_make_a_call_whatever_its_thread_is_doing(waits: bool) -> None:
    room, _ = made(vouched=None)
    with room._lock:  # pyright: ignore[reportPrivateUsage]
        assert room.enter()
        room.ask(waits, sure=True)
        room.answer()
