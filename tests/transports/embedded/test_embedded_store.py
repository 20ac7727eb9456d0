"""The store of entries: ids, time to live, and what threads may do with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache_transports.embedded.store import EntryStore, entry_id

from .calls import Clock, unhurried

LANGUAGES = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"))


@unhurried
@given(st.text(max_size=50), LANGUAGES)
def test_an_id_is_32_lower_case_hex_digits_and_depends_on_no_order(prompt: str, attributes: dict[str, str]) -> None:
    key = entry_id(prompt, attributes)
    assert len(key) == 32
    assert set(key) <= set("0123456789abcdef")
    assert key == entry_id(prompt, dict(reversed(attributes.items())))


def test_another_prompt_or_another_attribute_is_another_id() -> None:
    keys = {entry_id("a", {}), entry_id("b", {}), entry_id("a", {"x": "y"}), entry_id("a", {"y": "x"})}
    assert len(keys) == 4


def test_an_id_is_the_same_in_every_version() -> None:
    assert entry_id("What is Redis?", {"language": "en"}) == "7fbb30ee4fc64a2670bdea5a0fa35dcd"


def test_a_repeated_set_replaces_the_entry_and_makes_it_the_newest() -> None:
    store = EntryStore()
    first = store.put("c", "a", "old", {})
    store.put("c", "b", "other", {})
    assert store.put("c", "a", "new", {}) == first
    assert [entry.response for entry in store.entries("c")] == ["new", "other"]


def test_caches_do_not_see_one_another() -> None:
    store = EntryStore()
    key = store.put("one", "a", "r", {})
    assert store.entries("two") == []
    assert not store.remove("two", key)
    store.clear("two")
    assert len(store.entries("one")) == 1


def test_entries_are_removed_that_carry_all_of_the_attributes_and_no_others() -> None:
    store = EntryStore()
    store.put("c", "a", "r", {"x": "1", "y": "1"})
    store.put("c", "b", "r", {"x": "1", "y": "2"})
    store.put("c", "c", "r", {"y": "1"})
    assert store.remove_carrying("c", {"x": "1", "y": "1"}) == 1
    assert [entry.prompt for entry in store.entries("c")] == ["c", "b"]


def test_an_entry_does_not_change_with_the_mapping_it_was_made_from() -> None:
    store = EntryStore()
    attributes = {"x": "1"}
    store.put("c", "a", "r", attributes)
    attributes["x"] = "2"
    assert store.entries("c")[0].attributes == {"x": "1"}


def test_an_entry_lives_until_its_time_and_not_longer() -> None:
    clock = Clock(100)
    store = EntryStore(clock)
    key = store.put("c", "a", "r", {"x": "1"}, ttl=5)
    clock.now = 104.999
    assert [entry.id for entry in store.entries("c")] == [key]
    clock.now = 105
    assert store.entries("c") == []
    assert not store.remove("c", key)
    assert store.remove_carrying("c", {"x": "1"}) == 0


def test_an_entry_without_a_time_to_live_stays() -> None:
    clock = Clock(0)
    store = EntryStore(clock)
    store.put("c", "a", "r", {})
    clock.now = 1e12
    assert len(store.entries("c")) == 1


def test_a_clock_that_is_set_back_returns_no_entry_that_was_seen_to_expire() -> None:
    clock = Clock(100)
    store = EntryStore(clock)
    store.put("c", "a", "r", {}, ttl=5)
    clock.now = 200
    assert store.entries("c") == []
    clock.now = 100
    assert store.entries("c") == []


def test_a_repeated_set_gives_an_entry_a_new_time_to_live() -> None:
    clock = Clock(100)
    store = EntryStore(clock)
    store.put("c", "a", "r", {}, ttl=5)
    clock.now = 104
    store.put("c", "a", "r", {}, ttl=5)
    clock.now = 108
    assert len(store.entries("c")) == 1


@unhurried
@given(st.lists(st.tuples(st.integers(0, 9), st.none() | st.floats(0.001, 100), st.floats(0, 60)), max_size=40))
def test_no_expired_entry_is_ever_returned_and_no_other_one_is_lost(
    writes: list[tuple[int, float | None, float]],
) -> None:
    clock = Clock(0)
    store = EntryStore(clock)
    ends: dict[str, float | None] = {}
    for prompt, ttl, pause in writes:
        store.put("c", str(prompt), "r", {}, ttl)
        ends[str(prompt)] = None if ttl is None else clock.now + ttl
        clock.now += pause
        expected = {name for name, end in ends.items() if end is None or end > clock.now}
        assert {entry.prompt for entry in store.entries("c")} == expected


def test_a_cache_that_is_only_written_to_drops_what_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(0)
    store = EntryStore(clock)
    for number in range(2_000):
        store.put("c", str(number), "r", {}, ttl=10)
        clock.now += 1
    kept = store._caches["c"].entries  # pyright: ignore[reportPrivateUsage] - what is dropped shows nowhere else
    assert len(kept) < 200


def test_threads_lose_no_entry_and_remove_none_twice() -> None:
    store = EntryStore()

    def write_and_remove(worker: int) -> int:
        removed = 0
        for number in range(100):
            store.put("c", f"own {worker} {number}", "r", {"worker": str(worker)})
            store.put("c", f"shared {number}", "r", {})
            assert store.entries("c")
            removed += store.remove("c", entry_id(f"shared {number}", {}))
        return removed

    with ThreadPoolExecutor(8) as pool:
        removed = sum(pool.map(write_and_remove, range(8)))
    own = [entry for entry in store.entries("c") if entry.attributes]
    assert len(own) == 800
    assert len({entry.id for entry in own}) == 800
    assert 100 <= removed <= 800
