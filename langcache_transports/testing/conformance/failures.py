"""Whatever goes wrong on the wire, the error says what, and whether a repetition can help."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest

from langcache import errors
from langcache.http import Request
from langcache.transport import Transport

from .. import faults
from ..server import Conversation
from .base import Promises, Start, asking, failure

_BROKEN = [
    faults.close_before_answer,
    faults.reset_before_answer,
    faults.reset_within_headers,
    faults.close_within_body,
    faults.reset_within_body,
    faults.close_within_chunk,
    faults.close_between_chunks,
    faults.reset_within_chunk,
]
_BROKEN_IDS = [
    "close before answer",
    "reset before answer",
    "reset within headers",
    "close within body",
    "reset within body",
    "close within chunk",
    "close between chunks",
    "reset within chunk",
]


class Failures(Promises):
    """What a transport raises, and how many requests the server saw."""

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize("fault", _BROKEN, ids=_BROKEN_IDS)
    def test_a_new_connection_that_breaks_is_a_read_error(
        self, transport: Transport, start: Start, fault: Conversation, method: str
    ) -> None:
        """The server saw the request once: what failed on a new connection is for the retry policy to repeat."""
        if method == "GET":  # which is idempotent
            self.needs("repeats_nothing_else")
        server = start(fault)
        assert failure(transport, asking(server, method), errors.ReadError).retryable is True
        assert len(server.requests) == 1

    def test_headers_that_end_with_the_connection_are_no_answer(self, transport: Transport, start: Start) -> None:
        self.needs("strict_framing")
        server = start(faults.close_within_headers)
        failure(transport, asking(server, "POST"), errors.ReadError, errors.RemoteProtocolError)
        assert len(server.requests) == 1

    @pytest.mark.parametrize("fault", [faults.not_http, faults.bad_status], ids=["another protocol", "bad status"])
    def test_what_is_not_http_is_a_protocol_error(
        self, transport: Transport, start: Start, fault: Conversation
    ) -> None:
        """Whether a repetition helps cannot be told."""
        server = start(fault)
        assert failure(transport, asking(server), errors.RemoteProtocolError).retryable is None
        assert len(server.requests) == 1

    @pytest.mark.parametrize("length", [b"-5", b"ten"])
    def test_a_length_that_is_none_is_an_error(self, transport: Transport, start: Start, length: bytes) -> None:
        """RFC 9112, section 6.3: such an answer cannot be told from half of one."""
        self.needs("strict_framing")
        server = start(faults.closing(b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\nhalf"))
        failure(transport, asking(server), errors.RemoteProtocolError, errors.ReadError)
        assert len(server.requests) == 1

    def test_a_length_beyond_all_measure_is_an_error(self, transport: Transport, start: Start) -> None:
        server = start(faults.closing(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhalf"))
        with pytest.raises((errors.RemoteProtocolError, errors.ReadError, errors.ResponseTooLargeError)):
            transport.send(asking(server))
        assert len(server.requests) == 1

    def test_a_chunk_that_is_none_is_an_error(self, transport: Transport, start: Start) -> None:
        server = start(faults.bad_chunk)
        failure(transport, asking(server), errors.RemoteProtocolError, errors.ReadError)
        assert len(server.requests) == 1

    def test_a_header_of_a_mebibyte_is_refused(self, transport: Transport, start: Start) -> None:
        server = start(faults.huge_header)
        failure(transport, asking(server), errors.RemoteProtocolError)
        assert len(server.requests) == 1

    def test_thousands_of_headers_are_read_or_refused(self, transport: Transport, start: Start) -> None:
        server = start(faults.many_headers)
        with suppress(errors.RemoteProtocolError):  # some libraries have a limit
            assert transport.send(asking(server)).headers["x-4999"] == "1"
        assert len(server.requests) == 1

    @pytest.mark.parametrize("fault", [faults.bad_gzip, faults.cut_gzip], ids=["no gzip", "cut gzip"])
    def test_a_body_that_is_not_encoded_as_it_says_is_a_decoding_error(
        self, transport: Transport, start: Start, fault: Conversation
    ) -> None:
        self.needs("content_coding", *(["strict_coding"] if fault is faults.cut_gzip else []))
        server = start(fault)
        error = failure(transport, asking(server), errors.DecodingError, cause=False)
        assert error.retryable is None
        assert len(server.requests) == 1

    def test_a_coding_that_is_not_known_is_a_decoding_error(self, transport: Transport, start: Start) -> None:
        self.needs("content_coding", "strict_coding")
        server = start(faults.response(b"?", headers=[("Content-Encoding", "zstd")]))
        failure(transport, asking(server), errors.DecodingError, cause=False)

    def test_nobody_listening_is_a_connect_error(self, transport: Transport) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            url = f"http://127.0.0.1:{closed.getsockname()[1]}/path"
        assert failure(transport, Request("POST", url, timeout=10), errors.ConnectError).retryable is True

    def test_a_host_that_does_not_exist_is_a_connect_error(self, transport: Transport) -> None:
        """RFC 6761, section 6.4: names under .invalid never resolve."""
        failure(transport, Request("GET", "http://cache.invalid/", timeout=10), errors.ConnectError)

    @pytest.mark.parametrize("url", ["ftp://cache.example/", "http://a..b/", "http://[::1/"])
    def test_a_url_that_leads_nowhere_is_a_configuration_error(self, transport: Transport, url: str) -> None:
        with pytest.raises(errors.ConfigurationError) as caught:
            transport.send(Request("GET", url, timeout=10))
        assert caught.value.retryable is False
