"""A canary for a key: given in every way, met by every failure on every transport, and looked for everywhere.

It is looked for in what programs, logs and what reports errors show: the ``repr`` of every object that is handed out
or raised, the whole chain of exceptions with the variables of each frame, pickles, copies, the log at all levels,
spans, metrics and audit records.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import inspect
import logging
import pickle
import socket
import traceback
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from langcache import BreakerPolicy, Credential, KeyFile, LangCache, RetryPolicy, WireLog, errors
from langcache.audit import Audit
from langcache.config import UNSET
from langcache.pipeline import CallOptions
from langcache_transports.testing import FakeTransport, FaultServer, ForwardProxy, faults
from tests.audit.recording import Kept
from tests.telemetry.collecting import Collected
from tests.transports.programs import output_of

CANARY = "canary-5e1f0c"
BASIC = base64.b64encode(f"user:{CANARY}".encode()).decode()
"""How a proxy is shown it."""

Calls = Callable[[LangCache, dict[str, Any], int], list[Any]]
"""Makes calls with these arguments, as many as that, and returns their results and errors."""


def in_thread(cache: LangCache, arguments: dict[str, Any], count: int) -> list[Any]:
    ended: list[Any] = []
    with cache:
        for _ in range(count):
            try:
                ended.append(cache.search(prompt="p", **arguments))
            except Exception as error:  # noqa: BLE001, PERF203 - it is looked at
                ended.append(error)
    return ended


def in_loop(cache: LangCache, arguments: dict[str, Any], count: int) -> list[Any]:
    async def main() -> list[Any]:
        ended: list[Any] = []
        async with cache:
            for _ in range(count):
                try:
                    ended.append(await cache.search_async(prompt="p", **arguments))
                except Exception as error:  # noqa: BLE001, PERF203 - it is looked at
                    ended.append(error)
        return ended

    return asyncio.run(main())


TRANSPORTS: dict[str, tuple[Calls, dict[str, Any]]] = {
    "urllib3": (in_thread, {"transport": "urllib3"}),
    "requests": (in_thread, {"transport": "requests"}),
    "threaded": (in_loop, {"async_transport": "threaded"}),
    "aiohttp": (in_loop, {"async_transport": "aiohttp"}),
    "embedded": (in_thread, {}),
}
OVER_HTTP = [name for name in TRANSPORTS if name != "embedded"]

every_transport = pytest.mark.parametrize("transport", OVER_HTTP)


# How the key is given


@dataclass
class Given:
    """The arguments of the client and of the call that carry the key."""

    client: dict[str, Any] = field(default_factory=dict[str, Any])
    call: dict[str, Any] = field(default_factory=dict[str, Any])


def ways(folder: Path, transport: str) -> dict[str, Given]:
    """Return the ways in which a key is given for calls on a transport; a file is put into `folder`."""
    path = folder / "key"
    path.write_text(CANARY)
    plain = {
        "a string": Given({"api_key": CANARY}),
        "a secret": Given({"api_key": SecretStr(CANARY)}),
        "a provider of a string": Given({"api_key": lambda: CANARY}),
        "a provider of a secret": Given({"api_key": lambda: SecretStr(CANARY)}),
        "a provider of a credential": Given({"api_key": lambda: Credential(CANARY)}),
        "a key file": Given({"api_key": KeyFile(path)}),
        "a header": Given({"api_key": "k"}, {"http_headers": {"Authorization": f"Bearer {CANARY}"}}),
    }
    if TRANSPORTS[transport][0] is in_thread:
        return plain
    return plain | {
        "an async provider of a string": Given({"api_key": vault}),
        "an awaitable of a string": Given({"api_key": lambda: vault()}),
        "an awaitable of a credential": Given({"api_key": lambda: vault_of_credentials()}),
    }


async def vault() -> str:
    await asyncio.sleep(0)
    return CANARY


async def vault_of_credentials() -> Credential:
    return Credential(await vault())


# What goes wrong


@dataclass
class Trouble:
    """A place to go to, and with which arguments the call then fails as is wanted."""

    url: str
    client: dict[str, Any] = field(default_factory=dict[str, Any])
    call: dict[str, Any] = field(default_factory=dict[str, Any])
    calls: int = 1
    """How many calls it takes."""


@contextmanager
def refused() -> Generator[Trouble, None, None]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
    yield Trouble(f"http://127.0.0.1:{port}")


def answered(*conversations: Any, **more: Any) -> Callable[[], AbstractContextManager[Trouble]]:
    @contextmanager
    def meet() -> Generator[Trouble, None, None]:
        with FaultServer(*conversations) as server:
            yield Trouble(server.url, **more)

    return meet


def status(line: str, *headers: tuple[str, str]) -> Any:
    return faults.answer(faults.response(b'{"title":"t"}', status=line, headers=headers))


_RETRIES = {"retry_config": RetryPolicy(max_attempts=3, initial_ms=0, max_ms=0)}
_BREAKER = {"breaker": BreakerPolicy(consecutive_failures=1)}

TROUBLES: dict[str, Callable[[], AbstractContextManager[Trouble]]] = {
    "refused": refused,
    "401": answered(status("401 Unauthorized")),
    "403": answered(status("403 Forbidden")),
    "500": answered(status("500 Internal Server Error")),
    "500, thrice": answered(status("500 Internal Server Error"), client=_RETRIES),
    "a circuit": answered(status("500 Internal Server Error"), client=_BREAKER, calls=2),
    "a redirect elsewhere": answered(status("307 Temporary Redirect", ("Location", "http://cache.invalid/"))),
    "a timeout": answered(faults.silent, client={"timeout_ms": 50}),
    "a timeout within the body": answered(faults.silent_within_body, client={"timeout_ms": 50}),
    "a deadline": answered(faults.silent, call={"deadline_ms": 50}),
    "a miss": answered(faults.close_before_answer, client={"on_failure": "miss"}),
    "closed": answered(faults.close_before_answer),
    "reset within the body": answered(faults.reset_within_body),
    "garbage": answered(faults.not_http),
    "another form": answered(faults.OK),
    "a broken body": answered(faults.bad_gzip),
    "a wrong argument": answered(faults.OK, call={"max_results": "many"}),
    "a wrong option": answered(faults.OK, call={"timeout_ms": -1}),
}


# Where it is looked for


class Log(logging.Handler):
    """All that is told to any logger, at any level."""

    def __init__(self) -> None:
        super().__init__(level=0)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += [record.getMessage(), repr(vars(record)), logging.Formatter().format(record)]

    def debug(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Take a line as the client's own debug logger."""
        self.lines.append(msg % args)


@pytest.fixture
def log() -> Iterator[Log]:
    """The whole log: asyncio's and the HTTP libraries' as well."""
    log, root, langcache = Log(), logging.getLogger(), logging.getLogger("langcache")
    levels = root.level, langcache.level
    root.addHandler(log)
    root.setLevel(1)
    langcache.setLevel(1)
    yield log
    root.removeHandler(log)
    root.setLevel(levels[0])
    langcache.setLevel(levels[1])


def chain(error: BaseException) -> list[BaseException]:
    """Return an error and all that can be reached from it."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        candidate = waiting.pop()
        if isinstance(candidate, BaseException) and candidate not in found:
            found.append(candidate)
            waiting += [candidate.__cause__, candidate.__context__, *candidate.args, *vars(candidate).values()]
            waiting += getattr(candidate, "previous", ())
    return found


Place = tuple[str, str]
"""What somebody may look at, and the text that is seen there."""


def seen_in_error(error: BaseException) -> Iterator[Place]:
    for each in chain(error):
        name = type(each).__name__
        yield f"str of {name}", str(each)
        yield f"repr of {name}", repr(each)
        yield f"arguments of {name}", repr(each.args)
        yield f"variables of {name}", repr(vars(each))
        yield f"response of {name}", repr(getattr(each, "raw_response", None))
        if isinstance(each, errors.LangCacheError):
            with suppress(pickle.PicklingError):  # what a caller's own exception is made of may not be
                yield f"pickle of {name}", repr(pickle.dumps(each))
                yield f"pickle of a copy of {name}", repr(pickle.dumps(copy.copy(each)))
            yield f"deep copy of {name}", repr(vars(copy.deepcopy(each)))


def seen_in_frames(error: BaseException) -> Iterator[Place]:
    """Give the variables of all frames but those of the tests, which know the key, and what is printed.

    The facade has the headers that the caller gave it, in plain, as the caller's own frame has them.
    """
    for each in chain(error):
        for frame in traceback.StackSummary.extract(traceback.walk_tb(each.__traceback__), capture_locals=True):
            if frame.filename == __file__:
                continue
            own = {"http_headers"} if frame.filename == inspect.getfile(LangCache) else set[str]()
            for name, text in (frame.locals or {}).items():
                if name not in own:
                    yield f"{name} of {frame.name} in {frame.filename}:{frame.lineno}", text
    yield "traceback", "".join(traceback.format_exception(error))


def seen_in_client(cache: LangCache) -> Iterator[Place]:
    pipeline: Any = cache._pipeline  # pyright: ignore[reportPrivateUsage]
    yield "repr of the client", f"{cache!r} {cache} {vars(cache)}"
    yield "explanation", cache.explain()
    yield "settings", f"{pipeline._settings!r} {pipeline._settings} {vars(pipeline)} {vars(pipeline._settings)}"
    yield "transports", f"{vars(pipeline._transports)} {pipeline._transports._options}"
    for layer in (layer for stage in pipeline._stages for layer in stage):
        yield f"middleware {layer!r}", f"{layer.middleware!r} {getattr(layer.middleware, '__dict__', None)}"


@dataclass
class Seen:
    """Looks at things, and remembers where the key was seen."""

    leaks: list[str] = field(default_factory=list[str])
    spans: int = 0
    records: int = 0
    """How many records of the audit, one a call and one an attempt."""

    def look(self, places: Iterable[Place]) -> None:
        for place, text in places:
            if CANARY in text or BASIC in text:
                self.leaks.append(f"{place}: {text[:2000]}")

    def look_at(self, ended: Any) -> None:
        """Look at an error, or at a result and the error in whose place it stands."""
        if isinstance(ended, BaseException):
            self.look(seen_in_error(ended))
            self.look(seen_in_frames(ended))
        else:
            self.look([("result", f"{ended!r} {ended} {ended.metadata!r} {vars(ended)}")])
            if ended.metadata.degraded is not None:
                self.look_at(ended.metadata.degraded)

    @contextmanager
    def looking_around(self, log: Log) -> Generator[None, None, None]:
        """Look at what is logged and warned of meanwhile."""
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield
        self.look(("log", line) for line in log.lines)
        self.look(("warning", str(warning.message)) for warning in warned)


def met(transport: str, given: Given, trouble: Trouble, log: Log, seen: Seen) -> list[Any]:
    """Make the calls, look at everything, and return what they ended with."""
    calls, chosen = TRANSPORTS[transport]
    arguments: dict[str, Any] = {"cache_id": "c", "debug_logger": log, **chosen, **trouble.client, **given.client}
    collected, kept = Collected(), Kept()
    with seen.looking_around(log), Audit(kept, prompts="plain", attempts=True) as audit:
        plugins = [collected.plugin(prompts=True), WireLog(prompts=True), audit]
        cache = LangCache(trouble.url, plugins=plugins, **arguments)
        seen.look(seen_in_client(cache))
        ended = calls(cache, {**trouble.call, **given.call}, trouble.calls)
        seen.look(seen_in_client(cache))
        seen.look([("audit", repr(vars(audit)))])
    seen.spans += len(collected.spans)
    seen.records += len(kept.records)
    seen.look([("spans and metrics", collected.everything())])
    seen.look(("audit record", f"{record!r} {record.json()}") for record in kept.records)
    for one in ended:
        seen.look_at(one)
    return ended


def refused_by(make: Callable[[], object], log: Log, seen: Seen) -> BaseException:
    """Look at everything where a client, or a call, is refused."""
    error: BaseException | None = None
    with seen.looking_around(log):
        try:
            make()
        except (errors.LangCacheError, ValueError) as caught:
            error = caught
    assert error is not None
    seen.look_at(error)
    return error


# The tests


@pytest.mark.parametrize("trouble", TROUBLES)
@every_transport
def test_a_failed_call_shows_the_key_nowhere(transport: str, trouble: str, tmp_path: Path, log: Log) -> None:
    """However it was given."""
    seen = Seen()
    for given in ways(tmp_path, transport).values():
        with TROUBLES[trouble]() as met_with:
            last = met(transport, given, met_with, log, seen)[-1]
        if trouble == "a miss":
            assert isinstance(last.metadata.degraded, errors.LangCacheError)
        else:
            assert isinstance(last, (errors.LangCacheError, ValueError))
    assert seen.leaks == []


@every_transport
def test_a_call_that_succeeds_shows_the_key_to_the_service_alone(transport: str, tmp_path: Path, log: Log) -> None:
    """So it is a key that was looked for, and there are a log, spans and records in which it could have been."""
    seen = Seen()
    for given in ways(tmp_path, transport).values():
        with FaultServer(faults.answer(faults.response(b'{"data":[]}'))) as server:
            [result] = met(transport, given, Trouble(server.url), log, seen)
            assert result.data == []
            assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {CANARY}"]
    assert any("search: POST" in line for line in log.lines)
    assert (seen.spans, seen.records) == (len(ways(tmp_path, transport)), 2 * seen.spans)
    assert seen.leaks == []


@pytest.mark.parametrize("arguments", [{}, {"max_results": "many"}, {"similarity_threshold": 2}])
def test_the_embedded_data_plane_shows_the_key_nowhere(arguments: dict[str, Any], tmp_path: Path, log: Log) -> None:
    seen = Seen()
    for given in ways(tmp_path, "embedded").values():
        [ended] = met("embedded", given, Trouble("embedded://", call=arguments), log, seen)
        assert isinstance(ended, Exception) is bool(arguments)
    assert seen.leaks == []


async def broken_vault() -> str:
    return f"{CANARY}\nX-Injected: 1"


BROKEN: dict[str, Given] = {
    "a string": Given({"api_key": f"{CANARY}\n"}),
    "a secret": Given({"api_key": SecretStr(f"{CANARY}\r\nX-Injected: 1")}),
    "a provider of a string": Given({"api_key": lambda: f"{CANARY}\0"}),
    "a provider of bytes": Given({"api_key": lambda: CANARY.encode()}),
    "a provider of a list": Given({"api_key": lambda: [CANARY]}),
    "a provider of a credential": Given({"api_key": lambda: Credential(f"{CANARY}\n")}),
    "an async provider": Given({"api_key": broken_vault}),
    "an awaitable": Given({"api_key": lambda: broken_vault()}),
    "a header": Given({"api_key": "k"}, {"http_headers": {"Authorization": f"Bearer {CANARY}\n"}}),
    "a header of bytes": Given({"api_key": "k"}, {"http_headers": {"Authorization": CANARY.encode()}}),
    "headers that are none": Given({"api_key": "k"}, {"http_headers": [("Authorization", CANARY)]}),
}


@pytest.mark.parametrize("call", [{}, {"deadline_ms": 10_000}])
@pytest.mark.parametrize("given", BROKEN)
@pytest.mark.parametrize("transport", ["urllib3", "threaded"])
def test_a_key_that_no_header_can_carry_is_refused_and_shown_nowhere(
    transport: str, given: str, call: dict[str, Any], log: Log
) -> None:
    """Also where an async provider is refused because the call is not async."""
    seen = Seen()
    with FaultServer() as server:
        [error] = met(transport, BROKEN[given], Trouble(server.url, call=call), log, seen)
        assert isinstance(error, (errors.ConfigurationError, errors.UnexpectedAwaitableError))
        assert server.connections == 0
    assert seen.leaks == []


UNUSABLE: dict[str, dict[str, Any]] = {
    "a pool of none": {"pool_size": 0},
    "a timeout": {"timeout_ms": -1},
    "a deadline": {"deadline_ms": -1},
    "another timeout": {"connect_timeout_ms": -1},
    "a limit": {"max_response_bytes": 0},
    "retries": {"retry_config": 3},
    "a breaker": {"breaker": 3},
    "a choice": {"on_failure": "panic"},
    "a header": {"request_id_header": "Host"},
    "TLS": {"tls": 3},
    "hosts": {"no_proxy": [1]},
    "two": {"client": object(), "transport": "urllib3"},
    "a client": {"client": object()},
    "a name": {"transport": "telegraph"},
    "a plugin": {"plugins": ["unheard of"], "required": True},
    "an order": {"order": 3},
    "a hook": {"without": ["retry.unheard_of"]},
}
CARRYING: dict[str, dict[str, Any]] = {
    "a key": {"api_key": CANARY},
    "a key of bytes": {"api_key": CANARY.encode()},
    "a proxy": {"api_key": "k", "proxy": f"http://user:{CANARY}@127.0.0.1:9"},
    "a proxy of bytes": {"api_key": "k", "proxy": f"http://user:{CANARY}@127.0.0.1:9".encode()},
    "the environment": {},
}


@pytest.mark.parametrize("unusable", UNUSABLE)
@pytest.mark.parametrize("carrying", CARRYING)
def test_a_client_that_cannot_be_made_shows_the_key_nowhere(
    carrying: str, unusable: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a proxy's password, nor what of either is in the environment."""
    if carrying == "the environment":
        monkeypatch.setenv("LANGCACHE_API_KEY", CANARY)
        monkeypatch.setenv("http_proxy", f"http://user:{CANARY}@127.0.0.1:9")
    seen = Seen()
    refused_by(lambda: LangCache("http://cache.invalid", **CARRYING[carrying], **UNUSABLE[unusable]), log, seen)
    assert seen.leaks == []


@pytest.mark.parametrize("value", ["a\nb", "/none/at/all.pem"])
def test_authorities_of_the_environment_that_cannot_be_used_show_nothing_else_of_it(
    value: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANGCACHE_API_KEY", CANARY)
    monkeypatch.setenv("SSL_CERT_FILE", value)
    seen = Seen()

    def make_and_call() -> None:
        with LangCache("https://127.0.0.1:9", cache_id="c", timeout_ms=2_000) as cache:
            cache.search(prompt="p")

    refused_by(make_and_call, log, seen)
    assert seen.leaks == []


# A proxy's password


@contextmanager
def proxy_that_is_not_there() -> Generator[str, None, None]:
    with refused() as trouble:
        yield trouble.url


@contextmanager
def proxy_that_wants_another_password() -> Generator[str, None, None]:
    with ForwardProxy("user", "another") as proxy:
        yield proxy.url


@contextmanager
def proxy_that_breaks_off() -> Generator[str, None, None]:
    with FaultServer(faults.close_before_answer) as server:
        yield server.url


@contextmanager
def proxy_that_is_silent() -> Generator[str, None, None]:
    with FaultServer(faults.silent) as server:
        yield server.url


@contextmanager
def proxy_with_a_port_that_is_none() -> Generator[str, None, None]:
    yield "http://127.0.0.1:port"


PROXIES = {
    proxy.__name__: proxy
    for proxy in (
        proxy_that_is_not_there,
        proxy_that_wants_another_password,
        proxy_that_breaks_off,
        proxy_that_is_silent,
        proxy_with_a_port_that_is_none,
    )
}


@pytest.mark.parametrize("by", ["an argument", "a secret", "the environment"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("proxy", PROXIES)
@every_transport
def test_a_proxys_password_is_shown_nowhere(
    transport: str, proxy: str, scheme: str, by: str, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen()
    trouble = Trouble(f"{scheme}://cache.invalid", client={"timeout_ms": 200})
    with PROXIES[proxy]() as place:
        url = place.replace("://", f"://user:{CANARY}@")
        given: dict[str, Any] = {"api_key": "k"}
        if by == "the environment":
            monkeypatch.setenv(f"{scheme}_proxy", url)
        else:
            given["proxy"] = SecretStr(url) if by == "a secret" else url
        if proxy == proxy_with_a_port_that_is_none.__name__:
            refused_by(lambda: raised_in(met(transport, Given(given), trouble, log, seen)), log, seen)
        else:
            [error] = met(transport, Given(given), trouble, log, seen)
            assert isinstance(error, errors.RequestError)
    assert seen.leaks == []


def raised_in(ended: list[Any]) -> None:
    """Raise the errors, where it was the call that was refused and not the client."""
    for one in ended:
        raise one


def test_a_proxys_password_is_shown_to_the_proxy_alone(log: Log) -> None:
    seen = Seen()
    with (
        FaultServer(faults.answer(faults.response(b'{"data":[]}'))) as server,
        ForwardProxy("user", CANARY) as proxy,
    ):
        url = proxy.url.replace("://", f"://user:{CANARY}@")
        for transport in OVER_HTTP:
            [result] = met(transport, Given({"api_key": "k", "proxy": url}), Trouble(server.url), log, seen)
            assert result.data == []
        assert len(proxy.requests) == len(server.requests) == len(OVER_HTTP)
        assert not any("proxy-authorization" in request.headers for request in server.requests)
    assert seen.leaks == []


# What is printed


def test_the_debug_output_shows_the_key_nowhere() -> None:
    """LANGCACHE_DEBUG writes to standard error, and so do the HTTP libraries where a program asks for everything."""
    program = """
    import http.client, logging
    from langcache import LangCache, RetryPolicy, errors

    logging.basicConfig(level=1)
    cache = LangCache(cache_id="c", retry_config=RetryPolicy(max_attempts=2, initial_ms=1, max_ms=1), timeout_ms=5_000)
    print(repr(cache), cache.explain())
    try:
        cache.search(prompt="p")
    except errors.LangCacheError as error:
        logging.getLogger("program").exception("no answer")
        print(repr(error), error, vars(error))
    cache.search(prompt="p", on_failure="miss")
    logging.getLogger().handlers[:] = []
    LangCache(cache_id="c").search(prompt="p", on_failure="miss")
    """
    with FaultServer(status("500 Internal Server Error")) as server:
        out, err = output_of(
            program, LANGCACHE_SERVER_URL=server.url, LANGCACHE_API_KEY=CANARY, LANGCACHE_DEBUG="1", NO_PROXY="*"
        )
        assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {CANARY}"] * 5
    assert "UnexpectedError" in out
    assert err.count("search: POST") >= 5
    assert "Traceback (most recent call last)" in err
    assert CANARY not in out + err


def test_a_client_is_not_pickled_or_copied_with_its_key() -> None:
    client = LangCache("http://cache.invalid", CANARY, "c", transport=FakeTransport())
    for copied in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="make a new one") as caught:
            copied(client)
        assert CANARY not in repr(caught.value)


def test_the_options_of_a_call_show_no_credential_of_an_unchecked_url() -> None:
    """A traceback shows what its frames hold."""
    options = CallOptions(UNSET, f"http://user:{CANARY}@cache.example", None, {"X-Key": CANARY})
    assert CANARY not in repr(options)
