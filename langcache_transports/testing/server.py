"""A server over real sockets that does on each connection what a test says, byte by byte."""

from __future__ import annotations

import selectors
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final

from typing_extensions import Self

from langcache.http import Request

_LONGEST_WAIT: Final = 30.0
"""After how many seconds a thread that should have ended is an error."""

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: the connection is reset instead of closed."""


class Connection:
    """The server's end of one connection, in the hands of a `Conversation`."""

    def __init__(self, server: FaultServer, raw: socket.socket, number: int) -> None:
        self.number: Final = number
        """Which connection of the server it is, from 1."""
        self._server = server
        self._socket = raw
        self._received = b""
        self._read = self.receive

    def read_from(self, source: Callable[[], bytes]) -> None:
        """Take requests from `source`, which returns the next bytes, or none at the end, and not as they come."""
        self._read = source

    def receive(self) -> bytes:
        """Return the next bytes as they come, or none where the caller hung up."""
        return self._socket.recv(65536)

    def request(self) -> Request | None:
        """Read one request, remember it in the server's `requests` and return it, or None where the caller hung up.

        Its URL is the request target as it came, and its headers are decoded as latin-1.
        """
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        line, *fields = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ", 2)
        headers = [(name, value.strip()) for name, _, value in (field.partition(":") for field in fields)]
        request = Request(method, target, headers)
        content = self._body(request)
        request = Request(method, target, headers, content)
        self._server.remember(request)
        return request

    def _body(self, request: Request) -> bytes | None:
        if "content-length" in request.headers:
            return self._exactly(int(request.headers["content-length"]))
        if request.headers.get("transfer-encoding", "").lower() != "chunked":
            return None
        body = b""
        while size := int(self._until(b"\r\n") or b"0", 16):
            body += self._exactly(size)
            self._exactly(2)
        self._until(b"\r\n")
        return body

    def _until(self, end: bytes) -> bytes | None:
        while end not in self._received:
            if not self._receive():
                return None
        found, _, self._received = self._received.partition(end)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            if not self._receive():
                raise ConnectionResetError("the caller hung up within a request")
        found, self._received = self._received[:size], self._received[size:]
        return found

    def _receive(self) -> bool:
        piece = self._read()
        self._received += piece
        return bool(piece)

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self._socket.sendall(data)

    def drip(self, data: bytes, interval: float = 0.1) -> None:
        """Send one byte every `interval` seconds, until the caller hangs up or the server stops."""
        for position in range(len(data)):
            self.send(data[position : position + 1])
            if self._server.stopped.wait(interval):
                return

    def hold(self) -> None:
        """Do nothing more until the caller hangs up or the server stops."""
        while self._receive():
            pass

    def reset(self) -> None:
        """Break the connection: the caller gets a reset, and not the end of a stream."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._socket.close()

    def close(self) -> None:
        """Close the connection as a server does that ends it."""
        self._socket.close()

    def wait_for_go(self) -> None:
        """Wait until the test sets the server's `go`, or the server stops."""
        self._server.go.wait(_LONGEST_WAIT)

    def hang_up(self) -> None:
        """End both directions at once; a thread that waits for bytes of this connection wakes up."""
        _hang_up(self._socket)

    def pour_into(self, other: socket.socket) -> None:
        """Pass on to `other` what comes, until the caller hangs up."""
        while self._received or self._receive():
            passed, self._received = self._received, b""
            other.sendall(passed)

    def signal(self) -> None:
        """Set the server's `signalled`, which a test waits for."""
        self._server.signalled.set()


Conversation = Callable[[Connection], None]
"""What the server does on one connection, which is closed when it returns."""


class FaultServer:
    """Serves each connection with the conversation of its number, and all further ones with the last.

    A conversation may be given as bytes: these then answer every request of the connection. The module `faults` has
    ready-made ones. With `ssl_context`, a context for the server's side, it speaks TLS.
    """

    def __init__(self, *conversations: Conversation | bytes, ssl_context: ssl.SSLContext | None = None) -> None:
        self._conversations = [_answering(each) if isinstance(each, bytes) else each for each in conversations]
        self._ssl_context = ssl_context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        scheme = "http" if ssl_context is None else "https"
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.connections = 0
        """How many connections were accepted so far."""
        self.requests: list[Request] = []
        """The requests that came completely, in the order of their arrival on all connections."""
        self.refused: list[ssl.SSLError] = []
        """Why TLS handshakes failed."""
        self.signalled = threading.Event()
        """Set by a conversation that has come to the place which a test waits for."""
        self.go = threading.Event()
        """Set by a test where a conversation waits for it."""
        self.stopped = threading.Event()
        """Set when the server stops."""
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._wake, self._woken = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept, name="langcache-fault-server")

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End all connections and threads; raises what went wrong in a conversation."""
        self.stopped.set()
        self.go.set()
        self._wake.close()
        self._acceptor.join(_LONGEST_WAIT)
        with self._changed:
            for connection in self._open:
                _hang_up(connection)
        for thread in self._threads:
            thread.join(_LONGEST_WAIT)
        self._listener.close()
        self._woken.close()
        if self._failures:
            raise self._failures[0]

    def wait_until_closed(self, left: int = 0, timeout: float = 30.0) -> bool:
        """Wait until at most `left` connections are open; False where that is not so after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._open) <= left, timeout)

    def wait_for_requests(self, count: int, timeout: float = 30.0) -> bool:
        """Wait until `count` requests came; False where that is not so after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= count, timeout)

    def remember(self, request: Request) -> None:
        """Add a request that came completely."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                selector.select()
                if self.stopped.is_set():
                    return
                accepted, _ = self._listener.accept()
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._changed:
                    self._open.add(accepted)
                    self.connections += 1
                    number = self.connections
                thread = threading.Thread(target=self._serve, args=(accepted, number), name=f"langcache-fault-{number}")
                self._threads.append(thread)
                thread.start()

    def _serve(self, accepted: socket.socket, number: int) -> None:
        served = accepted
        try:
            if self._ssl_context is not None:
                with self._changed:  # or the server could stop in between, and never hang up
                    served = self._ssl_context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
                    self._open.discard(accepted)
                    self._open.add(served)
                    if self.stopped.is_set():
                        return
                served.do_handshake()
            conversation = self._conversations[min(number, len(self._conversations)) - 1]
            conversation(Connection(self, served, number))
        except ssl.SSLError as error:
            self.refused.append(error)
        except OSError:
            pass  # the caller hung up, which is its right, or the server stops
        except BaseException as error:  # noqa: BLE001 - it is raised where the server is stopped
            self._failures.append(error)
        finally:
            with self._changed:
                self._open.discard(served)
                served.close()
                self._changed.notify_all()


def _answering(answer: bytes) -> Conversation:
    def converse(connection: Connection) -> None:
        while connection.request():
            connection.send(answer)

    return converse


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        # The plain socket's own method: that of TLS changes the object, which its thread is using.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
