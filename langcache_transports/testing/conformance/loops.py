"""What is there for async transports alone: cancellation, and event loops that come and go."""

from __future__ import annotations

import asyncio

import pytest

from langcache.transport import AsyncTransport, TransportOptions

from .. import faults
from .base import Promises, Start, asking, content_of


class Loops(Promises):
    """What an async transport does with tasks and event loops."""

    def make_transport(self, options: TransportOptions) -> AsyncTransport:
        """Return a new transport."""
        raise NotImplementedError

    def test_a_cancelled_call_leaves_the_transport_usable(self, start: Start) -> None:
        """Its connection is not used again: the answer may still come there."""
        server = start(faults.silent_within_body, faults.OK)

        async def main() -> None:
            transport = self.make_transport(TransportOptions())
            try:
                call = asyncio.create_task(transport.send(asking(server, "POST", timeout=1.0)))
                assert await asyncio.to_thread(server.wait_for_requests, 1)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                assert content_of(await transport.send(asking(server, "POST"))) == (200, b"{}")
            finally:
                await transport.aclose()

        asyncio.run(main())
        assert (server.connections, len(server.requests)) == (2, 2)

    def test_tasks_share_a_transport(self, start: Start) -> None:
        """Each gets the answer to its own request, over no more connections than there are calls in flight."""
        server = start(faults.echo)

        async def main() -> None:
            transport = self.make_transport(TransportOptions(pool_size=8))
            contents = [b"%d;" % number for number in range(64)]
            free = asyncio.Semaphore(8)

            async def answer(content: bytes) -> bytes:
                async with free:
                    return (await transport.send(asking(server, "POST", content=content))).content

            try:
                assert await asyncio.gather(*map(answer, contents)) == contents
            finally:
                await transport.aclose()

        asyncio.run(main())
        assert len(server.requests) == 64
        if "keep_alive" not in self.unsupported:
            assert server.connections <= 8

    def test_one_event_loop_may_follow_another(self, start: Start) -> None:
        """As in a program that calls `asyncio.run` for each of its parts."""
        self.needs("several_loops")
        server = start(faults.OK)
        transport = self.make_transport(TransportOptions())
        for _ in range(3):
            assert content_of(asyncio.run(transport.send(asking(server, "POST")))) == (200, b"{}")
        asyncio.run(transport.aclose())
        assert server.wait_until_closed()
