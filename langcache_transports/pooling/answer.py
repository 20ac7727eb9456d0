"""Reading an answer: in the time that is left, framed as RFC 9112 has it, and no further than the cap."""

from __future__ import annotations

import http.client
import io
import re
import socket
import time
from typing import Any, cast

from langcache.content import BodyDecoder
from langcache.errors import ResponseTooLargeError

_PIECE = 65_536
_LONGEST_LINE = 65_536
_HEXADECIMAL = re.compile(b"[0-9A-Fa-f]{1,16}")
_MOST_INTERIM = 20
_SWITCHING_PROTOCOLS = 101
_WITHOUT_BODY = (204, 304)
_HTTP_1_1 = 11


class Answer(http.client.HTTPResponse):
    """One answer on a connection, which is to be there at `deadline`, on the monotonic clock; None for no limit.

    `received` says whether a byte of it came, and `is_clean` whether the connection can carry another exchange.
    """

    def __init__(self, sock: socket.socket, deadline: float | None, method: str | None = None) -> None:
        super().__init__(sock, method=method)
        self._source = _TimedReader(sock, self.fp.detach(), deadline)
        self.fp = io.BufferedReader(self._source)
        self._leftover = False

    @property
    def received(self) -> bool:
        """Whether anything of the answer came."""
        return self._source.received

    @property
    def is_clean(self) -> bool:
        """Whether the answer is complete, and the connection stays open with nothing more on it."""
        return self.isclosed() and not self.will_close and not self._leftover

    def begin(self) -> None:
        """Read the head of the answer, behind the interim ones (RFC 9110, section 15.2)."""
        for _ in range(_MOST_INTERIM + 1):
            super().begin()
            if self._source.ended:  # which Python takes for the end of the headers
                raise http.client.IncompleteRead(b"")
            if not 100 <= self.status < 200 or self.status == _SWITCHING_PROTOCOLS:
                break
            self.headers = self.msg = None  # type: ignore[assignment]
        else:
            raise http.client.HTTPException(f"more than {_MOST_INTERIM} interim answers")
        if self.status == _SWITCHING_PROTOCOLS:
            raise http.client.HTTPException("the server switched to another protocol, which nobody asked for")
        self._check_framing()

    def _check_framing(self) -> None:
        """Say where the body ends (RFC 9112, section 6.3), and refuse what can be read in two ways.

        What follows the body of one reader could be another's next answer. Python looks at the first header of a name
        alone, and takes a length that is none for no length.
        """
        if isinstance(self.headers.get_payload(), str) and self.headers.get_payload():
            raise http.client.HTTPException("a line of the headers is none")
        codings, lengths = self._items("transfer-encoding"), set(self._items("content-length"))
        if codings not in ([], ["chunked"]):
            raise http.client.HTTPException(f"the transfer coding {', '.join(codings)!r} is not understood")
        if len(lengths) > 1 or not all(length.isascii() and length.isdigit() for length in lengths):
            raise http.client.HTTPException(f"the answer's length cannot be told: {', '.join(sorted(lengths))!r}")
        self.chunked, self.chunk_left = bool(codings), None
        self.length = int(next(iter(lengths))) if lengths and not codings else None
        is_announced = bool(codings) or bool(lengths - {"0"})
        if self.status in _WITHOUT_BODY:
            self.chunked, self.length = False, 0
        tokens = self._items("connection")
        self.will_close = (
            "close" in tokens
            or (self.version < _HTTP_1_1 and "keep-alive" not in tokens)
            or (self.length is None and not self.chunked)
            # What is announced and not read may come all the same, and of two lengths one is wrong.
            or (self.status in _WITHOUT_BODY and is_announced)
            or (bool(codings) and bool(lengths))
        )

    def _items(self, name: str) -> list[str]:
        """Return the items of a header that is a list, whatever the number of its lines, in lower case."""
        values = self.headers.get_all(name) or ()
        return [item.strip().lower() for value in values for item in value.split(",")]

    def body(self, limit: int) -> bytes:
        """Read the whole body, of at most `limit` bytes decoded; raises IncompleteRead where its end is missing."""
        if self.length is not None and self.length > limit and "content-encoding" not in self.headers:
            raise ResponseTooLargeError(
                f"The answer's body has {self.length} bytes, and one of more than {limit} bytes is not accepted"
            )
        decoder = BodyDecoder({"content-encoding": ", ".join(self._items("content-encoding"))}, limit)
        while piece := self.read(_PIECE):
            decoder.feed(piece)
        if self.length:
            raise http.client.IncompleteRead(b"", self.length)
        self.close()
        return decoder.finish()

    def fields(self) -> list[tuple[str, str]]:
        """Return the names and values of the headers, those that go on in the next line (section 5.2) as one line."""
        return [
            (name, " ".join(value.splitlines()) if "\n" in value else value) for name, value in self.headers.items()
        ]

    def _read_next_chunk_size(self) -> int:
        # Python takes "-5", "+5" and "0x5" for sizes too, and what is a size for one receiver is none for another.
        line = self.fp.readline(_LONGEST_LINE + 1)
        if len(line) > _LONGEST_LINE:
            raise http.client.LineTooLong("chunk size")
        if not line.endswith(b"\n"):
            raise http.client.IncompleteRead(b"")
        size = line.partition(b";")[0].strip()
        if not _HEXADECIMAL.fullmatch(size):
            raise http.client.HTTPException(f"the size of a chunk is {size[:20]!r}")
        return int(size, 16)

    def _get_chunk_left(self) -> int | None:
        if self.chunk_left == 0:  # at the end of a chunk, of which Python takes any two bytes for the line's end
            if self.fp.read(2) != b"\r\n":
                raise http.client.HTTPException("a chunk is longer than it says")
            self.chunk_left = None
        left = cast("int | None", super()._get_chunk_left())  # type: ignore[misc]  # pyright: ignore
        if left is None and self._source.ended:  # which Python takes for the end of the trailers
            raise http.client.IncompleteRead(b"")
        return left

    def _close_conn(self) -> None:
        # What the buffer still holds came unasked: the next exchange must not take it for its answer.
        if not self.isclosed():
            self._source.mute()
            self._leftover = bool(self.fp.peek(1))
        super()._close_conn()  # type: ignore[misc]


class _TimedReader(io.RawIOBase):
    """Reads from a socket in what is left of the time."""

    def __init__(self, sock: socket.socket, source: Any, deadline: float | None) -> None:
        self._socket = sock
        self._file = source
        self._deadline = deadline
        self._muted = False
        self.received = False
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._muted:
            return None  # as if there were nothing to read at the moment
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._socket.settimeout(left)
        count: int | None = self._file.readinto(buffer)
        self.received = self.received or bool(count)
        self.ended = count == 0
        return count

    def mute(self) -> None:
        """Read no more from the socket."""
        self._muted = True

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
