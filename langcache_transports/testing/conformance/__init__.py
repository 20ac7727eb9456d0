"""The promises of a transport, as tests that any transport can be run through.

    from langcache_transports.testing import TransportConformance

    class TestMine(TransportConformance):
        def make_transport(self, options):
            return MyTransport(options)

pytest runs them all. A transport that cannot keep every promise says so in `unsupported`: an option in it must then be
refused at construction, and of the rest the tests are skipped with the reason.

An async transport is run through the same tests with `AsyncTransportConformance`: each call is awaited in an event loop
in a thread of its own.
"""

from __future__ import annotations

from langcache.transport import AsyncTransport, Transport, TransportOptions

from .base import CAPABILITIES, OPTIONS
from .configuration import Configuration
from .connections import Connections
from .facade import AsyncFacade
from .failures import Failures
from .limits import Limits
from .loops import Loops
from .proxies import Proxies
from .timeouts import Timeouts
from .tls import Encryption
from .translation import Translation

__all__ = ["CAPABILITIES", "OPTIONS", "AsyncTransportConformance", "TransportConformance"]


class TransportConformance(Translation, Failures, Timeouts, Limits, Connections, Encryption, Proxies, Configuration):
    """All promises of a sync transport; a subclass has the method `make_transport`."""

    def make_transport(self, options: TransportOptions) -> Transport:
        """Return a new transport; each test makes its own, closes it, and may make several."""
        raise NotImplementedError(f"{type(self).__name__} has no make_transport(self, options)")

    def _made(self, options: TransportOptions) -> Transport:
        return self.make_transport(options)


class AsyncTransportConformance(
    Loops, Translation, Failures, Timeouts, Limits, Connections, Encryption, Proxies, Configuration
):
    """All promises of an async transport; a subclass has the method `make_transport`."""

    def make_transport(self, options: TransportOptions) -> AsyncTransport:
        """Return a new transport; it is made where no event loop runs, as by a client."""
        raise NotImplementedError(f"{type(self).__name__} has no make_transport(self, options)")

    def _made(self, options: TransportOptions) -> Transport:
        return AsyncFacade(self.make_transport(options))
