"""What is current while a call runs, and that nothing of it is left behind, wherever and however the call ends."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context

from langcache import LangCache, Middleware, Next, Request, Response, RetryPolicy, Steps, hookimpl, send
from langcache.telemetry.scope import Scope, is_suppressed, without_instrumentors
from langcache_transports.testing import AsyncFakeTransport, FakeTransport
from tests.telemetry.collecting import BUSY, HIT, Collected, attributes_of, cache_of, id_of

BELOW = contexts.create_key("test")


def with_value(value: object) -> Context:
    return contexts.set_value(BELOW, value)


@contextmanager
def nothing_left_behind(caplog: pytest.LogCaptureFixture) -> Generator[None]:
    """The context is the same after as before, and OpenTelemetry has not complained."""
    before = contexts.get_current()
    yield
    assert contexts.get_current() == before
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


# By itself


def test_it_is_current_between_enter_and_leave() -> None:
    before, scope = contexts.get_current(), Scope()
    scope.enter(with_value(1))
    assert contexts.get_value(BELOW) == 1
    scope.leave()
    assert contexts.get_current() is before
    scope.leave()
    assert contexts.get_current() is before


def test_leave_without_enter_does_nothing() -> None:
    before = contexts.get_current()
    Scope().leave()
    assert contexts.get_current() is before


def test_what_others_left_within_it_goes_with_it() -> None:
    before, scope = contexts.get_current(), Scope()
    scope.enter(with_value(1))
    contexts.attach(contexts.set_value("another's", 2))
    scope.leave()
    assert contexts.get_current() is before


def test_it_is_left_in_its_own_context_alone(caplog: pytest.LogCaptureFixture) -> None:
    """As when the garbage collector ends a generator, in the midst of something else."""
    scope, elsewhere, here = Scope(), contextvars.copy_context(), contextvars.copy_context()
    here.run(lambda: scope.enter(with_value(1)))
    elsewhere.run(lambda: contexts.attach(with_value("elsewhere")))
    elsewhere.run(scope.leave)
    assert elsewhere.run(lambda: contexts.get_value(BELOW)) == "elsewhere"
    thread = threading.Thread(target=scope.leave)
    thread.start()
    thread.join()
    here.run(scope.leave)
    assert here.run(lambda: contexts.get_value(BELOW)) is None
    assert caplog.records == []


def test_scopes_that_overlap_in_one_context_leave_nothing_behind() -> None:
    """As of tasks that share a context; whichever ends first."""
    before = contexts.get_current()
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2), (0, 2, 1)):
        scopes = [Scope(), Scope(), Scope()]
        for number, scope in enumerate(scopes):
            scope.enter(with_value(number))
        for number in order:
            scopes[number].leave()
        assert contexts.get_current() is before


# In a client


class Seen:
    """A plugin that keeps what is current within the call: once a call, once an attempt, and in the key provider."""

    def __init__(self) -> None:
        self.spans: list[trace.Span] = []

    @hookimpl
    def langcache_call_middleware(self) -> Middleware:
        return self._look

    @hookimpl
    def langcache_attempt_middleware(self) -> Middleware:
        return self._look

    def _look(self, request: Request, call_next: Next) -> Steps[Response]:
        self.spans.append(trace.get_current_span())
        try:
            return (yield from call_next(request))
        finally:
            self.spans.append(trace.get_current_span())

    def key(self) -> str:
        self.spans.append(trace.get_current_span())
        assert not is_suppressed(), "a provider's own requests are spans of their own"
        return "k"


@pytest.mark.parametrize("deadline_ms", [None, 60_000])
def test_the_span_is_current_within_the_call(deadline_ms: float | None, caplog: pytest.LogCaptureFixture) -> None:
    """Also in the thread in which a key provider is asked, where there is a deadline."""
    collected, seen = Collected(), Seen()

    def answer(_: Request) -> Response:
        seen.spans.append(trace.get_current_span())
        assert is_suppressed(), "what sends makes no span of its own"
        return HIT

    cache = LangCache(
        "http://cache.example", seen.key, "c", transport=FakeTransport([BUSY, answer]),
        plugins=[seen, collected.plugin()], retry_config=RetryPolicy(initial_ms=1), deadline_ms=deadline_ms,
    )  # fmt: skip
    with nothing_left_behind(caplog):
        cache.search(prompt="p")
    contexts_seen = {span.get_span_context().span_id for span in seen.spans}
    assert contexts_seen == {id_of(collected.span())}
    assert len(seen.spans) == 9


@pytest.mark.parametrize("ending", [HIT, BUSY, KeyboardInterrupt(), SystemExit(), GeneratorExit()], ids=repr)
def test_nothing_is_left_behind_however_a_call_ends(ending: Any, caplog: pytest.LogCaptureFixture) -> None:
    collected = Collected()
    with nothing_left_behind(caplog), suppress(BaseException):
        cache_of(collected, ending).search(prompt="p")
    assert len(collected.spans) == 1


def test_a_generator_that_is_dropped_ends_its_span_and_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    """In another thread, with another context, as the garbage collector may do it."""
    collected = Collected()
    plugin = collected.plugin()
    request = Request("POST", "http://cache.example/", operation="search")
    holder: list[Steps[Response]] = []

    def begin() -> None:
        steps = plugin.trace_call(request, lambda inner: plugin.trace_attempt(inner, send))
        next(steps)
        steps.throw  # noqa: B018 - it waits
        holder.append(steps)

    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()
    with nothing_left_behind(caplog):
        holder.clear()
        gc.collect()
    assert attributes_of(collected.span())["error.type"] == "GeneratorExit"


def test_fifty_threads_each_have_their_own(caplog: pytest.LogCaptureFixture) -> None:
    collected, wrong = Collected(), list[str]()

    def answer(request: Request) -> Response:
        current = trace.get_current_span().get_span_context().span_id
        if f"{current:016x}" not in request.headers["traceparent"]:
            wrong.append(request.headers["traceparent"])
        return HIT

    plugin = collected.plugin()
    cache = LangCache("http://cache.example", "k", "c", transport=FakeTransport(answer), plugins=[plugin])
    start = threading.Barrier(50)

    def work() -> None:
        start.wait()
        before = contexts.get_current()
        for _ in range(10):
            cache.search(prompt="p")
            if contexts.get_current() != before:
                wrong.append("left behind")

    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len({id_of(span) for span in collected.spans}) == 500
    assert caplog.records == []


def test_two_hundred_tasks_each_have_their_own(caplog: pytest.LogCaptureFixture) -> None:
    """Native and in threads; each waits while the others run."""
    collected, wrong = Collected(), list[str]()

    async def answer(request: Request) -> Response:
        for _ in range(3):
            await asyncio.sleep(0)
            current = trace.get_current_span().get_span_context().span_id
            if f"{current:016x}" not in request.headers["traceparent"] or not is_suppressed():
                wrong.append(request.headers["traceparent"])
        return HIT

    async def call(cache: LangCache) -> None:
        before = contexts.get_current()
        await cache.search_async(prompt="p")
        if contexts.get_current() != before:
            wrong.append("left behind")

    async def main() -> None:
        transport = AsyncFakeTransport(answer)
        plugin = collected.plugin()
        async with LangCache("http://cache.example", "k", "c", async_transport=transport, plugins=[plugin]) as cache:
            await asyncio.gather(*(call(cache) for _ in range(200)))
            # One after another in the same task too.
            for _ in range(3):
                await call(cache)

    asyncio.run(main())
    assert wrong == []
    assert len({id_of(span) for span in collected.spans}) == 203
    assert {span.parent for span in collected.spans} == {None}
    assert caplog.records == []


def test_the_threads_of_the_threaded_transport_have_the_calls_context(caplog: pytest.LogCaptureFixture) -> None:
    collected, seen = Collected(), list[tuple[int, bool]]()

    def answer(_: Request) -> Response:
        seen.append((trace.get_current_span().get_span_context().span_id, is_suppressed()))
        return HIT

    async def main() -> None:
        plugin = collected.plugin()
        transport = FakeTransport(answer)
        async with LangCache("http://cache.example", "k", "c", transport=transport, plugins=[plugin]) as cache:
            with nothing_left_behind(caplog):
                await cache.search_async(prompt="p")

    asyncio.run(main())
    assert seen == [(id_of(collected.span()), True)]


def cancelled(call: Callable[[LangCache], Any]) -> Collected:
    """Cancel an async call while it waits for its answer."""
    collected = Collected()

    async def main() -> None:
        begun = asyncio.Event()

        async def never(_: Request) -> Response:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError("unreachable")

        transport = AsyncFakeTransport([never])
        plugin = collected.plugin()
        async with LangCache("http://cache.example", "k", "c", async_transport=transport, plugins=[plugin]) as cache:
            task = asyncio.ensure_future(call(cache))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    return collected


def test_a_cancelled_call_ends_its_span(caplog: pytest.LogCaptureFixture) -> None:
    with nothing_left_behind(caplog):
        span = cancelled(lambda cache: cache.search_async(prompt="p")).span()
    attributes = attributes_of(span)
    assert attributes["error.type"] == "asyncio.exceptions.CancelledError"
    assert [(event.attributes or {})["error.type"] for event in span.events] == ["asyncio.exceptions.CancelledError"]


def test_a_coroutine_that_is_never_finished_ends_its_span(caplog: pytest.LogCaptureFixture) -> None:
    """It is closed in the context of whoever drops it, and not in that of its task."""
    collected = Collected()

    async def never(_: Request) -> Response:
        await asyncio.sleep(0)
        raise AssertionError("unreachable")

    plugin = collected.plugin()
    transport = AsyncFakeTransport(never)
    cache = LangCache("http://cache.example", "k", "c", async_transport=transport, plugins=[plugin])
    coroutine = cache.search_async(prompt="p")
    contextvars.copy_context().run(coroutine.send, None)
    with nothing_left_behind(caplog):
        coroutine.close()
    assert attributes_of(collected.span())["error.type"] == "GeneratorExit"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="create_task has no context of its own before")
def test_tasks_that_share_a_context_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    """What is current for one is so for all, so that not each has a span; but it ends with the last of them."""
    collected = Collected()

    async def main() -> None:
        events = [asyncio.Event() for _ in range(3)]

        async def answer(request: Request) -> Response:
            await events[int(request.json()["prompt"])].wait()
            return HIT

        plugin = collected.plugin()
        transport = AsyncFakeTransport(answer)
        shared = contextvars.copy_context()
        async with LangCache("http://cache.example", "k", "c", async_transport=transport, plugins=[plugin]) as cache:
            loop: Any = asyncio.get_running_loop()
            tasks = [loop.create_task(cache.search_async(prompt=str(number)), context=shared) for number in range(3)]
            for number in (1, 0, 2):
                await asyncio.sleep(0)
                events[number].set()
                await asyncio.sleep(0)
            await asyncio.gather(*tasks)
            assert shared.run(trace.get_current_span) is trace.INVALID_SPAN

    asyncio.run(main())
    assert caplog.records == []


def test_a_call_within_a_call_is_a_span_within_the_span(caplog: pytest.LogCaptureFixture) -> None:
    """As of a key provider that keeps its keys in another cache; it is no part of what sends."""
    collected = Collected()
    inner = cache_of(collected, HIT)

    def key() -> str:
        inner.search(prompt="the key")
        return "k"

    outer = LangCache("http://cache.example", key, "c", transport=FakeTransport([HIT]), plugins=[collected.plugin()])
    with nothing_left_behind(caplog):
        outer.search(prompt="p")
    child, parent = collected.spans
    assert child.parent is not None
    assert child.parent.span_id == id_of(parent)
    assert [len(span.events) for span in collected.spans] == [1, 1]


def test_a_call_that_is_the_sending_of_another_makes_no_second_span() -> None:
    """A transport that is a client of another cache, say."""
    collected = Collected()
    inner = cache_of(collected, HIT)

    def answer(_: Request) -> Response:
        inner.search(prompt="p")
        return HIT

    outer = LangCache("http://cache.example", "k", "c", transport=FakeTransport(answer), plugins=[collected.plugin()])
    outer.search(prompt="p")
    assert attributes_of(collected.span())["server.address"] == "cache.example"
    assert attributes_of(collected.span())["url.full"] == "http://cache.example/v1/caches/c/entries/search"


def test_a_program_can_suppress_spans() -> None:
    collected = Collected()
    cache = cache_of(collected, HIT)
    token = contexts.attach(without_instrumentors())
    try:
        cache.search(prompt="p")
    finally:
        contexts.detach(token)
    assert collected.spans == ()
    assert collected.metrics() == {}


def test_logging_of_the_context_is_part_of_what_is_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    """So that the tests above would see the trap that they are about."""
    token = contextvars.copy_context().run(contexts.attach, with_value(1))
    contexts.detach(token)
    assert [(record.name, record.levelno) for record in caplog.records] == [("opentelemetry.context", logging.ERROR)]
