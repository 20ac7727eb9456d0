"""The body of an answer as a transport receives it: decoded piece by piece, and never beyond a cap.

A transport asks for `ACCEPT_ENCODING` and feeds what comes off the wire, still encoded, to a `BodyDecoder`. So every
transport understands the same codings in the same way, and a bomb is stopped where it passes the cap.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, Final

from .errors import DecodingError, ResponseTooLargeError

ACCEPT_ENCODING: Final = "gzip, deflate"
"""The codings that a `BodyDecoder` understands, as a request's Accept-Encoding says it."""

_GZIP = zlib.MAX_WBITS | 16
_GZIP_MAGIC = b"\x1f"
_SHORTEST_HEAD = 2


class BodyDecoder:
    """Collects a body of at most `limit` bytes, decoded as its Content-Encoding says (RFC 9110, section 8.4).

    A coding that is not known is an error, because no caller could read the body.
    """

    def __init__(self, headers: Mapping[str, str], limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self.size = 0
        """How many bytes there are so far, decoded."""
        self._inflate: _Inflate | None = None
        value = headers.get("content-encoding")
        if not value:
            return
        codings = [coding for item in value.split(",") if (coding := item.strip().lower()) not in ("", "identity")]
        unknown = [coding for coding in codings if coding not in ("gzip", "x-gzip", "deflate")]
        if unknown or len(codings) > 1:
            raise DecodingError(f"The answer has the content coding {value!r}; understood are {ACCEPT_ENCODING}")
        if codings:
            self._inflate = _Inflate(codings[0])

    def feed(self, piece: bytes) -> None:
        """Take the next bytes off the wire; raises DecodingError, or ResponseTooLargeError beyond the cap."""
        if self._inflate is None:
            self._add(piece)
            return
        while piece:
            # One byte more than there is room for tells that there is too much.
            decoded, piece = self._inflate.decode(piece, self._limit - self.size + 1)
            self._add(decoded)

    def _add(self, decoded: bytes) -> None:
        self.size += len(decoded)
        if self.size > self._limit:
            raise ResponseTooLargeError(
                f"The answer's body is larger than {self._limit} bytes, which is the most that is accepted"
            )
        self._parts.append(decoded)

    def finish(self) -> bytes:
        """Return the whole body; raises DecodingError where its end is missing."""
        if self._inflate is not None and not self._inflate.complete:
            raise DecodingError("The answer's body ends within its compressed data")
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


class _Inflate:
    """The decompressor of one body."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._stream: Any = None  # known by the first bytes
        self._head = b""

    @property
    def complete(self) -> bool:
        """Whether the compressed data have come to their end; no data at all are an empty body."""
        return not self._head if self._stream is None else bool(self._stream.eof)

    def decode(self, piece: bytes, room: int) -> tuple[bytes, bytes]:
        """Decode at most `room` bytes of `piece`; return them, and what of `piece` is left to decode."""
        if self._stream is None:
            piece = self._head + piece
            if len(piece) < _SHORTEST_HEAD:
                self._head = piece
                return b"", b""
            self._head = b""
            self._stream = zlib.decompressobj(_window(self._coding, piece))
        elif self._stream.eof:
            # RFC 1952, section 2.2: there may be several members; anything else is padding, which some servers send.
            if self._coding == "deflate" or not piece.startswith(_GZIP_MAGIC):
                return b"", b""
            self._stream = zlib.decompressobj(_GZIP)
        try:
            decoded = self._stream.decompress(piece, room)
        except zlib.error as error:
            raise DecodingError(f"The answer's body is not {self._coding}, as its headers say: {error}") from error
        return decoded, self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail


def _window(coding: str, head: bytes) -> int:
    """Return zlib's parameter for what begins with these bytes: "deflate" is with or without zlib's own head."""
    if coding != "deflate":
        return _GZIP
    # RFC 1950, section 2.2: the method 8 in the low bits, and both bytes together a multiple of 31.
    is_zlib = head[0] & 0x0F == 8 and int.from_bytes(head[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
