"""Connections: used again where that is safe, and no byte of one exchange taken for another's answer."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from langcache import errors
from langcache.transport import Transport

from .. import faults
from ..server import Conversation
from .base import Build, Promises, Start, asking, content_of, failure

_EVIL = faults.response(b'"unasked"')


class Connections(Promises):
    """What a transport does with connections."""

    def test_a_connection_is_used_again(self, transport: Transport, start: Start) -> None:
        self.needs("keep_alive")
        server = start(faults.OK)
        for method in ("POST", "GET", "DELETE", "POST", "GET"):
            transport.send(asking(server, method))
        assert (server.connections, len(server.requests)) == (1, 5)

    def test_a_connection_is_used_again_after_an_error_answer(self, transport: Transport, start: Start) -> None:
        self.needs("keep_alive")
        server = start(faults.response(b'{"title":"no"}', status="404 Not Found"))
        for _ in range(3):
            transport.send(asking(server))
        assert server.connections == 1

    def test_a_connection_that_the_server_wants_closed_is_closed(self, transport: Transport, start: Start) -> None:
        server = start(faults.response(headers=[("Connection", "close")]))
        for _ in range(3):
            assert content_of(transport.send(asking(server, "POST"))) == (200, b"{}")
        assert (server.connections, len(server.requests)) == (3, 3)

    def test_an_idle_limit_of_zero_uses_no_connection_again(self, build: Build, start: Start) -> None:
        self.needs("idle_timeout_ms")
        server = start(faults.OK)
        transport = build("idle_timeout_ms", idle_timeout=0.0)
        for _ in range(3):
            transport.send(asking(server))
        assert (server.connections, len(server.requests)) == (3, 3)
        assert server.wait_until_closed()

    def test_a_connection_that_was_idle_for_too_long_is_not_used_again(self, build: Build, start: Start) -> None:
        self.needs("idle_timeout_ms", "keep_alive")
        server = start(faults.OK)
        transport = build("idle_timeout_ms", idle_timeout=0.3)
        transport.send(asking(server))
        transport.send(asking(server))
        assert server.connections == 1
        threading.Event().wait(0.35)
        transport.send(asking(server))
        assert (server.connections, len(server.requests)) == (2, 3)

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_connection_that_the_server_closed_meanwhile_costs_no_error(
        self, transport: Transport, start: Start, method: str
    ) -> None:
        """The end of the stream is there before the request is sent, so even a POST goes to a new connection."""
        server = start(faults.stale, faults.OK)
        transport.send(asking(server))
        assert server.signalled.wait(5)
        assert content_of(transport.send(asking(server, method))) == (200, b"{}")
        assert (server.connections, len(server.requests)) == (2, 2)

    @pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
    def test_an_idempotent_request_that_meets_the_end_of_a_kept_connection_is_repeated(
        self, transport: Transport, start: Start, reset: bool
    ) -> None:
        """RFC 9110, section 9.2.2: the server may be about to close it while the request is on its way."""
        self.needs("keep_alive", "repeats_stale")
        server = start(faults.dropping_second(reset=reset), faults.OK)
        transport.send(asking(server))
        assert content_of(transport.send(asking(server))) == (200, b"{}")
        assert (server.connections, len(server.requests)) == (2, 3)

    def test_a_repetition_is_not_repeated(self, transport: Transport, start: Start) -> None:
        self.needs("keep_alive", "repeats_stale")
        server = start(faults.dropping_second(), faults.close_before_answer)
        transport.send(asking(server))
        failure(transport, asking(server), errors.ReadError)
        assert (server.connections, len(server.requests)) == (2, 3)

    @pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
    def test_a_request_that_is_not_idempotent_is_never_sent_twice(
        self, transport: Transport, start: Start, reset: bool
    ) -> None:
        self.needs("keep_alive")
        server = start(faults.dropping_second(reset=reset), faults.OK)
        transport.send(asking(server))
        assert failure(transport, asking(server, "POST"), errors.ReadError).retryable is True
        assert (server.connections, len(server.requests)) == (1, 2)

    @pytest.mark.parametrize(
        "data",
        [_EVIL, _EVIL * 2, b"\r\n" + _EVIL, b"x", b"HTTP/1.1 408 Request Timeout\r\n\r\n"],
        ids=["answer", "two answers", "line and answer", "byte", "408"],
    )
    def test_bytes_that_come_unasked_retire_the_connection(
        self, transport: Transport, start: Start, data: bytes
    ) -> None:
        self.needs("keep_alive", "unasked_bytes")
        server = start(faults.unasked(data), faults.response(b'"asked"'))
        transport.send(asking(server))
        server.go.set()
        assert server.signalled.wait(5)
        assert content_of(transport.send(asking(server, "POST"))) == (200, b'"asked"')
        assert server.connections == 2

    @pytest.mark.parametrize("conversation", [faults.two_answers, faults.extra_bytes], ids=["two answers", "extra"])
    def test_what_comes_behind_an_answer_is_no_answer(
        self, transport: Transport, start: Start, conversation: Conversation
    ) -> None:
        """A transport may refuse the whole of what came, which cannot be told from half of something else."""
        self.needs("surplus_bytes")
        server = start(conversation)
        for _ in range(4):
            with suppress(errors.RemoteProtocolError):
                assert transport.send(asking(server, "POST")).content in (b'"asked"', b"{}")
        assert len(server.requests) == 4

    @pytest.mark.parametrize(
        "fault", [faults.close_within_body, faults.bad_chunk, faults.not_http], ids=["body", "chunk", "not HTTP"]
    )
    def test_a_connection_whose_exchange_broke_off_is_not_used_again(
        self, transport: Transport, start: Start, fault: Conversation
    ) -> None:
        server = start(fault, faults.response(b'"second"'))
        with pytest.raises(errors.RequestError):
            transport.send(asking(server))
        assert transport.send(asking(server)).content == b'"second"'
        assert (server.connections, len(server.requests)) == (2, 2)

    def test_threads_share_a_transport(self, transport: Transport, start: Start) -> None:
        """Each gets the answer to its own request, over no more connections than there are threads."""
        server = start(faults.echo)
        wrong: list[object] = []

        def work(number: int) -> None:
            for turn in range(20):
                content = f"{number}.{turn};".encode()
                try:
                    answer = transport.send(asking(server, "POST", content=content)).content
                except Exception as error:  # noqa: BLE001 - it is shown where the test ends
                    wrong.append(error)
                else:
                    if answer != content:
                        wrong.append((content, answer))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert len(server.requests) == 160
        if "keep_alive" not in self.unsupported:
            assert server.connections <= 8

    def test_no_more_connections_are_kept_than_the_pool_is_large(self, build: Build, start: Start) -> None:
        """More than that may be in use at once, or calls wait their turn."""
        self.needs("keep_alive")
        server = start(faults.echo)
        transport = build(pool_size=2)
        threads = [threading.Thread(target=transport.send, args=(asking(server),)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.requests) == 6
        assert server.wait_until_closed(left=2)

    def test_closing_ends_idle_connections_and_twice_does_nothing(self, transport: Transport, start: Start) -> None:
        server = start(faults.OK)
        transport.send(asking(server))
        transport.close()
        assert server.wait_until_closed()
        transport.close()

    def test_a_closed_transport_serves_or_says_so(self, transport: Transport, start: Start) -> None:
        """Nothing else: no foreign error, and no call that never ends."""
        server = start(faults.OK)
        transport.send(asking(server))
        transport.close()
        try:
            assert content_of(transport.send(asking(server))) == (200, b"{}")
        except errors.ClientClosedError:
            assert len(server.requests) == 1
