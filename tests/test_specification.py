"""The programs of the specification, as they are written there, run to the end: sync and async.

They name a service that does not exist, so its address leads to a local server here; everything else is real. Where a
program cannot run as it is written, it stands here with the least change that lets it, and says what that is.
"""

# The programs stand here as they are written there: in their own form, and with httpx's private names.
# ruff: noqa: E501, F841, PT012, T201, UP045
# fmt: off
# pyright: reportPrivateUsage=false, reportUnusedVariable=false

from __future__ import annotations

import asyncio
import logging
import socket
from functools import partial
from typing import Any, Optional, Union

import httpx
import pytest

from langcache import LangCache, Request, Response, errors
from langcache.httpclient import AsyncHttpClient
from langcache.middleware.retry import Retry
from langcache.models import SearchStrategy
from langcache.utils import BackoffStrategy, RetryConfig
from langcache_transports.aiohttp.transport import AiohttpTransport
from langcache_transports.embedded import DataPlane
from langcache_transports.urllib3 import Urllib3Transport
from tests.local_server import LocalServer

PROMPT = "How does semantic caching work?"
RESPONSE = "Semantic caching stores and retrieves data based on meaning, not exact matches."


@pytest.fixture(autouse=True)
def service(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> LocalServer:
    """The service at https://api.example.com, which is a local server with a data plane."""
    plane = DataPlane()
    server.answer = plane.handle
    send, send_async = Urllib3Transport.send, AiohttpTransport.send

    def send_here(transport: Urllib3Transport, request: Request) -> Response:
        return send(transport, here(request))

    async def send_here_async(transport: AiohttpTransport, request: Request) -> Response:
        return await send_async(transport, here(request))

    def here(request: Request) -> Request:
        assert request.url.startswith("https://api.example.com/v1/caches/%3Cid%3E/")
        assert request.headers["authorization"] == "Bearer <LANGCACHE_API_KEY>"
        return request.with_url(request.url.replace("https://api.example.com", server.url))

    monkeypatch.setattr(Urllib3Transport, "send", send_here)
    monkeypatch.setattr(AiohttpTransport, "send", send_here_async)
    # The programs give up repeating after 100 ms, which a busy machine may need for the first attempt alone.
    monkeypatch.setattr("langcache.middleware.retry.Retry", partial(Retry, clock=lambda: 0.0))
    return server


def store(service: LocalServer, **attributes: str) -> str:
    """Store an entry in the service, by another way than the program's, and return its id."""
    with LangCache(service.url, "<LANGCACHE_API_KEY>", "<id>", transport="requests") as other:
        return other.set(prompt=PROMPT, response=RESPONSE, attributes=attributes).entry_id


# Save an entry


def test_save_an_entry(capsys: pytest.CaptureFixture[str]) -> None:
    with LangCache(
        server_url="https://api.example.com",
        cache_id="<id>",
        api_key="<LANGCACHE_API_KEY>",
    ) as lang_cache:

        res = lang_cache.set(prompt="How does semantic caching work?", response="Semantic caching stores and retrieves data based on meaning, not exact matches.")

        # Handle response
        print(res)

    assert capsys.readouterr().out == f"entry_id='{res.entry_id}'\n"


def test_save_an_entry_async(capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> None:

        async with LangCache(
            server_url="https://api.example.com",
            cache_id="<id>",
            api_key="<LANGCACHE_API_KEY>",
        ) as lang_cache:

            res = await lang_cache.set_async(prompt="How does semantic caching work?", response="Semantic caching stores and retrieves data based on meaning, not exact matches.")

            # Handle response
            print(res)

    asyncio.run(main())
    assert capsys.readouterr().out.startswith("entry_id='")


# Search for entries


def test_search_for_entries(service: LocalServer, capsys: pytest.CaptureFixture[str]) -> None:
    entry_id = store(service)
    with LangCache(
        server_url="https://api.example.com",
        cache_id="<id>",
        api_key="<LANGCACHE_API_KEY>",
    ) as lang_cache:

        res = lang_cache.search(prompt="How does semantic caching work?")

        # Handle response
        print(res)

    assert capsys.readouterr().out == (
        f"data=[CacheEntry(id='{entry_id}', prompt='{PROMPT}', response='{RESPONSE}', attributes={{}}, "
        "similarity=1.0, search_strategy=<SearchStrategy.SEMANTIC: 'semantic'>)]\n"
    )


def test_search_for_entries_async(service: LocalServer, capsys: pytest.CaptureFixture[str]) -> None:
    entry_id = store(service)

    async def main() -> None:

        async with LangCache(
            server_url="https://api.example.com",
            cache_id="<id>",
            api_key="<LANGCACHE_API_KEY>",
        ) as lang_cache:

            res = await lang_cache.search_async(prompt="How does semantic caching work?")

            # Handle response
            print(res)

    asyncio.run(main())
    assert f"id='{entry_id}'" in capsys.readouterr().out


# Delete an entry


def test_delete_an_entry(service: LocalServer) -> None:
    """The id "<id>" is nobody's, which the service says; with an entry's own id it is deleted."""
    entry_id = store(service)
    with pytest.raises(errors.NotFoundErrorResponseContent), LangCache(
        server_url="https://api.example.com",
        cache_id="<id>",
        api_key="<LANGCACHE_API_KEY>",
    ) as lang_cache:

        lang_cache.delete_by_id(entry_id=entry_id)
        lang_cache.delete_by_id(entry_id="<id>")

        # Use the SDK ...


def test_delete_an_entry_async(service: LocalServer) -> None:
    entry_id = store(service)

    async def main() -> None:

        async with LangCache(
            server_url="https://api.example.com",
            cache_id="<id>",
            api_key="<LANGCACHE_API_KEY>",
        ) as lang_cache:

            await lang_cache.delete_by_id_async(entry_id=entry_id)
            with pytest.raises(errors.NotFoundErrorResponseContent):
                await lang_cache.delete_by_id_async(entry_id="<id>")

            # Use the SDK ...

    asyncio.run(main())


# Delete entries


def test_delete_entries(service: LocalServer, capsys: pytest.CaptureFixture[str]) -> None:
    store(service, language="en", topic="ai")
    with LangCache(
        server_url="https://api.example.com",
        cache_id="<id>",
        api_key="<LANGCACHE_API_KEY>",
    ) as lang_cache:

        res = lang_cache.delete_query(attributes={
            "language": "en",
            "topic": "ai",
        })

        # Handle response
        print(res)

    assert capsys.readouterr().out == "deleted_entries_count=1\n"


def test_delete_entries_async(service: LocalServer, capsys: pytest.CaptureFixture[str]) -> None:
    store(service, language="en", topic="ai")

    async def main() -> None:

        async with LangCache(
            server_url="https://api.example.com",
            cache_id="<id>",
            api_key="<LANGCACHE_API_KEY>",
        ) as lang_cache:

            res = await lang_cache.delete_query_async(attributes={
                "language": "en",
                "topic": "ai",
            })

            # Handle response
            print(res)

    asyncio.run(main())
    assert capsys.readouterr().out == "deleted_entries_count=1\n"


# Use exact search


def test_use_exact_search(service: LocalServer, capsys: pytest.CaptureFixture[str]) -> None:
    store(service)
    with LangCache(
        server_url="https://api.example.com",
        cache_id="<id>",
        api_key="<LANGCACHE_API_KEY>",
    ) as lang_cache:

        res = lang_cache.search(prompt="How does semantic caching work?", search_strategies=[SearchStrategy.EXACT, SearchStrategy.SEMANTIC])

        # Handle response
        print(res)

    assert "search_strategy=<SearchStrategy.EXACT: 'exact'>" in capsys.readouterr().out


def test_use_exact_search_async(service: LocalServer) -> None:
    store(service)

    async def main() -> None:
        async with LangCache(
            server_url="https://api.example.com",
            cache_id="<id>",
            api_key="<LANGCACHE_API_KEY>",
        ) as lang_cache:
            res = await lang_cache.search_async(
                prompt="How does semantic caching work?",
                search_strategies=[SearchStrategy.EXACT, SearchStrategy.SEMANTIC],
            )
            assert res.data[0].search_strategy is SearchStrategy.EXACT

    asyncio.run(main())


# Retries


def test_retries_of_a_call(service: LocalServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Changed: the specification passes the RetryConfig by position behind a keyword, which is no Python; `retries=`."""
    store(service, language="en", topic="ai")
    fail_first(service)
    with LangCache(
        server_url="https://api.example.com",
        cache_id="<id>",
        api_key="<LANGCACHE_API_KEY>",
    ) as lang_cache:

        res = lang_cache.delete_query(attributes={
            "language": "en",
            "topic": "ai",
        },
            retries=RetryConfig("backoff", BackoffStrategy(1, 50, 1.1, 100), False))

        # Handle response
        print(res)

    assert capsys.readouterr().out == "deleted_entries_count=1\n"


def test_retries_of_a_call_async(service: LocalServer) -> None:
    """Changed in the same way."""
    store(service, language="en", topic="ai")
    fail_first(service)

    async def main() -> None:
        async with LangCache(
            server_url="https://api.example.com",
            cache_id="<id>",
            api_key="<LANGCACHE_API_KEY>",
        ) as lang_cache:
            res = await lang_cache.delete_query_async(
                attributes={"language": "en", "topic": "ai"},
                retries=RetryConfig("backoff", BackoffStrategy(1, 50, 1.1, 100), False),
            )
            assert res.deleted_entries_count == 1

    asyncio.run(main())


def test_retries_of_a_client(service: LocalServer, capsys: pytest.CaptureFixture[str]) -> None:
    store(service, language="en", topic="ai")
    fail_first(service)
    with LangCache(
        server_url="https://api.example.com",
        retry_config=RetryConfig("backoff", BackoffStrategy(1, 50, 1.1, 100), False),
        cache_id="<id>",
        api_key="<LANGCACHE_API_KEY>",
    ) as lang_cache:

        res = lang_cache.delete_query(attributes={
            "language": "en",
            "topic": "ai",
        })

        # Handle response
        print(res)

    assert capsys.readouterr().out == "deleted_entries_count=1\n"


def test_retries_of_a_client_async(service: LocalServer) -> None:
    store(service, language="en", topic="ai")
    fail_first(service)

    async def main() -> None:
        async with LangCache(
            server_url="https://api.example.com",
            retry_config=RetryConfig("backoff", BackoffStrategy(1, 50, 1.1, 100), False),
            cache_id="<id>",
            api_key="<LANGCACHE_API_KEY>",
        ) as lang_cache:
            res = await lang_cache.delete_query_async(attributes={"language": "en", "topic": "ai"})
            assert res.deleted_entries_count == 1

    asyncio.run(main())


def fail_first(service: LocalServer) -> None:
    """Let the service answer the next request with 503, and those after it as ever."""
    plane_answer = service.answer
    before = len(service.requests)
    service.answer = lambda request: (
        Response(503) if len(service.requests) == before + 1 else plane_answer(request)
    )


# Error handling


def test_error_handling(service: LocalServer, capsys: pytest.CaptureFixture[str]) -> None:
    body = b'{"title":"Bad","type":"/errors/invalid-data","status":400,"detail":"no attributes are configured for this cache"}'
    service.answer = lambda request: Response(400, {"Content-Type": "application/json"}, body)
    with LangCache(
        server_url="https://api.example.com",
        cache_id="<id>",
        api_key="<LANGCACHE_API_KEY>",
    ) as lang_cache:
        res = None
        try:

            res = lang_cache.delete_query(attributes={
                "language": "en",
                "topic": "ai",
            })

            # Handle response
            print(res)


        except errors.LangCacheError as e:
            # The base class for HTTP error responses
            print(e.message)
            print(e.status_code)
            print(e.body)
            print(e.headers)
            print(e.raw_response)

            # Depending on the method different errors may be thrown
            if isinstance(e, errors.BadRequestErrorResponseContent):
                print(e.data.title)  # str
                print(e.data.status)  # Optional[int]
                print(e.data.detail)  # Optional[str]
                print(e.data.instance)  # Optional[str]
                print(e.data.type)  # models.BadRequestErrorURI

    message, status, shown_body, headers, raw, title, problem_status, detail, instance, kind = (
        capsys.readouterr().out.splitlines()
    )
    assert message == shown_body == body.decode()
    assert (status, problem_status, title, instance) == ("400", "400", "Bad", "None")
    assert detail == "no attributes are configured for this cache"
    assert "application/json" in headers
    assert "400" in raw
    assert kind == "BadRequestErrorType.ROOT_ERRORS_INVALID_DATA"


def test_error_handling_async(service: LocalServer) -> None:
    service.answer = lambda request: Response(401, {"Content-Type": "application/json"}, b'{"title":"Who?"}')

    async def main() -> None:
        async with LangCache(
            server_url="https://api.example.com",
            cache_id="<id>",
            api_key="<LANGCACHE_API_KEY>",
        ) as lang_cache:
            with pytest.raises(errors.AuthenticationErrorResponseContent) as caught:
                await lang_cache.delete_query_async(attributes={"language": "en"})
            assert caught.value.data.title == "Who?"

    asyncio.run(main())


# Custom HTTP client


def test_a_custom_client_with_a_header(service: LocalServer) -> None:
    """As it is written, with the environment for what it leaves out; then a call, which the specification leaves out."""
    http_client = httpx.Client(headers={"x-custom-header": "someValue"})
    s = LangCache(client=http_client)

    s = LangCache(service.url, "key", "<id>", client=http_client)
    s.search(prompt=PROMPT)
    assert service.requests[-1].headers["x-custom-header"] == "someValue"
    http_client.close()


# Changed: the specification's listing leaves out the imports of Any, Optional and Union.
class CustomClient(AsyncHttpClient):
    client: AsyncHttpClient

    def __init__(self, client: AsyncHttpClient):
        self.client = client

    async def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: Union[
            httpx._types.AuthTypes, httpx._client.UseClientDefault, None
        ] = httpx.USE_CLIENT_DEFAULT,
        follow_redirects: Union[
            bool, httpx._client.UseClientDefault
        ] = httpx.USE_CLIENT_DEFAULT,
    ) -> httpx.Response:
        request.headers["Client-Level-Header"] = "added by client"

        return await self.client.send(
            request, stream=stream, auth=auth, follow_redirects=follow_redirects
        )

    def build_request(
        self,
        method: str,
        url: httpx._types.URLTypes,
        *,
        content: Optional[httpx._types.RequestContent] = None,
        data: Optional[httpx._types.RequestData] = None,
        files: Optional[httpx._types.RequestFiles] = None,
        json: Optional[Any] = None,
        params: Optional[httpx._types.QueryParamTypes] = None,
        headers: Optional[httpx._types.HeaderTypes] = None,
        cookies: Optional[httpx._types.CookieTypes] = None,
        timeout: Union[
            httpx._types.TimeoutTypes, httpx._client.UseClientDefault
        ] = httpx.USE_CLIENT_DEFAULT,
        extensions: Optional[httpx._types.RequestExtensions] = None,
    ) -> httpx.Request:
        return self.client.build_request(
            method,
            url,
            content=content,
            data=data,
            files=files,
            json=json,
            params=params,
            headers=headers,
            cookies=cookies,
            timeout=timeout,
            extensions=extensions,
        )


def test_a_wrapped_custom_client(service: LocalServer) -> None:
    s = LangCache(async_client=CustomClient(httpx.AsyncClient()))

    async def main() -> None:
        client = httpx.AsyncClient()
        s = LangCache(service.url, "key", "<id>", async_client=CustomClient(client))
        await s.search_async(prompt=PROMPT)
        await client.aclose()

    asyncio.run(main())
    assert service.requests[-1].headers["client-level-header"] == "added by client"


# Resource management


def test_resource_management(service: LocalServer) -> None:
    """Changed: the specification's blocks hold a comment alone, which is no Python; they search instead."""

    def main() -> None:

        with LangCache(
            server_url="https://api.example.com",
            cache_id="<id>",
            api_key="<LANGCACHE_API_KEY>",
        ) as lang_cache:
            # Rest of application here...
            lang_cache.search(prompt=PROMPT)

    # Or when using async:
    async def amain() -> None:

        async with LangCache(
            server_url="https://api.example.com",
            cache_id="<id>",
            api_key="<LANGCACHE_API_KEY>",
        ) as lang_cache:
            # Rest of application here...
            await lang_cache.search_async(prompt=PROMPT)

    main()
    asyncio.run(amain())
    assert len(service.requests) == 2


# Debugging


def test_debugging(service: LocalServer, caplog: pytest.LogCaptureFixture) -> None:
    logging.basicConfig(level=logging.DEBUG)
    s = LangCache(server_url="https://example.com", debug_logger=logging.getLogger("langcache"))

    s = LangCache(
        server_url="https://api.example.com",
        cache_id="<id>",
        api_key="<LANGCACHE_API_KEY>",
        debug_logger=logging.getLogger("langcache"),
    )
    with caplog.at_level(logging.DEBUG, "langcache"):
        s.search(prompt=PROMPT)
        asyncio.run(s.search_async(prompt=PROMPT))
    s.close()
    assert [record.levelname for record in caplog.records if record.name == "langcache"] == ["DEBUG", "DEBUG"]


# Network errors


def test_network_errors_have_classes_of_ours_in_the_place_of_those_of_httpx() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with LangCache(url, "k", "c", transport="requests") as lang_cache, pytest.raises(errors.ConnectError) as caught:
        lang_cache.search(prompt=PROMPT)
    assert isinstance(caught.value, errors.RequestError)
    assert not isinstance(caught.value, errors.TimeoutException)
