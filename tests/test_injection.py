"""What a caller gives puts no line of its own into a request: each piece is refused, or encoded, on every transport.

What each check refuses in detail is in the tests of its module; here is what comes to the service over a real socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr

from langcache import Credential, LangCache, errors
from langcache_transports.testing import Connection, FaultServer, faults

SECRET = "s3cret"  # noqa: S105 - it protects nothing
LINES = {
    "CRLF": "\r\nX-Injected: 1",
    "LF": "\nX-Injected: 1",
    "CR": "\rX-Injected: 1",
    "a folded line": "\r\n X-Injected: 1",
    "a whole request": "\r\n\r\nPOST /injected HTTP/1.1\r\nX-Injected: 1",
    "what a byte makes a line break": "\u010d\u010aX-Injected: 1",  # cut to a byte, these two are CRLF
    "NUL": "\0X-Injected: 1",
}
every_line = pytest.mark.parametrize("line", LINES)

TRANSPORTS: dict[str, dict[str, Any]] = {
    "urllib3": {"transport": "urllib3"},
    "requests": {"transport": "requests"},
    "threaded": {"async_transport": "threaded"},
    "aiohttp": {"async_transport": "aiohttp"},
}
every_transport = pytest.mark.parametrize("transport", TRANSPORTS)


async def key_of(line: str) -> str:
    return SECRET + line


REFUSED: dict[str, Callable[[str], tuple[dict[str, Any], dict[str, Any]]]] = {
    # The client's arguments and the call's.
    "the key": lambda line: ({"api_key": SECRET + line}, {}),
    "a secret key": lambda line: ({"api_key": SecretStr(SECRET + line)}, {}),
    "a provider's key": lambda line: ({"api_key": lambda: SECRET + line}, {}),
    "a credential's key": lambda line: ({"api_key": lambda: Credential(SECRET + line)}, {}),
    "a key with its scheme": lambda line: ({"api_key": f"Bearer {SECRET}{line}"}, {}),
    "a header's name": lambda line: ({}, {"http_headers": {f"X-A{line}": "1"}}),
    "a header's value": lambda line: ({}, {"http_headers": {"X-A": SECRET + line}}),
    "the authorization": lambda line: ({}, {"http_headers": {"Authorization": SECRET + line}}),
    "the user agent": lambda line: ({}, {"http_headers": {"User-Agent": SECRET + line}}),
    "the host": lambda line: ({}, {"http_headers": {"Host": SECRET + line}}),
    "the call's id": lambda line: ({}, {"http_headers": {"X-Request-ID": SECRET + line}}),
    "the header for ids": lambda line: ({"request_id_header": f"X-Id{line}"}, {}),
    "the server's URL": lambda line: ({}, {"server_url": f"http://cache.invalid/{line}"}),
}
ENCODED: dict[str, Callable[[str], tuple[dict[str, Any], dict[str, Any]]]] = {
    "the cache id": lambda line: ({"cache_id": f"c{line}"}, {}),
    "the entry id": lambda line: ({}, {"entry_id": f"e{line}"}),
}


def delete(url: str, transport: str, client: dict[str, Any], call: dict[str, Any]) -> None:
    """Make a call, in whose path both ids are."""
    given: dict[str, Any] = {"api_key": "k", "cache_id": "c", "timeout_ms": 10_000, **TRANSPORTS[transport], **client}
    call = {"entry_id": "e", **call}
    if "async_transport" in given:
        asyncio.run(delete_async(url, given, call))
        return
    with LangCache(url, **given) as cache:
        cache.delete_by_id(**call)


async def delete_async(url: str, given: dict[str, Any], call: dict[str, Any]) -> None:
    async with LangCache(url, **given) as cache:
        await cache.delete_by_id_async(**call)


def done(connection: Connection) -> None:
    """Answer every request on the connection that it was done."""
    while connection.request():
        connection.send(faults.response(b"", status="204 No Content"))


@every_line
@pytest.mark.parametrize("piece", REFUSED)
@every_transport
def test_what_would_be_a_line_of_its_own_is_refused_before_anything_is_sent(
    transport: str, piece: str, line: str
) -> None:
    """And the error does not show what may be a secret."""
    client, call = REFUSED[piece](LINES[line])
    with FaultServer(done) as server, pytest.raises(errors.ConfigurationError) as caught:
        delete(server.url, transport, client, call)
    assert server.connections == 0
    assert SECRET not in f"{caught.value!r} {caught.value}"


@every_line
@every_transport
def test_an_async_providers_key_is_refused_as_well(transport: str, line: str) -> None:
    with FaultServer(done) as server, pytest.raises((errors.ConfigurationError, errors.UnexpectedAwaitableError)):
        delete(server.url, transport, {"api_key": lambda: key_of(LINES[line])}, {})
    assert server.connections == 0


@every_line
@pytest.mark.parametrize("piece", ENCODED)
@every_transport
def test_what_is_part_of_the_path_is_encoded(transport: str, piece: str, line: str) -> None:
    client, call = ENCODED[piece](LINES[line])
    with FaultServer(done) as server:
        delete(server.url, transport, client, call)
        [request] = server.requests
    assert "x-injected" not in request.headers
    assert "injected" in request.url.lower()
    assert request.url.isprintable()
    assert " " not in request.url
    assert request.url.count("/") == "/v1/caches/c/entries/e".count("/")


# What would lead a call to another cache, or to another endpoint, and what the service is sent in its place.
IDS = {
    "..": "%2E%2E",
    ".": "%2E",
    "../other": "..%2Fother",
    "c/entries/search": "c%2Fentries%2Fsearch",
    "c\\..\\other": "c%5C..%5Cother",
    "c?x=1": "c%3Fx%3D1",
    "c#x": "c%23x",
    "c;x=1": "c%3Bx%3D1",
    "%2e%2e": "%252e%252e",
    "%2F": "%252F",
    "c%00": "c%2500",
    "http://other.example/": "http%3A%2F%2Fother.example%2F",
    "@other.example": "%40other.example",
    " ": "%20",
    "\u00fc": "%C3%BC",
    "\u2025/": "%E2%80%A5%2F",
}


@pytest.mark.parametrize("name", IDS)
@every_transport
def test_a_cache_id_leads_to_no_other_cache_and_no_other_endpoint(transport: str, name: str) -> None:
    """It is one segment of the path, encoded, whatever it contains; the library between changes nothing of it."""
    with FaultServer(done) as server:
        delete(server.url, transport, {"cache_id": name}, {"entry_id": name})
        [request] = server.requests
    assert request.url == f"/v1/caches/{IDS[name]}/entries/{IDS[name]}"


@pytest.mark.parametrize(
    ("cache_id", "said"),
    [
        ("", "No cache id"),
        ("c\ud800", "cache_id contains a lone surrogate at position 1"),
        (5, "cache_id must be a string, not int"),
        (b"c", "cache_id must be a string, not bytes"),
        (["c"], "cache_id must be a string, not list"),
    ],
)
@every_transport
def test_a_cache_id_that_no_path_can_carry_is_refused_before_anything_is_sent(
    transport: str, cache_id: Any, said: str
) -> None:
    with FaultServer(done) as server, pytest.raises(errors.ConfigurationError, match=said):
        delete(server.url, transport, {"cache_id": cache_id}, {})
    assert server.connections == 0
