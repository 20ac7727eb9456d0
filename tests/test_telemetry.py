"""A canary: by default no key and no word of what is cached is in a span, metric, log or audit record, or count."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from langcache import BreakerPolicy, HitSavings, LangCache, Request, Response, RetryPolicy, WireLog, errors
from langcache.audit import Audit
from langcache_transports.testing import AsyncFakeTransport, FakeTransport
from tests.audit.recording import Kept
from tests.telemetry.collecting import Collected

CANARY = "canary"
KEY, PROMPT, RESPONSE, VALUE = (f"{CANARY} {name}" for name in ("key", "prompt", "response", "value"))

ENTRY = {"id": "e1", "prompt": PROMPT, "response": RESPONSE, "attributes": {"type": VALUE}, "similarity": 1}
FOUND = {"actualPrompt": PROMPT, "data": [{**ENTRY, "searchStrategy": "exact"}], "entryId": "e1"}
PROBLEM = {
    "type": "/errors/invalid-data",
    "title": f"{PROMPT} is bad",
    "detail": PROMPT,
    "fields": [{"message": VALUE}],
}


def json_answer(status: int, body: object) -> Response:
    return Response(status, {"Content-Type": "application/json", "Set-Cookie": KEY}, json.dumps(body).encode())


ENDINGS: dict[str, Any] = {
    "an answer": json_answer(200, FOUND),
    "an answer of another form": json_answer(200, {"data": PROMPT, "entryId": {"x": RESPONSE}}),
    "an answer that is none": Response(200, {}, f"<html>{PROMPT}".encode()),
    "a problem": json_answer(400, PROBLEM),
    "a problem that is repeated": json_answer(503, PROBLEM),
    "a refused key": json_answer(401, {"detail": KEY}),
    "no answer": errors.ConnectError("down"),
    "a mistake of the program's": LookupError(PROMPT),
}
CALLS: dict[str, Callable[[LangCache], Any]] = {
    "search": lambda cache: cache.search_async(prompt=PROMPT, attributes={"type": VALUE}),
    "conversational_search": lambda cache: cache.conversational_search_async(prompt=PROMPT, context=[PROMPT]),
    "set": lambda cache: cache.set_async(prompt=PROMPT, response=RESPONSE, attributes={"id": VALUE}),
    "delete_query": lambda cache: cache.delete_query_async(attributes={"status": VALUE}),
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("on_failure", ["raise", "miss"])
def test_no_canary_gets_out(call: str, ending: str, on_failure: Any, caplog: pytest.LogCaptureFixture) -> None:
    """With everything turned on that can be turned on, but for what is asked for by the name of prompts."""
    collected, kept = Collected(), Kept()
    audit = Audit(kept, attempts=True)

    async def main() -> LangCache:
        cache = LangCache(
            "http://cache.example",
            KEY.replace(" ", "-"),
            "c",
            async_transport=AsyncFakeTransport(answering(ENDINGS[ending])),
            transport=FakeTransport(),
            plugins=[collected.plugin(), WireLog(), audit],
            retry_config=RetryPolicy(max_attempts=2, initial_ms=0, repeat_sets=True),
            breaker=BreakerPolicy(consecutive_failures=1, open_ms=0),
            on_failure=on_failure,
            hit_saves=HitSavings(milliseconds=1),
        )
        for _ in range(2):
            with suppress(errors.LangCacheError, LookupError):
                await CALLS[call](cache)
        return cache

    with caplog.at_level(logging.DEBUG):
        cache = asyncio.run(main())
        assert audit.close()
    records = [record for record in caplog.records if record.name.startswith("langcache")]
    told = [
        collected.everything(),
        *(f"{record.getMessage()} {vars(record)!r}" for record in records),
        *(f"{record!r} {record.json()}" for record in kept.records),
        cache.statistics().model_dump_json(),
        cache.explain(),
    ]
    assert [record.operation for record in kept.records if record.kind == "call"] == [call] * 2
    assert len(collected.spans) == 2
    assert {"langcache", "langcache.wire"} <= {record.name for record in records}
    assert [text for text in told if CANARY in text] == []


def answering(ending: Any) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        assert CANARY in repr(request.headers.as_dict())
        if isinstance(ending, BaseException):
            raise ending
        assert isinstance(ending, Response)
        return ending

    return answer


def test_the_canary_would_be_seen(caplog: pytest.LogCaptureFixture) -> None:
    """Where it is asked for, it gets out; so that the test above shows something."""
    collected, kept = Collected(), Kept()
    audit = Audit(kept, prompts="plain")
    cache = LangCache(
        "http://cache.example", "k", "c", transport=FakeTransport([ENDINGS["an answer"]]),
        plugins=[collected.plugin(prompts=True), WireLog(prompts=True), audit],
    )  # fmt: skip
    with caplog.at_level(logging.DEBUG):
        cache.search(prompt=PROMPT)
    assert audit.close()
    assert PROMPT in kept.records[0].json()
    assert PROMPT in collected.everything()
    assert PROMPT in caplog.text
