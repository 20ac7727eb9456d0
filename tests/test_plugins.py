"""Plugins: validation, order, and transports found by name."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import EntryPoint
from pathlib import Path
from threading import Barrier
from types import ModuleType
from typing import Any

import pytest

from langcache import (
    BackoffStrategy,
    LangCache,
    Middleware,
    Next,
    Request,
    Response,
    RetryConfig,
    Steps,
    Transport,
    TransportOptions,
    hookimpl,
    send,
    sleep,
)
from langcache.config import Settings
from langcache.errors import ConfigurationError, DeadlineExceeded, LangCacheError, PluginError, UnknownTransportError
from langcache.governance import discovery
from langcache.plugins import Plugins
from tests.conftest import Installed
from tests.explained import attempt_stage, call_stage


class Echo:
    """A small real transport: answers a search with no entries, and remembers what it was sent."""

    def __init__(self, status: int = 200) -> None:
        self.sent: list[Request] = []
        self.closed = 0
        self._status = status

    def send(self, request: Request) -> Response:
        self.sent.append(request)
        return Response(self._status, {}, b'{"data":[]}')

    def close(self) -> None:
        self.closed += 1


class AsyncEcho:
    """The same for async calls."""

    def __init__(self) -> None:
        self.sent: list[Request] = []
        self.closed = 0

    async def send(self, request: Request) -> Response:
        self.sent.append(request)
        return Response(200, {}, b'{"data":[]}')

    async def aclose(self) -> None:
        self.closed += 1


def marking(name: str, seen: list[str]) -> Middleware:
    """A middleware that tells when it is entered, and what it sees coming back."""

    def mark(request: Request, call_next: Next) -> Steps[Response]:
        seen.append(name)
        try:
            response = yield from call_next(request)
        except LangCacheError as error:
            seen.append(f"{name}: {type(error).__name__}")
            raise
        seen.append(f"{name}: {response.status_code}")
        return response

    return mark


class Marking:
    """A plugin with a middleware in each stage."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self.name = name
        self.seen = seen

    @hookimpl
    def langcache_call_middleware(self) -> Middleware:
        return marking(f"{self.name} call", self.seen)

    @hookimpl
    def langcache_attempt_middleware(self) -> Middleware:
        return marking(f"{self.name} attempt", self.seen)


def made(transport: Transport, *given: object, **arguments: Any) -> LangCache:
    return LangCache("http://cache.example", "key", "c", transport=transport, plugins=given, **arguments)


def test_stages_and_order_are_as_documented() -> None:
    """Call middleware outside attempt middleware; in a stage the last registered plugin is outermost."""
    seen: list[str] = []
    made(Echo(), Marking("first", seen), Marking("second", seen)).search(prompt="p")
    assert seen == [
        "second call",
        "first call",
        "second attempt",
        "first attempt",
        "first attempt: 200",
        "second attempt: 200",
        "first call: 200",
        "second call: 200",
    ]


def test_tryfirst_is_outermost_and_trylast_innermost() -> None:
    seen: list[str] = []

    class Eager:
        @hookimpl(tryfirst=True)
        def langcache_call_middleware(self) -> Middleware:
            return marking("eager", seen)

    class Shy:
        @hookimpl(trylast=True)
        def langcache_call_middleware(self) -> Middleware:
            return marking("shy", seen)

    made(Echo(), Eager(), Marking("plain", seen), Shy()).search(prompt="p")
    assert [name for name in seen if ":" not in name] == ["eager", "plain call", "shy", "plain attempt"]


def test_of_several_that_are_last_the_one_that_is_given_last_is_innermost() -> None:
    class Shy:
        def __init__(self, name: str) -> None:
            self.name = name

        @hookimpl(trylast=True)
        def langcache_attempt_middleware(self) -> Middleware:
            return marking(self.name, [])

    told = made(Echo(), Shy("one"), Shy("two")).explain()
    assert told.index(" logging ") < told.index(" one ") < told.index(" two ") < told.index(" error_mapping ")


@pytest.mark.parametrize("trylast", [False, True])
def test_error_mapping_stays_innermost(trylast: bool) -> None:
    """So that every middleware sees errors with facts and not statuses, even one that asks to be last."""
    seen: list[str] = []

    class Curious:
        @hookimpl(trylast=trylast)
        def langcache_attempt_middleware(self) -> Middleware:
            return marking("curious", seen)

    with pytest.raises(LangCacheError):
        made(Echo(status=404), Curious()).search(prompt="p")
    assert seen == ["curious", "curious: NotFoundError"]


def test_retries_run_inside_call_middleware_and_outside_attempt_middleware() -> None:
    seen: list[str] = []

    class Flaky(Echo):
        def send(self, request: Request) -> Response:
            super().send(request)
            return Response(503 if len(self.sent) < 3 else 200, {}, b'{"data":[]}')

    retries = RetryConfig("backoff", BackoffStrategy(0, 0, 1, 60_000), False)
    made(Flaky(), Marking("m", seen), retry_config=retries).search(prompt="p")
    attempt = ["m attempt", "m attempt: APIError"]
    assert seen == ["m call", *attempt, *attempt, "m attempt", "m attempt: 200", "m call: 200"]


def test_a_users_call_middleware_stands_between_the_deadline_and_the_breaker() -> None:
    """The deadline bounds what it does, and fail-open sees what it raises."""
    stage = call_stage(made(Echo(), Marking("users", [])))
    assert stage == ["identity", "statistics", "fail_open", "parsing", "deadline", "users", "circuit_breaker", "retry"]


def test_a_deadline_bounds_what_plugins_wait_for() -> None:
    class Patient:
        @hookimpl
        def langcache_call_middleware(self) -> Middleware:
            def wait_first(request: Request, call_next: Next) -> Steps[Response]:
                yield from sleep(60)
                return (yield from call_next(request))

            return wait_first

    with pytest.raises(DeadlineExceeded, match="before a wait of 60 s, with"):
        made(Echo(), Patient()).search(prompt="p", deadline_ms=100)


BUILT_IN = [
    "logging", "auth", "circuit_breaker", "retry", "deadline", "parsing", "fail_open", "statistics", "identity",
    "error_mapping", "redirects",
]  # fmt: skip


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_middleware_can_be_left_out(name: str) -> None:
    """And nothing else goes with it."""
    everything, left = made(Echo()), made(Echo(), without=[name])
    gone = [*call_stage(everything), *attempt_stage(everything)]
    gone.remove(name)
    assert [*call_stage(left), *attempt_stage(left)] == gone
    left.search(prompt="p")


def test_a_plugin_takes_the_place_of_a_built_in_middleware() -> None:
    class OwnAuth:
        @hookimpl
        def langcache_attempt_middleware(self) -> Middleware:
            def sign(request: Request, call_next: Next) -> Steps[Response]:
                return (yield from call_next(request.with_headers({"Authorization": "Own signature"})))

            return sign

    echo = Echo()
    made(echo, OwnAuth(), without=["auth"]).search(prompt="p")
    assert echo.sent[0].headers["authorization"] == "Own signature"


def test_hooks_are_given_the_settings_once_and_not_for_each_request() -> None:
    given: list[Settings] = []

    class Asking:
        @hookimpl
        def langcache_call_middleware(self, settings: Settings) -> None:
            given.append(settings)

    client = made(Echo(), Asking(), timeout_ms=1500)
    client.search(prompt="p")
    client.search(prompt="p")
    assert len(given) == 1
    assert (given[0].server_url, given[0].cache_id, given[0].timeout) == ("http://cache.example", "c", 1.5)
    assert "key'" not in repr(given[0])


def test_one_clients_plugins_are_not_anothers() -> None:
    seen: list[str] = []
    made(Echo(), Marking("mine", seen))
    made(Echo()).search(prompt="p")
    assert seen == []


def test_a_module_is_a_plugin_too() -> None:
    seen: list[str] = []
    module = ModuleType("company_cache_rules")
    module.langcache_call_middleware = hookimpl(lambda: marking("module", seen))  # type: ignore[attr-defined]
    made(Echo(), module).search(prompt="p")
    assert seen == ["module", "module: 200"]


def test_a_misspelt_hook_is_reported_by_name() -> None:
    class Misspelt:
        @hookimpl
        def langcache_atempt_middleware(self) -> Middleware:
            raise AssertionError("never called")

    with pytest.raises(PluginError, match=r"Misspelt.*'langcache_atempt_middleware'.*'langcache_attempt_middleware'"):
        made(Echo(), Misspelt())


def test_a_hook_without_its_mark_is_reported_by_name() -> None:
    class Unmarked:
        def langcache_call_middleware(self) -> Middleware:
            raise AssertionError("never called")

    with pytest.raises(PluginError, match=r"Unmarked.*'langcache_call_middleware'.*@langcache.hookimpl"):
        made(Echo(), Unmarked())


def test_what_pluggy_refuses_for_another_reason_is_told_in_its_words() -> None:
    """Any number of arguments may be asked for."""

    class Wrapper:
        @hookimpl(wrapper=True)
        def langcache_transport(self, name: str, **more: object) -> None:
            raise AssertionError("never called")

    with pytest.raises(PluginError) as caught:
        made(Echo(), Wrapper())
    assert "Wrapper cannot be registered: " in str(caught.value)
    assert "more" not in str(caught.value).partition("cannot be registered")[0]


def test_an_argument_that_the_hook_does_not_have_is_reported() -> None:
    class Greedy:
        @hookimpl
        def langcache_call_middleware(self, request: Request) -> Middleware:
            raise AssertionError("never called")

    with pytest.raises(PluginError) as caught:
        made(Echo(), Greedy())
    assert str(caught.value).endswith(
        "Greedy has 'langcache_call_middleware' with request, but it can ask for settings only; it returns a "
        "middleware, which is given (request, call_next)"
    )


def test_what_pluggy_says_of_a_mistaken_hook_is_told_in_one_line() -> None:
    class NoWrapper:
        @hookimpl(wrapper=True)
        def langcache_transport(self, name: str) -> None:
            raise AssertionError("never called")

    with pytest.raises(PluginError, match=r"NoWrapper cannot be registered: .*not a generator function$"):
        made(Echo(), NoWrapper())


@pytest.mark.parametrize("plugin", [object(), ModuleType("empty"), 5, None])
def test_what_has_no_hook_is_no_plugin(plugin: object) -> None:
    with pytest.raises(PluginError, match=r"implements no hook; the hooks are langcache_call_middleware"):
        made(Echo(), plugin)


def test_a_class_is_refused_because_an_instance_is_needed() -> None:
    with pytest.raises(PluginError, match=r"is a class; hand in an instance: Marking\(\)"):
        made(Echo(), Marking)


def test_the_same_plugin_twice_is_refused() -> None:
    plugin = Marking("m", [])
    with pytest.raises(PluginError, match=r"Marking is there already, or is equal to one"):
        made(Echo(), plugin, plugin)


async def coroutine_middleware(request: Request, call_next: Next) -> Response:
    raise AssertionError("never called")


async def async_generator(request: Request, call_next: Next) -> AsyncGenerator[None]:
    yield None


class AsyncInstance:
    async def __call__(self, request: Request, call_next: Next) -> Response:
        raise AssertionError("never called")


def one_argument(request: Request) -> Steps[Response]:
    return (yield from send(request))


@pytest.mark.parametrize(
    ("middleware", "said"),
    [
        (coroutine_middleware, "it is async"),
        (async_generator, "it is async"),
        (AsyncInstance(), "it is async"),
        (partial(coroutine_middleware), "it is async"),
        ("retry", "it cannot be called"),
        (5, "it cannot be called"),
        (one_argument, "it does not take these two"),
    ],
)
def test_what_is_no_middleware_is_refused(middleware: object, said: str) -> None:
    """When the client is built, with the plugin's name."""

    class Wrong:
        @hookimpl
        def langcache_call_middleware(self) -> object:
            return middleware

    match = f"The plugin 'Wrong': .* is no middleware; that is a generator function .*; {said}$"
    with pytest.raises(PluginError, match=match):
        made(Echo(), Wrong())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("is_innermost", [True, False])
@pytest.mark.parametrize("returned", [Response(200, {}, b'{"data":[]}'), None, "text", "a coroutine"])
def test_a_middleware_that_returns_no_steps_is_named_in_a_call(returned: object, is_innermost: bool) -> None:
    """It looks like one until it is called; one that passes on what another function makes is sound."""

    def plain(request: Request, call_next: Next) -> object:
        return coroutine_middleware(request, call_next) if returned == "a coroutine" else returned

    class Plain:
        @hookimpl(tryfirst=True)
        def langcache_call_middleware(self) -> object:
            return plain

    order = {"Plain": "after:retry" if is_innermost else "before:identity"}
    kind = "coroutine" if returned == "a coroutine" else type(returned).__name__
    with pytest.raises(PluginError, match=rf"The plugin 'Plain': its middleware .*plain returned {kind}; it is to be"):
        made(Echo(), Plain(), order=order).search(prompt="p")

    class Passing:
        @hookimpl
        def langcache_call_middleware(self) -> Middleware:
            return lambda request, call_next: call_next(request)

    assert made(Echo(), Passing()).search(prompt="p").data == []


class Offering:
    """A plugin that answers to the name "echo", for sync and async calls."""

    def __init__(self) -> None:
        self.sync = Echo()
        self.asynchronous = AsyncEcho()
        self.options: TransportOptions | None = None

    @hookimpl
    def langcache_transport(self, name: str, options: TransportOptions) -> Echo | None:
        self.options = options
        return self.sync if name == "echo" else None

    @hookimpl
    def langcache_async_transport(self, name: str) -> AsyncEcho | None:
        return self.asynchronous if name == "echo" else None


def test_a_plugin_answers_to_a_transports_name() -> None:
    offering = Offering()
    with LangCache("http://cache.example", "k", "c", transport="echo", plugins=[offering], pool_size=7) as client:
        assert client.search(prompt="p").data == []
    assert len(offering.sync.sent) == 1
    assert offering.sync.closed == 1
    assert offering.options == TransportOptions(pool_size=7)


def test_a_plugin_answers_to_a_urls_scheme() -> None:
    offering = Offering()
    LangCache("echo://anything", cache_id="c", plugins=[offering]).search(prompt="p")
    assert offering.sync.sent[0].url == "echo://anything/v1/caches/c/entries/search"
    assert "authorization" not in offering.sync.sent[0].headers


def test_a_plugin_can_stand_in_for_a_built_in_transport() -> None:
    """It is asked before the built-in one is loaded."""

    class Instead:
        echo = Echo()

        @hookimpl
        def langcache_transport(self, name: str) -> Echo | None:
            return self.echo if name == "urllib3" else None

    LangCache("http://cache.example", "k", "c", plugins=[Instead()]).search(prompt="p")
    assert len(Instead.echo.sent) == 1


def test_an_unknown_transport_raises_with_the_list_of_known_ones() -> None:
    with pytest.raises(UnknownTransportError) as caught:
        LangCache("http://cache.example", "k", "c", transport="urlib3")
    assert "'urlib3'" in str(caught.value)
    for name in ("embedded", "requests", "threaded", "urllib3"):
        assert name in str(caught.value)
    assert isinstance(caught.value, ConfigurationError)


def test_an_unknown_transport_names_the_plugins_that_answer_to_others() -> None:
    with pytest.raises(UnknownTransportError, match=r"answer to names of their own: tests\.test_plugins\.Offering"):
        LangCache("http://cache.example", "k", "c", transport="nope", plugins=[Offering()])


def test_an_unknown_async_transport_raises_too() -> None:
    with pytest.raises(UnknownTransportError, match="'aiohtp'"):
        LangCache("http://cache.example", "k", "c", async_transport="aiohtp")


@pytest.mark.parametrize(("hook", "missing"), [("send", "send"), ("close", "close")])
def test_a_transport_without_its_methods_is_refused(hook: str, missing: str) -> None:
    class Incomplete:
        def __getattr__(self, name: str) -> Any:
            if name == missing:
                raise AttributeError(name)
            return print

    class Offers:
        @hookimpl
        def langcache_transport(self) -> Any:
            return Incomplete()

    with pytest.raises(PluginError, match=rf"Incomplete\) has no method {missing}\(\)"):
        LangCache("http://cache.example", "k", "c", transport="x", plugins=[Offers()])


STRANGER = EntryPoint("stranger", "tests.stranger_transport", discovery.TRANSPORT_GROUP)


def test_an_installed_transport_is_found_by_its_entry_point(installed: Installed) -> None:
    installed[discovery.TRANSPORT_GROUP] = {"stranger": [STRANGER]}
    client = LangCache("http://cache.example", "k", "c", transport="stranger")
    assert client.search(prompt="p").data == []


def test_a_transport_that_does_not_import_is_named(installed: Installed) -> None:
    broken = EntryPoint("broken", "tests.there_is_no_such_module", discovery.TRANSPORT_GROUP)
    installed[discovery.TRANSPORT_GROUP] = {"broken": [broken]}
    for _ in range(2):
        with pytest.raises(PluginError, match=r"The transport 'broken' cannot be loaded \(tests\.there_is_no_such_mod"):
            LangCache("http://cache.example", "k", "c", transport="broken")


def test_a_name_that_two_distributions_offer_is_refused(installed: Installed) -> None:
    other = EntryPoint("stranger", "other.module", discovery.TRANSPORT_GROUP)
    installed[discovery.TRANSPORT_GROUP] = {"stranger": [STRANGER, other]}
    with pytest.raises(
        PluginError, match=r"'stranger' is offered by several distributions: tests\.stranger_transport, o"
    ):
        LangCache("http://cache.example", "k", "c", transport="stranger")


def test_the_names_of_the_built_in_transports_cannot_be_taken(installed: Installed) -> None:
    """Nobody gets another default transport, unasked, because something was installed."""
    installed[discovery.TRANSPORT_GROUP] = {"urllib3": [STRANGER]}
    assert "sync calls: langcache_transports.urllib3." in LangCache("http://cache.example", "k", "c").explain()


def test_a_module_that_is_a_plugin_and_a_transport_is_asked_once(installed: Installed) -> None:
    """Under either name it is the same object, which pluggy has once."""
    installed[discovery.TRANSPORT_GROUP] = {"stranger": [STRANGER], "same": [STRANGER]}
    installed[discovery.PLUGIN_GROUP] = {"stranger": [STRANGER]}
    client = LangCache("http://cache.example", "k", "c", transport="stranger", plugins=["stranger"])
    assert client.search(prompt="p").data == []
    with pytest.raises(UnknownTransportError, match="No transport answers to 'same'"):
        LangCache("http://cache.example", "k", "c", transport="same", plugins=["stranger"])


@pytest.mark.parametrize(
    ("chosen", "absent"),
    [("urllib3", "requests"), ("embedded", "urllib3"), ("embedded", "requests")],
)
def test_a_transport_is_loaded_alone(chosen: str, absent: str) -> None:
    """Those that are not chosen are not even imported."""
    url = "embedded://" if chosen == "embedded" else "http://cache.example"
    program = f"import sys, langcache; langcache.LangCache({url!r}, 'k', 'c'); sys.exit({absent!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


_PACKAGE = """
from langcache import Request, Response, hookimpl


class Strange:
    def send(self, request):
        return Response(200, {}, b'{"data":[]}')

    def close(self):
        print("closed")


@hookimpl
def langcache_transport(name):
    return Strange() if name == "strange" else None


@hookimpl
def langcache_call_middleware():
    def tell(request, call_next):
        print(request.operation)
        return (yield from call_next(request))

    return tell
"""


def test_a_package_of_a_stranger_is_found_by_its_entry_points(tmp_path: Path) -> None:
    """A real distribution on the path of a real process: its transport by name, and its plugin by name."""
    (tmp_path / "strange.py").write_text(_PACKAGE, encoding="utf-8")
    metadata = tmp_path / "strange-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n", encoding="utf-8")
    points = "[langcache.transports]\nstrange = strange\n\n[langcache.plugins]\nteller = strange\n"
    (metadata / "entry_points.txt").write_text(points, encoding="utf-8")
    program = (
        "from langcache import LangCache\n"
        "with LangCache('http://x', 'k', 'c', transport='strange', plugins=['teller']) as cache:\n"
        "    assert cache.search(prompt='p').data == []\n"
        "LangCache('http://x', 'k', 'c', transport='strange')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.stdout.splitlines()[:2]) == ("", ["search", "closed"])


def test_the_built_in_transports_need_no_metadata(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bundle, or a copy of the code, has none."""

    def nothing(group: str) -> tuple[()]:
        return ()

    monkeypatch.setattr("importlib.metadata.entry_points", nothing)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])  # a state of the path that was not seen before
    for name in ("urllib3", "requests", "embedded"):
        assert Plugins().transport(name, TransportOptions()) is not None


# What is no transport, and hooks that fail


async def coroutine() -> Echo:
    return Echo()


def generator() -> Generator[None, None, Echo]:
    yield
    return Echo()


class Counted:
    """Something that is closed."""

    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def offering(hook: str, make: Callable[[], object]) -> ModuleType:
    """A plugin whose `hook` returns what `make` makes, whatever it is asked for."""
    module = ModuleType("offering")
    setattr(module, hook, hookimpl(lambda: make()))  # a function of its own, which is marked
    return module


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("hook", ["langcache_transport", "langcache_async_transport"])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (coroutine, r"The transport 'x' \(builtins\.coroutine\) .*(is a coroutine|has no method aclose)"),
        (generator, r"The transport 'x' \(builtins\.generator\) .*(is a generator|has no method aclose)"),
    ],
)
def test_steps_are_no_transport(hook: str, make: Callable[[], object], said: str) -> None:
    """Coroutines and generators have the methods of one; they are closed, so that Python does not warn of them."""
    with pytest.raises(PluginError, match=said):
        LangCache("http://c.example", "k", "c", transport="x", plugins=[offering(hook, make)])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("make", [coroutine, generator])
@pytest.mark.parametrize("argument", ["transport", "async_transport"])
def test_steps_that_are_handed_in_are_no_transport(argument: str, make: Callable[[], object]) -> None:
    arguments: Any = {argument: make()}
    with pytest.raises(ConfigurationError, match=r"builtins\.(coroutine|generator) is no transport: it is a"):
        LangCache("http://c.example", "k", "c", **arguments)


def test_what_is_refused_as_a_transport_is_closed() -> None:
    made_ones: list[Counted] = []

    def make() -> Counted:
        made_ones.append(Counted())
        return made_ones[-1]

    with pytest.raises(PluginError, match=r"Counted\) has no method send"):
        LangCache("http://c.example", "k", "c", transport="x", plugins=[offering("langcache_transport", make)])
    assert [each.closed for each in made_ones] == [1]


class AsyncHook:
    @hookimpl
    async def langcache_transport(self) -> Echo:
        return Echo()


class AsyncMiddlewareHook:
    @hookimpl
    async def langcache_call_middleware(self) -> None:
        """Nothing."""


class GeneratorHook:
    @hookimpl
    def langcache_transport(self) -> Generator[None, Echo, Echo]:
        return (yield)


class GeneratorMiddlewareHook:
    @hookimpl
    def langcache_attempt_middleware(self) -> Generator[None]:
        yield


class WrappingComposed:
    @hookimpl(wrapper=True)
    def langcache_composed(self) -> Generator[None]:
        yield


class AsyncComposed:
    @hookimpl
    async def langcache_composed(self) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (AsyncHook(), "has 'langcache_transport' as an async function; hooks are plain ones"),
        (AsyncMiddlewareHook(), "has 'langcache_call_middleware' as an async function; hooks are plain ones"),
        (
            GeneratorHook(),
            r"has 'langcache_transport' as a generator .*marked with @langcache.hookimpl\(wrapper=True\)",
        ),
        (
            GeneratorMiddlewareHook(),
            "has 'langcache_attempt_middleware' as a generator function; a hook returns a middleware",
        ),
        (WrappingComposed(), "wraps 'langcache_composed', but there is nothing to wrap"),
        (AsyncComposed(), "has 'langcache_composed' as an async function"),
    ],
)
def test_a_hook_that_would_do_nothing_when_it_is_called_is_refused(plugin: object, said: str) -> None:
    with pytest.raises(PluginError, match=said):
        made(Echo(), plugin)


class Failing:
    @hookimpl
    def langcache_transport(self) -> Echo:
        raise OSError("no answer of redis://ada:canary@db")

    @hookimpl
    def langcache_async_transport(self) -> AsyncEcho:
        raise SystemExit(3)


class Wrapping:
    @hookimpl(wrapper=True)
    def langcache_transport(self) -> Generator[None, Any, Any]:
        return (yield)


def test_a_hook_for_transports_that_fails_is_named() -> None:
    """And not one that wraps it. What it says is masked, and its error the cause."""
    said = "The plugin 'Failing' fails in langcache_transport, asked for 'urllib3': OSError: no answer of redis://db"
    with pytest.raises(PluginError, match=said) as caught:
        LangCache("http://c.example", "k", "c", plugins=[Failing(), Wrapping()])
    assert isinstance(caught.value.__cause__, OSError)


def test_a_hook_for_async_transports_that_fails_is_an_error_of_the_first_async_call() -> None:
    """And not a reason to go on without the plugin; `explain` tells it, and goes on."""
    client = LangCache(
        "http://c.example", "k", "c", plugins=[Failing()], without=["Failing.langcache_transport"]
    )  # fmt: skip
    said = "The plugin 'Failing' fails in langcache_async_transport, asked for 'aiohttp': SystemExit: 3"
    with pytest.raises(PluginError, match=said):
        asyncio.run(client.health_async())
    assert f"  async calls: none, they cannot be opened: {said}\n" in client.explain()
    client.close()


def test_errors_of_ours_pass_a_hook_for_transports_as_they_are() -> None:
    class Choosy:
        @hookimpl
        def langcache_transport(self) -> Echo:
            raise ConfigurationError("not with these options")

    with pytest.raises(ConfigurationError, match=r"^not with these options$"):
        LangCache("http://c.example", "k", "c", plugins=[Choosy()])


def test_explain_tells_that_the_transport_for_async_calls_cannot_be_opened() -> None:
    """The sync calls of that client work."""

    class OnlySync:
        @hookimpl
        def langcache_async_transport(self, name: str) -> object:
            raise ConfigurationError(f"no async calls over {name!r}")

    echo = Echo()
    client = LangCache("http://c.example", "k", "c", transport=echo, plugins=[OnlySync()])
    assert "async calls: none, they cannot be opened: no async calls over 'threaded'" in client.explain()
    assert client.search(prompt="p").data == []


class FailingLater:
    """A plugin that fails after the transports are there."""

    @hookimpl
    def langcache_call_middleware(self) -> Middleware:
        raise RuntimeError("too late")


class OnlyAclose:
    async def send(self, request: Request) -> Response:
        raise AssertionError("never called")

    async def aclose(self) -> None:
        raise AssertionError("never called")


def test_a_client_that_is_not_made_leaves_no_transport_open() -> None:
    """Those that were opened for it are closed, and a warning tells of one that only a loop could close."""
    echo, own = Echo(), Echo()
    with pytest.raises(RuntimeError, match="too late"):
        LangCache(
            "http://c.example", "k", "c", transport="x",
            plugins=[FailingLater(), offering("langcache_transport", lambda: echo)],
        )  # fmt: skip
    assert echo.closed == 1
    with pytest.raises(RuntimeError, match="too late"):
        LangCache("http://c.example", "k", "c", transport=own, plugins=[FailingLater()])
    assert own.closed == 0  # it is its owner's
    with (
        pytest.raises(RuntimeError, match="too late"),
        pytest.warns(ResourceWarning, match="OnlyAclose was not closed"),
    ):
        LangCache(
            "http://c.example", "k", "c", transport="x",
            plugins=[FailingLater(), offering("langcache_async_transport", OnlyAclose)],
        )  # fmt: skip


# Hooks that are not asked


def stranger_with(monkeypatch: pytest.MonkeyPatch, installed: Installed, seen: list[str]) -> EntryPoint:
    """A package of a transport that also has a middleware."""
    package: Any = ModuleType("stranger_with_more")

    @hookimpl
    def middleware() -> Middleware:
        seen.append("built")
        return marking("stranger", seen)

    package.langcache_call_middleware = middleware

    @hookimpl
    def transport(name: str) -> Echo | None:
        return Echo() if name == "more" else None

    package.langcache_transport = transport
    monkeypatch.setitem(sys.modules, package.__name__, package)
    entry_point = EntryPoint("more", package.__name__, discovery.TRANSPORT_GROUP)
    installed[discovery.TRANSPORT_GROUP] = {"more": [entry_point]}
    return entry_point


def test_of_a_package_that_is_loaded_for_its_transport_nothing_else_is_used(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its middleware is not even built, and a warning tells how it would be."""
    seen: list[str] = []
    stranger_with(monkeypatch, installed, seen)
    client = LangCache("http://c.example", "k", "c", transport="more")
    assert client.search(prompt="p").data == []
    assert seen == []
    assert caplog.messages == [
        "The transport 'more' is loaded for its transport alone; for its langcache_call_middleware, it needs an entry "
        "point in langcache.plugins too"
    ]


def test_a_package_that_is_a_plugin_too_is_used_as_one_where_it_is_named(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []
    entry_point = stranger_with(monkeypatch, installed, seen)
    installed[discovery.PLUGIN_GROUP] = {"more": [entry_point]}
    LangCache("http://c.example", "k", "c", transport="more").search(prompt="p")
    assert seen == []
    LangCache("http://c.example", "k", "c", transport="more", plugins=["more"]).search(prompt="p")
    assert seen == ["built", "stranger", "stranger: 200"]
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("arguments", "unasked"),
    [
        ({"transport": Echo()}, ["langcache_transport"]),
        ({"transport": AsyncEcho()}, ["langcache_async_transport", "langcache_transport"]),
        ({"transport": "x", "async_transport": AsyncEcho()}, ["langcache_async_transport"]),
        ({"transport": Echo(), "async_transport": AsyncEcho()}, ["langcache_async_transport", "langcache_transport"]),
        ({"transport": "x"}, []),
    ],
)
def test_a_plugin_that_wraps_transports_is_told_of_where_they_are_handed_in(
    caplog: pytest.LogCaptureFixture, arguments: dict[str, Any], unasked: list[str]
) -> None:
    class Recorder:
        @hookimpl(wrapper=True)
        def langcache_transport(self) -> Generator[None, Any, Any]:
            return (yield)

        @hookimpl(wrapper=True)
        def langcache_async_transport(self) -> Generator[None, Any, Any]:
            return (yield)

    others = [Offering(), offering("langcache_transport", Echo)]
    LangCache("http://c.example", "k", "c", plugins=[Recorder(), *others], **arguments)
    why = f"a transport is handed in as an object, so that {' and '.join(unasked)} is not asked"
    assert caplog.messages == ([f"The plugin 'Recorder' wraps no transport: {why}"] if unasked else [])


@pytest.mark.parametrize("required", [True, ["Wrapping"]])
def test_a_required_plugin_whose_hooks_are_not_asked_stops_construction(required: Any) -> None:
    """Where none of them is; for async calls they still may be."""
    said = (
        "The plugin 'Wrapping' is required, but does nothing: a transport is handed in as an object, so that langcach"
    )
    with pytest.raises(PluginError, match=said):
        made(Echo(), Wrapping(), required=required)
    LangCache("http://c.example", "k", "c", plugins=[Wrapping()], required=required)

    class Both(Wrapping):
        @hookimpl
        def langcache_async_transport(self) -> None:
            return None

    made(Echo(), Both(), required=["Both"])


def test_clients_are_made_in_several_threads_at_once(installed: Installed, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same plugins, by object and by name: each has all of them, once, in the same order."""
    shared = ModuleType("shared_by_threads")
    shared.langcache_call_middleware = hookimpl(lambda: marking("shared", []))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shared_by_threads", shared)
    entry_point = EntryPoint("shared", "shared_by_threads", discovery.PLUGIN_GROUP)
    installed[discovery.PLUGIN_GROUP] = {"shared": [entry_point]}
    plugin = Marking("object", [])
    threads, each = 8, 5
    together = Barrier(threads)

    def make() -> set[tuple[str, ...]]:
        together.wait(timeout=60)
        made_ones = [made(Echo(), plugin, "shared", required=True) for _ in range(each)]
        assert all(client.search(prompt="p").data == [] for client in made_ones)
        return {tuple(call_stage(client)) for client in made_ones}

    with ThreadPoolExecutor(threads) as pool:
        found = [future.result() for future in [pool.submit(make) for _ in range(threads)]]
    [stage] = {stage for stages in found for stage in stages}
    assert [name for name in stage if name not in BUILT_IN] == ["shared", "object"]
