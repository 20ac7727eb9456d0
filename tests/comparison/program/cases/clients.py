"""The caller's own httpx client, and wrappers of it."""

from __future__ import annotations

from typing import Any

from ..observe import raised
from ..packages import httpclient, httpx, utils
from ..stage import Stage, case
from ..wire import BUSY, CLOSE, CREATED, DONE, HANG, MINIMAL, MISSED, answer, problem
from .retries import config, free_port


def own(stage: Stage, **options: Any) -> dict[str, Any]:
    """Return the constructor's argument for an httpx client of the stage's mode, made with `options`."""
    if stage.is_async:
        return {"async_client": httpx.AsyncClient(**options)}
    return {"client": httpx.Client(**options)}


def _underlying(given: dict[str, Any]) -> Any:
    return next(iter(given.values()))


def _add(label: str, *answers: Any, arguments: Any = None, client: Any = None, **options: Any) -> None:
    async def play(stage: Stage) -> None:
        made = stage.client(**own(stage, **options), **(client or {}))
        await stage.call("call", made, "search", prompt="p", **(arguments or {}))

    case(f"clients/{label}", *answers)(play)


_add("headers", MISSED, headers={"x-custom-header": "someValue"})
_add(
    "headers that collide",
    MISSED,
    headers={"Accept": "text/plain", "User-Agent": "program/1", "Authorization": "Bearer own"},
)
_add("headers against http_headers", MISSED, headers={"X-Own": "client"}, arguments={"http_headers": {"X-Own": "call"}})
_add("cookies", MISSED, cookies={"a": "b"})
_add("query parameters", MISSED, params={"a": "b"})
_add("basic authentication", MISSED, auth=("user", "word"))
_add("basic authentication without a key", MISSED, auth=("user", "word"), client={"api_key": None})
_add("headers without a key", MISSED, headers={"Authorization": "Bearer own"}, client={"api_key": None})
_add("base URL", MISSED, base_url="http://other.invalid")
_add("error answer", problem(404, "/errors/resource-not-found"))
_add("timeout", HANG, timeout=0.2)
_add("timeout of the call", HANG, timeout=9, arguments={"timeout_ms": 200})
_add("timeout of the caller against the client's", HANG, timeout=0.2, client={"timeout_ms": 400})
_add("connection closed", CLOSE)
_add("retries", BUSY, BUSY, MISSED, client={"retry_config": config()})
_add("retries of connections", CLOSE, MISSED, client={"retry_config": config(connections=True)})
_add("redirect followed", answer(307, None, ("Location", "/elsewhere")), MISSED, follow_redirects=True)
_add("redirect not followed", answer(307, None, ("Location", "/elsewhere")), MISSED)
_add("headers of the call", MISSED, arguments={"http_headers": {"Accept": "text/plain", "X-Own": "own"}})


@case("clients/every operation", CREATED, MISSED, DONE, DONE)
async def _every(stage: Stage) -> None:
    made = stage.client(**own(stage))
    await stage.call("set", made, "set", **MINIMAL["set"])
    await stage.call("search", made, "search", **MINIMAL["search"])
    await stage.call("delete_by_id", made, "delete_by_id", **MINIMAL["delete_by_id"])
    await stage.call("flush", made, "flush")


@case("clients/connection refused")
async def _refused(stage: Stage) -> None:
    made = stage.client(server_url=f"http://127.0.0.1:{free_port()}", **own(stage))
    try:
        await stage.invoke(made, "search", prompt="p")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        stage.note("error", raised(error))
        chain = [error, error.__cause__]
        stage.note("httpx's error in the chain", any(isinstance(link, httpx.ConnectError) for link in chain))


@case("clients/not closed by with", MISSED)
async def _not_closed(stage: Stage) -> None:
    given = own(stage)
    await stage.leave(stage.client(**given))
    stage.note("closed", _underlying(given).is_closed)
    stage.note("closed by constructor", type(_underlying(given)).__name__)


@case("clients/event hooks", MISSED)
async def _hooks(stage: Stage) -> None:
    seen: list[str] = []

    async def on_request_async(request: Any) -> None:
        on_request(request)

    def on_request(request: Any) -> None:
        seen.append(f"{request.method} {request.url.path}")
        request.headers["X-Hook"] = "hook"

    made = stage.client(**own(stage, event_hooks={"request": [on_request_async if stage.is_async else on_request]}))
    await stage.call("call", made, "search", prompt="p")
    stage.note("seen", seen)


@case("clients/raise_for_status in a hook", problem(404, "/errors/resource-not-found"))
async def _raise_for_status(stage: Stage) -> None:
    async def on_response_async(response: Any) -> None:
        await response.aread()
        response.raise_for_status()

    def on_response(response: Any) -> None:
        response.read()
        response.raise_for_status()

    made = stage.client(**own(stage, event_hooks={"response": [on_response_async if stage.is_async else on_response]}))
    await stage.call("call", made, "search", prompt="p")


@case("clients/mock transport")
async def _mock(stage: Stage) -> None:
    def handle(request: Any) -> Any:
        return httpx.Response(200, json={"data": []}, request=request)

    made = stage.client(**own(stage, transport=httpx.MockTransport(handle)))
    await stage.call("call", made, "search", prompt="p")


@case("clients/closed before the call")
async def _closed(stage: Stage) -> None:
    given = own(stage)
    if stage.is_async:
        await _underlying(given).aclose()
    else:
        _underlying(given).close()
    await stage.call("call", stage.client(**given), "search", prompt="p")


@case("clients/the other mode has none of the caller's", MISSED)
async def _other(stage: Stage) -> None:
    given = (
        {"client": httpx.Client(headers={"X-Own": "own"})} if stage.is_async else {"async_client": httpx.AsyncClient()}
    )
    await stage.call("call", stage.client(**given), "search", prompt="p")


@case("clients/subclass of the protocol", MISSED)
async def _subclass(stage: Stage) -> None:
    made = stage.client(**_wrapped(stage))
    await stage.call("call", made, "search", prompt="p", timeout_ms=3000)
    await stage.call("search again", made, "search", prompt="p")


def _wrapped(stage: Stage) -> dict[str, Any]:
    if stage.is_async:
        return {"async_client": AsyncWrapper(httpx.AsyncClient())}
    return {"client": Wrapper(httpx.Client())}


class Wrapper(httpclient.HttpClient):  # type: ignore[misc] # the protocol of the package under comparison
    """A wrapper as the specification's text shows it, sync."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def send(
        self,
        request: Any,
        *,
        stream: bool = False,
        auth: Any = httpx.USE_CLIENT_DEFAULT,
        follow_redirects: Any = httpx.USE_CLIENT_DEFAULT,
    ) -> Any:
        """Send with a header more."""
        request.headers["Client-Level-Header"] = "added by client"
        return self.client.send(request, stream=stream, auth=auth, follow_redirects=follow_redirects)

    def build_request(self, method: str, url: Any, **options: Any) -> Any:
        """Have the wrapped client do it."""
        return self.client.build_request(method, url, **options)

    def close(self) -> None:
        """Close the wrapped client."""
        self.client.close()


class AsyncWrapper(httpclient.AsyncHttpClient):  # type: ignore[misc] # as above
    """A wrapper as the specification's text shows it, async."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def send(
        self,
        request: Any,
        *,
        stream: bool = False,
        auth: Any = httpx.USE_CLIENT_DEFAULT,
        follow_redirects: Any = httpx.USE_CLIENT_DEFAULT,
    ) -> Any:
        """Send with a header more."""
        request.headers["Client-Level-Header"] = "added by client"
        return await self.client.send(request, stream=stream, auth=auth, follow_redirects=follow_redirects)

    def build_request(self, method: str, url: Any, **options: Any) -> Any:
        """Have the wrapped client do it."""
        return self.client.build_request(method, url, **options)

    async def aclose(self) -> None:
        """Close the wrapped client."""
        await self.client.aclose()


@case("clients/protocols", modes=("sync",))
async def _protocols(stage: Stage) -> None:
    for name, protocol, client in (
        ("HttpClient", httpclient.HttpClient, httpx.Client()),
        ("AsyncHttpClient", httpclient.AsyncHttpClient, httpx.AsyncClient()),
    ):
        stage.note(f"httpx's is {name}", isinstance(client, protocol))
        stage.note(f"an object is {name}", isinstance(object(), protocol))
    stage.note("a wrapper is HttpClient", isinstance(Wrapper(None), httpclient.HttpClient))
    stage.note("has RetryConfig", hasattr(utils, "RetryConfig"))
