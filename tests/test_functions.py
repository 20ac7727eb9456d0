"""A plugin made of functions: before, after and on errors, in sync calls and in async ones."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import inspect
import json
import shutil
import weakref
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from langcache import FunctionPlugin, LangCache, Next, Request, Response, RetryPolicy, Steps, errors
from langcache.models import SearchResponse
from langcache.steps import compose, run_async
from langcache_transports.testing import AsyncFakeTransport, FakeTransport
from tests.explained import attempt_stage, call_stage

NOTHING = Response(200, {"Content-Type": "application/json"}, b'{"data":[]}')
BUSY = Response(503, {}, b"{}")
FOUND = Response(
    200,
    {"Content-Type": "application/json"},
    b'{"data":[{"id":"e","prompt":"p","response":"r","attributes":{},"similarity":1,"searchStrategy":"exact"}]}',
)

Search = Callable[..., SearchResponse]


def search_sync(transport: FakeTransport, *plugins: object, **arguments: Any) -> SearchResponse:
    with LangCache("http://c.example", "k", "c", transport=transport, plugins=plugins, **arguments) as client:
        return client.search(prompt="p")


def search_async(transport: FakeTransport, *plugins: object, **arguments: Any) -> SearchResponse:
    async def main() -> SearchResponse:
        own = AsyncFakeTransport(transport.send)
        async with LangCache("http://c.example", "k", "c", transport=own, plugins=plugins, **arguments) as client:
            return await client.search_async(prompt="p")

    return asyncio.run(main())


def awaiting(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Make a coroutine function of a plain one."""

    async def later(*arguments: Any) -> Any:
        await asyncio.sleep(0)
        return function(*arguments)

    return later


def as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def noting(seen: list[str], what: str) -> Callable[..., None]:
    """A function for any role that changes nothing."""

    def note(*arguments: object) -> None:
        seen.append(what)

    return note


in_all_forms = pytest.mark.parametrize(
    ("search", "form"),
    [(search_sync, as_it_is), (search_async, as_it_is), (search_async, awaiting)],
    ids=["sync", "async", "async with coroutine functions"],
)
Form = Callable[[Callable[..., Any]], Any]
RETRIES = RetryPolicy(initial_ms=0, max_ms=0)


@in_all_forms
def test_before_changes_what_is_sent(search: Search, form: Form) -> None:
    transport = FakeTransport([NOTHING])

    def sign(request: Request) -> Request:
        return request.with_headers({"X-Signature": "s"})

    def rewrite(request: Request) -> Request:
        return request.with_json({**request.json(), "prompt": "other"})

    search(transport, FunctionPlugin(before_attempt=form(sign)), FunctionPlugin(name="r", before_call=form(rewrite)))
    [sent] = transport.requests
    assert sent.headers["x-signature"] == "s"
    assert json.loads(sent.content or b"")["prompt"] == "other"


@in_all_forms
def test_after_changes_what_is_handed_out(search: Search, form: Form) -> None:
    seen: list[tuple[str, int]] = []

    def after(request: Request, response: Response) -> Response:
        seen.append((request.operation, response.status_code))
        return FOUND

    assert [entry.id for entry in search(FakeTransport([NOTHING]), FunctionPlugin(after_call=form(after))).data] == [
        "e"
    ]
    assert seen == [("search", 200)]


@in_all_forms
def test_functions_that_return_none_change_nothing(search: Search, form: Form) -> None:
    seen: list[str] = []
    plugin = FunctionPlugin(
        before_call=form(noting(seen, "before call")),
        after_call=form(noting(seen, "after call")),
        before_attempt=form(noting(seen, "before attempt")),
        after_attempt=form(noting(seen, "after attempt")),
    )
    assert search(FakeTransport([NOTHING]), plugin).data == []
    assert seen == ["before call", "before attempt", "after attempt", "after call"]


@in_all_forms
def test_those_for_a_call_run_once_and_those_for_attempts_each_time(search: Search, form: Form) -> None:
    seen: list[str] = []
    plugin = FunctionPlugin(
        before_call=form(noting(seen, "before call")),
        after_call=form(noting(seen, "after call")),
        on_error=form(noting(seen, "on error")),
        before_attempt=form(noting(seen, "before attempt")),
        after_attempt=form(noting(seen, "after attempt")),
        on_attempt_error=form(noting(seen, "on attempt error")),
    )
    search(FakeTransport([BUSY, NOTHING]), plugin, retry_config=RETRIES)
    attempts = ["before attempt", "on attempt error", "before attempt", "after attempt"]
    assert seen == ["before call", *attempts, "after call"]


@in_all_forms
def test_an_error_is_replaced_by_another_one(search: Search, form: Form) -> None:
    class CompanyError(Exception):
        pass

    def rename(request: Request, error: errors.LangCacheError) -> None:
        raise CompanyError(f"{request.operation}: {error.status_code}") from error

    with pytest.raises(CompanyError, match="search: 503") as caught:
        search(FakeTransport([BUSY]), FunctionPlugin(on_error=form(rename)))
    assert isinstance(caught.value.__cause__, errors.APIError)


@in_all_forms
def test_an_error_is_replaced_by_a_response(search: Search, form: Form) -> None:
    """Which is handed out as it is: those for answers do not see it."""

    def instead(request: Request, error: errors.LangCacheError) -> Response:
        return FOUND

    def after(request: Request, response: Response) -> Response:
        raise AssertionError("never called")

    plugin = FunctionPlugin(on_error=form(instead), after_call=form(after))
    assert [entry.id for entry in search(FakeTransport([BUSY]), plugin).data] == ["e"]


@in_all_forms
def test_an_error_that_is_only_looked_at_goes_on_as_it_is(search: Search, form: Form) -> None:
    seen: list[BaseException] = []

    def look(request: Request, error: errors.LangCacheError) -> None:
        seen.append(error)

    with pytest.raises(errors.APIError) as caught:
        search(FakeTransport([BUSY]), FunctionPlugin(on_error=form(look)))
    assert seen == [caught.value]


@in_all_forms
def test_a_function_that_raises_ends_the_call_and_its_neighbours_are_not_asked(search: Search, form: Form) -> None:
    """Those for errors are for what comes from inside."""

    class Blocked(Exception):
        pass

    def block(request: Request) -> None:
        raise Blocked(request.operation)

    def on_error(request: Request, error: errors.LangCacheError) -> None:
        raise AssertionError("never called")

    transport = FakeTransport([NOTHING])
    with pytest.raises(Blocked, match="search"):
        search(transport, FunctionPlugin(before_call=form(block), on_error=form(on_error)))
    assert transport.requests == []


@in_all_forms
@pytest.mark.parametrize(
    ("role", "returns", "wanted"),
    [
        ("before_call", "text", "Request"),
        ("before_attempt", NOTHING, "Request"),
        ("after_call", 5, "Response"),
        ("after_attempt", False, "Response"),
        ("on_error", "text", "Response"),
        ("on_attempt_error", {}, "Response"),
    ],
)
def test_a_function_that_returns_something_else_is_named(
    search: Search, form: Form, role: str, returns: object, wanted: str
) -> None:
    def mistaken(*arguments: object) -> object:
        return returns

    plugin = FunctionPlugin(**{role: form(mistaken)}, name="mine")
    said = rf"The plugin 'mine': {role} \(tests\.test_functions\..*\) returned {type(returns).__name__}; "
    with pytest.raises(errors.PluginError, match=said + rf"it is to return a langcache\.{wanted}, or None"):
        search(FakeTransport([BUSY if "error" in role else NOTHING]), plugin)


def test_an_async_function_is_refused_in_a_sync_call_before_it_is_called() -> None:
    """With its name, and without a warning of a coroutine that was never awaited."""
    called: list[Request] = []

    async def fetch(request: Request) -> None:
        called.append(request)

    class Fetch:
        async def __call__(self, request: Request) -> None:
            called.append(request)

    for function, name in ((fetch, r"fetch"), (Fetch(), "Fetch"), (partial(fetch), "functools.partial")):
        with pytest.raises(
            errors.UnexpectedAwaitableError, match=rf"{name} is async: .*Use the client's \*_async meth"
        ):
            search_sync(FakeTransport([NOTHING]), FunctionPlugin(before_call=function))
    with pytest.raises(errors.UnexpectedAwaitableError, match=r"<lambda> is async"):
        search_sync(FakeTransport([NOTHING]), FunctionPlugin(before_call=lambda request: fetch(request)))
    assert called == []


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("role", ["after_call", "on_error", "after_attempt", "on_attempt_error"])
@pytest.mark.parametrize("is_answered", [True, False])
def test_a_sync_call_with_an_async_function_sends_nothing(role: str, is_answered: bool) -> None:
    """Also where the function would be called afterwards: what is done then cannot be undone."""

    async def later(*arguments: Any) -> None:
        raise AssertionError("never called")

    class Later:
        async def __call__(self, *arguments: Any) -> None:
            raise AssertionError("never called")

    transport = FakeTransport([NOTHING if is_answered else BUSY] * 2)
    given: list[tuple[Any, str]] = [(later, "later"), (Later(), "Later")]
    for function, name in given:
        with pytest.raises(
            errors.UnexpectedAwaitableError, match=rf"{name} is async: .*Use the client's \*_async meth"
        ):
            search_sync(transport, FunctionPlugin(**{role: function}), retry_config=RETRIES, deadline_ms=10_000)
    assert transport.requests == []


def test_the_error_that_an_awaitable_could_not_be_told_of_is_not_lost() -> None:
    """What only turns out to be async when it is called is refused then, with the error of the call behind it."""

    async def later(*arguments: Any) -> None:
        raise AssertionError("never called")

    plugin = FunctionPlugin(on_error=lambda request, error: later(request, error))
    with pytest.raises(errors.UnexpectedAwaitableError, match="<lambda> is async") as caught:
        search_sync(FakeTransport([BUSY]), plugin)
    behind, found = caught.value.__context__, list[type]()
    while behind is not None:
        found.append(type(behind))
        behind = behind.__context__
    assert errors.APIError in found


def test_what_only_returns_an_awaitable_is_awaited_too() -> None:
    async def fetch(request: Request) -> Request:
        return request.with_headers({"X-Fetched": "1"})

    transport = FakeTransport([NOTHING])
    search_async(transport, FunctionPlugin(before_call=lambda request: fetch(request)))
    assert transport.requests[0].headers["X-Fetched"] == "1"


def test_an_async_function_is_bounded_by_the_deadline() -> None:
    async def stuck(request: Request) -> None:
        await asyncio.Event().wait()

    with pytest.raises(errors.DeadlineExceeded, match=r"during a call of tests\.test_functions\..*stuck"):
        search_async(FakeTransport([NOTHING]), FunctionPlugin(before_call=stuck), deadline_ms=30)


def test_a_plain_function_is_called_in_the_callers_thread_also_with_a_deadline() -> None:
    """So that what it sets for its thread or its context is there afterwards."""
    import threading

    seen: list[threading.Thread] = []
    plugin = FunctionPlugin(before_call=lambda request: seen.append(threading.current_thread()))
    search_sync(FakeTransport([NOTHING]), plugin, deadline_ms=10_000)
    assert seen == [threading.current_thread()]


def test_the_plugins_name_is_given_or_the_first_functions() -> None:
    def tag(request: Request) -> None:
        return None

    class Tagging:
        def __call__(self, request: Request) -> None:
            return None

    assert FunctionPlugin(before_call=tag).name == "tag"
    assert FunctionPlugin(before_attempt=Tagging()).name == "Tagging"
    assert FunctionPlugin(name="mine", before_call=tag).name == "mine"


def test_it_stands_in_the_stages_that_it_has_functions_for() -> None:
    def only(plugin: FunctionPlugin, **arguments: Any) -> tuple[bool, bool]:
        client = LangCache("http://c.example", "k", "c", transport=FakeTransport(), plugins=[plugin], **arguments)
        return "mine" in call_stage(client), "mine" in attempt_stage(client)

    def look(*arguments: object) -> None:
        return None

    assert only(FunctionPlugin(name="mine", on_error=look)) == (True, False)
    assert only(FunctionPlugin(name="mine", after_attempt=look)) == (False, True)
    assert only(FunctionPlugin(name="mine", before_call=look, before_attempt=look)) == (True, True)
    with pytest.raises(errors.PluginError, match="'mine' sees every attempt, and 'retry' sees a call once"):
        only(FunctionPlugin(name="mine", before_attempt=look), order={"mine": "before:retry"})


def test_explain_tells_its_functions_and_where_they_come_from() -> None:
    plugin = FunctionPlugin(name="mine", before_attempt=json.dumps, after_attempt=shutil.copy)  # type: ignore[arg-type]
    told = LangCache("http://c.example", "k", "c", transport=FakeTransport(), plugins=[plugin]).explain()
    assert "  mine             langcache.functions.Around (no distribution, asked for by plugins)\n" in told
    assert "before_attempt=json.dumps, after_attempt=shutil.copy" in told


def generator(request: Request, call_next: Next) -> Steps[Response]:
    return (yield from call_next(request))


def test_a_function_whose_decorator_gives_it_more_is_taken() -> None:
    def tagged(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(request: Request) -> Any:
            return function(request, "tag")

        return wrapper

    @tagged
    def add(request: Request, tag: str) -> Request:
        return request.with_headers({"X-Tag": tag})

    transport = FakeTransport([NOTHING])
    search_sync(transport, FunctionPlugin(before_call=add))
    assert transport.requests[0].headers["X-Tag"] == "tag"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "FunctionPlugin: give it one function at least, as before_call, after_call, on_error, before_attempt"),
        ({"name": "mine"}, "give it one function at least"),
        ({"name": "", "before_call": print}, "name must be a string that is not empty, not ''"),
        ({"name": 5, "before_call": print}, "name must be a string that is not empty, not 5"),
        ({"before_call": "sign"}, "FunctionPlugin: before_call must be a function, not str"),
        (
            {"before_call": generator},
            "before_call is called with request, which tests.test_functions.generator does not take",
        ),
        ({"after_attempt": inspect.signature}, "called with request and response, which inspect.signature does not"),
        ({"on_error": list}, "on_error is called with request and error, which builtins.list does not take"),
    ],
)
def test_what_makes_no_plugin_is_refused(arguments: Any, said: str) -> None:
    with pytest.raises(errors.PluginError, match=said):
        FunctionPlugin(**arguments)


class Seen(errors.LangCacheError):
    """An error that tells whether it is still there."""

    def __init__(self, seen: list[weakref.ref[Seen]]) -> None:
        super().__init__("seen")
        seen.append(weakref.ref(self))


@pytest.mark.parametrize("form", [as_it_is, awaiting], ids=["plain", "coroutine function"])
def test_a_failed_call_leaves_no_reference_cycle(form: Form) -> None:
    """It would hold the request with its prompt until the next collection."""
    seen: list[weakref.ref[Seen]] = []
    plugin: Any = FunctionPlugin(on_error=form(noting([], "error")))
    handle = compose([plugin.langcache_call_middleware()])

    async def transmit(request: Request) -> Response:
        raise Seen(seen)

    async def fail() -> None:
        with contextlib.suppress(Seen):
            await run_async(handle(Request("GET", "http://c.example")), transmit)

    gc.disable()
    try:
        asyncio.run(fail())
        [left] = seen
        assert left() is None
    finally:
        gc.enable()
