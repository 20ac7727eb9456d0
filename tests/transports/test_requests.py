"""The transport on requests, with the library `responses` in the place of the network."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
import responses

from langcache import LangCache, errors

URL = "https://cache.example/v1/caches/c"


@pytest.fixture
def client() -> LangCache:
    return LangCache("https://cache.example", "key", "c", transport="requests")


@responses.activate
def test_a_search_is_seen_and_answered_by_a_mock_of_requests(client: LangCache) -> None:
    entry: dict[str, object] = {
        "id": "1",
        "prompt": "p",
        "response": "r",
        "attributes": {},
        "similarity": 1,
        "searchStrategy": "exact",
    }
    responses.post(f"{URL}/entries/search", json={"data": [entry]})
    found = client.search(prompt="p", similarity_threshold=0.9, search_strategies=["exact"])
    assert found.data[0].response == "r"
    request = responses.calls[0].request
    assert request.headers["Authorization"] == "Bearer key"
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == {
        "prompt": "p",
        "similarityThreshold": 0.9,
        "searchStrategies": ["exact"],
    }


@responses.activate
def test_every_operation_goes_through_requests(client: LangCache) -> None:
    responses.post(f"{URL}/entries", json={"entryId": "e1"}, status=201)
    responses.post(f"{URL}/entries/search", json={"data": []})
    responses.post(f"{URL}/conversations/search", json={"actualPrompt": "p", "data": []})
    responses.delete(f"{URL}/entries/e1", status=204)
    responses.delete(f"{URL}/entries", json={"deletedEntriesCount": 2})
    responses.post(f"{URL}/flush", status=204)
    responses.get(f"{URL}/health", body="fine")
    assert client.set(prompt="p", response="r").entry_id == "e1"
    assert client.search(prompt="p").data == []
    assert client.conversational_search(prompt="p").actual_prompt == "p"
    client.delete_by_id(entry_id="e1")
    assert client.delete_query(attributes={"a": "b"}).deleted_entries_count == 2
    client.flush()
    assert client.health().details == "fine"
    assert len(responses.calls) == 7


@responses.activate
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (requests.exceptions.ConnectTimeout("x"), errors.ConnectTimeout),
        (requests.exceptions.ReadTimeout("x"), errors.ReadTimeout),
        (requests.exceptions.ProxyError("x"), errors.ProxyError),
        (requests.exceptions.SSLError("x"), errors.ConnectError),
        (requests.exceptions.ConnectionError("x"), errors.ReadError),
        (requests.exceptions.ChunkedEncodingError("x"), errors.ReadError),
        (requests.exceptions.ContentDecodingError("x"), errors.DecodingError),
        (requests.exceptions.InvalidURL("x"), errors.ConfigurationError),
        (requests.exceptions.RequestException("x"), errors.RequestError),
        (ValueError("read length must be non-negative"), errors.RemoteProtocolError),
        (OSError("x"), errors.NetworkError),
    ],
)
def test_each_exception_of_requests_becomes_ours(
    client: LangCache, theirs: Exception, ours: type[errors.LangCacheError]
) -> None:
    responses.post(f"{URL}/entries/search", body=theirs)
    with pytest.raises(ours) as caught:
        client.search(prompt="p")
    assert caught.value.__cause__ is theirs


@responses.activate
def test_the_timeout_is_one_for_connecting_and_reading(client: LangCache) -> None:
    """A plain number would be granted to connecting, and again to every read."""
    responses.post(f"{URL}/entries/search", json={"data": []})
    client.search(prompt="p", timeout_ms=1500)
    sent: Any = responses.calls[0].request
    assert sent.req_kwargs["timeout"] == 1.5
