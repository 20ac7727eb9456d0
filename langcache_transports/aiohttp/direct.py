"""An exchange on a connection of the pool, with aiohttp's parser and without its session.

What a session makes for each request - a request object, a writer and its task, timers, cookies - is most of what a
call costs, and a call needs none of it: its head and its body are written at once. Connections are made by aiohttp as
for a session. What has to be asked of a session goes through one: see `may_be_direct`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sized
from functools import lru_cache
from http import HTTPStatus
from types import FunctionType

import aiohttp
from aiohttp.http import RawResponseMessage
from multidict import CIMultiDictProxy
from yarl import URL

from langcache import errors
from langcache.content import ACCEPT_ENCODING, BodyDecoder
from langcache.http import Request

from .connections import Wire

_SESSIONS = frozenset({"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "trailer"})
"""The headers that a session makes something of."""

_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"})
"""The methods that say nothing about the length of a body that is not there (RFC 9110, section 8.6)."""

_IMPOSSIBLE = re.compile(r"[^\x21-\x7e]")
"""What a request's target cannot contain (RFC 9112, section 3.2)."""

_INTERIM = frozenset(range(100, 200)) - {HTTPStatus.SWITCHING_PROTOCOLS}

# What Python's own HTTP client takes, on which the other transports are.
LONGEST_LINE = 65_536  # bytes
_MOST_HEADERS = 100

_REQUEST = vars(aiohttp.ClientSession)["_request"]
# It may have been replaced already, or wrapped by something that shows the attributes of what it wraps.
_IS_AIOHTTPS_OWN = type(_REQUEST) is FunctionType and _REQUEST.__code__.co_filename == aiohttp.client.__file__


class Answer(aiohttp.ClientResponse):
    """aiohttp's answer, complete and without a connection; it is what `Response.native` is."""

    _history = ()

    def __init__(
        self, request: Request, url: URL, template: aiohttp.ClientRequest, message: RawResponseMessage, body: bytes
    ) -> None:
        # That of the base wants what there is only with a session. Neither has the request's headers, with the key.
        told = aiohttp.RequestInfo(url, request.method, CIMultiDictProxy(template.headers), url)
        self.__dict__.update(
            method=request.method, _url=url, _real_url=url, _request_info=told, _loop=template.loop, _cache={},
            version=message.version, status=message.code, reason=message.reason, _headers=message.headers,
            _raw_headers=message.raw_headers, _body=body,
        )  # fmt: skip


def may_be_direct(session: aiohttp.ClientSession, request: Request, url: URL) -> bool:
    """Say whether nobody watches the session's requests, or stands in for them, and it would add nothing to this one.

    OpenTelemetry watches, and what stands in for a server in tests replaces a method of the session's class.
    """
    return (
        _IS_AIOHTTPS_OWN
        and vars(aiohttp.ClientSession)["_request"] is _REQUEST
        and not session.trace_configs
        and _SESSIONS.isdisjoint(request.headers.folded())
        and _is_plain(url)
    )


@lru_cache(maxsize=256)
def _is_plain(url: URL) -> bool:
    return url.scheme in {"http", "https"} and bool(url.raw_host)


def encoded(request: Request, url: URL, host: str) -> bytes:
    """Return the whole of a request, each character of a header one byte, as Python's own HTTP client has it.

    Raises ConfigurationError where HTTP cannot carry it.
    """
    method, headers, content = request.method.upper(), request.headers, request.content
    lines = [_start(method, url, host)]
    lines += [f"{name}: {value}" for name, value in headers.pairs()]
    if "accept-encoding" not in headers:
        lines.append(f"Accept-Encoding: {ACCEPT_ENCODING}")
    if content or method not in _BODILESS:
        lines.append(f"Content-Length: {len(content or b'')}")
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) or head.count("\r") != len(lines) or "\0" in head:
        raise ValueError("a line of the head has a character that HTTP cannot carry")
    return b"%b\r\n\r\n%b" % (head.encode("latin-1"), content or b"")


@lru_cache(maxsize=256)
def _start(method: str, url: URL, host: str) -> str:
    """Return the first two lines of a request; raises ValueError where HTTP cannot carry them."""
    target = url.raw_path_qs
    if _IMPOSSIBLE.search(target) or _IMPOSSIBLE.search(method):
        raise ValueError("the first line has a character that HTTP cannot carry")
    return f"{method} {target} HTTP/1.1\r\nHost: {host}"


async def answered(
    wire: Wire, sent: bytes, request: Request, url: URL, template: aiohttp.ClientRequest, limit: int
) -> tuple[aiohttp.ClientResponse, bytes]:
    """Send `request` on `wire` and return the complete answer, whose body is decoded and of at most `limit` bytes."""
    wire.set_response_params(
        skip_payload=request.method == "HEAD", read_until_eof=True, auto_decompress=False,
        max_line_size=LONGEST_LINE, max_field_size=LONGEST_LINE,
    )  # fmt: skip
    wire.send(sent)
    message, stream = await wire.read()
    while message.code in _INTERIM:
        message, stream = await wire.read()
    body = await body_of(message.code, message.raw_headers, message.headers, stream, limit)
    return Answer(request, url, template, message, body), body


async def body_of(
    status: int, fields: Sized, headers: Mapping[str, str], stream: aiohttp.StreamReader, limit: int
) -> bytes:
    """Return the body of an answer, decoded, of at most `limit` bytes."""
    if status == HTTPStatus.SWITCHING_PROTOCOLS:
        raise errors.RemoteProtocolError("the server switched to another protocol, which nobody asked for")
    if len(fields) > _MOST_HEADERS:
        raise errors.RemoteProtocolError(f"got more than {_MOST_HEADERS} headers")
    decoder = BodyDecoder(headers, limit)
    while not stream.at_eof():
        decoder.feed(await stream.readany())
    return decoder.finish()
