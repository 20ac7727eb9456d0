"""The same operations over every transport, sync and async: a program cannot tell them apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

import pytest

from langcache import LangCache, RetryConfig, errors
from langcache.models import SearchStrategy
from langcache.policies import BackoffStrategy
from langcache_transports.embedded import DataPlane, EmbeddedTransport
from tests.local_server import LocalServer

T = TypeVar("T")

PROMPT = "How does semantic caching work?"
ANSWER = "It compares meanings."


class Program:
    """A program's client, whose methods are called in the sync or in the async form."""

    def __init__(self, client: LangCache, is_async: bool) -> None:
        self._client = client
        self._is_async = is_async

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if not self._is_async:
            method: Callable[..., Any] = getattr(self._client, name)
            return method
        method_async: Callable[..., Coroutine[Any, Any, Any]] = getattr(self._client, f"{name}_async")

        def run(**arguments: Any) -> Any:
            return asyncio.run(method_async(**arguments))

        return run


@pytest.fixture(params=["urllib3", "requests", "embedded"])
def client(request: pytest.FixtureRequest) -> Iterator[LangCache]:
    """A client of the same data plane: over HTTP with each library, and in this process."""
    plane = DataPlane(attributes=["language", "topic"])
    with ExitStack() as stack:
        if request.param == "embedded":
            made = LangCache("embedded://", cache_id="c 1/ü", transport=EmbeddedTransport(plane))
        else:
            server = stack.enter_context(LocalServer(plane.handle))
            made = LangCache(server.url + "/gateway/", "key", "c 1/ü", transport=request.param)
        yield stack.enter_context(made)


@pytest.fixture(params=["sync", "async"])
def program(client: LangCache, request: pytest.FixtureRequest) -> Program:
    return Program(client, request.param == "async")


def test_what_was_set_is_found_by_its_own_prompt(program: Program) -> None:
    entry_id = program.set(prompt=PROMPT, response=ANSWER, attributes={"language": "en"}).entry_id
    [entry] = program.search(prompt=PROMPT.upper(), search_strategies=[SearchStrategy.EXACT]).data
    assert (entry.id, entry.prompt, entry.response) == (entry_id, PROMPT, ANSWER)
    assert (entry.attributes, entry.similarity, entry.search_strategy) == ({"language": "en"}, 1.0, "exact")


def test_what_was_set_is_found_by_a_reworded_prompt(program: Program) -> None:
    program.set(prompt=PROMPT, response=ANSWER)
    [entry] = program.search(prompt="how do semantic caches work").data
    assert entry.response == ANSWER
    assert entry.search_strategy is SearchStrategy.SEMANTIC
    assert 0.5 < entry.similarity < 1


def test_a_miss_is_an_empty_list(program: Program) -> None:
    program.set(prompt=PROMPT, response=ANSWER)
    assert program.search(prompt="Which moons does Jupiter have?").data == []


def test_attributes_narrow_a_search(program: Program) -> None:
    program.set(prompt=PROMPT, response="english", attributes={"language": "en"})
    program.set(prompt=PROMPT, response="deutsch", attributes={"language": "de"})
    [entry] = program.search(prompt=PROMPT, attributes={"language": "de"}, max_results=5).data
    assert entry.response == "deutsch"


def test_a_conversational_search_says_what_it_looked_for(program: Program) -> None:
    found = program.conversational_search(prompt="and of Spain?", context=["What is the capital of France?"])
    assert "France" in found.actual_prompt
    assert found.data == []
    program.set(prompt=found.actual_prompt, response="Madrid.")
    again = program.conversational_search(prompt="and of Spain?", context=["What is the capital of France?"])
    assert again.data[0].response == "Madrid."


def test_an_entry_is_deleted_by_its_id(program: Program) -> None:
    entry_id = program.set(prompt=PROMPT, response=ANSWER).entry_id
    assert program.delete_by_id(entry_id=entry_id) is None
    assert program.search(prompt=PROMPT).data == []
    with pytest.raises(errors.NotFoundError) as caught:
        program.delete_by_id(entry_id=entry_id)
    assert caught.value.data.type == "/errors/resource-not-found"


@pytest.mark.parametrize("entry_id", ["../x?y#z", "..", ".", "a/b", "50%", "ü", " "])
def test_no_entry_id_reaches_another_path(program: Program, entry_id: str) -> None:
    """A cache's entries survive whatever is given for an id."""
    program.set(prompt=PROMPT, response=ANSWER)
    with pytest.raises(errors.NotFoundError):
        program.delete_by_id(entry_id=entry_id)
    assert len(program.search(prompt=PROMPT).data) == 1


def test_entries_are_deleted_by_their_attributes(program: Program) -> None:
    program.set(prompt="one", response="1", attributes={"language": "en", "topic": "a"})
    program.set(prompt="two", response="2", attributes={"language": "en", "topic": "b"})
    program.set(prompt="three", response="3", attributes={"language": "de", "topic": "a"})
    assert program.delete_query(attributes={"language": "en", "topic": "a"}).deleted_entries_count == 1
    assert program.delete_query(attributes={"language": "en"}).deleted_entries_count == 1
    with pytest.raises(errors.BadRequestError):
        program.delete_query(attributes={})


def test_a_flush_deletes_everything(program: Program) -> None:
    program.set(prompt=PROMPT, response=ANSWER)
    assert program.flush() is None
    assert program.search(prompt=PROMPT).data == []


def test_health_hands_on_what_the_service_says(program: Program) -> None:
    assert isinstance(program.health().details, dict)


def test_an_error_answer_has_the_class_of_its_status_and_its_fields(program: Program) -> None:
    with pytest.raises(errors.BadRequestError) as caught:
        program.set(prompt="", response=ANSWER)
    assert caught.value.status_code == 400
    assert str(caught.value) == caught.value.message == caught.value.body
    assert caught.value.data.fields is not None
    assert [problem.field for problem in caught.value.data.fields] == ["prompt"]


def test_an_attribute_that_is_not_configured_is_refused_by_name(program: Program) -> None:
    with pytest.raises(errors.BadRequestError, match="tenant"):
        program.search(prompt=PROMPT, attributes={"tenant": "a"})


def test_retries_change_nothing_about_a_call_that_succeeds_at_once(program: Program) -> None:
    retries = RetryConfig("backoff", BackoffStrategy(1, 1, 1, 1_000), True)
    assert program.search(prompt=PROMPT, retries=retries).data == []


def test_text_of_all_planes_of_unicode_comes_back_as_it_was(program: Program) -> None:
    text = 'naïve café 漢字 🦄 \u0000 \u2028 \\ " \n'
    program.set(prompt=text, response=text)
    [entry] = program.search(prompt=text, search_strategies=["exact"]).data
    assert (entry.prompt, entry.response) == (text, text)
