"""The one server that all contestants ask: nginx where it is installed, and else a small one on asyncio.

It is not ours, and answers every search alike: with no entries; below ``/large/SIZE``, with one entry of that many
bytes; or below ``/many/COUNT``, with that many entries. The small one may be told to take its time.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZES = (1_000, 10_000, 100_000, 1_000_000)
COUNTS = (100, 1_000)
_LONGEST_START = 10.0  # seconds

_NGINX = """
{user}
worker_processes 1;
daemon off;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    default_type application/json;
    server {{
        listen 127.0.0.1:{port};
        client_max_body_size 10m;
        location / {{ return 200 '{{"data":[]}}'; }}
        {larger}
    }}
}}
"""
# nginx has no file for a POST: what it answers then is the file, as the page of that error.
_LARGER = """
        location {path}/ {{ root {directory}; error_page 405 =200 {path}.json; return 405; }}
        location = {path}.json {{ root {directory}; }}
"""


def larger_answers() -> dict[str, bytes]:
    """Return the answers by the paths below which they are given."""
    large = {f"/large/{size}": _of_entries(1, size) for size in SIZES}
    return large | {f"/many/{count}": _of_entries(count, 200 * count) for count in COUNTS}


def _of_entries(count: int, size: int) -> bytes:
    """Return the answer to a search with so many entries alike, of about `size` bytes."""
    entry: dict[str, object] = {
        "id": "1",
        "prompt": "p",
        "response": "",
        "attributes": {},
        "similarity": 1.0,
        "searchStrategy": "exact",
    }
    room = size - len(json.dumps({"data": [entry] * count}))
    return json.dumps({"data": [{**entry, "response": "x" * (room // count)}] * count}).encode()


class Server:
    """Runs the server in a process of its own, with its files in `directory`.

    With `seconds` it is the small one, which waits for so long before each answer, as a service does.
    """

    def __init__(self, directory: Path, seconds: float = 0) -> None:
        self._directory = directory
        self._seconds = seconds
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        nginx = None if seconds else shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        self.name = "nginx" if nginx else "a small server on asyncio, since nginx is not installed"
        self._process = subprocess.Popen(self._nginx(nginx) if nginx else self._asyncio())
        self._wait()

    def _nginx(self, nginx: str) -> list[str]:
        for path, answer in larger_answers().items():
            file = self._directory / f"{path[1:]}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(answer)
        larger = "".join(_LARGER.format(path=path, directory=self._directory) for path in larger_answers())
        # Started by root, its worker would run as another user, who may not read the files.
        user = "user root;" if os.geteuid() == 0 else ""
        configuration = self._directory / "nginx.conf"
        configuration.write_text(_NGINX.format(user=user, directory=self._directory, port=self._port, larger=larger))
        return [nginx, "-p", str(self._directory), "-c", str(configuration), "-e", str(self._directory / "error.log")]

    def _asyncio(self) -> list[str]:
        return [sys.executable, "-m", "tests.benchmarks.speed.server", str(self._port), str(self._seconds)]

    def _wait(self) -> None:
        begun = time.monotonic()
        while time.monotonic() - begun < _LONGEST_START:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:  # noqa: PERF203 - it waits
                time.sleep(0.05)
            else:
                return
        self.stop()
        raise RuntimeError(f"the server ({self.name}) did not start")

    def stop(self) -> None:
        """End the server."""
        self._process.terminate()
        self._process.wait()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Protocol(asyncio.Protocol):
    """Answers requests that come whole or in pieces, one after another."""

    def __init__(self, answers: dict[bytes, bytes], seconds: float) -> None:
        self._answers = answers
        self._seconds = seconds
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        given: Any = transport
        self._write: Callable[[bytes], None] = given.write

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            _, found, length = head.partition(b"content-length:")
            size = end + 4 + (int(length.partition(b"\r\n")[0]) if found else 0)
            if len(self._received) < size:
                return
            target, self._received = self._received.split(b" ", 2)[1], self._received[size:]
            body = next((body for prefix, body in self._answers.items() if target.startswith(prefix)), b'{"data":[]}')
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            write = self._write
            if self._seconds:
                asyncio.get_running_loop().call_later(self._seconds, write, head + body)
            else:
                write(head + body)


async def _serve(port: int, seconds: float) -> None:
    answers = {f"{path}/".encode(): answer for path, answer in larger_answers().items()}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Protocol(answers, seconds), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
