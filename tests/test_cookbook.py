"""The recipes of the cookbook keep what they promise beyond their own examples."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from pydantic import SecretStr

from langcache import Credential, FunctionPlugin, LangCache, Response, RetryPolicy, errors
from langcache.credentials import KeyProvider
from langcache_transports.testing import AsyncFakeTransport, FakeTransport
from tests.documentation import ROOT, blocks
from tests.local_server import LocalServer

Recipe = Mapping[str, Any]
Call = Callable[[LangCache], object]


def recipe(title: str) -> Recipe:
    """Return the names that the program below a title of the cookbook defines, after it has run."""
    page = ROOT / "docs" / "cookbook.md"
    line = page.read_text(encoding="utf-8").splitlines().index(f"## {title}")
    program = next(block for block in blocks("python") if block.page == page and block.line > line)
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(program.text, f"{page}:{program.line}", "exec"), names)  # noqa: S102 - the page is ours
    return names


@pytest.fixture(scope="module")
def policy() -> Recipe:
    return recipe("Block prompts before they leave")


@pytest.fixture(scope="module")
def redaction() -> Recipe:
    return recipe("Redact personal data")


def calls_with(text: str) -> dict[str, Call]:
    """Return a call for each place in which a call can send a text, sync and async."""
    given: dict[str, tuple[str, dict[str, Any]]] = {
        "a prompt that is searched for": ("search", {"prompt": text}),
        "an attribute that is searched for": ("search", {"prompt": "p", "attributes": {"a": text}}),
        "a prompt that is set": ("set", {"prompt": text, "response": "r"}),
        "a response that is set": ("set", {"prompt": "p", "response": text}),
        "an attribute that is set": ("set", {"prompt": "p", "response": "r", "attributes": {"a": text}}),
        "a prompt of a conversation": ("conversational_search", {"prompt": text}),
        "a context": ("conversational_search", {"prompt": "p", "context": ["before", text]}),
        "an attribute of a conversation": ("conversational_search", {"prompt": "p", "attributes": {"a": text}}),
        "an attribute to delete by": ("delete_query", {"attributes": {"a": text}}),
    }

    def calling(method: str, arguments: dict[str, Any]) -> Call:
        return lambda client: getattr(client, method)(**arguments)

    def awaiting(method: str, arguments: dict[str, Any]) -> Call:
        return lambda client: asyncio.run(getattr(client, f"{method}_async")(**arguments))

    return {
        f"{what}, {kind}": make(*call)
        for what, call in given.items()
        for kind, make in (("sync", calling), ("async", awaiting))
    }


def adding_text(text: str) -> FunctionPlugin:
    """A plugin of somebody else's that adds to prompts."""
    return FunctionPlugin(
        name="adding", before_call=lambda request: request.with_json({**request.json(), "prompt": text})
    )


def client_with(plugins: list[FunctionPlugin], transport: FakeTransport, innermost: str) -> LangCache:
    return LangCache(
        "https://api.example.com", "k", "c", transport=transport, async_transport=AsyncFakeTransport(transport.send),
        plugins=plugins, required=[innermost], order={innermost: "before:circuit_breaker"}, on_failure="miss",
    )  # fmt: skip


PLACES = list(calls_with(""))

# Of each kind of what is not seen: formats, controls, marks, fillers, blanks, variation selectors.
UNSEEN = [
    *("\u200b", "\u00ad", "\x00", "\x1c", "\x7f", "\u034f", "\u115f", "\u1160", "\u180b", "\u180f", "\u2800"),
    *("\u3164", "\ufe00", "\ufe0f", "\uffa0", "\U000e0041", "\U000e0100", "\U000e01ef"),
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "text", ["project bluebird", "pro\u200bject\u00a0blue\u00adbird", "\uff30\uff32OJECT nightfall"]
)
def test_the_policy_stops_a_forbidden_text_wherever_it_is(policy: Recipe, place: str, text: str) -> None:
    transport = FakeTransport()
    client = client_with([FunctionPlugin(name="policy", before_call=policy["check"])], transport, "policy")
    with pytest.raises(policy["PolicyViolation"]):
        calls_with(text)[place](client)
    assert transport.requests == []


@pytest.mark.parametrize("unseen", UNSEEN, ids=ascii)
def test_what_is_not_seen_hides_nothing(policy: Recipe, redaction: Recipe, unseen: str) -> None:
    assert policy["FORBIDDEN"].search(policy["as_read"](f"Pro{unseen}ject Blue{unseen}bird"))
    for text in (f"ada{unseen}@example.com", f"ada@{unseen}exam{unseen}ple.com"):
        assert redaction["redacted"](text) == "[email]"
        assert redaction["pseudonym"](text) == redaction["pseudonym"]("ada@example.com")


@pytest.mark.parametrize("space", [" ", "\t", "\n", "\r\n", "\v", "\f", "\x85", "\u00a0", "\u2028"], ids=ascii)
def test_white_space_is_seen(policy: Recipe, space: str) -> None:
    assert policy["FORBIDDEN"].search(policy["as_read"](f"project{space}bluebird"))


@pytest.mark.parametrize("place", PLACES)
def test_the_policy_lets_other_texts_pass(policy: Recipe, place: str) -> None:
    transport = FakeTransport(lambda request: Response(500, {}, b"{}"))
    client = client_with([FunctionPlugin(name="policy", before_call=policy["check"])], transport, "policy")
    calls_with("an object of a bluebird")[place](client)
    assert len(transport.requests) == 1


@pytest.mark.parametrize("is_given_last", [False, True])
def test_the_policy_sees_what_other_plugins_add(policy: Recipe, is_given_last: bool) -> None:
    """Wherever they are given: the order is by name."""
    transport = FakeTransport()
    plugins = [FunctionPlugin(name="policy", before_call=policy["check"]), adding_text("project bluebird")]
    client = client_with(plugins[:: -1 if is_given_last else 1], transport, "policy")
    with pytest.raises(policy["PolicyViolation"]):
        client.search(prompt="p")
    assert transport.requests == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "text", ["ada@example.com", "+44 20 7946 0958", "GB33 BUKB 2020 1555 5555 55", "ada\uff20example.com"]
)
def test_personal_data_are_redacted_wherever_they_are(redaction: Recipe, place: str, text: str) -> None:
    transport = FakeTransport(lambda request: Response(500, {}, b"{}"))
    client = client_with([FunctionPlugin(before_call=redaction["redact"])], transport, "redact")
    calls_with(f"from {text} today")[place](client)
    [sent] = transport.requests
    assert text.encode() not in (sent.content or b"")
    assert text not in sent.url
    if "attribute" in place:
        assert sent.json()["attributes"]["a"] == redaction["pseudonym"](f"from {text} today")
    else:
        assert "from [" in str(sent.json())


def test_personal_data_that_other_plugins_add_are_redacted(redaction: Recipe) -> None:
    transport = FakeTransport(lambda request: Response(500, {}, b"{}"))
    plugins = [FunctionPlugin(before_call=redaction["redact"]), adding_text("for ada@example.com")]
    client_with(plugins, transport, "redact").search(prompt="p")
    assert transport.requests[0].json()["prompt"] == "for [email]"


def test_texts_without_personal_data_stay_as_they_are(redaction: Recipe) -> None:
    """Also those that are read as something else."""
    for text in ("plain", "\ufb01ne\u200b", "a@b", "+44", ""):
        assert redaction["redacted"](text) == text
        assert redaction["pseudonym"](text) == text


@pytest.mark.parametrize("part", ["a", "a.", "a@", "a@a", "a@a.", "AB12 ", "+1", "+1 ", "1 ", "-", "+"])
def test_the_patterns_take_time_in_proportion_to_the_text(redaction: Recipe, part: str) -> None:
    """As a ratio of CPU times: 16 times the text, which is 256 times the work where it is done for each pair."""

    def seconds(text: str) -> float:
        def once() -> float:
            begun = time.process_time()
            redaction["redacted"](text)
            return time.process_time() - begun

        return min(once() for _ in range(3))

    small, large = part * 4_000, part * 64_000
    assert seconds(large) < 80 * max(seconds(small), 0.0005)


def test_the_renaming_of_errors_leaves_the_programs_own_mistakes_alone() -> None:
    """As the page says: what is no matter of the cache keeps its name."""
    rename = recipe("Rename errors to the company's")["rename"]
    client = LangCache(
        "https://api.example.com", "k", "c", transport=FakeTransport(), plugins=[FunctionPlugin(on_error=rename)],
        order={"rename": "before:identity"},
    )  # fmt: skip
    with pytest.raises(ValueError, match="prompt"):
        client.search(prompt=None)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    client.close()
    with pytest.raises(errors.ClientClosedError):
        client.search(prompt="p")


# Signatures, over real sockets


@pytest.fixture(scope="module")
def signing() -> Recipe:
    return recipe("Sign requests")


Searching = Callable[[str, KeyProvider, FunctionPlugin], "int | None"]


def in_sync(url: str, key: KeyProvider, plugin: FunctionPlugin) -> int | None:
    with LangCache(url, key, "c", transport="urllib3", plugins=[plugin], **SIGNED) as client:
        return client.search(prompt="p").metadata.attempts


def in_a_loop(url: str, key: KeyProvider, plugin: FunctionPlugin) -> int | None:
    async def main() -> int | None:
        async with LangCache(url, key, "c", async_transport="aiohttp", plugins=[plugin], **SIGNED) as client:
            return (await client.search_async(prompt="p")).metadata.attempts

    pytest.importorskip("aiohttp")
    return asyncio.run(main())


SIGNED: dict[str, Any] = {
    "required": ["sign"],
    "order": {"sign": "after:redirects"},
    "retry_config": RetryPolicy(initial_ms=0, max_ms=0),
    "trust_env": False,
}


@pytest.mark.parametrize("search", [in_sync, in_a_loop])
def test_every_request_that_is_sent_is_signed_for_itself(
    signing: Recipe, server: LocalServer, search: Searching
) -> None:
    """After a retry, a key that was renewed after a 401, and a redirect, for what came over the wire."""
    ok = Response(200, {"Content-Type": "application/json"}, b'{"data":[]}')
    moved = Response(307, {"Location": "/elsewhere/a%20b"})
    answers = iter([Response(503, {}, b"{}"), Response(401, {}, b"{}"), moved, ok])
    server.answer = lambda request: next(answers)
    keys = iter(["old", "new"])
    secret = SecretStr("shared")

    assert search(server.url, lambda: Credential(next(keys)), signing["signing_with"](secret)) == 2
    assert [request.headers["Authorization"] for request in server.requests] == [
        "Bearer old", "Bearer old", "Bearer new", "Bearer new",
    ]  # fmt: skip
    assert [request.url for request in server.requests][3] == "/elsewhere/a%20b"
    for request in server.requests:
        assert request.json()["prompt"] == "p"
        assert request.headers["X-Signature"] == signing["signature"](secret, request, request.headers["X-Sent-At"])
    assert len({request.headers["X-Signature"] for request in server.requests}) > 1
