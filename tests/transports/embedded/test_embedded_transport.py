"""The embedded transport behind the client itself."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from langcache import LangCache, Request, Transport, TransportOptions
from langcache.errors import BadRequestError, NotFoundError
from langcache_transports import embedded
from langcache_transports.embedded import DataPlane, EmbeddedTransport


def test_it_is_a_transport_of_the_name_embedded_and_of_no_other() -> None:
    assert isinstance(embedded.langcache_transport("embedded", TransportOptions()), EmbeddedTransport)
    assert isinstance(EmbeddedTransport(), Transport)
    assert embedded.langcache_transport("urllib3", TransportOptions()) is None


def test_a_client_needs_only_the_url_and_a_cache_id() -> None:
    with LangCache("embedded://", cache_id="c") as cache:
        key = cache.set(prompt="How does semantic caching work?", response="r").entry_id
        assert [hit.id for hit in cache.search(prompt="how do semantic caches work").data] == [key]
        cache.delete_by_id(entry_id=key)
        with pytest.raises(NotFoundError):
            cache.delete_by_id(entry_id=key)


def test_async_calls_see_the_same_entries() -> None:
    async def use() -> int:
        async with LangCache("embedded://", cache_id="c") as cache:
            await cache.set_async(prompt="p", response="r")
            return len(cache.search(prompt="p").data)

    assert asyncio.run(use()) == 1


def test_clients_share_a_transport_and_its_entries_outlive_them() -> None:
    transport = EmbeddedTransport()
    with LangCache("embedded://", cache_id="c", transport=transport) as cache:
        cache.set(prompt="p", response="r")
    with LangCache("https://cache.example", api_key="k", cache_id="c", transport=transport) as cache:
        assert len(cache.search(prompt="p").data) == 1


def test_each_client_has_entries_of_its_own_by_default() -> None:
    with LangCache("embedded://", cache_id="c") as one, LangCache("embedded://", cache_id="c") as other:
        one.set(prompt="p", response="r")
        assert other.search(prompt="p").data == []


def test_a_plane_s_configuration_reaches_the_client() -> None:
    transport = EmbeddedTransport(DataPlane(attributes=[]))
    with (
        LangCache("embedded://", cache_id="c", transport=transport) as cache,
        pytest.raises(BadRequestError, match="no attributes are configured for this cache"),
    ):
        cache.set(prompt="p", response="r", attributes={"user": "a"})


def test_closing_twice_is_harmless_and_keeps_the_entries() -> None:
    transport = EmbeddedTransport()
    transport.close()
    transport.close()
    assert transport.send(Request("GET", "embedded:///v1/caches/c/health")).status_code == 200


def test_threads_may_share_a_client() -> None:
    with LangCache("embedded://", cache_id="c") as cache, ThreadPoolExecutor(8) as pool:

        def store(number: int) -> str:
            return cache.set(prompt=f"p {number}", response="r").entry_id

        ids = list(pool.map(store, range(100)))
        assert len(set(ids)) == 100
        found = cache.search(prompt="p 1", similarity_threshold=0, max_results=200).data
        assert {hit.id for hit in found} == set(ids)
