"""The size of an answer has a cap, counted when it is decoded."""

from __future__ import annotations

import tracemalloc

import pytest

from langcache import errors

from .. import faults
from .base import Build, Promises, Start, asking, failure

_CAP = 1024 * 1024
_BOMBS = 16 * _CAP
"""How much memory an answer beyond the cap may take on its way to be refused."""


class Limits(Promises):
    """What a transport does with answers that are too large."""

    def test_a_body_as_large_as_the_cap_is_read(self, build: Build, start: Start) -> None:
        self.needs("max_response_bytes")
        server = start(faults.response(b"x" * 1000))
        answer = build("max_response_bytes", max_response_bytes=1000).send(asking(server))
        assert answer.content == b"x" * 1000

    @pytest.mark.parametrize("framing", ["length", "chunks", "end"])
    def test_a_larger_body_is_refused(self, build: Build, start: Start, framing: str) -> None:
        self.needs("max_response_bytes")
        answer = {
            "length": faults.response(b"x" * 1001),
            "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n",
            "end": b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 1001,
        }[framing]
        server = start(faults.closing(answer))
        transport = build("max_response_bytes", max_response_bytes=1000)
        error = failure(transport, asking(server), errors.ResponseTooLargeError, cause=False)
        assert error.retryable is False
        assert "1000 bytes" in str(error)
        assert len(server.requests) == 1

    def test_an_endless_body_is_cut_off_at_the_cap(self, build: Build, start: Start) -> None:
        self.needs("max_response_bytes")
        server = start(faults.endless_body, faults.OK)
        transport = build("max_response_bytes", max_response_bytes=_CAP)
        failure(transport, asking(server), errors.ResponseTooLargeError, cause=False)
        assert server.wait_until_closed()
        assert transport.send(asking(server)).content == b"{}"

    def test_a_bomb_is_stopped_at_the_cap(self, build: Build, start: Start) -> None:
        """100 MiB of zeros are 100 KiB on the wire; they are never in memory."""
        self.needs("max_response_bytes", "content_coding")
        server = start(faults.gzip_bomb())
        transport = build("max_response_bytes", max_response_bytes=_CAP)
        tracemalloc.start()
        try:
            failure(transport, asking(server), errors.ResponseTooLargeError, cause=False)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < _BOMBS
