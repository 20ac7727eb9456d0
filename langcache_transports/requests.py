"""The transport on requests. It only translates: requests' retries, redirects, netrc and cookies are off."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
from requests import exceptions as native
from requests.adapters import HTTPAdapter
from urllib3 import exceptions as urllib3_native

from langcache import errors
from langcache.hookspecs import hookimpl
from langcache.http import Request, Response, display_url
from langcache.transport import TransportOptions

_KINDS: tuple[tuple[type[BaseException], type[errors.LangCacheError]], ...] = (
    # From the special to the general: the first that fits is taken.
    (native.InvalidURL, errors.ConfigurationError),
    (native.MissingSchema, errors.ConfigurationError),
    (native.InvalidSchema, errors.ConfigurationError),
    (native.InvalidHeader, errors.ConfigurationError),
    (native.ConnectTimeout, errors.ConnectTimeout),
    (native.ReadTimeout, errors.ReadTimeout),
    (native.ProxyError, errors.ProxyError),
    (native.SSLError, errors.ConnectError),
    (native.ContentDecodingError, errors.DecodingError),
    (native.ChunkedEncodingError, errors.ReadError),
    (native.ConnectionError, errors.ReadError),
    (native.RequestException, errors.RequestError),
    (urllib3_native.LocationValueError, errors.ConfigurationError),
    (urllib3_native.HTTPError, errors.RequestError),
    (OSError, errors.NetworkError),
    (ValueError, errors.RemoteProtocolError),  # a length that is no length
    (OverflowError, errors.RemoteProtocolError),
)
"""Which of our errors stands for which of requests', and for those of urllib3 that it lets through."""

_REASONS: tuple[tuple[type[BaseException], type[errors.RequestError]], ...] = (
    (urllib3_native.ReadTimeoutError, errors.ReadTimeout),
    (urllib3_native.NewConnectionError, errors.ConnectError),
    (urllib3_native.InvalidChunkLength, errors.RemoteProtocolError),
    (urllib3_native.InvalidHeader, errors.RemoteProtocolError),
    (http.client.RemoteDisconnected, errors.ReadError),
    (http.client.IncompleteRead, errors.ReadError),
    (http.client.HTTPException, errors.RemoteProtocolError),
)
"""What requests' own words do not tell: it wraps urllib3's exception, and that one the standard library's."""


class RequestsTransport:
    """Sends with a `requests.Session` of its own, and of its process."""

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        self._open()

    def _open(self) -> None:
        session = requests.Session()
        # Without this, requests puts a password of .netrc in the place of the bearer token.
        session.trust_env = False
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = HTTPAdapter(pool_maxsize=self._options.pool_size, max_retries=0)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        self._session = session
        self._process = os.getpid()  # last: until then another thread must not take the old session for its own

    def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        if self._process != os.getpid():  # a forked child must not speak on its parent's connections
            self._open()
        headers = {"Accept-Encoding": "gzip, deflate", **request.headers.as_dict()}
        try:
            prepared = requests.Request(request.method, request.url, headers, data=request.content).prepare()
            # requests decodes escapes that it finds unnecessary; a path segment of "%2E%2E" would become another path.
            prepared.url = request.url
            # A plain number would be the limit of connecting and again of every read.
            timeout: Any = urllib3.Timeout(total=request.timeout)
            proxy = self._options.proxy_for(request.url)
            proxies = {} if proxy is None else {"http": proxy, "https": proxy}
            answer = self._session.send(prepared, timeout=timeout, allow_redirects=False, proxies=proxies)
        except (native.RequestException, urllib3_native.HTTPError, OSError, ValueError, OverflowError) as error:
            raise _translated(error, request) from error
        return Response(answer.status_code, answer.headers.items(), answer.content, answer)

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._session.close()


def _translated(error: Exception, request: Request) -> errors.LangCacheError:
    kind = next(ours for theirs, ours in _KINDS if isinstance(error, theirs))
    if kind in (errors.ReadError, errors.RequestError, errors.ConfigurationError):
        known = [ours for inner in _wrapped(error) for theirs, ours in _REASONS if isinstance(inner, theirs)]
        kind = known[0] if known else kind
    return kind(f"{request.method} {display_url(request.url)}: {error}")


def _wrapped(error: BaseException) -> Iterator[BaseException]:
    """Give the exceptions inside of one of requests', the nearest first."""
    inner = getattr(error, "reason", None), *error.args
    for candidate in inner:
        if isinstance(candidate, BaseException):
            yield candidate
            yield from _wrapped(candidate)


@hookimpl
def langcache_transport(name: str, options: TransportOptions) -> RequestsTransport | None:
    """Answer to "requests"."""
    return RequestsTransport(options) if name == "requests" else None
