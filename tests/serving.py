"""A socket server in a thread, which starts and stops without waiting."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading


class Serving(socketserver.ThreadingTCPServer):
    """Serves each connection with a handler in a thread of its own.

    Thousands of tests start one. `serve_forever` would look only every so often whether it is to end; here a last
    connection wakes the thread that accepts.
    """

    daemon_threads = True
    request_queue_size = 256  # hundreds of tasks connect at once

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self._stopping = False
        self._thread = threading.Thread(target=self._serve)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self.socket.getsockname()
        return host, port

    def start(self) -> None:
        """Accept connections from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Accept no more connections; those that are there end with their callers."""
        self._stopping = True
        socket.create_connection(self.address).close()
        self._thread.join()
        self.server_close()

    def _serve(self) -> None:
        while not self._stopping:
            self.handle_request()

    def verify_request(self, request: object, client_address: object) -> bool:
        """Turn down the connection that wakes."""
        return not self._stopping

    def handle_error(self, request: object, client_address: object) -> None:
        """Report what goes wrong, but for a caller that did not wait for its answer."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]
