"""LangCache: the typed facade. Each method is one expression; what a call does is in operations and middleware."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from . import models
from .client_transports import Transports
from .config import (
    DEFAULT_REQUEST_ID_HEADER,
    UNSET,
    Logger,
    OptionalNullable,
    Retries,
    read_settings,
    read_transport_options,
)
from .credentials import ApiKey, KeyProvider
from .errors import ConfigurationError
from .governance.choice import read_plugin_choice
from .operations import CONVERSATIONAL_SEARCH, DELETE_BY_ID, DELETE_QUERY, FLUSH, HEALTH, SEARCH, SET
from .pipeline import CallOptions, Pipeline
from .plugins import SUPPLIED_TRANSPORT, Plugins
from .policies import BreakerPolicy, HitSavings, OnFailure
from .secret import SecretText, hidden
from .tls import TLSConfig
from .transport import AsyncTransport, Transport, TransportOptions

if TYPE_CHECKING:  # of its own, it would take a tenth of the time that importing a client takes
    from typing_extensions import Self

    from .governance.members import Member


class LangCache:
    """A client of Redis LangCache, the semantic cache for LLM answers.

    It is shared by threads and by tasks. ``with`` and ``async with`` load what the first call would load otherwise,
    which takes some tens of milliseconds once in a process, and close the connections that it opened; one that is
    dropped is closed when it is collected.

    Every method takes, beside its own arguments, these for the one call:

    - `retries`, a RetryPolicy or a RetryConfig, or None for no repetition;
    - `server_url`;
    - `timeout_ms`, how long an attempt may take, in milliseconds, and `deadline_ms`, how long the call may take with
      everything that it does; 0 for no limit;
    - `http_headers`, which are sent as well;
    - `breaker`, a BreakerPolicy, or None to be let through whatever the service did before;
    - `on_failure`, ``"raise"`` or ``"miss"``: what becomes of it where the service does not serve it.

    Every method raises

    - `langcache.errors.LangCacheError`, or the subclass of its status, for an error answer;
    - `langcache.errors.RequestError`, or a subclass, where there is no answer;
    - ValueError (`langcache.errors.ConfigurationError` or pydantic's ValidationError) where an argument or a setting
      cannot work, before anything is sent.

    With ``on_failure="miss"`` nothing is raised where the fault is the service's or the network's: a search finds
    nothing, a `set` returns an empty `entry_id`, a delete has deleted nothing; the result's ``metadata.degraded`` is
    the error, and the log has a warning. `health` raises always.
    """

    def __init__(
        self,
        server_url: str | None = None,
        api_key: ApiKey | KeyProvider | None = None,
        cache_id: str | None = None,
        client: object | None = None,
        async_client: object | None = None,
        retry_config: Retries = UNSET,
        timeout_ms: float | None = None,
        debug_logger: Logger | None = None,
        *,
        transport: str | Transport | AsyncTransport | None = None,
        async_transport: str | AsyncTransport | None = None,
        plugins: Iterable[object] = (),
        pool_size: int = TransportOptions.pool_size,
        tls: TLSConfig | None = None,
        proxy: str | SecretText | None = None,
        no_proxy: str | Iterable[str] | None = None,
        trust_env: bool = True,
        connect_timeout_ms: float | None = None,
        idle_timeout_ms: float | None = None,
        max_response_bytes: int | None = None,
        deadline_ms: float | None = None,
        breaker: BreakerPolicy | None = None,
        on_failure: OnFailure = "raise",
        request_id_header: str | None = DEFAULT_REQUEST_ID_HEADER,
        without: Iterable[str] = (),
        autoload: bool = False,
        required: bool | Iterable[str] = False,
        order: Mapping[str, str] | None = None,
        hit_saves: HitSavings | None = None,
    ) -> None:
        """Make a client; nothing is sent, and the URL, the key and the cache id are checked by the first call.

        Args:
            server_url: where the service is, with a scheme: ``https://...``, or ``embedded://`` for the data plane
                in this process. None is the environment's LANGCACHE_SERVER_URL.
            api_key: the key, or a plain or async callable that returns it and is asked before every attempt. Where it
                returns a `langcache.Credential`, that is kept until it expires or is refused. `langcache.KeyFile`
                reads a file. None is the environment's LANGCACHE_API_KEY.
            cache_id: the cache. None is the environment's LANGCACHE_CACHE_ID.
            client: the caller's own HTTP client for sync calls, which is used as it is set up and never closed: an
                httpx, requests or urllib3 one, or a wrapper (see `langcache.httpclient`). It may bring the
                authentication, so that a key is not required.
            async_client: the same for async calls: an httpx or aiohttp one, or a wrapper.
            retry_config: whether and how failed calls are repeated, a RetryPolicy or the specification's RetryConfig;
                they are not where there is none.
            timeout_ms: how long an attempt may take, in milliseconds; 0 for no limit, None for 10 seconds.
            debug_logger: what the debug log goes to; the environment's LANGCACHE_DEBUG shows it on standard error.
            transport: which transport sends: a name that a plugin answers to, such as ``"urllib3"`` (the default)
                or ``"requests"``, or an instance, which stays the caller's to close.
            async_transport: the same for async calls; None is the transport's async form, or threads that run it.
            plugins: objects with hooks (see `langcache.hookspecs`), or the names of installed ones; those that the
                environment's LANGCACHE_PLUGINS lists, with commas, are loaded as well. LANGCACHE_DISABLE_PLUGINS=1
                turns all that is not built in off.
            pool_size: how many connections are kept open to each server between calls, and how many threads serve
                async calls, where those need any.
            tls: whom to trust and what to show (see TLSConfig).
            proxy: the URL of the proxy that all calls go through, with its credentials where it wants some, as a string
                or a SecretStr: ``http://``, ``https://`` or, with the extra "socks", ``socks5://`` and the like. None
                is the environment's.
            no_proxy: the hosts that need no proxy, as in NO_PROXY. None is the environment's.
            trust_env: whether the environment's proxies and certificate authorities (REQUESTS_CA_BUNDLE,
                SSL_CERT_FILE, SSL_CERT_DIR) hold where no argument says otherwise.
            connect_timeout_ms: how long making a connection may take, in milliseconds, as a part of `timeout_ms`;
                0 or None for all of it.
            idle_timeout_ms: how long a connection may have been idle to be used again, in milliseconds; 0 for a new
                one every time, None for 50 seconds.
            max_response_bytes: how large an answer's body may be when it is decoded; None for 64 MiB.
            deadline_ms: how long a call may take, in milliseconds, with all its attempts, waits, key providers and
                middleware; 0 or None for no limit.
            breaker: when a service that fails is left alone for a while; None for never.
            on_failure: ``"raise"``, or ``"miss"`` to go on without the service where that does not serve a call.
            request_id_header: the header that carries each call's id; None to send none.
            without: the names of plugins that are left out, or of single hooks of them, with a dot between
                (``"my_plugin.langcache_transport"``). They may be built in: identity, statistics, fail_open, parsing,
                deadline, circuit_breaker, retry, logging, auth, error_mapping, redirects.
            autoload: whether all plugins that are installed are loaded.
            required: the plugins that must be there, by name, or True for all; where one is missing, broken or turned
                off, PluginError is raised. Others are then left out, with a warning in the log.
            order: where the middleware of a plugin stands, by name, in place of pluggy's order: ``"before:retry"`` for
                directly outside of that of retry, or ``"after:retry"`` for directly inside.
            hit_saves: how much time and money a hit saves, for the estimate in `statistics`.
        """
        # What is given in plain is hidden first: a traceback of what is raised below holds this frame.
        api_key, proxy = hidden(api_key), hidden(proxy)
        if (client is not None and transport is not None) or (async_client is not None and async_transport is not None):
            raise ConfigurationError("Give client or transport, and async_client or async_transport, but not both")
        choice = read_plugin_choice(plugins, autoload=autoload, required=required, without=without, order=order)
        loaded = Plugins(choice)
        own, own_async = client is not None, client is not None or async_client is not None
        settings = read_settings(
            server_url,
            api_key,
            cache_id,
            retry_config,
            timeout_ms,
            debug_logger,
            deadline_ms=deadline_ms,
            breaker=breaker,
            on_failure=on_failure,
            request_id_header=request_id_header,
            hit_saves=hit_saves,
            own_client=own,
            own_async_client=own_async,
        )
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
        try:
            self._pipeline = Pipeline(settings, loaded, self._transports)
        except BaseException:
            self._transports.finalize()  # nobody else could close them
            raise
        self._finalizer = weakref.finalize(self, self._transports.finalize)

    def explain(self) -> str:
        """Say, in lines for people, which middleware a call passes, outermost first, and which transports send it.

        Each with the plugin it is of, its distribution and version, and its options, of which secrets are not shown;
        and which plugins are left out, and why.
        """
        return self._pipeline.explain()

    def statistics(self) -> models.Statistics:
        """Return what became of this process's calls since the client was made, or since `reset_statistics`.

        Raises ConfigurationError where they are left out (``without=["statistics"]``).
        """
        return self._pipeline.statistics()

    def reset_statistics(self) -> None:
        """Count from nothing again; a call that ends at this very moment may be counted nowhere."""
        self._pipeline.reset_statistics()

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
        self._pipeline.load()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await self._pipeline.load_async()
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
        retries: Retries = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
        deadline_ms: float | None = None,
        breaker: OptionalNullable[BreakerPolicy] = UNSET,
        on_failure: OnFailure | None = None,
    ) -> models.SetResponse:
        """Store `response` under `prompt`.

        Args:
            prompt: the prompt to store it under.
            response: the LLM's answer.
            attributes: what searches and deletes can ask for; the cache must have been configured with these names.
            ttl_millis: how long the entry lives, in milliseconds; None is the cache's default.

        Returns:
            The new entry's id, as ``entry_id``.

        The arguments that all methods take, and what is raised: see the class.
        """
        return self._pipeline.call(
            SET,
            {"prompt": prompt, "response": response, "attributes": attributes, "ttl_millis": ttl_millis},
            CallOptions(retries, server_url, timeout_ms, http_headers, deadline_ms, breaker, on_failure),
        )

    async def set_async(
        self,
        *,
        prompt: str,
        response: str,
        attributes: Mapping[str, str] | None = None,
        ttl_millis: int | None = None,
        retries: Retries = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
        deadline_ms: float | None = None,
        breaker: OptionalNullable[BreakerPolicy] = UNSET,
        on_failure: OnFailure | None = None,
    ) -> models.SetResponse:
        """The same as `set`, for async programs."""
        return await self._pipeline.call_async(
            SET,
            {"prompt": prompt, "response": response, "attributes": attributes, "ttl_millis": ttl_millis},
            CallOptions(retries, server_url, timeout_ms, http_headers, deadline_ms, breaker, on_failure),
        )

    def search(
        self,
        *,
        prompt: str,
        similarity_threshold: float | None = None,
        search_strategies: Iterable[models.SearchStrategy | str] | None = None,
        attributes: Mapping[str, str] | None = None,
        max_results: int | None = None,
        retries: Retries = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
        deadline_ms: float | None = None,
        breaker: OptionalNullable[BreakerPolicy] = UNSET,
        on_failure: OnFailure | None = None,
    ) -> models.SearchResponse:
        """Look for entries whose prompt is like `prompt`.

        Args:
            prompt: the prompt to look for.
            similarity_threshold: the least similarity of a hit, 0 to 1; None is the cache's default.
            search_strategies: the strategies to try, the preferred one first; None is semantic alone.
            attributes: only entries that carry all of these are found.
            max_results: how many entries to return at the most; None is the service's default, one.

        Returns:
            The entries that were found, the best first, as ``data``; an empty list on a miss.

        The arguments that all methods take, and what is raised: see the class.
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
            CallOptions(retries, server_url, timeout_ms, http_headers, deadline_ms, breaker, on_failure),
        )

    async def search_async(
        self,
        *,
        prompt: str,
        similarity_threshold: float | None = None,
        search_strategies: Iterable[models.SearchStrategy | str] | None = None,
        attributes: Mapping[str, str] | None = None,
        max_results: int | None = None,
        retries: Retries = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
        deadline_ms: float | None = None,
        breaker: OptionalNullable[BreakerPolicy] = UNSET,
        on_failure: OnFailure | None = None,
    ) -> models.SearchResponse:
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
            CallOptions(retries, server_url, timeout_ms, http_headers, deadline_ms, breaker, on_failure),
        )

    def conversational_search(
        self,
        *,
        prompt: str,
        similarity_threshold: float | None = None,
        search_strategies: Iterable[models.SearchStrategy | str] | None = None,
        attributes: Mapping[str, str] | None = None,
        max_results: int | None = None,
        context: Iterable[str] | None = None,
        retries: Retries = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
        deadline_ms: float | None = None,
        breaker: OptionalNullable[BreakerPolicy] = UNSET,
        on_failure: OnFailure | None = None,
    ) -> models.ConversationalSearchResponseContent:
        """Look for entries whose prompt is like `prompt`, as it is meant in its conversation.

        Args:
            prompt: the prompt to look for.
            similarity_threshold, search_strategies, attributes, max_results: as for `search`.
            context: the conversation's earlier questions, the oldest first.

        Returns:
            The entries that were found as ``data``, and the prompt with its context worked in as ``actual_prompt``.

        The arguments that all methods take, and what is raised: see the class.
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
            CallOptions(retries, server_url, timeout_ms, http_headers, deadline_ms, breaker, on_failure),
        )

    async def conversational_search_async(
        self,
        *,
        prompt: str,
        similarity_threshold: float | None = None,
        search_strategies: Iterable[models.SearchStrategy | str] | None = None,
        attributes: Mapping[str, str] | None = None,
        max_results: int | None = None,
        context: Iterable[str] | None = None,
        retries: Retries = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
        deadline_ms: float | None = None,
        breaker: OptionalNullable[BreakerPolicy] = UNSET,
        on_failure: OnFailure | None = None,
    ) -> models.ConversationalSearchResponseContent:
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
            CallOptions(retries, server_url, timeout_ms, http_headers, deadline_ms, breaker, on_failure),
        )

    def delete_by_id(
        self,
        *,
        entry_id: str,
        retries: Retries = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
        deadline_ms: float | None = None,
        breaker: OptionalNullable[BreakerPolicy] = UNSET,
        on_failure: OnFailure | None = None,
    ) -> None:
        """Delete the entry with this id.

        Args:
            entry_id: the id that `set` returned.

        The arguments that all methods take, and what is raised: see the class.
        """
        return self._pipeline.call(
            DELETE_BY_ID,
            {"entry_id": entry_id},
            CallOptions(retries, server_url, timeout_ms, http_headers, deadline_ms, breaker, on_failure),
        )

    async def delete_by_id_async(
        self,
        *,
        entry_id: str,
        retries: Retries = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
        deadline_ms: float | None = None,
        breaker: OptionalNullable[BreakerPolicy] = UNSET,
        on_failure: OnFailure | None = None,
    ) -> None:
        """The same as `delete_by_id`, for async programs."""
        return await self._pipeline.call_async(
            DELETE_BY_ID,
            {"entry_id": entry_id},
            CallOptions(retries, server_url, timeout_ms, http_headers, deadline_ms, breaker, on_failure),
        )

    def delete_query(
        self,
        *,
        attributes: Mapping[str, str],
        retries: Retries = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
        deadline_ms: float | None = None,
        breaker: OptionalNullable[BreakerPolicy] = UNSET,
        on_failure: OnFailure | None = None,
    ) -> models.DeleteQueryResponse:
        """Delete the entries that carry all of these attributes.

        Args:
            attributes: names and values; the service refuses to delete by none.

        Returns:
            How many entries were deleted, as ``deleted_entries_count``.

        The arguments that all methods take, and what is raised: see the class.
        """
        return self._pipeline.call(
            DELETE_QUERY,
            {"attributes": attributes},
            CallOptions(retries, server_url, timeout_ms, http_headers, deadline_ms, breaker, on_failure),
        )

    async def delete_query_async(
        self,
        *,
        attributes: Mapping[str, str],
        retries: Retries = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
        deadline_ms: float | None = None,
        breaker: OptionalNullable[BreakerPolicy] = UNSET,
        on_failure: OnFailure | None = None,
    ) -> models.DeleteQueryResponse:
        """The same as `delete_query`, for async programs."""
        return await self._pipeline.call_async(
            DELETE_QUERY,
            {"attributes": attributes},
            CallOptions(retries, server_url, timeout_ms, http_headers, deadline_ms, breaker, on_failure),
        )

    def flush(
        self,
        *,
        request: models.FlushRequest | models.FlushRequestTypedDict | None = None,  # noqa: ARG002 - it says nothing
        retries: Retries = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
        deadline_ms: float | None = None,
        breaker: OptionalNullable[BreakerPolicy] = UNSET,
        on_failure: OnFailure | None = None,
    ) -> None:
        """Delete all entries of the cache.

        Args:
            request: nothing; some programs pass an empty one.

        The arguments that all methods take, and what is raised: see the class.
        """
        return self._pipeline.call(
            FLUSH, {}, CallOptions(retries, server_url, timeout_ms, http_headers, deadline_ms, breaker, on_failure)
        )

    async def flush_async(
        self,
        *,
        request: models.FlushRequest | models.FlushRequestTypedDict | None = None,  # noqa: ARG002 - it says nothing
        retries: Retries = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
        deadline_ms: float | None = None,
        breaker: OptionalNullable[BreakerPolicy] = UNSET,
        on_failure: OnFailure | None = None,
    ) -> None:
        """The same as `flush`, for async programs."""
        return await self._pipeline.call_async(
            FLUSH, {}, CallOptions(retries, server_url, timeout_ms, http_headers, deadline_ms, breaker, on_failure)
        )

    def health(
        self,
        *,
        retries: Retries = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
        deadline_ms: float | None = None,
        breaker: OptionalNullable[BreakerPolicy] = UNSET,
        on_failure: OnFailure | None = None,
    ) -> models.HealthResponse:
        """Ask a self-managed service for its health; one that is not healthy answers with an error.

        Returns:
            The service's answer, whose form is undocumented, as ``details``.

        The arguments that all methods take, and what is raised: see the class.
        """
        return self._pipeline.call(
            HEALTH, {}, CallOptions(retries, server_url, timeout_ms, http_headers, deadline_ms, breaker, on_failure)
        )

    async def health_async(
        self,
        *,
        retries: Retries = UNSET,
        server_url: str | None = None,
        timeout_ms: float | None = None,
        http_headers: Mapping[str, str] | None = None,
        deadline_ms: float | None = None,
        breaker: OptionalNullable[BreakerPolicy] = UNSET,
        on_failure: OnFailure | None = None,
    ) -> models.HealthResponse:
        """The same as `health`, for async programs."""
        return await self._pipeline.call_async(
            HEALTH, {}, CallOptions(retries, server_url, timeout_ms, http_headers, deadline_ms, breaker, on_failure)
        )


def members_of(client: LangCache) -> Mapping[str, Member]:
    """Return the plugins that `client` was asked to have, by name, with what became of them; for the command."""
    return client._pipeline.members  # pyright: ignore[reportPrivateUsage]
