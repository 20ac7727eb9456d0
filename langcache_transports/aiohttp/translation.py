"""aiohttp's exceptions become ours, in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from langcache import errors
from langcache.causes import behind, forget_variables
from langcache.http import Request, display_url, headers_problem
from langcache.tls import TLSConfig, explain_tls_error

from .connections import Exchange, Wire

_LONGEST_REASON = 500

FOREIGN = (aiohttp.ClientError, HttpProcessingError, asyncio.TimeoutError, OSError, ValueError, OverflowError)
"""What aiohttp raises, and what it lets through of asyncio and of the standard library."""

_KINDS: tuple[tuple[type[BaseException], type[errors.LangCacheError]], ...] = (
    # From the special to the general: the first that fits is taken.
    (aiohttp.InvalidURL, errors.ConfigurationError),
    (aiohttp.NonHttpUrlClientError, errors.ConfigurationError),
    (UnicodeError, errors.ConfigurationError),  # a host that no name can be
    (aiohttp.ConnectionTimeoutError, errors.ConnectTimeout),
    (asyncio.TimeoutError, errors.ReadTimeout),
    (aiohttp.ClientProxyConnectionError, errors.ProxyError),
    (aiohttp.ClientHttpProxyError, errors.ProxyError),
    (aiohttp.ClientConnectorError, errors.ConnectError),
    (aiohttp.ClientSSLError, errors.ConnectError),
    (aiohttp.ClientPayloadError, errors.ReadError),
    (aiohttp.ClientResponseError, errors.RemoteProtocolError),
    (aiohttp.ClientConnectionError, errors.ReadError),
    (aiohttp.ClientError, errors.RequestError),
    (HttpProcessingError, errors.RemoteProtocolError),
    (OSError, errors.NetworkError),
    (ValueError, errors.RemoteProtocolError),  # a length that is no length
    (OverflowError, errors.RemoteProtocolError),
)
"""Which of our errors stands for which exception."""

_SAID: Mapping[type[errors.LangCacheError], str] = {
    errors.ConfigurationError: "the URL does not lead anywhere",
    errors.ConnectTimeout: "no connection was made in time",
    errors.ReadTimeout: "no complete answer came in time",
}
"""What is said where aiohttp says nothing, or shows the whole URL, which may carry a credential."""


def translated(
    error: BaseException, request: Request, exchange: Exchange, tls: TLSConfig, proxy: URL | None = None
) -> errors.LangCacheError:
    """Return our error for one of `FOREIGN`, or for one of ours that does not name the request yet.

    Neither `error` nor the frames that it came through keep the headers that were sent: they hold credentials.
    """
    forget(error)
    if isinstance(error, errors.LangCacheError):
        again = type(error)(named(request, str(error)))
        again.retryable = error.retryable
        return again
    kind = _kind(error, exchange, tls)
    said = explain_tls_error(error, tls) if kind is errors.ConnectError else None
    if proxy is not None and _is_of(proxy, error):
        kind, said = errors.ProxyError, said and f"at the proxy: {said}"
    ours = kind(named(request, said or _SAID.get(kind) or _reason(error, request)))
    if said is not None or getattr(error, "status", 0) == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        ours.retryable = False  # the same would come of it again
    return ours


def unsendable(error: BaseException, request: Request, exchange: Exchange) -> errors.ConfigurationError | None:
    """Return our error where `request` has what HTTP cannot carry; `error` may quote all of the headers then."""
    found = list(behind(error))
    if not any(isinstance(each, ValueError) for each in found):
        return None
    problem = headers_problem(request.headers)
    is_unsent = type(error) is ValueError and exchange.wire is None
    if problem is None and (is_unsent or any(isinstance(each, UnicodeEncodeError) for each in found)):
        problem = _SAID[errors.ConfigurationError]
    return None if problem is None else errors.ConfigurationError(named(request, problem))


def _kind(error: BaseException, exchange: Exchange, tls: TLSConfig) -> type[errors.LangCacheError]:
    kind = next(ours for theirs, ours in _KINDS if isinstance(error, theirs))
    wire = exchange.wire
    if wire is None:
        return errors.ConnectTimeout if kind is errors.ReadTimeout else kind
    if isinstance(error, aiohttp.ClientPayloadError) and isinstance(wire.failure, HttpProcessingError):
        return errors.RemoteProtocolError
    if kind is errors.ReadError and _is_refusal(error, wire, tls):
        return errors.ConnectError
    return kind


def _is_refusal(error: BaseException, wire: Wire, tls: TLSConfig) -> bool:
    """Say whether the server refused our certificate: in TLS 1.3 it does when for the client the handshake is over.

    It does so in the place of the first answer. Any other alert says nothing of what became of the request.
    """
    is_first = not wire.served and not wire.received
    is_alert = "ALERT" in str(getattr(error.__cause__, "reason", ""))
    return is_first and is_alert and explain_tls_error(error, tls) is not None


def _is_of(proxy: URL, error: BaseException) -> bool:
    """Say whether it was the connection to the proxy that could not be made."""
    place = getattr(error, "host", None), getattr(error, "port", None)
    return isinstance(error, aiohttp.ClientConnectorError) and place == (proxy.host, proxy.port)


def forget(error: BaseException) -> None:
    """Take the headers out of an exception and those behind it, whose repr shows them, and out of their frames."""
    forget_variables(error)
    for each in behind(error):
        told: Any = getattr(each, "request_info", None)
        if isinstance(each, aiohttp.ClientResponseError) and told is not None:
            bare = CIMultiDictProxy(CIMultiDict[str]())
            each.request_info = aiohttp.RequestInfo(told.url, told.method, bare, told.real_url)
            each.args = (each.request_info, each.history)


def _reason(error: BaseException, request: Request) -> str:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {error.status} {error.message}"
    if isinstance(error, (aiohttp.ClientResponseError, HttpProcessingError)):  # their own words show more
        return " ".join(error.message.split()) or "the answer is not valid HTTP"
    cause: object = getattr(error, "os_error", None)
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(cause, OSError):
        # Its own text shows the context of TLS as an object, and nothing of some causes.
        return f"cannot connect to {error.host}:{error.port}: {str(cause) or type(cause).__name__}"
    said = str(error) or type(error).__name__  # it may quote the server, whatever that sent
    query = request.url.partition("?")[2]
    if query:  # older versions show the whole URL where the request could not be written
        said = said.replace(query, "...")
    return " ".join(said[:_LONGEST_REASON].split())


def named(request: Request, reason: str) -> str:
    """Return a message that begins with the request."""
    return f"{request.method} {display_url(request.url)}: {reason}"
