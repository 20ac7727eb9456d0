"""Ready-made conversations for `FaultServer`: what servers, and what stands before them, get wrong.

A fault is a conversation, or a function that makes one. Where nothing else is said the connection is closed after it.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Sequence
from functools import lru_cache

from .server import Connection, Conversation

_MEBIBYTE = 1024 * 1024


def response(
    body: bytes = b"{}",
    *,
    status: str = "200 OK",
    headers: Sequence[tuple[str, str]] = (),
    version: str = "1.1",
    length: int | None = None,
) -> bytes:
    """Return the bytes of an answer; `length` is what its Content-Length says, where that is not the truth."""
    said = len(body) if length is None else length
    lines = [f"HTTP/{version} {status}", *(f"{name}: {value}" for name, value in headers), f"Content-Length: {said}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


OK = response()
"""An answer as it should be."""


def echo(connection: Connection) -> None:
    """Answer every request with its own body."""
    while (request := connection.request()) is not None:
        connection.send(response(request.content or b""))


def answer(*answers: bytes) -> Conversation:
    """Answer the first request with the first of these, and so on, and all further ones with the last."""

    def converse(connection: Connection) -> None:
        served = 0
        while connection.request():
            connection.send(answers[min(served, len(answers) - 1)])
            served += 1

    return converse


def closing(part: bytes = b"", *, reset: bool = False) -> Conversation:
    """Answer one request with `part`, and close the connection, or break it where `reset` says so."""

    def converse(connection: Connection) -> None:
        if connection.request():
            connection.send(part)
            connection.reset() if reset else connection.close()

    return converse


def holding(part: bytes = b"") -> Conversation:
    """Answer one request with `part`, and send nothing more."""

    def converse(connection: Connection) -> None:
        if connection.request():
            connection.send(part)
            connection.signal()
            connection.hold()

    return converse


_WITHIN_HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Le"
_WITHIN_BODY = response(b'{"data":', length=100)
_WITHIN_CHUNK = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n{"data":'
_BETWEEN_CHUNKS = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{"data":\r\n'

close_before_answer = closing()
close_within_headers = closing(_WITHIN_HEADERS)
close_within_body = closing(_WITHIN_BODY)
"""The Content-Length promises more than comes."""
close_within_chunk = closing(_WITHIN_CHUNK)
close_between_chunks = closing(_BETWEEN_CHUNKS)
"""The last chunk, which ends the body, is missing."""
reset_before_answer = closing(reset=True)
reset_within_headers = closing(_WITHIN_HEADERS, reset=True)
reset_within_body = closing(_WITHIN_BODY, reset=True)
reset_within_chunk = closing(_WITHIN_CHUNK, reset=True)

not_http = closing(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
bad_status = closing(b"HTTP/1.1 2x0 OK\r\n\r\n")
bad_chunk = closing(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n")
huge_header = closing(b"HTTP/1.1 200 OK\r\nX-Huge: " + b"x" * _MEBIBYTE + b"\r\nContent-Length: 2\r\n\r\n{}")
"""One header of a mebibyte."""
many_headers = closing(response(headers=[(f"X-{number}", "1") for number in range(5000)]))
"""5,000 headers."""


def mute(connection: Connection) -> None:
    """Take the connection and say nothing, whatever comes; a TLS handshake never ends."""
    connection.hold()


silent = holding()
"""Never answers."""
silent_within_headers = holding(_WITHIN_HEADERS)
silent_within_body = holding(_WITHIN_BODY)


def dripping_headers(connection: Connection) -> None:
    """Send the head one byte every 100 ms; it takes 4 seconds, as the other drips do."""
    if connection.request():
        connection.drip(response())


def dripping_body(connection: Connection) -> None:
    """Send the head at once, and the body one byte every 100 ms."""
    if connection.request():
        connection.send(response(length=40, body=b""))
        connection.drip(b"x" * 40)


def dripping_chunks(connection: Connection) -> None:
    """Send the head at once, and chunks of one byte, byte by byte, one every 100 ms."""
    if connection.request():
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.drip(b"1\r\nx\r\n" * 6 + b"0\r\n\r\n")


def endless_body(connection: Connection) -> None:
    """Send chunks for as long as the caller takes them; after 64 MiB there can be no doubt, and it breaks off."""
    if connection.request():
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(1024):
            connection.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


extra_bytes = answer(response() + b"more than the Content-Length says")
two_answers = answer(response(b'"asked"') + response(b'"unasked"'), response(b'"asked"'))
"""The first request gets two answers at once, and each that follows on the same connection one."""


def stale(connection: Connection) -> None:
    """Answer one request, and close the idle connection without a word; then signal."""
    if connection.request():
        connection.send(OK)
        connection.close()
        connection.signal()


def dropping_second(*, reset: bool = False) -> Conversation:
    """Answer one request, take a second one, and close or break the connection instead of answering it."""

    def converse(connection: Connection) -> None:
        if connection.request():
            connection.send(OK)
            if connection.request():
                connection.reset() if reset else connection.close()

    return converse


def unasked(data: bytes) -> Conversation:
    """Answer one request, send `data` on the idle connection once the test says so, and signal.

    The test sets the server's `go` when it has the answer: what comes with it may be read and thrown away with it.
    """

    def converse(connection: Connection) -> None:
        if connection.request():
            connection.send(OK)
            connection.wait_for_go()
            connection.send(data)
            connection.signal()
            connection.request()  # which is not answered

    return converse


def http_1_0(connection: Connection) -> None:
    """Answer as HTTP/1.0 does: no length, and the end of the connection is that of the body."""
    if connection.request():
        connection.send(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{}")


without_length = closing(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}")
"""The same in HTTP/1.1."""


def interim(*statuses: str) -> Conversation:
    """Send answers of these 1xx statuses before the real one, to every request."""
    before = "".join(f"HTTP/1.1 {status}\r\nX-Interim: yes\r\n\r\n" for status in statuses)
    return answer(before.encode() + OK)


bad_gzip = answer(response(b"no gzip at all", headers=[("Content-Encoding", "gzip")]))
cut_gzip = answer(response(gzip.compress(b"x" * 1000)[:-12], headers=[("Content-Encoding", "gzip")]))
"""A complete answer, whose compressed data are not."""


def gzip_bomb(size: int = 100 * _MEBIBYTE) -> Conversation:
    """Answer with `size` bytes of zeros, a whole number of mebibytes, compressed to about a thousandth."""
    return answer(response(_zeros(size // _MEBIBYTE), headers=[("Content-Encoding", "gzip")]))


@lru_cache(maxsize=4)
def _zeros(mebibytes: int) -> bytes:
    """Return as many mebibytes of zeros as gzip, made at the price of compressing one."""
    zeros = bytes(_MEBIBYTE)
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    # RFC 1951, section 3.2.3: flushed fully, a block stands for itself, so it can be repeated; the last one is empty.
    block = stream.compress(zeros) + stream.flush(zlib.Z_FULL_FLUSH)
    check = 0
    for _ in range(mebibytes):
        check = zlib.crc32(zeros, check)
    # RFC 1952, section 2.3: the head, and at the end the check sum and the size.
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    return head + block * mebibytes + b"\x03\x00" + struct.pack("<II", check, mebibytes * _MEBIBYTE & 0xFFFFFFFF)
