"""How the tests of both transports on pooled connections make one."""

from __future__ import annotations

from collections.abc import Callable

from langcache import Transport, TransportOptions

Make = Callable[[TransportOptions], Transport]
"""Makes a transport that is closed after the test; a test is given one for each kind, as the fixture `make`."""
