"""The transport. It only translates: what aiohttp would do beside - repeat, redirect, keep cookies - is off."""

from __future__ import annotations

import asyncio
import math
import sys
from base64 import b64encode
from functools import lru_cache
from io import BytesIO
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from langcache import errors
from langcache.content import ACCEPT_ENCODING
from langcache.http import NO_HEADERS, Headers, Request, Response
from langcache.transport import TransportOptions, checked_proxy

from .connections import EXCHANGE, Connector, Exchange
from .direct import LONGEST_LINE, answered, body_of, encoded, may_be_direct
from .loops import Home, Homes
from .translation import FOREIGN, forget, named, translated, unsendable

_HONOURED = ("tls", "proxy", "no_proxy", "connect_timeout_ms", "idle_timeout_ms", "max_response_bytes")
_ADDED_BY_AIOHTTP = CIMultiDict((name, None) for name in ("Accept", "Accept-Encoding", "Content-Type", "User-Agent"))
_PROXY_AUTHENTICATION_REQUIRED = 407
_LARGE = 1_000_000  # bytes; larger ones are written in pieces, and aiohttp warns where they are not
_SHORTEST = 0.001  # seconds; what has no time at all would not even begin


Answered = tuple[aiohttp.ClientResponse, bytes]
"""An answer with its body, decoded."""


class _Request(aiohttp.ClientRequest):
    """aiohttp's request, with no header of its own but Host and Content-Length.

    A DELETE without a body says nothing about its length (RFC 9110, section 8.6).
    """

    GET_METHODS = {*aiohttp.ClientRequest.GET_METHODS, "DELETE"}  # noqa: RUF012 - aiohttp's form
    # A session can be told the same, but makes a new dictionary of it for each request, which is slow. Which of the
    # two names is looked at depends on aiohttp's version.
    skip_auto_headers: Any = _ADDED_BY_AIOHTTP
    _skip_auto_headers: Any = _ADDED_BY_AIOHTTP

    def update_auto_headers(self, skip_auto_headers: Any) -> None:
        """Add none."""


class AiohttpTransport:
    """Sends with an `aiohttp.ClientSession` of its own for each event loop, and for each process.

    At most as many connections are open as there were calls in flight, and at most `pool_size` while there are none.
    Where an idle connection turns out to be closed and nothing of an answer has come, a request that is safe to repeat
    is sent again, once, on a new connection.
    """

    ends_in_time: Final = True
    """Whatever happens; see `langcache.sending`."""

    def __init__(self, options: TransportOptions) -> None:
        options.refuse_all_but(_HONOURED, "aiohttp")
        for scheme in ("http", "https", "all"):
            if options.proxies.get(scheme):
                _refuse_unusable(options, scheme)
        self._options = options
        # The limit of a whole attempt is ours: aiohttp rounds its own up to seconds, and cannot tell what was slow.
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=options.connect_timeout, sock_connect=None, ceil_threshold=math.inf
        )
        self._homes = Homes(self._session)
        self._closed = False

    def _session(self, loop: asyncio.AbstractEventLoop) -> tuple[Connector, aiohttp.ClientSession]:
        connector = Connector(_Request, self._options.pool_size, self._options.idle_timeout, loop)
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=_Request,
            timeout=self._timeout,
            auto_decompress=False,
            trust_env=False,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
        )
        return connector, session

    async def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        self._require_open()
        url, proxy = self._way(request)
        home = self._homes.known() or await self._homes.opened()
        exchange = Exchange()
        send = self._by_session if proxy or not may_be_direct(home.session, request, url) else self._directly
        try:
            with home.limits.within(None if request.timeout is None else max(request.timeout, _SHORTEST)):
                done: Answered | None = None
                try:
                    done = await send(home, request, url, exchange)
                except (aiohttp.ClientError, OSError):
                    if not (request.idempotent and exchange.stale):
                        raise
                if done is None:
                    self._require_open()  # it may be this that closed the connection
                    exchange.again()
                    done = await send(home, request, url, exchange)
        except asyncio.CancelledError as error:
            forget(error)  # the frames below hold what is sent, with the key
            raise
        except errors.RequestError as error:
            raise translated(error, request, exchange, self._options.tls) from error
        except errors.LangCacheError as error:
            forget(error)
            raise
        except FOREIGN as error:
            if self._closed:
                forget(error)
                raise errors.ClientClosedError(named(request, "the client was closed during the call")) from error
            refused = unsendable(error, request, exchange)
            if refused is not None:
                forget(error)
                raise refused from None
            raise translated(error, request, exchange, self._options.tls, proxy) from error
        answer, body = done
        # As Python's own HTTP client reads them: each byte is a character.
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.raw_headers]
        return Response(answer.status, headers, body, answer)

    def _way(self, request: Request) -> tuple[URL, URL | None]:
        """Return where a request goes, and the proxy through which it does, without its credentials."""
        try:
            return _url(request.url), _proxy(self._options.proxy_for(request.url))[0]
        except ValueError as error:
            raise errors.ConfigurationError(named(request, "the URL is not valid")) from error

    async def _directly(self, home: Home, request: Request, url: URL, exchange: Exchange) -> Answered:
        context = self._options.tls.context() if url.scheme == "https" else None
        place = home.connector.place(url, context)
        answer: aiohttp.ClientResponse | None = None
        try:
            sent = encoded(request, url, place.host)
            wire = await home.connector.reserve(place, self._timeout, exchange)
            answer, body = await answered(wire, sent, request, url, place.request, self._options.max_response_bytes)
            return answer, body
        finally:
            home.connector.settle(exchange, answer)

    async def _by_session(self, home: Home, request: Request, url: URL, exchange: Exchange) -> Answered:
        content, arguments = request.content, self._arguments(request, url)
        data = BytesIO(content) if content is not None and len(content) > _LARGE else content
        exchange.rewrites = not "".join(arguments["headers"].as_dict().values()).isascii()
        mark = EXCHANGE.set(exchange)
        try:
            answer: aiohttp.ClientResponse = await home.session.request(data=data, **arguments)
        finally:
            EXCHANGE.reset(mark)
        wire = exchange.wire
        assert wire is not None  # noqa: S101 - an answer has come on it
        try:
            limit = self._options.max_response_bytes
            body = await body_of(answer.status, answer.raw_headers, answer.headers, answer.content, limit)
        except BaseException:
            answer.close()
            home.connector.discard(wire)
            raise
        home.connector.keep(wire, answer)
        if answer.status == _PROXY_AUTHENTICATION_REQUIRED and "proxy" in arguments:
            refused = errors.ProxyError("the proxy wants other credentials (407)")
            refused.retryable = False
            raise refused
        return answer, body

    def _arguments(self, request: Request, url: URL) -> dict[str, Any]:
        """Return what `aiohttp.ClientSession.request` is given; the repr of its headers shows no credential."""
        headers = request.headers
        if "accept-encoding" not in headers:
            headers = headers.merged({"Accept-Encoding": ACCEPT_ENCODING})
        arguments: dict[str, Any] = {}
        proxy, credentials = _proxy(self._options.proxy_for(request.url))
        if proxy is not None:
            arguments["proxy"] = proxy
            if url.scheme == "https":  # these are for the proxy, which does not see the request's own
                agent = {"User-Agent": headers["user-agent"]} if "user-agent" in headers else {}
                arguments["proxy_headers"] = credentials.merged(agent)
            else:
                headers = headers.merged(credentials)
        if url.scheme == "https" or (proxy is not None and proxy.scheme == "https"):
            arguments["ssl"] = self._options.tls.context()
        return {"method": request.method, "url": url, "headers": headers, "allow_redirects": False, **arguments}

    def _require_open(self) -> None:
        if self._closed:
            raise errors.ClientClosedError("This transport is closed")

    def close(self) -> None:
        """Close all connections, of other event loops in their next turn.

        Calls in flight fail with ClientClosedError.
        """
        self._closed = True
        self._homes.close()

    async def aclose(self) -> None:
        """The same as `close`, and let the running loop carry it out."""
        self.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)


@lru_cache(maxsize=256)
def _url(url: str) -> URL:
    """Return `url` as it is: yarl would decode a path segment of "%2E%2E" into another path."""
    made = URL(url, encoded=True)
    return made if made.raw_user is None and made.raw_password is None else made.with_user(None)


@lru_cache(maxsize=16)
def _proxy(proxy: str | None) -> tuple[URL | None, Headers]:
    """Return a proxy's URL without its user information, and that as a header."""
    if proxy is None:
        return None, NO_HEADERS
    user, at, place = proxy.rpartition("://")[2].rpartition("@")
    scheme = proxy.partition("://")[0].lower()
    if not at:
        return URL(proxy), NO_HEADERS
    credentials = b64encode(unquote_to_bytes(user)).decode()
    return URL(f"{scheme}://{place}"), Headers({"Proxy-Authorization": f"Basic {credentials}"})


def _refuse_unusable(options: TransportOptions, served: str) -> None:
    """Raise ConfigurationError where aiohttp cannot speak to the proxy for that scheme."""
    scheme = urlsplit(checked_proxy(options.proxies[served])).scheme.lower()
    if scheme == "https" and sys.version_info < (3, 11):
        raise errors.ConfigurationError(
            "aiohttp does not honour proxy with the scheme https before Python 3.11, whose asyncio has no TLS within "
            "TLS; the transports urllib3 and requests do"
        )
    if scheme.startswith("socks"):
        raise errors.ConfigurationError(
            f"aiohttp does not honour proxy with the scheme {scheme}; the transports urllib3 and requests do, "
            "with the extra langcache[socks]"
        )
