"""The transport "aiohttp": async calls on aiohttp, natively, with a pool of connections for each event loop.

aiohttp comes with the extra: ``pip install 'langcache[aiohttp]'``. It is imported when the transport is chosen, so that
this module can be loaded, and say so, without it.
"""

from __future__ import annotations

from langcache.errors import ConfigurationError
from langcache.hookspecs import hookimpl
from langcache.transport import AsyncTransport, TransportOptions


@hookimpl
def langcache_async_transport(name: str, options: TransportOptions) -> AsyncTransport | None:
    """Answer to "aiohttp"; raises ConfigurationError without aiohttp, or for an option that it cannot honour."""
    if name != "aiohttp":
        return None
    try:
        from .transport import AiohttpTransport
    except ImportError as error:
        raise ConfigurationError(
            f"The transport 'aiohttp' needs aiohttp 3.10 or later: pip install 'langcache[aiohttp]' ({error})"
        ) from error
    return AiohttpTransport(options)
