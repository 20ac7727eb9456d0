"""The hooks: all the places at which a plugin can take part.

Hooks are called when a client is built, never for a request: they return the objects that then do the work. A hook
may declare only the arguments that it uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .config import Settings
    from .steps import Middleware
    from .transport import AsyncTransport, Transport, TransportOptions

PROJECT = "langcache"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def langcache_call_middleware(settings: Settings) -> Middleware | None:
    """Return a middleware that sees each call once, outside retries, or None for none."""
    raise NotImplementedError


@hookspec
def langcache_attempt_middleware(settings: Settings) -> Middleware | None:
    """Return a middleware that sees every attempt of a call, inside retries, or None for none."""
    raise NotImplementedError


@hookspec
def langcache_composed(call_middleware: Sequence[Middleware], attempt_middleware: Sequence[Middleware]) -> None:
    """Take note of the middleware that a client's calls pass, once a call and once an attempt, outermost first."""
    raise NotImplementedError


@hookspec(firstresult=True)
def langcache_transport(name: str, options: TransportOptions) -> Transport | None:
    """Return the transport for sync calls that `name`, a transport's name or a URL's scheme, asks for, or None."""
    raise NotImplementedError


@hookspec(firstresult=True)
def langcache_async_transport(
    name: str, options: TransportOptions, transport: Transport | None
) -> AsyncTransport | None:
    """Return the transport for async calls that `name` asks for, or None; `transport` is the one for sync calls."""
    raise NotImplementedError
