"""What plugins add to a request is looked at before it is sent: what would break the connection is refused."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from langcache import FunctionPlugin, LangCache, Request, Response, outgoing
from langcache.errors import ConfigurationError
from langcache.outgoing import checked_request
from langcache_transports.testing import AsyncFakeTransport, FakeTransport
from tests.local_server import LocalServer

CANARY = "canary-4d1f"

REFUSED = [
    (
        {"Content-Length": "3"},
        "The header 'Content-Length' is set by the transport, from the body; a plugin cannot set",
    ),
    ({"transfer-encoding": "chunked"}, "The header 'transfer-encoding' is set by the transport, from the body; a plug"),
    ({"X Team": "a"}, "The header name 'X Team', which a plugin set, must be one or more letters, digits or"),
    ({"X-Team\r\nX-Admin": "a"}, "The header name 'X-Team.*', which a plugin set, must be one or more letters"),
    ({"\u212aey": "a"}, "The header name '\u212aey', which a plugin set, must be"),
    (
        {"X-Team": f"{CANARY}\r\nX-Admin: 1"},
        "value of the header 'X-Team', which a plugin set, contains a line break at",
    ),
    (
        {"X-Team": f"{CANARY}\u20ac"},
        r"value of the header 'X-Team', which a plugin set, contains U\+20AC at position 11",
    ),
    ({"X-Team": f" {CANARY}"}, "the header 'X-Team', which a plugin set, begins or ends with white space"),
    ({"X-Team": 5}, "value of the header 'X-Team', which a plugin set, must be a string, not int"),
    ({"X-Team": [CANARY]}, "value of the header 'X-Team', which a plugin set, must be a string, not list"),
    ({"X-Team": None}, "value of the header 'X-Team', which a plugin set, must be a string, not NoneType"),
]


def adding(headers: Any) -> FunctionPlugin:
    return FunctionPlugin(name="mine", before_attempt=lambda request: request.with_headers(headers))


@pytest.mark.parametrize(("headers", "said"), REFUSED)
@pytest.mark.parametrize("is_known", [False, True])
def test_a_header_that_cannot_be_sent_is_refused_by_name(headers: Any, said: str, is_known: bool) -> None:
    """In sync and in async calls, before anything is sent, and without its value; a good one of that name or not."""
    transport = FakeTransport()
    own = AsyncFakeTransport(transport.send)
    if is_known:
        checked_request(Request("GET", "http://c.example", {"X-Team": CANARY}))
    client = LangCache(
        "http://c.example", "k", "c", transport=transport, async_transport=own, plugins=[adding(headers)],
        on_failure="miss",
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match=said) as caught:
        client.search(prompt="p")
    assert CANARY not in str(caught.value)
    with pytest.raises(ConfigurationError, match=said):
        asyncio.run(client.search_async(prompt="p"))
    assert transport.requests == []


@pytest.mark.parametrize("transport", ["urllib3", "requests"])
def test_the_connection_stays_in_step(server: LocalServer, transport: str) -> None:
    """A length that is not the body's would have its rest read as the beginning of the next request."""
    server.answer = lambda request: Response(200, {"Content-Type": "application/json"}, b'{"data":[]}')
    is_wrong = True

    def shorten(request: Request) -> Request:
        return request.with_headers({"Content-Length": "3"} if is_wrong else {"X-Team": "caf\xe9 | a"})

    with LangCache(
        server.url, "k", "c", transport=transport, plugins=[FunctionPlugin(before_attempt=shorten)]
    ) as client:
        with pytest.raises(ConfigurationError, match="Content-Length"):
            client.search(prompt="p")
        is_wrong = False
        assert client.search(prompt="p").data == []
        assert client.search(prompt="p").data == []
    assert len(server.requests) == 2


@pytest.mark.parametrize("value", ["", "a", "a b", "a | b", "caf\xe9", "a\tb", "x" * 10_000])
def test_what_can_be_sent_is_left_as_it_is(value: str) -> None:
    request = Request("GET", "http://c.example", {"X-Team": value, "Authorization": f"Bearer {value}b"})
    for _ in range(2):
        assert checked_request(request) is request


class Equal(str):
    """A text that says that it is any other."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("application/json")


def test_a_text_that_says_that_it_is_another_is_looked_at_all_the_same() -> None:
    checked_request(Request("GET", "http://c.example", {"Accept": "application/json"}))
    for value in ("a\r\nX-Admin: 1", "a\n"):
        with pytest.raises(ConfigurationError, match="contains a line break"):
            checked_request(Request("GET", "http://c.example", {"Accept": Equal(value)}))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names that are remembered, of which there are none yet."""
    names = set[str]()
    monkeypatch.setattr(outgoing, "_good_names", names)
    return names


@pytest.fixture
def values(names: set[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The values that are remembered, of which there are none yet."""
    values: dict[str, str] = {}
    monkeypatch.setattr(outgoing, "_good_values", values)
    return values


@pytest.mark.parametrize("name", ["Authorization", "X-Session", "Sid", "X-Sig", "X-Customer-Email", "X-Request-ID"])
def test_what_may_be_a_credential_or_a_persons_is_not_remembered(values: dict[str, str], name: str) -> None:
    """Whatever its header is called: values are remembered of those alone that are known to have none."""
    for _ in range(2):
        checked_request(Request("GET", "http://c.example", {name: CANARY, "accept": "*/*"}))
    assert values == {"accept": "*/*"}


def test_of_names_and_of_the_values_of_one_not_many_are_remembered(names: set[str], values: dict[str, str]) -> None:
    """The names and the usual headers are, so that a request costs no time."""
    for number in range(500):
        added = {"Authorization": CANARY, "X-Request-ID": uuid.uuid4().hex, "User-Agent": f"caf\xe9 {number}"}
        added[f"X-{number}"] = "a"
        checked_request(Request("GET", "http://c.example", added))
    assert {"Authorization", "X-Request-ID"} <= names
    assert len(names) <= 64
    assert values == {"User-Agent": "caf\xe9 0"}
    with pytest.raises(ConfigurationError, match="'content-length' is set by the transport"):
        checked_request(Request("GET", "http://c.example", {"content-length": "1"}))
