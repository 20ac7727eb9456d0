"""Time limits: the timeout is the whole attempt's, and connecting may have a shorter one."""

from __future__ import annotations

from functools import partial

import pytest

from langcache import errors
from langcache.http import Request
from langcache.transport import Transport

from .. import faults
from ..server import Connection, Conversation, FaultServer
from .base import PATIENCE, Build, Promises, Start, asking, failure, seconds

_SILENT = [faults.silent, faults.silent_within_headers, faults.silent_within_body]
_DRIPPING = [faults.dripping_headers, faults.dripping_body, faults.dripping_chunks]


class Timeouts(Promises):
    """What a transport does with time."""

    @pytest.mark.parametrize("fault", _SILENT, ids=["before", "within headers", "within body"])
    def test_silence_is_a_read_timeout(self, transport: Transport, start: Start, fault: Conversation) -> None:
        server = start(fault)
        assert timely(transport, server, "POST") == len(server.requests), "none is repeated"

    @pytest.mark.parametrize("fault", _DRIPPING, ids=["headers", "body", "chunks"])
    def test_the_timeout_is_the_whole_attempts(self, transport: Transport, start: Start, fault: Conversation) -> None:
        """A server that sends a byte every 100 ms is cut off within 250 ms after the timeout."""
        self.needs("total_timeout")
        server = start(fault)
        timely(transport, server, "GET")

    def test_an_attempt_without_a_timeout_is_waited_for(self, transport: Transport, start: Start) -> None:
        def slow(connection: Connection) -> None:
            connection.request()
            connection.drip(faults.OK, 0.005)

        assert transport.send(asking(start(slow), timeout=None)).status_code == 200

    def test_a_connection_whose_attempt_took_too_long_is_closed(self, transport: Transport, start: Start) -> None:
        server = start(faults.silent_within_body)
        failure(transport, asking(server, timeout=0.2), errors.ReadTimeout)
        assert server.wait_until_closed()

    def test_a_late_answer_is_never_the_next_requests(self, transport: Transport, start: Start) -> None:
        server = start(faults.silent, faults.response(b'"second"'))
        failure(transport, asking(server, timeout=0.2), errors.ReadTimeout)
        assert transport.send(asking(server)).content == b'"second"'
        assert server.connections == 2

    def test_connecting_has_its_own_limit(self, build: Build, start: Start) -> None:
        """TLS is a part of it: here the server takes the connection and says nothing."""
        self.needs("connect_timeout_ms")
        server = start(faults.mute)
        transport = build("connect_timeout_ms", connect_timeout=0.3)
        request = Request("POST", server.url.replace("http:", "https:") + "/", timeout=10.0)
        took = seconds(lambda: failure(transport, request, errors.ConnectTimeout))
        assert 0.2 < took < 5
        assert server.requests == []

    def test_connecting_is_a_part_of_the_attempt(self, transport: Transport, start: Start) -> None:
        server = start(faults.mute)
        request = Request("GET", server.url.replace("http:", "https:") + "/", timeout=0.3)
        took = seconds(lambda: failure(transport, request, errors.TimeoutException))
        assert 0.2 < took < 5


def timely(transport: Transport, server: FaultServer, method: str) -> int:
    """Check that an attempt ends when its time does, and return how many it took to show that.

    Of several the fastest counts, as the machine may be busy.
    """
    limit, took = 0.3, list[float]()
    while len(took) < 10 and min(took, default=10.0) > limit + PATIENCE:
        request = asking(server, method, timeout=limit)
        took.append(seconds(partial(failure, transport, request, errors.ReadTimeout)))
    assert limit - 0.05 <= min(took) <= limit + PATIENCE
    return len(took)
