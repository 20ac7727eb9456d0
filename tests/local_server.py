"""A real HTTP/1.1 server on loopback, for tests over real sockets."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from types import TracebackType

from typing_extensions import Self

from langcache import Request, Response
from tests.serving import Serving

Answer = Callable[[Request], Response]


class LocalServer:
    """Answers every request with `answer` and remembers it in `requests`, in the order of arrival.

    The remembered requests are as they came over the wire: the URL is the request target, still percent-encoded.
    """

    answer: Answer

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self.connections = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                server.connections += 1
                super().setup()

            def handle_any(self) -> None:
                length = self.headers.get("Content-Length")
                content = None if length is None else self.rfile.read(int(length))
                request = Request(self.command, self.path, list(self.headers.items()), content)
                server.requests.append(request)
                self.reply(server.answer(request))

            do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - names that the base class calls

            def reply(self, response: Response) -> None:
                self.send_response(response.status_code)
                for name, value in response.headers.items():
                    self.send_header(name, value)
                if response.status_code != 204:
                    self.send_header("Content-Length", str(len(response.content)))
                self.end_headers()
                self.wfile.write(response.content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Stay silent: a test tells what it needs to know."""

        self._server = Serving(Handler)
        self.url = "http://{}:{}".format(*self._server.address)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop()
