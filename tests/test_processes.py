"""What belongs to one process, and what a forked child does with what it has inherited."""

from __future__ import annotations

import gc
import os
import threading
import weakref

import pytest

from langcache.processes import PerProcess
from tests.transports.programs import output_of


class Made:
    """Something that can be told from another."""


def test_it_is_made_at_once_and_once() -> None:
    made: list[Made] = []

    def make() -> Made:
        made.append(Made())
        return made[-1]

    own = PerProcess(make)
    assert len(made) == 1
    assert own.get() is own.get() is made[0]
    assert len(made) == 1


def test_what_cannot_be_made_raises_where_it_would_be() -> None:
    with pytest.raises(ZeroDivisionError):
        PerProcess(lambda: 1 // 0)


def test_it_ends_with_what_holds_it() -> None:
    own = PerProcess(Made)
    made = weakref.ref(own.get())
    gc.disable()
    try:
        del own
        assert made() is None
    finally:
        gc.enable()


def test_another_process_makes_its_own_and_discards_what_it_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    discarded: list[Made] = []
    own = PerProcess(Made, discarded.append)
    inherited = own.get()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert own.get() is own.get()
    assert own.get() is not inherited
    assert discarded == [inherited]


def test_threads_that_are_the_first_in_a_process_get_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """All have made one before any is taken, and those that are not are discarded."""
    at_once = threading.Barrier(8)
    discarded: list[Made] = []

    def make() -> Made:
        if threading.current_thread() is not threading.main_thread():
            at_once.wait(30)
        return Made()

    own = PerProcess(make, discarded.append)
    inherited = own.get()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    got: list[Made] = []
    threads = [threading.Thread(target=lambda: got.append(own.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert set(got) == {own.get()}
    assert len(set(discarded)) == len(discarded) == 8  # the one that was inherited, and seven that came too late
    assert inherited in discarded
    assert own.get() not in discarded


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this operating system does not fork")
def test_a_forked_child_finds_a_lock_free_that_its_parent_holds() -> None:
    program = """
import os, signal, threading
from langcache.processes import PerProcess

lock = PerProcess(threading.Lock)
with lock.get():
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        with lock.get():
            os._exit(0)
    print(os.waitpid(child, 0)[1])
"""
    assert output_of(program) == ("0\n", "")
