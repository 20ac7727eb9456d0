"""A transport as a stranger's package would bring it: a module with a hook, and a class with two methods."""

from __future__ import annotations

from langcache import Request, Response, hookimpl


class StrangerTransport:
    """Answers every search with no entries."""

    def send(self, request: Request) -> Response:
        """Answer without a network."""
        return Response(200, {}, b'{"data":[]}')

    def close(self) -> None:
        """Nothing is open."""


@hookimpl
def langcache_transport(name: str) -> StrangerTransport | None:
    """Answer to "stranger"."""
    return StrangerTransport() if name == "stranger" else None
