"""With OpenTelemetry's instrumentations of HTTP libraries active there is one span a call, and it is ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from typing import Any

import aiohttp
import httpx
import pytest
import requests
import urllib3
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor  # pyright: ignore[reportMissingTypeStubs]
from opentelemetry.trace import SpanKind

from langcache import LangCache
from tests.local_server import LocalServer
from tests.telemetry.collecting import MISS, Collected


@pytest.fixture
def collected(server: LocalServer) -> Iterator[Collected]:
    """Providers, with the instrumentations active and telling them too."""
    server.answer = lambda request: MISS
    collected = Collected()
    instrumentors: list[Any] = [
        AioHttpClientInstrumentor(),
        HTTPXClientInstrumentor(),
        RequestsInstrumentor(),
        URLLib3Instrumentor(),
    ]
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=collected.tracers, meter_provider=collected.meters)
    try:
        yield collected
    finally:
        for instrumentor in instrumentors:
            instrumentor.uninstrument()


def search_sync(url: str, **arguments: Any) -> None:
    with LangCache(url, "k", "c", **arguments) as cache:
        cache.search(prompt="p")


def search_async(url: str, **arguments: Any) -> None:
    async def main() -> None:
        async with LangCache(url, "k", "c", **arguments) as cache:
            await cache.search_async(prompt="p")

    asyncio.run(main())


def search_with(make: Callable[[], AbstractContextManager[Any]], url: str, **arguments: Any) -> None:
    with make() as client:
        search_sync(url, client=client, **arguments)


def search_with_async(make: Callable[[], AbstractAsyncContextManager[Any]], url: str, **arguments: Any) -> None:
    async def main() -> None:
        async with make() as client, LangCache(url, "k", "c", async_client=client, **arguments) as cache:
            await cache.search_async(prompt="p")

    asyncio.run(main())


WAYS: dict[str, Callable[..., None]] = {
    "urllib3": partial(search_sync, transport="urllib3"),
    "requests": partial(search_sync, transport="requests"),
    "aiohttp": search_async,
    "threaded urllib3": partial(search_async, async_transport="threaded"),
    "threaded requests": partial(search_async, transport="requests", async_transport="threaded"),
    "own requests.Session": partial(search_with, requests.Session),
    "own urllib3.PoolManager": partial(search_with, urllib3.PoolManager),
    "own httpx.Client": partial(search_with, httpx.Client),
    "own httpx.AsyncClient": partial(search_with_async, httpx.AsyncClient),
    "own aiohttp.ClientSession": partial(search_with_async, aiohttp.ClientSession),
}


@pytest.mark.parametrize("way", WAYS)
def test_there_is_one_span(way: str, collected: Collected, server: LocalServer) -> None:
    WAYS[way](server.url, plugins=[collected.plugin()])
    span = collected.span()
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "langcache"
    assert span.kind is SpanKind.CLIENT


@pytest.mark.parametrize("way", WAYS)
def test_the_server_is_told_of_the_span_by_w3c_trace_context(
    way: str, collected: Collected, server: LocalServer
) -> None:
    WAYS[way](server.url, plugins=[collected.plugin()])
    context = collected.span().context
    assert context is not None
    [request] = server.requests
    assert request.headers["traceparent"].startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")


@pytest.mark.parametrize(
    "way", ["requests", "aiohttp", "threaded requests", "own urllib3.PoolManager", "own httpx.Client"]
)
def test_without_the_plugin_the_instrumentations_make_their_own(
    way: str, collected: Collected, server: LocalServer
) -> None:
    """So that the test above shows something."""
    WAYS[way](server.url)
    scope = collected.span().instrumentation_scope
    assert scope is not None
    assert scope.name.startswith("opentelemetry.instrumentation.")


def test_what_the_program_sends_by_itself_has_its_span_before_and_after(
    collected: Collected, server: LocalServer
) -> None:
    requests.post(server.url, timeout=10)
    search_sync(server.url, plugins=[collected.plugin()], transport="requests")
    requests.post(server.url, timeout=10)
    assert [span.name for span in collected.spans] == ["POST", "POST /v1/caches/{cache_id}/entries/search", "POST"]


def test_what_a_key_provider_sends_is_a_span_within_the_calls(collected: Collected, server: LocalServer) -> None:
    def key() -> str:
        requests.get(server.url, timeout=10)
        return "k"

    with LangCache(server.url, key, "c", plugins=[collected.plugin()]) as cache:
        cache.search(prompt="p")
    provider, call = collected.spans
    assert call.context is not None
    assert provider.parent is not None
    assert (provider.name, provider.parent.span_id) == ("GET", call.context.span_id)
