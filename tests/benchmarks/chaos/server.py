"""The service of the soak: ``python -m tests.benchmarks.chaos.server`` writes its two ports, and serves.

On the first port it is the service, which echoes what it is asked, so that everybody can tell an answer of another
call's. On the second it takes commands, JSON in lines; it ends when their connection does.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, NamedTuple

from .faults import OUTAGE, Answer, Fault, fair, storm

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: the connection is reset instead of closed."""

_NO_ATTRIBUTES: dict[str, str] = {}


class Asked(NamedTuple):
    """A request that came completely."""

    method: str
    path: str
    id: str
    body: bytes


class Service:
    """What becomes of requests, and the counts of what came."""

    def __init__(self) -> None:
        self.open: set[Connection] = set()
        self.begin(repeat(None))

    def begin(self, weather: Iterator[Fault | None]) -> None:
        """Begin a phase: count from 0, and meet requests as `weather` says."""
        self._weather = weather
        self._requests = Counter[str]()
        """How many requests had each id."""
        self._sets = Counter[str]()
        """The same of sets alone."""
        self._hits = Counter[str]()
        self.connections = 0

    def report(self) -> dict[str, Any]:
        """Return the counts of the phase."""
        return {
            "requests": self._requests.total(),
            "hits": dict(self._hits),
            "connections": self.connections,
            "open": len(self.open),
            "most requests of a call": max(self._requests.values(), default=0),
            "sets sent twice": sum(count > 1 for count in self._sets.values()),
        }

    def meet(self, asked: Asked, connection: Connection) -> None:
        """Answer a request, or do what is done instead."""
        self._requests[asked.id] += 1
        if (asked.method, asked.path.rpartition("/")[2]) == ("POST", "entries"):
            self._sets[asked.id] += 1
        fault = next(self._weather)
        if fault is not None:
            self._hits[fault.name] += 1
        commit = fair if fault is None else fault.commit
        commit(connection, _answer(asked))


def _answer(asked: Asked) -> Answer:
    status, body = _content(asked)
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nX-Request-ID: {asked.id}"
    return Answer(head.encode(), None if body is None else json.dumps(body).encode())


def _content(asked: Asked) -> tuple[str, Any]:
    given = json.loads(asked.body or b"{}")
    last = asked.path.rpartition("/")[2]
    if asked.method == "DELETE":
        if last == "entries":
            return "200 OK", {"deletedEntriesCount": int(given["attributes"]["number"])}
        return "204 No Content", None
    if last == "entries":
        return "201 Created", {"entryId": given["prompt"]}
    entry = {"id": "1", "prompt": given["prompt"], "response": given["prompt"][::-1], "searchStrategy": "exact"}
    return "200 OK", {"data": [{**entry, "similarity": 1, "attributes": _NO_ATTRIBUTES}]}


class Connection(asyncio.Protocol):
    """One connection; there is one request at a time on it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._received = b""
        self._transport: asyncio.Transport
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._is_open = transport, True
        self._service.open.add(self)
        self._service.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no more."""
        self._is_open = False
        self._service.open.discard(self)

    def data_received(self, data: bytes) -> None:
        """Meet the request as soon as it has come completely."""
        self._received += data
        asked = self._take()
        if asked is not None:
            self._service.meet(asked, self)

    def _take(self) -> Asked | None:
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return None
        line, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return None
        self._received = rest[length:]
        method, path, _ = line.split(" ")
        return Asked(method, path, headers["x-request-id"], rest[:length])

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self._transport.write(data)

    def later(self, seconds: float, deed: Callable[[], None]) -> None:
        """Do that after so many seconds, if the connection is still open then."""
        asyncio.get_running_loop().call_later(seconds, lambda: deed() if self._is_open else None)

    def close(self) -> None:
        """End the connection."""
        self._transport.close()

    def reset(self) -> None:
        """Break the connection."""
        raw: socket.socket = self._transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()


class Listener:
    """The service's port, which is closed where the service is gone."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        """Take connections."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: Connection(self._service), "127.0.0.1", self.port, backlog=512
            )
            self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Refuse connections, and break those that there are."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in list(self._service.open):
            connection.reset()


async def _serve() -> None:
    service, ended = Service(), asyncio.Event()
    listener = Listener(service)

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            reply = await _obey(json.loads(line), service, listener)
            writer.write(json.dumps(reply).encode() + b"\n")
        writer.close()
        ended.set()

    await listener.open()
    commands = await asyncio.start_server(control, "127.0.0.1", 0)
    sys.stdout.write(f"{listener.port} {commands.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await ended.wait()


async def _obey(command: dict[str, Any], service: Service, listener: Listener) -> dict[str, Any]:
    weather: str | None = command.get("weather")
    if weather is None:
        return service.report()
    if weather == "gone":
        listener.close()
    else:
        await listener.open()
    service.begin(storm(command["seed"]) if weather == "storm" else repeat(OUTAGE))
    return {}


if __name__ == "__main__":
    asyncio.run(_serve())
