"""The caller's own HTTP client as a transport: an httpx, requests, urllib3 or aiohttp one, or a wrapper of such.

It is recognised by its shape, and its library is never imported for that. What the caller has set up - headers,
proxies, certificates, cookies, hooks, adapters - takes effect, and the library's exceptions become ours, with the
original as ``__cause__``. The client stays its owner's to close. Redirects are followed only where the client itself,
and not the single request, is set up to follow them.
"""

from __future__ import annotations

import inspect
from typing import Any

from langcache.errors import ConfigurationError, describe
from langcache.hookspecs import hookimpl
from langcache.transport import AsyncTransport, Transport, TransportOptions

from .aiohttp import AiohttpSession
from .httpx import AsyncHttpxClient, HttpxClient
from .requests import RequestsSession
from .urllib3 import Urllib3Pool

__all__ = ["AiohttpSession", "AsyncHttpxClient", "HttpxClient", "RequestsSession", "Urllib3Pool"]


@hookimpl
def langcache_transport(name: str, options: TransportOptions) -> Transport | None:
    """Answer to "supplied" with the transport for the client in the options."""
    if name != "supplied" or options.client is None:
        return None
    client = options.client
    options.refuse_all_but((), "A client of your own, which makes its connections as it is set up,")
    _refuse_class("client", client)
    # A mock or a wrapper may have the other methods besides, so that these two tell first.
    if _has(client, "build_request", "send"):
        if not _is_async(client):
            return HttpxClient(client)
    elif _has(client, "prepare_request", "merge_environment_settings"):
        return RequestsSession(client)
    elif _has(client, "urlopen", "request"):
        return Urllib3Pool(client)
    other = "; it serves async calls: pass it as async_client" if _is_async(client) else ""
    raise ConfigurationError(
        f"client: {describe(client)} is no HTTP client that is known{other}. Known are an httpx.Client or what has its "
        "build_request and send, a requests.Session, and a urllib3.PoolManager; for anything else see transport="
    )


@hookimpl
def langcache_async_transport(name: str, options: TransportOptions) -> AsyncTransport | None:
    """Answer to "supplied" with the transport for the async client in the options."""
    if name != "supplied" or options.async_client is None:
        return None
    client = options.async_client
    options.refuse_all_but((), "A client of your own, which makes its connections as it is set up,")
    _refuse_class("async_client", client)
    if _has(client, "build_request", "send"):
        if not _is_sync(client):
            return AsyncHttpxClient(client)
    elif _has(client, "ws_connect", "request"):
        return AiohttpSession(client)
    raise ConfigurationError(
        f"async_client: {describe(client)} is no async HTTP client that is known. Known are an httpx.AsyncClient or "
        "what has its build_request and an async send, and an aiohttp.ClientSession; for another see async_transport="
    )


def _refuse_class(argument: str, client: object) -> None:
    if inspect.isclass(client):
        raise ConfigurationError(f"{argument}: {describe(client)} is a class; give an instance of it")


def _has(client: object, *methods: str) -> bool:
    return all(callable(getattr(client, method, None)) for method in methods)


def _is_async(client: object) -> bool:
    """Say whether `client` is known to serve async calls; what is not known, its first answer tells."""
    if not _has(client, "build_request", "send"):
        return _has(client, "ws_connect", "request")
    # A decorated send may not look like a coroutine function; then the way to close it tells.
    return _sends_async(client) or (_has(client, "aclose") and not _has(client, "close"))


def _is_sync(client: object) -> bool:
    """Say whether `client` is known to serve sync calls alone: an httpx.Client, or a wrapper that says to be one."""
    bases = {f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in client.__class__.__mro__}
    return not bases.isdisjoint({"httpx.Client", "langcache.HttpClient"}) and not _sends_async(client)


def _sends_async(client: Any) -> bool:
    # Every function that create_autospec makes looks like a coroutine function; that of the class does not.
    return inspect.iscoroutinefunction(getattr(client.__class__, "send", client.send))
