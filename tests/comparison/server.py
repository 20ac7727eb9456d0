"""A neutral HTTP/1.1 server on loopback: it answers by a script and keeps every request exactly as it came.

The program that is compared sets the script over a second, controlling connection, one JSON document a line:
``{"answers": [...]}`` begins a case, and the reply tells nothing; ``{"take": true}`` ends it, and the reply holds the
requests that came. The n-th request of a case gets the n-th answer, and the last answer is for all further ones.

An answer is one of

- ``{"status": 200, "headers": [["Name", "value"]], "body": "..."}``, where the body's characters stand for bytes;
- ``{"do": "hang"}``: say nothing until the case is over;
- ``{"do": "close"}``: close the connection;
- ``{"do": "raw", "body": "..."}``: send these bytes, then close the connection;
- ``{"do": "drip", ...}``: as the first form, but the body comes piece by piece.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, BinaryIO

from typing_extensions import Self

DRIP_SECONDS = 0.1
"""How long the pause after each piece of a dripping body is."""

_LATIN = "iso-8859-1"  # a character for each byte


@dataclass
class Script:
    """One case: the answers to give, the requests that came, and whether it is over."""

    answers: list[dict[str, Any]]
    requests: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, request: dict[str, str]) -> dict[str, Any]:
        """Keep `request` and return the answer for it."""
        with self.lock:
            self.requests.append(request)
            return self.answers[min(len(self.requests), len(self.answers)) - 1]


class RecordingServer:
    """Listens while it is entered, at `port` for the requests and at `control_port` for the scripts."""

    def __init__(self) -> None:
        self._script = Script([{"do": "close"}])
        self._data = socket.create_server(("127.0.0.1", 0))
        self._control = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._data.getsockname()[1]
        self.control_port: int = self._control.getsockname()[1]

    def __enter__(self) -> Self:
        for listener, serve in ((self._data, self._serve), (self._control, self._obey)):
            threading.Thread(target=_accept, args=(listener, serve), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._script.over.set()
        self._data.close()
        self._control.close()

    def _obey(self, connection: socket.socket, stream: BinaryIO) -> None:
        """Follow the program's commands."""
        for line in stream:
            command = json.loads(line)
            reply: dict[str, Any] = {}
            if "answers" in command:
                self._script.over.set()
                self._script = Script(command["answers"])
            else:
                self._script.over.set()
                reply["requests"] = self._script.requests
            connection.sendall(json.dumps(reply).encode() + b"\n")

    def _serve(self, connection: socket.socket, stream: BinaryIO) -> None:
        """Answer the requests of one connection."""
        while True:
            request = _read_request(stream)
            if request is None:
                return
            script = self._script
            if not _reply(connection, script, script.answer(request)):
                return


def _accept(listener: socket.socket, serve: Callable[[socket.socket, BinaryIO], None]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # closed: the server has been left
            return
        threading.Thread(target=_hold, args=(connection, serve), daemon=True).start()


def _hold(connection: socket.socket, serve: Callable[[socket.socket, BinaryIO], None]) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("rb") as stream:
        try:
            serve(connection, stream)
        except OSError:  # the program went away, as it may
            return


def _read_request(stream: BinaryIO) -> dict[str, str] | None:
    """Read one request; None where there is no more, or only a part of one."""
    lines: list[bytes] = []
    while not lines or lines[-1] != b"\r\n":
        line = stream.readline()
        if not line:
            return None
        lines.append(line)
    head, fields = b"".join(lines), _fields(lines[1:-1])
    if fields.get("transfer-encoding", "").lower() == "chunked":
        body = _read_chunks(stream)
    else:
        length = int(fields.get("content-length", "0"))
        body = stream.read(length)
        if len(body) < length:
            return None
    return {"head": head.decode(_LATIN), "body": body.decode(_LATIN)}


def _fields(lines: list[bytes]) -> dict[str, str]:
    pairs = (line.decode(_LATIN).partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _read_chunks(stream: BinaryIO) -> bytes:
    """Read a chunked body as it stands, with its chunks' sizes and without trailers (RFC 9112, section 7.1)."""
    raw = b""
    while True:
        size = stream.readline()
        data = stream.read(int(size.split(b";")[0] or b"0", 16) + 2)
        raw += size + data
        if len(data) <= 2:
            return raw


def _reply(connection: socket.socket, script: Script, answer: dict[str, Any]) -> bool:
    """Send `answer`; return whether the connection stays open."""
    deed = answer.get("do")
    if deed == "hang":
        script.over.wait()
    if deed == "raw":
        connection.sendall(answer["body"].encode(_LATIN))
    if deed in ("hang", "raw", "close"):
        return False
    body: bytes = answer.get("body", "").encode(_LATIN)
    connection.sendall(_head(answer, len(body)))
    pieces = [body] if deed != "drip" else [body[start : start + 8] for start in range(0, len(body), 8)]
    for piece in pieces:
        connection.sendall(piece)
        if deed == "drip":
            script.over.wait(DRIP_SECONDS)
    return True


def _head(answer: dict[str, Any], length: int) -> bytes:
    status: int = answer["status"]
    lines = [f"HTTP/1.1 {status} {_phrase(status)}", *(f"{name}: {value}" for name, value in answer.get("headers", []))]
    if status not in (204, 304):
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode(_LATIN)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unassigned"
