"""The one server that all contestants ask: nginx where it is installed, and else a small one on asyncio.

It is not ours, and answers every search alike: with no entries, or, below ``/large/SIZE``, with one entry of that many
bytes.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

SIZES = (100_000, 1_000_000)
_LONGEST_START = 10.0  # seconds

_NGINX = """
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
        location / {{ return 200 '{{"data":[]}}'; }}
        {large}
    }}
}}
"""
_LARGE = """
        location /large/{size}/ {{ root {directory}; error_page 405 =200 /large/{size}.json; return 405; }}
        location = /large/{size}.json {{ root {directory}; }}
"""


def large_answer(size: int) -> bytes:
    """Return the answer to a search with one entry, of `size` bytes."""
    entry: dict[str, object] = {
        "id": "1",
        "prompt": "p",
        "response": "",
        "attributes": {},
        "similarity": 1.0,
        "searchStrategy": "exact",
    }
    empty = len(json.dumps({"data": [entry]}))
    return json.dumps({"data": [{**entry, "response": "x" * (size - empty)}]}).encode()


class Server:
    """Runs the server in a process of its own, with its files in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        self.name = "nginx" if nginx else "a small server on asyncio, since nginx is not installed"
        self._process = subprocess.Popen(self._nginx(nginx) if nginx else self._asyncio())
        self._wait()

    def _nginx(self, nginx: str) -> list[str]:
        (self._directory / "large").mkdir(parents=True)
        for size in SIZES:
            (self._directory / "large" / f"{size}.json").write_bytes(large_answer(size))
        # The worker runs as another user, who must be able to read them.
        for path in (self._directory, self._directory / "large"):
            path.chmod(0o755)
        large = "".join(_LARGE.format(size=size, directory=self._directory) for size in SIZES)
        configuration = self._directory / "nginx.conf"
        configuration.write_text(_NGINX.format(directory=self._directory, port=self._port, large=large))
        return [nginx, "-p", str(self._directory), "-c", str(configuration), "-e", str(self._directory / "error.log")]

    def _asyncio(self) -> list[str]:
        return [sys.executable, "-m", "tests.benchmarks.speed.server", str(self._port)]

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

    def __init__(self, answers: dict[bytes, bytes]) -> None:
        self._answers = answers
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

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
            self._transport.write(head + body)  # type: ignore[attr-defined]  # pyright: ignore


async def _serve(port: int) -> None:
    answers = {b"/large/%d/" % size: large_answer(size) for size in SIZES}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Protocol(answers), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
