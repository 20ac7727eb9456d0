"""What tests need of transports: a fake one, a server that fails in every way, and a suite for one's own transport.

- `FakeTransport` and `AsyncFakeTransport` answer from a script, for tests of programs that use the client.
- `FaultServer` speaks raw bytes over real sockets, `faults` are its ready-made mistakes, and `ForwardProxy` is a proxy.
- `TransportConformance` and `AsyncTransportConformance` are the promises of a transport as tests; a subclass with the
  one method `make_transport` runs them all. They need the extra ``langcache[testing]``.

The fixtures of the module `plugin` are there wherever the package is installed beside pytest. So that they cost a test
run nothing that does not use them, all names here load on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import faults
    from .certificates import Certificates
    from .conformance import AsyncTransportConformance, TransportConformance
    from .fake import AsyncFakeTransport, FakeTransport, NoReplyLeftError
    from .proxy import ForwardProxy
    from .server import Connection, Conversation, FaultServer

__all__ = [
    "AsyncFakeTransport",
    "AsyncTransportConformance",
    "Certificates",
    "Connection",
    "Conversation",
    "FakeTransport",
    "FaultServer",
    "ForwardProxy",
    "NoReplyLeftError",
    "TransportConformance",
    "faults",
]

_MODULES = {
    "certificates": ["Certificates"],
    "conformance": ["AsyncTransportConformance", "TransportConformance"],
    "fake": ["AsyncFakeTransport", "FakeTransport", "NoReplyLeftError"],
    "proxy": ["ForwardProxy"],
    "server": ["Connection", "Conversation", "FaultServer"],
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # a type checker would take every name for one of ours

    def __getattr__(name: str) -> object:
        """Load the public name `name` on first use (PEP 562)."""
        if name in _HOMES:
            value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        elif name in __all__:
            value = import_module(f".{name}", __name__)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
