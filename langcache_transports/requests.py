"""The transport on requests. It only translates: requests' retries, redirects, netrc and cookies are off."""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy

import requests
from requests import exceptions as native
from requests.adapters import HTTPAdapter
from urllib3 import exceptions as urllib3_native

from langcache import errors
from langcache.hookspecs import hookimpl
from langcache.http import Request, Response, display_url
from langcache.transport import TransportOptions

_KINDS: tuple[tuple[type[Exception], type[errors.RequestError]], ...] = (
    # From the special to the general: the first that fits is taken.
    (native.ConnectTimeout, errors.ConnectTimeout),
    (native.ReadTimeout, errors.ReadTimeout),
    (native.ProxyError, errors.ProxyError),
    (native.SSLError, errors.ConnectError),
    (native.ContentDecodingError, errors.DecodingError),
    (native.ChunkedEncodingError, errors.ReadError),
    (native.ConnectionError, errors.ReadError),
    (native.RequestException, errors.RequestError),
    (urllib3_native.HTTPError, errors.RequestError),
    (OSError, errors.NetworkError),
)
"""Which of our errors stands for which of requests', and for those of urllib3 that it lets through."""

_REASONS: tuple[tuple[type[BaseException], type[errors.RequestError]], ...] = (
    (urllib3_native.ReadTimeoutError, errors.ReadTimeout),
    (urllib3_native.NewConnectionError, errors.ConnectError),
    (urllib3_native.InvalidChunkLength, errors.RemoteProtocolError),
)
"""What a ConnectionError or a ChunkedEncodingError of requests may stand for: it wraps urllib3's own exception."""


class RequestsTransport:
    """Sends with a `requests.Session` of its own."""

    def __init__(self, options: TransportOptions) -> None:
        self._session = requests.Session()
        # Without this, requests puts a password of .netrc in the place of the bearer token.
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = HTTPAdapter(pool_maxsize=options.pool_size, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        headers = {"Accept-Encoding": "gzip, deflate", **request.headers.as_dict()}
        try:
            prepared = requests.Request(request.method, request.url, headers, data=request.content).prepare()
            # requests decodes escapes that it finds unnecessary; a path segment of "%2E%2E" would become another path.
            prepared.url = request.url
            answer = self._session.send(prepared, timeout=request.timeout, allow_redirects=False)
        except (native.RequestException, urllib3_native.HTTPError, OSError) as error:
            raise _translated(error, request) from error
        return Response(answer.status_code, answer.headers.items(), answer.content, answer)

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._session.close()


def _translated(error: Exception, request: Request) -> errors.RequestError:
    kind = next(ours for theirs, ours in _KINDS if isinstance(error, theirs))
    if kind is errors.ReadError:
        wrapped = _wrapped(error)
        kind = next((ours for theirs, ours in _REASONS if isinstance(wrapped, theirs)), kind)
    return kind(f"{request.method} {display_url(request.url)}: {error}")


def _wrapped(error: Exception) -> object:
    """Return urllib3's exception inside of one of requests', which itself may be wrapped in a MaxRetryError."""
    inner = error.args[0] if error.args else None
    return inner.reason if isinstance(inner, urllib3_native.MaxRetryError) else inner


@hookimpl
def langcache_transport(name: str, options: TransportOptions) -> RequestsTransport | None:
    """Answer to "requests"."""
    return RequestsTransport(options) if name == "requests" else None
