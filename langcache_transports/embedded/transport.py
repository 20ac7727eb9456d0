"""The transport that has no network under it: it asks a data plane in this process."""

from __future__ import annotations

from langcache.http import Request, Response

from .plane import DataPlane


class EmbeddedTransport:
    """Sends to `plane`, or to an empty data plane of its own; clients and threads may share it.

    An answer takes as long as it takes to compute; the request's timeout, which is there for the network, is not
    looked at.
    """

    def __init__(self, plane: DataPlane | None = None) -> None:
        self.plane = DataPlane() if plane is None else plane

    def send(self, request: Request) -> Response:
        """Return the data plane's answer to `request`."""
        return self.plane.handle(request)

    def close(self) -> None:
        """Do nothing: there is no connection, and the entries are there for the next client."""
