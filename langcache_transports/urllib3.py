"""The default transport, on urllib3's connections. It only translates: it follows no redirect and keeps no cookie."""

from __future__ import annotations

from typing import Final

from langcache.hookspecs import hookimpl
from langcache.http import Request, Response
from langcache.processes import PerProcess
from langcache.transport import TransportOptions

from .pooling import Pools


class Urllib3Transport:
    """Sends on connections of urllib3's, which are its own, and of its process (see `langcache_transports.pooling`)."""

    ends_in_time: Final = True
    """Whatever happens; see `langcache.sending`."""

    def __init__(self, options: TransportOptions) -> None:
        # A forked child must not speak on its parent's connections; that it closes its copies of them ends none.
        self._pools = PerProcess(lambda: Pools(options), Pools.close)

    def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        answer, body = self._pools.get().send(request)
        return Response(answer.status, answer.fields(), body, answer)

    def close(self) -> None:
        """Close all connections that are not in use; the others are closed when they are done."""
        self._pools.get().close()


@hookimpl
def langcache_transport(name: str, options: TransportOptions) -> Urllib3Transport | None:
    """Answer to "urllib3"."""
    return Urllib3Transport(options) if name == "urllib3" else None
