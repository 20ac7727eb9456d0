"""The data plane: the service's HTTP API as a plain object, which answers requests without a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import Any

from langcache.http import Request, Response

from .answers import empty_answer, json_answer
from .bodies import LONGEST_PROMPT, ConversationalSearchBody, DeleteQueryBody, SearchBody, SetBody, read_body
from .embedding import DEFAULT_THRESHOLD
from .problems import FieldProblem, ProblemError, invalid_data, not_found
from .routes import Parameters, Route, dispatch
from .search import Hit, find
from .store import EntryStore

_CACHE = "/v1/caches/{cache_id}"


class DataPlane:
    """Answers the requests of the service's HTTP API, version 1, from entries in memory; threads may share it.

    It knows nothing of the client, asks for no API key and looks at no header. Any number of caches come into being
    as they are used; nothing but their time to live, a delete or a flush removes entries.

    Args:
        attributes: the names that entries may carry, for every cache; None for any, an empty collection for none.
        threshold: the least similarity of a hit where a search does not say; see `DEFAULT_THRESHOLD`.
        clock: returns the time in seconds, by which entries expire.
    """

    def __init__(
        self,
        attributes: Collection[str] | None = None,
        *,
        threshold: float = DEFAULT_THRESHOLD,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._configured = None if attributes is None else frozenset(attributes)
        self._threshold = threshold
        self._store = EntryStore(clock)
        self._routes = (
            Route("POST", f"{_CACHE}/entries", self._set),
            Route("DELETE", f"{_CACHE}/entries", self._delete_query),
            Route("POST", f"{_CACHE}/entries/search", self._search),
            Route("DELETE", f"{_CACHE}/entries/{{entry_id}}", self._delete_by_id),
            Route("POST", f"{_CACHE}/conversations/search", self._conversational_search),
            Route("POST", f"{_CACHE}/flush", self._flush),
            Route("GET", f"{_CACHE}/health", self._health),
        )

    def handle(self, request: Request) -> Response:
        """Return the answer to `request`, whatever its status; the URL may carry any origin and any path prefix."""
        try:
            return dispatch(self._routes, request)
        except ProblemError as problem:
            return problem.response

    def _set(self, path: Parameters, content: bytes) -> Response:
        body = read_body(SetBody, content)
        attributes = self._configured_only(body.attributes)
        ttl = None if body.ttl_millis is None else body.ttl_millis / 1000
        return json_answer(
            201, {"entryId": self._store.put(path["cache_id"], body.prompt, body.response, attributes, ttl)}
        )

    def _search(self, path: Parameters, content: bytes) -> Response:
        body = read_body(SearchBody, content)
        return json_answer(200, {"data": self._found(path["cache_id"], body, body.prompt)})

    def _conversational_search(self, path: Parameters, content: bytes) -> Response:
        body = read_body(ConversationalSearchBody, content)
        prompt = in_context(body.prompt, body.context or ())
        return json_answer(200, {"actualPrompt": prompt, "data": self._found(path["cache_id"], body, prompt)})

    def _delete_by_id(self, path: Parameters, _content: bytes) -> Response:
        if not self._store.remove(path["cache_id"], path["entry_id"]):
            raise not_found("There is no entry with this id")
        return empty_answer()

    def _delete_query(self, path: Parameters, content: bytes) -> Response:
        attributes = self._configured_only(read_body(DeleteQueryBody, content).attributes)
        return json_answer(200, {"deletedEntriesCount": self._store.remove_carrying(path["cache_id"], attributes)})

    def _flush(self, path: Parameters, _content: bytes) -> Response:
        self._store.clear(path["cache_id"])
        return empty_answer()

    def _health(self, _path: Parameters, _content: bytes) -> Response:
        return json_answer(200, {"status": "ok"})

    def _found(self, cache_id: str, body: SearchBody, prompt: str) -> list[dict[str, Any]]:
        attributes = self._configured_only(body.attributes)
        entries = [entry for entry in self._store.entries(cache_id) if entry.carries(attributes)]
        threshold = self._threshold if body.similarity_threshold is None else body.similarity_threshold
        limit = 1 if body.max_results is None else min(body.max_results, len(entries))
        hits = find(entries, prompt, body.search_strategies or ("semantic",), threshold)
        return [_cache_entry(hit) for hit in islice(hits, limit)]  # lazily: what is not asked for is not compared

    def _configured_only(self, attributes: Mapping[str, str] | None) -> Mapping[str, str]:
        """Return `attributes`, none for None; raises ProblemError, 400, where a name is not configured."""
        if not attributes or self._configured is None:
            return attributes or {}
        unknown = sorted(attributes.keys() - self._configured)
        if not unknown:
            return attributes
        # Programs search the detail for the first of these sentences.
        detail = (
            "these attributes are not configured for this cache: " + ", ".join(unknown)
            if self._configured
            else "no attributes are configured for this cache"
        )
        raise invalid_data(f"attributes: {detail}", [FieldProblem("attributes", "unknown", detail)])


def in_context(prompt: str, context: Sequence[str]) -> str:
    """Return `prompt` after the earlier questions of its conversation, joined by spaces.

    A follow-up question ("And in winter?") means nothing alone, and different things in different conversations, so
    it is the whole that is looked for, and that its answer is to be stored under. To fit into a prompt, the oldest
    questions are left out.
    """
    actual = prompt
    for question in reversed(context):
        longer = f"{question} {actual}"
        if len(longer) > LONGEST_PROMPT:
            break
        actual = longer
    return actual


def _cache_entry(hit: Hit) -> dict[str, Any]:
    return {
        "id": hit.entry.id,
        "prompt": hit.entry.prompt,
        "response": hit.entry.response,
        "attributes": dict(hit.entry.attributes),
        "similarity": hit.similarity,
        "searchStrategy": hit.strategy,
    }
