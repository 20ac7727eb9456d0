"""Making, sharing, closing and dropping clients, and what they log."""

from __future__ import annotations

import copy
import logging
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..packages import langcache, utils
from ..stage import CACHE, KEY, Stage, call_case, case
from ..wire import CREATED, MINIMAL, MISSED, SUCCESS, answer, problem


@case("lifetime/constructor/positional", MISSED, modes=("sync",))
async def _positional(stage: Stage) -> None:
    config = utils.RetryConfig("none", utils.BackoffStrategy(1, 5, 1.0, 20), False)
    given = (stage.url, "a-key", "a-cache", None, None, config, 3000, logging.getLogger("program"))
    for count in (1, 2):
        stage.probe(f"{count}", langcache.LangCache, *given[:count])
    for count in range(3, len(given) + 1):
        client = langcache.LangCache(*given[:count])
        await stage.call(f"{count}", client, "search", prompt="p")
    stage.probe("one too many", langcache.LangCache, *given, None)


@case("lifetime/constructor/without arguments", modes=("sync",))
async def _bare(stage: Stage) -> None:
    stage.probe("constructor", langcache.LangCache)


@case("lifetime/constructor/without a URL", modes=("sync",))
async def _no_url(stage: Stage) -> None:
    stage.probe("constructor", langcache.LangCache, api_key=KEY, cache_id=CACHE)


@case("lifetime/constructor/raises nothing for what the first call needs", modes=("sync",))
async def _lenient(stage: Stage) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "key None": {"api_key": None},
        "key empty": {"api_key": ""},
        "cache id None": {"cache_id": None},
        "cache id empty": {"cache_id": ""},
        "URL without a scheme": {"server_url": "host.example"},
        "unknown keyword": {"unknown": 1},
        "client of another type": {"client": 1},
        "async client of another type": {"async_client": 1},
        "debug logger of another type": {"debug_logger": 1},
    }
    for label, given in wrong.items():
        stage.probe(label, stage.client, **given)


@case("lifetime/with returns the client", MISSED)
async def _with(stage: Stage) -> None:
    client = stage.client()
    if stage.is_async:
        async with client as entered:
            stage.note("is the client", entered is client)
            await stage.call("call", entered, "search", prompt="p")
    else:
        with client as entered:
            stage.note("is the client", entered is client)
            await stage.call("call", entered, "search", prompt="p")


@case("lifetime/use after with", MISSED)
async def _after(stage: Stage) -> None:
    client = stage.client()
    await stage.leave(client)
    await stage.call("call", client, "search", prompt="p")


@case("lifetime/with twice", MISSED)
async def _twice(stage: Stage) -> None:
    client = stage.client()
    await stage.leave(client)
    try:
        await stage.leave(client)
        stage.note("second with", "passes")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        stage.note("second with", f"raises {type(error).__name__}")


@case("lifetime/the other mode after with", MISSED, modes=("async",))
async def _other_mode(stage: Stage) -> None:
    first, second = stage.client(), stage.client()
    async with first:
        pass
    stage.observe("sync after async with", lambda: first.search(prompt="p"))
    with second:
        pass
    await stage.call("async after with", second, "search", prompt="p")


@case("lifetime/error inside with", MISSED)
async def _error_inside(stage: Stage) -> None:
    try:
        with stage.client():
            raise KeyError("mine")
    except KeyError as error:
        stage.note("passes", repr(error))


@case("lifetime/sync call inside async with, async call inside with", MISSED, modes=("async",))
async def _mixed(stage: Stage) -> None:
    client = stage.client()
    async with client:
        stage.observe("sync inside async with", lambda: client.search(prompt="p"))
    with stage.client() as other:
        await stage.call("async inside with", other, "search", prompt="p")


@case("lifetime/two event loops", MISSED, modes=("sync",))
async def _two_loops(stage: Stage) -> None:
    import asyncio

    client = stage.client()
    for label in ("first", "second"):
        stage.observe(label, lambda: asyncio.run(client.search_async(prompt="p")))


@case("lifetime/threads", MISSED, modes=("sync",))
async def _threads(stage: Stage) -> None:
    client = stage.client()
    with ThreadPoolExecutor(4) as pool:
        results = [pool.submit(client.search, prompt="p") for _ in range(8)]
    stage.note("results", [result.result().data for result in results])


@case("lifetime/concurrent tasks", MISSED, modes=("async",))
async def _tasks(stage: Stage) -> None:
    import asyncio

    client = stage.client()
    results = await asyncio.gather(*(client.search_async(prompt="p") for _ in range(5)))
    stage.note("results", [result.data for result in results])


@case("lifetime/one connection for calls one after another", MISSED, SUCCESS["set"], SUCCESS["flush"])
async def _one_after_another(stage: Stage) -> None:
    client = stage.client()
    await stage.call("search", client, "search", prompt="p")
    await stage.call("set", client, "set", **MINIMAL["set"])
    await stage.call("flush", client, "flush")


@case("lifetime/copies of a client", modes=("sync",))
async def _copies(stage: Stage) -> None:
    stage.probe("pickle", pickle.dumps, stage.client())
    stage.probe("copy", copy.copy, stage.client())
    stage.probe("deepcopy", copy.deepcopy, stage.client())
    stage.observe("hash", lambda: isinstance(hash(stage.client()), int))
    stage.note("key in repr", KEY in repr(stage.client()))


class _Log:
    """A debug logger with nothing but `debug`, as programs write it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def debug(self, msg: str, *arguments: Any, **options: Any) -> None:
        self.lines.append(msg % arguments if arguments else msg)


@case("lifetime/debug logger/search", MISSED)
async def _logged(stage: Stage) -> None:
    log = _Log()
    await stage.call("call", stage.client(debug_logger=log), "search", prompt="a secret prompt")
    _note_log(stage, log)


@case("lifetime/debug logger/error", problem(404, "/errors/resource-not-found"))
async def _logged_error(stage: Stage) -> None:
    log = _Log()
    await stage.call("call", stage.client(debug_logger=log), "search", prompt="a secret prompt")
    _note_log(stage, log)


def _note_log(stage: Stage, log: _Log) -> None:
    text = "\n".join(log.lines)
    stage.note("writes", bool(log.lines))
    stage.note("lines", len(text.splitlines()))
    stage.note("prompt shown", "a secret prompt" in text)
    stage.note("key shown", KEY in text)
    stage.note("URL shown", stage.url in text)
    stage.note("path shown", f"/v1/caches/{CACHE}/entries/search" in text)
    stage.note("status shown", any(status in text for status in ("200", "404")))


class _Handler(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


@case("lifetime/debug logger/of the standard library", CREATED)
async def _standard(stage: Stage) -> None:
    logger, handler = logging.getLogger("program"), _Handler()
    logger.addHandler(handler)
    for level in (logging.INFO, logging.DEBUG):
        logger.setLevel(level)
        await stage.call(f"level {level}", stage.client(debug_logger=logger), "set", **MINIMAL["set"])
        stage.note(f"written at level {level}", handler.count > 0)
    logger.removeHandler(handler)


@case("lifetime/LANGCACHE_DEBUG", MISSED, environment={"LANGCACHE_DEBUG": "true"}, modes=("sync",))
async def _debug(stage: Stage) -> None:
    root, ours, handler = logging.getLogger(), logging.getLogger("langcache"), _Handler()
    before = list(root.handlers), root.level, list(ours.handlers), ours.level
    ours.addHandler(handler)
    await stage.call("call", stage.client(), "search", prompt="p")
    stage.note("written to the logger langcache", handler.count > 0)
    stage.note("root logger changed", (list(root.handlers), root.level) != before[:2])
    root.handlers[:], root.level = before[0], before[1]
    ours.handlers[:] = before[2]
    ours.setLevel(before[3])
    root.setLevel(before[1])


call_case(
    "lifetime/a call without a client's URL", "search", {"prompt": "p", "server_url": None}, answer(200, {"data": []})
)
