"""A canary for a key: given in every way, met by every failure on every transport, and looked for everywhere.

It is looked for in what programs, logs and what reports errors show: the ``repr`` of every object that is handed out
or raised, the whole chain of exceptions with the variables of each frame, pickles, copies, and the log at all levels.
"""

from __future__ import annotations

import asyncio
import base64
import copy
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

from langcache import BreakerPolicy, Credential, KeyFile, LangCache, RetryPolicy, errors
from langcache_transports.testing import FaultServer, faults

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


def seen_in_frames(error: BaseException) -> Iterator[tuple[str, Place]]:
    """Give the variables of all frames that are not a test's, each with the file that it is in.

    The facade has the headers that the caller gave it, in plain, as the caller's own frame has them.
    """
    for each in chain(error):
        for frame in traceback.StackSummary.extract(traceback.walk_tb(each.__traceback__), capture_locals=True):
            if "/tests/" not in frame.filename:
                place = f"frame of {frame.name} in {frame.filename}:{frame.lineno}"
                known = {name: text for name, text in (frame.locals or {}).items() if name != "http_headers"}
                yield frame.filename, (place, repr(known))
    told = traceback.TracebackException.from_exception(error)
    yield "", ("traceback", "".join(told.format()))


def seen_in_client(cache: LangCache) -> Iterator[Place]:
    pipeline: Any = cache._pipeline  # pyright: ignore[reportPrivateUsage]
    yield "repr of the client", f"{cache!r} {cache} {vars(cache)}"
    yield "explanation", cache.explain()
    yield "settings", f"{pipeline._settings!r} {pipeline._settings} {vars(pipeline)} {vars(pipeline._settings)}"
    yield "transports", f"{vars(pipeline._transports)} {pipeline._transports._options}"
    for layer in (layer for stage in pipeline._stages for layer in stage):
        yield f"middleware {layer!r}", f"{layer.middleware!r} {getattr(layer.middleware, '__dict__', None)}"


def leaks(places: Iterable[Place]) -> list[str]:
    return [f"{place}: {text[:2000]}" for place, text in places if CANARY in text or BASIC in text]


def is_ours(filename: str) -> bool:
    return "/langcache/" in filename or not filename


@dataclass
class Seen:
    """What leaked, by whose doing it is."""

    ours: list[str] = field(default_factory=list[str])
    transports: list[str] = field(default_factory=list[str])

    def look(self, error: BaseException) -> None:
        self.ours += leaks(seen_in_error(error))
        for filename, place in seen_in_frames(error):
            (self.ours if is_ours(filename) else self.transports).extend(leaks([place]))

    def look_at_result(self, result: Any) -> None:
        self.ours += leaks([("result", f"{result!r} {result} {result.metadata!r} {vars(result)}")])
        if result.metadata.degraded is not None:
            self.look(result.metadata.degraded)

    def look_at_client(self, cache: LangCache) -> None:
        self.ours += leaks(seen_in_client(cache))


def met(transport: str, given: Given, trouble: Trouble, log: Log, seen: Seen) -> list[Any]:
    """Make the calls, look at everything, and return what they ended with."""
    calls, arguments = TRANSPORTS[transport]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        client: dict[str, Any] = {"cache_id": "c", "debug_logger": log, **arguments, **trouble.client, **given.client}
        cache = LangCache(trouble.url, **client)
        seen.look_at_client(cache)
        ended = calls(cache, {**trouble.call, **given.call}, trouble.calls)
        seen.look_at_client(cache)
    for one in ended:
        seen.look(one) if isinstance(one, BaseException) else seen.look_at_result(one)
    seen.ours += leaks(("log", line) for line in log.lines)
    seen.ours += leaks(("warning", str(warning.message)) for warning in warned)
    return ended


def required(seen: Seen) -> None:
    assert seen.ours == []
    assert seen.transports == []


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("transport", OVER_HTTP)
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
    assert log.lines or trouble.startswith("a wrong"), "which is refused before anything is told"
    required(seen)
