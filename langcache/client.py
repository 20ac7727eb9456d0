"""LangCache: the typed facade. Each method is one expression; what a call does is in operations and middleware."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import NoReturn

from pydantic import SecretStr
from typing_extensions import Self

from .config import (
    UNSET,
    ApiKey,
    KeyProvider,
    Logger,
    OptionalNullable,
    RetryConfig,
    read_settings,
    read_transport_options,
)
from .errors import ConfigurationError
from .models import (
    ConversationalSearchResponseContent,
    DeleteQueryResponse,
    FlushRequest,
    FlushRequestTypedDict,
    HealthResponse,
    SearchResponse,
    SearchStrategy,
    SetResponse,
)
from .operations import CONVERSATIONAL_SEARCH, DELETE_BY_ID, DELETE_QUERY, FLUSH, HEALTH, SEARCH, SET
from .pipeline import CallOptions, Pipeline, Transports
from .plugins import SUPPLIED_TRANSPORT, Plugins
from .tls import TLSConfig
from .transport import AsyncTransport, Transport, TransportOptions


class LangCache:
    """A client of Redis LangCache, the semantic cache for LLM answers.

    It is shared by threads and by tasks. ``with`` and ``async with`` close the connections that it opened; one that
    is dropped is closed when it is collected.

    Every method takes, beside its own arguments, these for the one call: `retries`, a RetryConfig or None for no
    repetition; `server_url`; `timeout_ms`, how long an attempt may take, in milliseconds, 0 for no limit; and
    `http_headers`, which are sent as well. Every method raises

    - `langcache.errors.LangCacheError`, or the subclass of its status, for an error answer;
    - `langcache.errors.RequestError`, or a subclass, where there is no answer;
    - ValueError (`langcache.errors.ConfigurationError` or pydantic's ValidationError) where an argument or a setting
      cannot work, before anything is sent.
    """

    def __init__(
        self,
        server_url: str | None = None,
        api_key: ApiKey | KeyProvider | None = None,
        cache_id: str | None = None,
        client: object | None = None,
        async_client: object | None = None,
        retry_config: OptionalNullable[RetryConfig] = UNSET,
        timeout_ms: float | None = None,
        debug_logger: Logger | None = None,
        *,
        transport: str | Transport | AsyncTransport | None = None,
        async_transport: str | AsyncTransport | None = None,
        plugins: Iterable[object] = (),
        pool_size: int = TransportOptions.pool_size,
        tls: TLSConfig | None = None,
        proxy: str | None = None,
        no_proxy: str | Iterable[str] | None = None,
        trust_env: bool = True,
        connect_timeout_ms: float | None = None,
        idle_timeout_ms: float | None = None,
        max_response_bytes: int | None = None,
    ) -> None:
        """Make a client; nothing is sent, and the URL, the key and the cache id are checked by the first call.

        Args:
            server_url: where the service is, with a scheme: ``https://...``, or ``embedded://`` for the data plane
                in this process. None is the environment's LANGCACHE_SERVER_URL.
            api_key: the key, or a plain or async callable that returns it and is asked before every attempt.
                None is the environment's LANGCACHE_API_KEY.
            cache_id: the cache. None is the environment's LANGCACHE_CACHE_ID.
            client: the caller's own HTTP client for sync calls, which is used as it is set up and never closed: an
                httpx, requests or urllib3 one, or a wrapper (see `langcache.httpclient`). It may bring the
                authentication, so that a key is not required.
            async_client: the same for async calls: an httpx or aiohttp one, or a wrapper.
            retry_config: whether and how failed calls are repeated; they are not where there is none.
            timeout_ms: how long an attempt may take, in milliseconds; 0 for no limit, None for 10 seconds.
            debug_logger: what the debug log goes to; the environment's LANGCACHE_DEBUG shows it on standard error.
            transport: which transport sends: a name that a plugin answers to, such as ``"urllib3"`` (the default)
                or ``"requests"``, or an instance, which stays the caller's to close.
            async_transport: the same for async calls; None is the transport's async form, or threads that run it.
            plugins: objects with hooks (see `langcache.hookspecs`), or the names of installed ones.
            pool_size: how many connections are kept open to each server between calls, and how many threads serve
                async calls, where those need any.
            tls: whom to trust and what to show (see TLSConfig).
            proxy: the URL of the proxy that all calls go through, with its credentials where it wants some:
                ``http://``, ``https://`` or, with the extra "socks", ``socks5://`` and the like. None is the
                environment's.
            no_proxy: the hosts that need no proxy, as in NO_PROXY. None is the environment's.
            trust_env: whether the environment's proxies and certificate authorities (REQUESTS_CA_BUNDLE,
                SSL_CERT_FILE, SSL_CERT_DIR) hold where no argument says otherwise.
            connect_timeout_ms: how long making a connection may take, in milliseconds, as a part of `timeout_ms`;
                0 or None for all of it.
            idle_timeout_ms: how long a connection may have been idle to be used again, in milliseconds; 0 for a new
                one every time, None for 50 seconds.
            max_response_bytes: how large an answer's body may be when it is decoded; None for 64 MiB.
        """
        if isinstance(api_key, str):
            api_key = SecretStr(api_key)  # or an error's traceback with variables would show it
        if (client is not None and transport is not None) or (async_client is not None and async_transport is not None):
            raise ConfigurationError("Give client or transport, and async_client or async_transport, but not both")
        loaded = Plugins(plugins)
        own, own_async = client is not None, client is not None or async_client is not None
        settings = read_settings(server_url, api_key, cache_id, retry_config, timeout_ms, debug_logger, own, own_async)
        self._transports = Transports(
            loaded,
            read_transport_options(
                pool_size=pool_size,
                client=client,
                async_client=async_client,
                tls=tls,
                proxy=proxy,
                no_proxy=no_proxy,
                trust_env=trust_env,
                connect_timeout_ms=connect_timeout_ms,
                idle_timeout_ms=idle_timeout_ms,
                max_response_bytes=max_response_bytes,
            ),
            settings.transport_name,
            transport if client is None else SUPPLIED_TRANSPORT,
            async_transport if async_client is None else SUPPLIED_TRANSPORT,
        )
        self._pipeline = Pipeline(settings, loaded, self._transports)
        self._finalizer = weakref.finalize(self, self._transports.finalize)

    def explain(self) -> str:
        """Say, in lines for people, which middleware a call passes, outermost first, and which transports send it."""
        return self._pipeline.explain()

    def close(self) -> None:
        """Close the connections that the client opened; it cannot be used afterwards. A second time does nothing."""
        self._transports.close()

    async def aclose(self) -> None:
        """The same as `close`, for async programs."""
        await self._transports.aclose()

    def __copy__(self) -> Self:
        return self  # it is shared, by threads and by tasks; a second one would close the first one's connections

    def __reduce__(self) -> NoReturn:
        raise TypeError("A LangCache client holds connections, which cannot be copied or pickled; make a new one")

    def __enter__(self) -> Self:
        self._transports.require_open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        self._transports.require_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def set(
        self,
        *,
        prompt: str,
        response: str,
        attributes: Mapping[str, str] | None = None,
        ttl_millis: int | None = None,
        retries: OptionalNullable[RetryConfig] = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> SetResponse:
        """Store `response` under `prompt`.

        Args:
            prompt: the prompt to store it under.
            response: the LLM's answer.
            attributes: what searches and deletes can ask for; the cache must have been configured with these names.
            ttl_millis: how long the entry lives, in milliseconds; None is the cache's default.

        Returns:
            The new entry's id, as ``entry_id``.

        `retries`, `server_url`, `timeout_ms`, `http_headers` and what is raised: see the class.
        """
        return self._pipeline.call(
            SET,
            {"prompt": prompt, "response": response, "attributes": attributes, "ttl_millis": ttl_millis},
            CallOptions(retries, server_url, timeout_ms, http_headers),
        )

    async def set_async(
        self,
        *,
        prompt: str,
        response: str,
        attributes: Mapping[str, str] | None = None,
        ttl_millis: int | None = None,
        retries: OptionalNullable[RetryConfig] = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> SetResponse:
        """The same as `set`, for async programs."""
        return await self._pipeline.call_async(
            SET,
            {"prompt": prompt, "response": response, "attributes": attributes, "ttl_millis": ttl_millis},
            CallOptions(retries, server_url, timeout_ms, http_headers),
        )

    def search(
        self,
        *,
        prompt: str,
        similarity_threshold: float | None = None,
        search_strategies: Iterable[SearchStrategy | str] | None = None,
        attributes: Mapping[str, str] | None = None,
        max_results: int | None = None,
        retries: OptionalNullable[RetryConfig] = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> SearchResponse:
        """Look for entries whose prompt is like `prompt`.

        Args:
            prompt: the prompt to look for.
            similarity_threshold: the least similarity of a hit, 0 to 1; None is the cache's default.
            search_strategies: the strategies to try, the preferred one first; None is semantic alone.
            attributes: only entries that carry all of these are found.
            max_results: how many entries to return at the most; None is the service's default, one.

        Returns:
            The entries that were found, the best first, as ``data``; an empty list on a miss.

        `retries`, `server_url`, `timeout_ms`, `http_headers` and what is raised: see the class.
        """
        return self._pipeline.call(
            SEARCH,
            {
                "prompt": prompt,
                "similarity_threshold": similarity_threshold,
                "search_strategies": search_strategies,
                "attributes": attributes,
                "max_results": max_results,
            },
            CallOptions(retries, server_url, timeout_ms, http_headers),
        )

    async def search_async(
        self,
        *,
        prompt: str,
        similarity_threshold: float | None = None,
        search_strategies: Iterable[SearchStrategy | str] | None = None,
        attributes: Mapping[str, str] | None = None,
        max_results: int | None = None,
        retries: OptionalNullable[RetryConfig] = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> SearchResponse:
        """The same as `search`, for async programs."""
        return await self._pipeline.call_async(
            SEARCH,
            {
                "prompt": prompt,
                "similarity_threshold": similarity_threshold,
                "search_strategies": search_strategies,
                "attributes": attributes,
                "max_results": max_results,
            },
            CallOptions(retries, server_url, timeout_ms, http_headers),
        )

    def conversational_search(
        self,
        *,
        prompt: str,
        similarity_threshold: float | None = None,
        search_strategies: Iterable[SearchStrategy | str] | None = None,
        attributes: Mapping[str, str] | None = None,
        max_results: int | None = None,
        context: Iterable[str] | None = None,
        retries: OptionalNullable[RetryConfig] = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> ConversationalSearchResponseContent:
        """Look for entries whose prompt is like `prompt`, as it is meant in its conversation.

        Args:
            prompt: the prompt to look for.
            similarity_threshold, search_strategies, attributes, max_results: as for `search`.
            context: the conversation's earlier questions, the oldest first.

        Returns:
            The entries that were found as ``data``, and the prompt with its context worked in as ``actual_prompt``.

        `retries`, `server_url`, `timeout_ms`, `http_headers` and what is raised: see the class.
        """
        return self._pipeline.call(
            CONVERSATIONAL_SEARCH,
            {
                "prompt": prompt,
                "similarity_threshold": similarity_threshold,
                "search_strategies": search_strategies,
                "attributes": attributes,
                "max_results": max_results,
                "context": context,
            },
            CallOptions(retries, server_url, timeout_ms, http_headers),
        )

    async def conversational_search_async(
        self,
        *,
        prompt: str,
        similarity_threshold: float | None = None,
        search_strategies: Iterable[SearchStrategy | str] | None = None,
        attributes: Mapping[str, str] | None = None,
        max_results: int | None = None,
        context: Iterable[str] | None = None,
        retries: OptionalNullable[RetryConfig] = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> ConversationalSearchResponseContent:
        """The same as `conversational_search`, for async programs."""
        return await self._pipeline.call_async(
            CONVERSATIONAL_SEARCH,
            {
                "prompt": prompt,
                "similarity_threshold": similarity_threshold,
                "search_strategies": search_strategies,
                "attributes": attributes,
                "max_results": max_results,
                "context": context,
            },
            CallOptions(retries, server_url, timeout_ms, http_headers),
        )

    def delete_by_id(
        self,
        *,
        entry_id: str,
        retries: OptionalNullable[RetryConfig] = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Delete the entry with this id.

        Args:
            entry_id: the id that `set` returned.

        `retries`, `server_url`, `timeout_ms`, `http_headers` and what is raised: see the class.
        """
        return self._pipeline.call(
            DELETE_BY_ID, {"entry_id": entry_id}, CallOptions(retries, server_url, timeout_ms, http_headers)
        )

    async def delete_by_id_async(
        self,
        *,
        entry_id: str,
        retries: OptionalNullable[RetryConfig] = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> None:
        """The same as `delete_by_id`, for async programs."""
        return await self._pipeline.call_async(
            DELETE_BY_ID, {"entry_id": entry_id}, CallOptions(retries, server_url, timeout_ms, http_headers)
        )

    def delete_query(
        self,
        *,
        attributes: Mapping[str, str],
        retries: OptionalNullable[RetryConfig] = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> DeleteQueryResponse:
        """Delete the entries that carry all of these attributes.

        Args:
            attributes: names and values; the service refuses to delete by none.

        Returns:
            How many entries were deleted, as ``deleted_entries_count``.

        `retries`, `server_url`, `timeout_ms`, `http_headers` and what is raised: see the class.
        """
        return self._pipeline.call(
            DELETE_QUERY, {"attributes": attributes}, CallOptions(retries, server_url, timeout_ms, http_headers)
        )

    async def delete_query_async(
        self,
        *,
        attributes: Mapping[str, str],
        retries: OptionalNullable[RetryConfig] = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> DeleteQueryResponse:
        """The same as `delete_query`, for async programs."""
        return await self._pipeline.call_async(
            DELETE_QUERY, {"attributes": attributes}, CallOptions(retries, server_url, timeout_ms, http_headers)
        )

    def flush(
        self,
        *,
        request: FlushRequest | FlushRequestTypedDict | None = None,  # noqa: ARG002 - it says nothing
        retries: OptionalNullable[RetryConfig] = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Delete all entries of the cache.

        Args:
            request: nothing; some programs pass an empty one.

        `retries`, `server_url`, `timeout_ms`, `http_headers` and what is raised: see the class.
        """
        return self._pipeline.call(FLUSH, {}, CallOptions(retries, server_url, timeout_ms, http_headers))

    async def flush_async(
        self,
        *,
        request: FlushRequest | FlushRequestTypedDict | None = None,  # noqa: ARG002 - it says nothing
        retries: OptionalNullable[RetryConfig] = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> None:
        """The same as `flush`, for async programs."""
        return await self._pipeline.call_async(FLUSH, {}, CallOptions(retries, server_url, timeout_ms, http_headers))

    def health(
        self,
        *,
        retries: OptionalNullable[RetryConfig] = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> HealthResponse:
        """Ask a self-managed service for its health; one that is not healthy answers with an error.

        Returns:
            The service's answer, whose form is undocumented, as ``details``.

        `retries`, `server_url`, `timeout_ms`, `http_headers` and what is raised: see the class.
        """
        return self._pipeline.call(HEALTH, {}, CallOptions(retries, server_url, timeout_ms, http_headers))

    async def health_async(
        self,
        *,
        retries: OptionalNullable[RetryConfig] = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
    ) -> HealthResponse:
        """The same as `health`, for async programs."""
        return await self._pipeline.call_async(HEALTH, {}, CallOptions(retries, server_url, timeout_ms, http_headers))
