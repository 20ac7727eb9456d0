"""Programs as users write them, for their type checkers: mypy --strict and pyright strict accept every line.

It is checked like all code here, and `test_public_surface` runs it, so what the checkers are told is true.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Optional
from unittest.mock import AsyncMock, create_autospec

from pydantic import SecretStr
from typing_extensions import assert_type

import langcache
from langcache import LangCache, errors, models
from langcache.errors import BadRequestErrorResponseContent, LangCacheError, RequestError, TimeoutException
from langcache.models import CacheEntry, SearchResponse, SearchStrategy, SetResponse
from langcache.models.cacheentry import CacheEntryTypedDict
from langcache.models.setrequest import SetRequestTypedDict
from langcache.types import UNSET, BaseModel, OptionalNullable
from langcache.utils import BackoffStrategy, RetryConfig


class Answers:
    """An application's own layer above the cache."""

    def __init__(self, cache: LangCache, retries: OptionalNullable[RetryConfig] = UNSET) -> None:
        self._cache = cache
        self._retries = retries

    def find(self, question: str, language: Optional[str] = None) -> Optional[str]:  # noqa: UP045 - as many write it
        """Return the stored answer to a question."""
        attributes: Optional[dict[str, str]] = {"language": language} if language else None  # noqa: UP045
        found = self._cache.search(
            prompt=question,
            similarity_threshold=0.9,
            search_strategies=[SearchStrategy.EXACT, SearchStrategy.SEMANTIC],
            attributes=attributes,
            max_results=1,
            retries=self._retries,
            timeout_ms=500,
            http_headers={"X-Team": "support"},
        )
        assert_type(found, SearchResponse)
        assert_type(found.data, list[CacheEntry])
        for entry in found.data:
            assert_type(entry.similarity, float)
            assert_type(entry.attributes, dict[str, str])
            assert_type(entry.search_strategy, SearchStrategy)
            return entry.response
        return None

    def keep(self, question: str, answer: str, extra: Mapping[str, str]) -> str:
        """Store an answer and return the entry's id."""
        stored = self._cache.set(prompt=question, response=answer, attributes=extra, ttl_millis=60_000)
        assert_type(stored, SetResponse)
        return stored.entry_id

    def forget(self, **attributes: str) -> int:
        """Delete the entries that carry these attributes."""
        try:
            return self._cache.delete_query(attributes=attributes).deleted_entries_count
        except BadRequestErrorResponseContent as error:
            assert_type(error.status_code, int)
            assert_type(error.body, str)
            assert_type(error.headers, Mapping[str, str])
            assert_type(error.data.title, str)
            assert_type(error.data.detail, str | None)
            assert_type(error.data.type, models.BadRequestErrorURI)
            raise
        except TimeoutException:
            return 0
        except (RequestError, LangCacheError) as error:
            assert_type(error.retryable, bool | None)
            assert_type(error.retry_after, float | None)
            raise

    async def find_async(self, question: str) -> list[CacheEntry]:
        """Return all entries like a question, in an async program."""
        found = await self._cache.search_async(prompt=question, search_strategies=["semantic"], max_results=10)
        await self._cache.flush_async(request={})
        return found.data


def settings() -> dict[str, Any]:
    """Return arguments of the constructor in the forms that users have them."""
    return {
        "api_key": SecretStr("key"),
        "retry_config": RetryConfig("backoff", BackoffStrategy(1, 50, 1.1, 100), False),
        "timeout_ms": 5_000,
        "debug_logger": logging.getLogger("langcache"),
    }


def typed_dicts() -> tuple[CacheEntryTypedDict, SetRequestTypedDict]:
    """Return dicts in the forms of the models."""
    entry: CacheEntryTypedDict = {
        "id": "1",
        "prompt": "p",
        "response": "r",
        "attributes": {},
        "similarity": 1.0,
        "search_strategy": SearchStrategy.EXACT,
    }
    request: SetRequestTypedDict = {"prompt": "p", "response": "r", "ttl_millis": None}
    return entry, request


def fake() -> LangCache:
    """Return a stand-in for the client, as tests make one."""
    cache: Any = create_autospec(LangCache, instance=True)
    cache.search.return_value = SearchResponse(data=[CacheEntry.model_validate(typed_dicts()[0])])
    assert isinstance(cache.search_async, AsyncMock)
    assert isinstance(cache, LangCache)
    return cache


def own_error(response: langcache.Response) -> errors.LangCacheError:
    """Return an error as programs construct it."""
    return errors.LangCacheError("boom", response)


def is_model(value: object) -> bool:
    """Say whether something is one of the package's models."""
    return isinstance(value, BaseModel)


def main() -> str | None:
    """Store an answer, find it again, and delete it."""
    with LangCache("embedded://", cache_id="users", **settings()) as cache:
        answers = Answers(cache)
        answers.keep("What is a cache?", "A place for what was found out before.", {"language": "en"})
        found = answers.find("what is a cache", "en")
        assert answers.forget(language="en") == 1
        return found
