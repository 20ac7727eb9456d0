"""Fixtures for pytest, which finds them by entry point wherever the package is installed.

pytest loads this module in every run of such an environment, so it imports nothing of the package until a fixture is
used, and changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from langcache import LangCache

    from .fake import FakeTransport
    from .server import Conversation, FaultServer

# The suite's assertions tell what they compared, as those of test modules do.
pytest.register_assert_rewrite("langcache_transports.testing.conformance")


@pytest.fixture
def langcache_fake_transport() -> FakeTransport:
    """A transport whose replies the test adds: ``langcache_fake_transport.add(Response(200, {}, b"..."))``."""
    from .fake import FakeTransport

    return FakeTransport()


@pytest.fixture
def langcache_client(langcache_fake_transport: FakeTransport) -> Iterator[LangCache]:
    """A client that sends with `langcache_fake_transport`, for tests of what is sent and of errors."""
    from langcache import LangCache

    with LangCache("http://langcache.test", "test-key", "test-cache", transport=langcache_fake_transport) as client:
        yield client


@pytest.fixture
def langcache_embedded() -> Iterator[LangCache]:
    """A client over an empty data plane in this process, for tests of programs that fill and ask a cache."""
    from langcache import LangCache

    with LangCache("embedded://", cache_id="test-cache") as client:
        yield client


@pytest.fixture
def langcache_fault_server() -> Iterator[Callable[..., FaultServer]]:
    """Start a `FaultServer` with the conversations that it is called with; it is stopped after the test."""
    from .server import FaultServer

    with ExitStack() as stack:

        def start(*conversations: Conversation | bytes) -> FaultServer:
            return stack.enter_context(FaultServer(*conversations))

        yield start
