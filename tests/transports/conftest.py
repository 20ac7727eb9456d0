"""What the tests of transports share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from langcache import Transport, TransportOptions
from langcache_transports.requests import RequestsTransport
from langcache_transports.urllib3 import Urllib3Transport
from tests.transports.making import Make


@pytest.fixture(params=[Urllib3Transport, RequestsTransport])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Make a transport on pooled connections; it is closed after the test."""
    made: list[Transport] = []

    def making(options: TransportOptions) -> Transport:
        made.append(request.param(options))
        return made[-1]

    yield making
    for transport in made:
        transport.close()
