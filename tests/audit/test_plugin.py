"""The plugin in a client: what stands in the file after calls of all kinds, from threads and tasks."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from langcache import LangCache, Middleware, Request, Response, RetryPolicy, audit, hookimpl
from langcache.audit import (
    Audit,
    AuditRecord,
    AuditStats,
    Chain,
    HashedPrompts,
    JsonLinesFile,
    LoggerSink,
    acting_as,
    verify,
)
from langcache.errors import AuditError, ConfigurationError, ConnectError, LangCacheError, PluginError
from langcache_transports.testing import AsyncFakeTransport, FakeTransport
from tests.audit.recording import KEY, NOTHING, Kept, Stuck, Threads, answering, until

SEARCH = Callable[[LangCache], Any]


def search_sync(cache: LangCache) -> Any:
    return cache.search(prompt="What is my balance?")


def search_async(cache: LangCache) -> Any:
    return asyncio.run(cache.search_async(prompt="What is my balance?"))


both_forms = pytest.mark.parametrize("search", [search_sync, search_async])


def client(*plugins: object, replies: Any = answering, **arguments: Any) -> LangCache:
    return LangCache(
        "http://cache.example", "5ecret", "c1", transport=FakeTransport(replies), plugins=plugins, **arguments
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_one_record_a_call_and_one_an_attempt_stand_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    replies = [Response(503), NOTHING, Response(404, {}, b"{}")]
    with Audit(JsonLinesFile(path), actor="ann", prompts=HashedPrompts(KEY), attempts=True) as made:
        cache = client(made, replies=replies, retry_config=RetryPolicy(initial_ms=0))
        search_sync(cache)
        with pytest.raises(LangCacheError):
            cache.delete_by_id(entry_id="e1")
    told = [(one["kind"], one["operation"], one["outcome"], one["status_code"], one["attempt"]) for one in lines(path)]
    assert told == [
        ("attempt", "search", "failed", 503, 1),
        ("attempt", "search", "done", 200, 2),
        ("call", "search", "miss", 200, None),
        ("attempt", "delete_by_id", "failed", 404, 1),
        ("call", "delete_by_id", "failed", 404, None),
    ]
    call = lines(path)[2]
    assert (call["attempts"], call["actor"], call["transport"]) == (
        2,
        "ann",
        "langcache_transports.testing.fake.FakeTransport",
    )
    assert call["prompt"] == {"form": "hmac-sha256", "text": HashedPrompts(KEY).digest("What is my balance?")}
    assert lines(path)[4]["entry_ids"] == ["e1"]
    text = path.read_text()
    assert "5ecret" not in text
    assert "balance" not in text
    assert made.stats() == AuditStats(written=5, dropped=0, failed=0, queued=0)


@both_forms
def test_while_the_sink_is_down_nothing_is_sent_and_it_works_again_when_that_does(search: SEARCH) -> None:
    sink = Kept()
    transport = FakeTransport(answering)
    made = Audit(sink)
    cache = LangCache("http://cache.example", "k", "c", transport=transport, plugins=[made])
    sink.error = OSError("down")
    for _ in range(3):
        with pytest.raises(AuditError, match="search: not sent, because it cannot be recorded: OSError was raised"):
            search(cache)
    assert transport.requests == []
    sink.error = None
    search(cache)
    assert made.flush()
    assert (len(transport.requests), len(sink.records)) == (1, 1)
    made.close()


@both_forms
def test_a_sink_that_failed_a_record_stops_calls_until_it_is_written(search: SEARCH) -> None:
    """The call whose record it was is made by then; its record is kept, and comes first."""
    sink = Kept()
    made = Audit(sink, check_ms=60_000)
    cache = client(made)
    search(cache)
    sink.error = OSError("down")
    search(cache)
    assert not made.flush()
    with pytest.raises(AuditError):
        search(cache)
    assert made.stats() == AuditStats(written=1, dropped=0, failed=0, queued=1)
    sink.error = None
    search(cache)
    made.close()
    assert made.stats() == AuditStats(written=3, dropped=0, failed=0, queued=0)


SINKS_THAT_NEVER_WORKED: dict[str, Callable[[], Any]] = {
    "a callable": lambda: refusing,
    "a sink whose check says nothing": lambda: Unchecked(),
}


def refusing(record: AuditRecord) -> None:
    raise OSError("down")


class Unchecked(Kept):
    """A sink that is down, and whose check does not see it."""

    def check(self) -> None:
        pass

    def write(self, records: Sequence[AuditRecord]) -> int:
        raise OSError("down")


@both_forms
@pytest.mark.parametrize("kind", SINKS_THAT_NEVER_WORKED)
def test_of_a_sink_that_never_worked_the_first_call_tells_and_no_other_is_sent(kind: str, search: SEARCH) -> None:
    transport = FakeTransport(answering)
    made = Audit(SINKS_THAT_NEVER_WORKED[kind](), wait_ms=60_000)
    cache = LangCache("http://cache.example", "k", "c", transport=transport, plugins=[made])
    with pytest.raises(AuditError, match="it was made, but is not recorded") as caught:
        search(cache)
    assert not caught.value.nothing_sent
    for _ in range(5):
        with pytest.raises(AuditError, match="not sent") as caught:
            search(cache)
        assert caught.value.nothing_sent
    assert len(transport.requests) == 1
    made.close(0)


@both_forms
def test_while_no_handler_takes_the_records_of_a_logger_nothing_is_sent(search: SEARCH) -> None:
    logger = logging.Logger("audit.of.a.test", logging.INFO)
    handlers: list[logging.Handler] = [logging.NullHandler(), logging.StreamHandler()]
    handlers[1].setLevel(logging.WARNING)
    for handler in handlers:
        logger.addHandler(handler)
    transport = FakeTransport(answering)
    made = Audit(LoggerSink(logger), wait_ms=60_000)
    cache = LangCache("http://cache.example", "k", "c", transport=transport, plugins=[made])
    with pytest.raises(AuditError, match="not sent"):
        search(cache)
    assert transport.requests == []
    made.close()


@both_forms
def test_where_it_is_to_be_ignored_calls_go_on_and_what_is_lost_is_counted(
    search: SEARCH, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Kept()
    sink.error = OSError("What is my balance?")
    made = Audit(sink, on_error="ignore", queue_size=2)
    cache = client(made)
    for _ in range(3):
        assert search(cache).data == []
    assert not made.flush()
    assert made.stats() == AuditStats(written=0, dropped=1, failed=0, queued=2)
    sink.error = None
    assert made.close()
    assert made.stats() == AuditStats(written=2, dropped=1, failed=0, queued=0)
    assert sink.records[0].lost == 1
    assert {record.getMessage().partition(";")[0] for record in caplog.records} <= {
        "The audit to tests.audit.recording.Kept: OSError was raised",
        "The audit to tests.audit.recording.Kept: its queue is full",
    }
    assert "balance" not in caplog.text


@both_forms
def test_fail_open_excuses_no_call_that_is_not_recorded(search: SEARCH) -> None:
    sink = Kept()
    sink.error = OSError("down")
    for attempts in (False, True):
        with pytest.raises(AuditError):
            search(client(Audit(sink, attempts=attempts), on_failure="miss"))


def test_it_stands_inside_of_identity_and_outside_of_fail_open() -> None:
    """So that the id is known, and a miss in the place of a failure is recorded as one."""
    sink = Kept()
    made = Audit(sink)
    found = client(made, replies=[ConnectError("down")], on_failure="miss").search(prompt="p")
    made.close()
    [record] = sink.records
    assert (record.outcome, record.error) == ("degraded", "ConnectError")
    assert record.request_id == found.metadata.request_id
    explained = client(Audit(sink, attempts=True)).explain()
    places = [
        explained.index(name) for name in ("RequestIdentity", "CallAudit", "FailOpen", "AttemptAudit", "BearerAuth")
    ]
    assert places == sorted(places)


def test_the_explanation_of_a_client_tells_its_options_and_no_key(tmp_path: Path) -> None:
    """Who looks after a client sees where its records go, and by which rules."""
    path = tmp_path / "audit.jsonl"
    sink = JsonLinesFile(path, fsync="always", chain=Chain(key=b"0123456789abcdef-chain"))
    explained = client(Audit(sink, prompts=HashedPrompts(b"0123456789abcdef-hash"))).explain()
    for told in (f"path='{path}'", "fsync='always'", "chain=True", "prompts='hmac-sha256'", "on_error='raise'"):
        assert told in explained
    assert "0123456789abcdef" not in explained


def answer(request: Request, call_next: Any) -> Any:
    """Answer without asking anybody."""
    return NOTHING
    yield


class Answering:
    @hookimpl
    def langcache_call_middleware(self) -> Middleware:
        return answer


class AnsweringFirst:
    @hookimpl(tryfirst=True)
    def langcache_call_middleware(self) -> Middleware:
        return answer


@pytest.mark.parametrize(("kind", "outcome"), [(Answering, "miss"), (AnsweringFirst, "done")])
@pytest.mark.parametrize("is_last", [True, False])
def test_a_middleware_of_the_users_is_recorded_whatever_it_does(kind: type, outcome: str, is_last: bool) -> None:
    """And whatever place it asks for; outside of parsing, nobody has read its answer."""
    sink = Kept()
    with Audit(sink, actor="a") as made, Audit(sink, actor="b") as other:
        plugins = [made, other, kind()] if is_last else [kind(), other, made]
        found = search_sync(client(*plugins))
    assert [record.outcome for record in sink.records] == [outcome, outcome]
    assert {record.request_id for record in sink.records} == {found.metadata.request_id}


def test_a_client_in_which_something_is_to_stand_outside_of_the_audit_is_refused() -> None:
    made = Audit(Kept())
    with pytest.raises(PluginError, match=r"'Answering' stands outside of 'Audit', which has to see what it does"):
        client(made, Answering(), order={"Answering": "before:Audit"})
    with pytest.raises(PluginError, match=r"'Answering' stands outside of 'Audit', which has to see what it does"):
        client(
            made,
            Answering(),
            order={"Answering": "before:Audit"},
            required=["Audit"],
            without=["Audit.langcache_composed"],
        )
    client(made, Answering(), order={"Answering": "after:Audit"})


def test_a_call_whose_arguments_make_no_request_is_none() -> None:
    sink = Kept()
    wrong: Any = 7
    with Audit(sink) as made, pytest.raises(ValueError, match="prompt"):
        client(made).search(prompt=wrong)
    assert sink.records == []


def test_clients_may_share_it_and_a_client_may_have_two() -> None:
    first, second = Kept(), Kept()
    with Audit(first, attempts=True, actor="a") as one, Audit(second, attempts=True, actor="b") as two:
        search_sync(client(one, two))
        search_sync(client(one))
    assert [(record.kind, record.actor) for record in first.records] == [("attempt", "a"), ("call", "a")] * 2
    assert [(record.kind, record.actor) for record in second.records] == [("attempt", "b"), ("call", "b")]


def test_the_same_one_twice_is_refused() -> None:
    made = Audit(Kept())
    with pytest.raises(PluginError):
        client(made, made)


# Who


def test_the_actor_of_the_context_comes_through_threads_tasks_and_the_threaded_transport() -> None:
    sink = Kept()
    made = Audit(sink, actor="the service", attempts=True)
    cache = client(made)

    def call(name: str) -> None:
        with acting_as(name):
            search_sync(cache)

    async def main() -> None:
        async def act(name: str) -> None:
            with acting_as(name):
                await cache.search_async(prompt="p")

        await asyncio.gather(*(act(f"task {number}") for number in range(50)))

    threads = [threading.Thread(target=call, args=[f"thread {number}"]) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(main())
    with acting_as("ann"):
        context = contextvars.copy_context()
    copied = threading.Thread(target=context.run, args=[search_sync, cache])
    copied.start()
    copied.join()
    search_sync(cache)
    made.close()
    names = [*(f"{kind} {number}" for kind in ("thread", "task") for number in range(50)), "ann", "the service"]
    assert sorted(record.actor or "" for record in sink.records) == sorted(names * 2)


def test_the_context_variable_has_a_public_name() -> None:
    token = audit.actor.set("ann")
    try:
        sink = Kept()
        with Audit(sink) as made:
            search_sync(client(made))
    finally:
        audit.actor.reset(token)
    assert sink.records[0].actor == "ann"


async def who_async() -> str:
    await asyncio.sleep(0)
    return "ann"


def test_an_async_actor_serves_async_calls_and_stops_sync_ones() -> None:
    sink = Kept()
    with Audit(sink, actor=who_async) as made:
        search_async(client(made))
        with pytest.raises(AuditError, match="who calls cannot be told: UnexpectedAwaitableError"):
            search_sync(client(made))
    assert [record.actor for record in sink.records] == ["ann"]


# Full queues


def test_a_call_that_blocks_waits_for_room_and_holds_up_no_event_loop() -> None:
    sink = Stuck()
    made = Audit(sink, queue_size=1, wait_ms=60_000, check_ms=60_000)
    cache = client(made)
    sink.take(lambda: search_sync(cache))

    async def main() -> list[str]:
        order: list[str] = []

        async def call() -> None:
            await cache.search_async(prompt="p")
            order.append("call")

        await cache.search_async(prompt="p")
        waiting = asyncio.ensure_future(call())
        for _ in range(20):
            await asyncio.sleep(0)
        order.append("loop")
        sink.go_on.set()
        await waiting
        return order

    assert asyncio.run(main()) == ["loop", "call"]
    made.close()
    assert len(sink.records) == 3


@both_forms
@pytest.mark.parametrize(
    ("on_error", "when_full", "stats"),
    [
        ("raise", "fail", None),
        ("raise", "block", None),
        ("raise", "drop", AuditStats(1, 1, 0, 2)),
        ("ignore", "drop", AuditStats(1, 1, 0, 2)),
        ("ignore", "fail", AuditStats(1, 0, 1, 2)),
        ("ignore", "block", AuditStats(1, 0, 1, 2)),
        ("ignore", None, AuditStats(1, 1, 0, 2)),
        ("raise", None, None),
    ],
)
def test_a_queue_that_stays_full_is_met_as_it_was_chosen(
    search: SEARCH, on_error: Any, when_full: Any, stats: AuditStats | None
) -> None:
    sink = Stuck()
    made = Audit(sink, on_error=on_error, when_full=when_full, queue_size=2, wait_ms=10, check_ms=60_000)
    cache = client(made)

    def prove() -> None:
        until(lambda: is_made(search, cache))
        until(lambda: made.stats().written)

    sink.take(prove)
    search(cache)
    search(cache)
    if stats is None:
        with pytest.raises(AuditError):
            search(cache)
    else:
        assert search(cache).data == []
        assert made.stats() == stats
    sink.go_on.set()
    made.close()
    assert len(sink.records) == 3


def is_made(search: SEARCH, cache: LangCache) -> bool:
    try:
        search(cache)
    except AuditError as error:  # its thread has not begun yet, on a machine with much to do
        return not error.nothing_sent
    return True


# Many at once


def test_fifty_threads_and_fifty_tasks_leave_one_whole_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    made = Audit(JsonLinesFile(path, chain=Chain(KEY), fsync="never"), attempts=True, queue_size=64, wait_ms=60_000)
    cache = client(made, async_transport=AsyncFakeTransport(answering))

    def call() -> None:
        for _ in range(10):
            search_sync(cache)

    async def main() -> None:
        async def act() -> None:
            for _ in range(10):
                await cache.search_async(prompt="p")

        await asyncio.gather(*(act() for _ in range(50)))

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    asyncio.run(main())
    for thread in threads:
        thread.join()
    assert made.close(60_000)
    found = verify([path], Chain(KEY))
    assert (found.is_whole, found.records, made.stats().written) == (True, 2_000, 2_000)


# Confirmed


@both_forms
def test_a_confirmed_call_ends_when_its_record_is_in_the_file(search: SEARCH, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    made = Audit(JsonLinesFile(path, fsync="always"), confirm=True, attempts=True, wait_ms=60_000)
    cache = client(made)
    for number in range(1, 4):
        search(cache)
        assert len(lines(path)) == 2 * number
    made.close()


@both_forms
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no such device")
def test_a_confirmed_call_on_a_full_disk_is_an_error_with_its_answer(search: SEARCH) -> None:
    made = Audit(JsonLinesFile("/dev/full"), confirm=True, wait_ms=60_000)
    cache = client(made)
    with pytest.raises(AuditError, match="it was made, but is not recorded: The audit file '/dev/full'") as caught:
        search(cache)
    assert (caught.value.nothing_sent, caught.value.body) == (False, '{"data":[]}')
    with pytest.raises(AuditError, match="No space left on device") as caught:
        search(cache)
    assert caught.value.nothing_sent
    assert not made.close(0)


# Sinks of all kinds


def test_a_callable_is_a_sink() -> None:
    taken: list[AuditRecord] = []
    with Audit(taken.append) as made:
        search_sync(client(made))
    assert [record.operation for record in taken] == ["search"]


def test_a_logger_is_a_sink(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "langcache.audit"), Audit(LoggerSink()) as made:
        search_sync(client(made))
    [logged] = caplog.records
    assert json.loads(logged.getMessage())["operation"] == "search"


def test_a_callable_that_never_returns_holds_up_no_call() -> None:
    go_on, begun = threading.Event(), threading.Event()

    def take(record: AuditRecord) -> None:
        begun.set()
        go_on.wait(30)

    made = Audit(take, on_error="ignore", queue_size=3)
    cache = client(made)
    for _ in range(10):
        search_sync(cache)
    assert begun.wait(20)
    assert made.stats().dropped == 7
    assert not made.close(0)
    go_on.set()


def test_a_callable_may_call_the_client_itself() -> None:
    """Its calls are recorded too, and it must not wait for itself."""
    sizes: list[int] = []

    def take(record: AuditRecord) -> None:
        if len(sizes) < 3:
            sizes.append(1)
            search_sync(cache)

    made = Audit(take)
    cache = client(made)
    search_sync(cache)
    until(lambda: made.stats().written == 4)
    made.close()


# Its life


def test_nothing_is_opened_before_the_first_call(tmp_path: Path) -> None:
    threads = Threads()
    made = Audit(JsonLinesFile(tmp_path / "audit.jsonl"))
    cache = client(made)
    assert list(tmp_path.iterdir()) == []
    assert threads() == 0
    search_sync(cache)
    assert made.close()
    assert threads() == 0


def test_a_start_can_depend_on_it(tmp_path: Path) -> None:
    with Audit(JsonLinesFile(tmp_path / "audit.jsonl")) as made:
        made.check()
    with pytest.raises(AuditError, match="The audit is closed"):
        made.check()
    missing = tmp_path / "none" / "audit.jsonl"
    with (
        Audit(JsonLinesFile(missing)) as made,
        pytest.raises(AuditError, match=f"The audit: The audit file '{missing}'"),
    ):
        made.check()


def test_a_check_tells_of_a_sink_that_fails_whatever_that_means_for_calls() -> None:
    sink = Kept()
    sink.error = OSError("down")
    with Audit(sink, on_error="ignore") as made:
        with pytest.raises(AuditError, match="The audit: OSError was raised"):
            made.check()
        sink.error = None
        made.check()


def test_a_check_does_not_wait_for_ever() -> None:
    go_on = threading.Event()

    class Silent(Kept):
        def check(self) -> None:
            go_on.wait(30)

    made = Audit(Silent(), wait_ms=5)
    with pytest.raises(AuditError, match=r"its sink was silent for 0\.005 s"):
        made.check()
    go_on.set()
    made.close()


def test_a_check_tells_that_the_queue_is_full_and_takes_no_room() -> None:
    sink = Stuck()
    made = Audit(sink, queue_size=1, check_ms=60_000, wait_ms=60_000)
    cache = client(made)
    sink.take(lambda: search_sync(cache))
    for _ in range(3):
        made.check()
    search_sync(cache)
    with pytest.raises(AuditError, match="its queue is full"):
        made.check()
    sink.go_on.set()
    made.close()


def test_it_closes_its_sink_and_a_second_time_does_nothing() -> None:
    sink = Kept()
    made = Audit(sink)
    search_sync(client(made))
    assert made.close()
    assert made.close()
    assert (sink.closed, len(sink.records)) == (1, 1)


def test_a_closed_one_refuses_calls_or_counts_them() -> None:
    made = Audit(Kept())
    made.close()
    with pytest.raises(AuditError, match="the audit is closed"):
        search_sync(client(made))
    made = Audit(Kept(), on_error="ignore")
    made.close()
    search_sync(client(made))
    assert made.stats().failed == 1


def test_async_programs_close_it_without_holding_up_their_loop() -> None:
    sink = Stuck()

    async def main() -> bool:
        async with Audit(sink, check_ms=60_000) as made:
            cache = client(made)
            sink.take(lambda: search_sync(cache))
            await cache.search_async(prompt="p")
            asyncio.get_running_loop().call_soon(sink.go_on.set)
        return await made.aclose()

    assert asyncio.run(main())
    assert len(sink.records) == 2


def test_one_that_is_dropped_writes_what_is_queued_and_ends_its_thread() -> None:
    sink = Kept()
    threads = Threads()

    def use() -> weakref.ref[Audit]:
        made = Audit(sink)
        with client(made) as cache:
            search_sync(cache)
        return weakref.ref(made)

    dropped = use()
    gc.collect()
    assert dropped() is None
    until(lambda: sink.closed)
    until(lambda: not threads())
    assert len(sink.records) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"on_error": "log"},
        {"on_error": None},
        {"when_full": "wait"},
        {"queue_size": 0},
        {"queue_size": True},
        {"queue_size": 1.5},
        {"wait_ms": -1},
        {"wait_ms": float("nan")},
        {"check_ms": "1"},
        {"exit_ms": -1},
        {"confirm": "yes"},
        {"attempts": 1},
        {"actor": 7},
        {"prompts": "hash"},
    ],
)
def test_what_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))}"):
        Audit(Kept(), **wrong)


def test_a_repr_shows_nothing_but_kinds() -> None:
    assert repr(Audit(Kept(), actor="5ecret")) == "Audit(tests.audit.recording.Kept)"


def test_a_call_that_is_cancelled_is_recorded() -> None:
    sink = Kept()
    made = Audit(sink)

    async def main() -> None:
        started = asyncio.Event()

        async def never(request: Request) -> Response:
            started.set()
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

        cache = client(made, async_transport=AsyncFakeTransport(never))
        task = asyncio.ensure_future(cache.search_async(prompt="p"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    made.close()
    assert [record.error for record in sink.records] == ["CancelledError"]


def test_a_clock_that_goes_backwards_makes_no_time_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Kept()
    with Audit(sink) as made:
        times = iter([2e9, 1e9, 1e9])
        recording: Any = made._recording  # pyright: ignore[reportPrivateUsage]
        monkeypatch.setattr(recording, "_wall", lambda: next(times))
        cache = client(made)
        search_sync(cache)
        search_sync(cache)
    assert [record.time.year for record in sink.records] == [2033, 2001]
    assert all(0 <= record.duration_ms < 60_000 for record in sink.records)
    assert time.time() > 0


@both_forms
def test_closing_waits_for_calls_that_are_being_made_and_records_them(search: SEARCH) -> None:
    sink, sent, go_on = Kept(), threading.Event(), threading.Event()

    def slow(request: Request) -> Response:
        sent.set()
        assert go_on.wait(30)
        return NOTHING

    made = Audit(sink)
    cache = client(made, replies=slow)
    calling = threading.Thread(target=search, args=[cache])
    calling.start()
    assert sent.wait(20)
    assert not made.close(0)
    with pytest.raises(AuditError, match="the audit is closed"):
        search(cache)
    go_on.set()
    assert made.close(60_000)
    calling.join(20)
    assert [record.outcome for record in sink.records] == ["miss"]
