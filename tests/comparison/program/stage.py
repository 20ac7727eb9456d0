"""The stage on which a case is played: the server's script, the client, sync or async calls, and the observations."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .observe import Observation, attempt, in_depth, raised, returned
from .packages import langcache

Answer = Mapping[str, Any]
Play = Callable[["Stage"], Coroutine[Any, Any, None]]

KEY = "the-key"
CACHE = "the-cache"


@dataclass
class Stage:
    """Plays one case in one mode, and keeps what was observed under the labels of its steps."""

    url: str
    is_async: bool
    observations: dict[str, Any] = field(default_factory=dict[str, Any])

    def client(self, *positional: Any, **options: Any) -> Any:
        """Make a client of the server; `options` replace the URL, the key and the cache id."""
        given = {} if positional else {"server_url": self.url, "api_key": KEY, "cache_id": CACHE}
        return langcache.LangCache(*positional, **(given | options))

    async def invoke(self, client: Any, operation: str, *positional: Any, **arguments: Any) -> Any:
        """Call the operation's sync or async method."""
        method = getattr(client, f"{operation}_async" if self.is_async else operation)
        answer = method(*positional, **arguments)
        return (await answer) if inspect.isawaitable(answer) else answer

    async def call(self, label: str, client: Any, operation: str, *positional: Any, **arguments: Any) -> None:
        """Call the operation and observe how that ends."""
        try:
            self.observations[label] = returned(await self.invoke(client, operation, *positional, **arguments))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
            self.observations[label] = raised(error)

    async def examine(self, client: Any, operation: str, **arguments: Any) -> None:
        """Call the operation, which fails, and observe how the error behaves."""
        try:
            await self.invoke(client, operation, **arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
            self.observations["error"] = in_depth(error)

    def observe(self, label: str, deed: Callable[..., Any], /, *arguments: Any, **options: Any) -> None:
        """Do `deed` and observe how it ends."""
        self.observations[label] = attempt(lambda: deed(*arguments, **options))

    def probe(self, label: str, deed: Callable[..., Any], /, *arguments: Any, **options: Any) -> None:
        """Do `deed` and observe how it ends, but not what it returns."""
        self.observations[label] = attempt(lambda: [deed(*arguments, **options)].clear())

    def note(self, label: str, value: Any) -> None:
        """Keep a value, which is JSON already."""
        self.observations[label] = value

    async def leave(self, client: Any) -> None:
        """Use `client` in the ``with`` statement of the mode, and leave it."""
        if self.is_async:
            async with client:
                pass
        else:
            with client:
                pass


@dataclass(frozen=True)
class Case:
    """Something to do with the package, and what the server answers.

    Where `many` is set, how many requests there are depends on the clock, so it is only told whether there was one or
    more. Where `modes` are fewer, the case has no sync or no async form.
    """

    name: str
    play: Play
    answers: Sequence[Answer]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    many: bool = False
    modes: Sequence[str] = ("sync", "async")


CASES: list[Case] = []


def case(name: str, *answers: Answer, **options: Any) -> Callable[[Play], Play]:
    """Make a case of the function below."""

    def add(play: Play) -> Play:
        CASES.append(Case(name, play, answers, **options))
        return play

    return add


def call_case(
    name: str,
    operation: str,
    arguments: Mapping[str, Any],
    *answers: Answer,
    client: Mapping[str, Any] | None = None,
    **options: Any,
) -> None:
    """Add a case that makes one call with a client of its own, made with the arguments `client`."""

    async def play(stage: Stage) -> None:
        try:
            made = stage.client(**(client or {}))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
            stage.note("constructor", raised(error))
            return
        await stage.call("call", made, operation, **arguments)

    CASES.append(Case(name, play, answers, **options))


class Control:
    """The controlling connection to the server."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._stream = self._socket.makefile("rb")

    def begin(self, answers: Sequence[Answer]) -> None:
        """Set the script of a case."""
        self._command({"answers": list(answers) or [{"do": "close"}]})

    def take(self) -> list[dict[str, str]]:
        """End the case and return the requests that came."""
        requests: list[dict[str, str]] = self._command({"take": True})["requests"]
        return requests

    def _command(self, command: Mapping[str, Any]) -> dict[str, Any]:
        self._socket.sendall(json.dumps(command).encode() + b"\n")
        reply: dict[str, Any] = json.loads(self._stream.readline())
        return reply


def perform(case: Case, mode: str, url: str, control: Control) -> Observation:
    """Play `case` in `mode`, and return what was observed and what the server got."""
    stage = Stage(url, mode == "async")
    control.begin(case.answers)
    before = dict(os.environ)
    os.environ.update({name: value.replace("{url}", url) for name, value in case.environment.items()})
    try:
        _drive(case.play(stage), stage.is_async)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        stage.note("the case itself", raised(error))
    finally:
        os.environ.clear()
        os.environ.update(before)
    requests = control.take()
    seen: Observation = {"steps": stage.observations, "requests": [_request(raw) for raw in requests]}
    if case.many:
        seen["requests"] = seen["requests"][:1]
        seen["number of requests"] = "more than one" if len(requests) > 1 else len(requests)
    else:
        seen["number of requests"] = len(requests)
    return seen


def _drive(play: Coroutine[Any, Any, None], is_async: bool) -> None:
    """Run the case: without an event loop in sync mode, where it never waits."""
    if is_async:
        asyncio.run(play)
        return
    try:
        play.send(None)
    except StopIteration:
        return
    raise AssertionError("a sync case waited")


def _request(raw: Mapping[str, str]) -> Observation:
    line, *lines = raw["head"].removesuffix("\r\n\r\n").split("\r\n")
    method, _, rest = line.partition(" ")
    target, _, version = rest.rpartition(" ")
    headers: dict[str, list[str]] = {}
    for header in lines:
        name, _, value = header.partition(":")
        headers.setdefault(name.lower(), []).append(value.removeprefix(" "))
    return {"method": method, "target": target, "version": version, "headers": headers, "body": raw["body"]}
