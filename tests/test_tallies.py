"""Tallies: quantiles that are near enough, and ends that are counted once, whoever counts."""

from __future__ import annotations

import threading
from math import ceil

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langcache.tallies import BATCH, ERROR_BOUND, MOST_ERRORS, Counts, Tally

_LEAST, _MOST = 1e-9, 1e6
DURATIONS = st.lists(st.floats(_LEAST, _MOST) | st.floats(2e-5, 0.09), min_size=1, max_size=200)
SHARES = st.sampled_from([0.0, 0.001, 0.5, 0.9, 0.99, 1.0])


def counts_of(*seconds: float) -> Counts:
    """Return the counts of calls that took so long."""
    counts = Counts()
    counts.done += counts.took(list(seconds))
    return counts


@given(durations=DURATIONS, share=SHARES)
@example(durations=[_LEAST], share=0.5)
@example(durations=[_MOST], share=0.5)
@example(durations=[2.0**power for power in range(-20, 12)], share=0.5)
@example(durations=[2.0**power * 0.999999 for power in range(-20, 12)], share=0.9)
def test_a_quantile_is_within_its_bound_of_the_true_one(durations: list[float], share: float) -> None:
    true = sorted(durations)[max(1, ceil(share * len(durations))) - 1]
    quantile = counts_of(*durations).quantile(share)
    assert quantile is not None
    assert quantile == pytest.approx(true, rel=ERROR_BOUND)
    assert quantile <= max(durations)


@pytest.mark.parametrize("seconds", [0.0, 5e-324, -1.0, 1e300])
def test_no_duration_is_too_short_or_too_long_to_be_counted(seconds: float) -> None:
    counts = counts_of(seconds)
    quantile = counts.quantile(0.5)
    assert counts.calls == 1
    assert quantile is not None
    assert quantile <= counts.longest == max(seconds, 0)


def test_where_nothing_was_counted_there_is_no_quantile() -> None:
    assert counts_of().quantile(0.5) is None


@given(st.lists(DURATIONS, max_size=4))
def test_counts_add_up(parts: list[list[float]]) -> None:
    whole, at_once = Counts(), counts_of(*(seconds for part in parts for seconds in part))
    for part in parts:
        whole.add(counts_of(*part))
    assert (whole.calls, whole.longest) == (at_once.calls, at_once.longest)
    for share in (0.1, 0.5, 0.9):
        assert whole.quantile(share) == at_once.quantile(share)


def test_the_number_of_classes_of_errors_is_bounded() -> None:
    """Programs may make classes as they go."""
    counts = Counts()
    counts.raised({f"Error{number}": 1 for number in range(MOST_ERRORS * 3)})
    counts.raised({"Error0": 1})
    assert len(counts.errors) == MOST_ERRORS + 1
    assert (counts.errors["Error0"], counts.errors["others"]) == (2, MOST_ERRORS * 2)
    whole = Counts()
    whole.add(counts)
    whole.add(counts)
    assert whole.errors.total() == 2 * counts.errors.total()


def test_what_is_not_counted_yet_is_part_of_the_counts() -> None:
    tally = Tally("search")
    tally.hits += [0.1, 0.2]
    tally.misses += [0.3]
    tally.degraded += [0.4]
    tally.failed += [0.5]
    tally.errors += ["ReadError", "ReadError"]
    tally.retries += [2, 1]
    for _ in range(2):
        counts = tally.counts()
        assert (counts.hits, counts.misses, counts.done, counts.degraded, counts.failed) == (2, 1, 0, 1, 1)
        assert (counts.errors, counts.retries, counts.longest) == ({"ReadError": 2}, 3, 0.5)
    assert (tally.hits, tally.errors) == ([], [])


def test_counts_are_a_copy() -> None:
    tally = Tally("search")
    before = tally.counts()
    tally.hits.append(0.1)
    assert (before.hits, tally.counts().hits) == (0, 1)


def test_a_call_does_not_wait_for_who_counts() -> None:
    """It leaves the ends where they are; the next one counts them."""
    tally = Tally("search")
    tally.hits += [0.1] * BATCH
    thread = threading.Thread(target=tally.settle)
    with tally._lock.get():  # pyright: ignore[reportPrivateUsage]
        thread.start()
        thread.join()
        assert len(tally.hits) == BATCH
    tally.settle()
    assert tally.hits == []
    assert tally.counts().hits == BATCH


def test_who_counts_may_be_interrupted_by_a_call_or_a_question_of_its_own_thread() -> None:
    """As of a finalizer, or of a signal's handler: it waits for nothing, and everything is counted once."""
    tally, seen = Tally("search"), list[int]()

    class Interrupted(Counts):
        def took(self, seconds: list[float]) -> int:
            if not seen:
                tally.hits.append(0.5)
                tally.settle()
                seen.append(tally.counts().hits)
            return super().took(seconds)

    tally._counts = Interrupted()  # pyright: ignore[reportPrivateUsage]
    tally.hits += [0.1] * BATCH
    tally.settle()
    assert seen == [0]
    assert tally.counts().hits == BATCH + 1
