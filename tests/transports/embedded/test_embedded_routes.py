"""Routing: the method and the path's segments choose who answers, wherever the API is mounted."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache.operations import DELETE_BY_ID, FLUSH, SEARCH, SET, Target
from langcache_transports.embedded import DataPlane
from langcache_transports.embedded.routes import path_segments

from .calls import ENTRIES, ask, perform, refusal, unhurried


@pytest.mark.parametrize(
    "base_url",
    [
        "embedded://",
        "embedded://anything",
        "https://cache.example:8443",
        "https://cache.example/gateway/team%2Fa/langcache",
        "https://cache.example/v1/caches/other/entries",
        "",
        "/gateway",
        "//",
        "/a://b",
    ],
)
def test_any_origin_and_any_path_prefix_leads_to_the_same_caches(base_url: str) -> None:
    plane = DataPlane()
    entry = perform(plane, SET, Target(base_url, "c"), prompt="p", response="r")
    assert [hit.id for hit in perform(plane, SEARCH, prompt="p").data] == [entry.entry_id]


def test_a_query_and_a_fragment_are_no_part_of_the_path() -> None:
    response = ask(DataPlane(), "POST", f"{ENTRIES}?next=/x/#/y", {"prompt": "p", "response": "r"})
    assert response.status_code == 201


@unhurried
@given(st.lists(st.text(), min_size=1))
def test_each_segment_is_decoded_by_itself(segments: list[str]) -> None:
    path = "/".join(quote(segment, safe="") for segment in segments)
    assert path_segments(f"embedded:///{path}") == ["", *segments]
    assert path_segments(f"/{path}") == ["", *segments]


@unhurried
@given(st.text(min_size=1), st.text(min_size=1))
def test_every_cache_id_names_a_cache_of_its_own(one: str, other: str) -> None:
    plane = DataPlane()
    perform(plane, SET, Target("embedded://", one), prompt="p", response=one)
    found = perform(plane, SEARCH, Target("embedded://", other), prompt="p").data
    assert len(found) == (one == other)


@pytest.mark.parametrize("cache_id", [".", "..", "../x?y#z", "entries", "v1", "caches", "a b", "%2F", "\u00e9"])
def test_a_cache_id_of_any_characters_is_one_segment(cache_id: str) -> None:
    plane = DataPlane()
    perform(plane, SET, Target("embedded://", cache_id), prompt="p", response="r")
    assert len(perform(plane, SEARCH, Target("embedded://", cache_id), prompt="p").data) == 1
    perform(plane, FLUSH, Target("embedded://", cache_id))
    assert perform(plane, SEARCH, Target("embedded://", cache_id), prompt="p").data == []


@pytest.mark.parametrize("entry_id", ["..", "../x?y#z", "search", "a/b", ".", "%", "a%2Fb"])
def test_an_entry_id_of_any_characters_is_an_entry_and_never_another_path(entry_id: str) -> None:
    plane = DataPlane()
    perform(plane, SET, prompt="p", response="r")
    response = plane.handle(DELETE_BY_ID.request(Target("embedded://", "c"), {"entry_id": entry_id}))
    assert refusal(response, 404)["type"] == "/errors/resource-not-found"
    assert len(perform(plane, SEARCH, prompt="p").data) == 1


def test_bytes_that_are_not_utf_8_name_caches_that_differ() -> None:
    plane = DataPlane()
    body = {"prompt": "p", "response": "r"}
    assert ask(plane, "POST", "/v1/caches/%FF/entries", body).status_code == 201
    assert ask(plane, "POST", "/v1/caches/%FF/entries/search", body).json()["data"]
    assert ask(plane, "POST", "/v1/caches/%FE/entries/search", body).json()["data"] == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "embedded://",
        "embedded:///",
        "embedded:///v1/caches",
        "embedded:///v1/caches/c",
        "embedded:///v1/caches//entries",
        "embedded:///v1/caches/c/entries/",
        "embedded:///v1/caches/c/entries//search",
        "embedded:///v1/caches/a/b/entries",
        "embedded:///v2/caches/c/entries",
        "embedded:///v1/caches/c/Entries",
        "embedded:///v1/caches/c/entries%2Fsearch",
        "embedded:///v1/caches/c%2Fflush",
        "embedded:///?to=/v1/caches/c/flush",
        "embedded:///#/v1/caches/c/flush",
    ],
)
def test_an_unknown_path_is_not_found(url: str) -> None:
    assert refusal(ask(DataPlane(), "POST", url), 404)["type"] == "/errors/resource-not-found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "entries", "DELETE, POST"),
        ("PUT", "entries", "DELETE, POST"),
        ("post", "entries", "DELETE, POST"),
        ("GET", "entries/search", "DELETE, POST"),
        ("GET", "entries/0123", "DELETE"),
        ("DELETE", "conversations/search", "POST"),
        ("GET", "flush", "POST"),
        ("HEAD", "health", "GET"),
    ],
)
def test_another_method_on_a_known_path_is_refused_with_those_that_it_has(method: str, path: str, allowed: str) -> None:
    response = ask(DataPlane(), method, f"embedded:///v1/caches/c/{path}")
    assert refusal(response, 405)["type"] == "about:blank"
    assert response.headers["allow"] == allowed
