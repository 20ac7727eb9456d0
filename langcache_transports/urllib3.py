"""The default transport, on urllib3. It only translates: urllib3's retries and redirects are off."""

from __future__ import annotations

import http.client
import os
import threading
from urllib.parse import unquote

import certifi
import urllib3
from urllib3 import exceptions as native
from urllib3.util import parse_url

from langcache import errors
from langcache.hookspecs import hookimpl
from langcache.http import Request, Response, display_url
from langcache.transport import TransportOptions

# More origins than a client ever has; urllib3 closes the pool of the one that was not used for longest.
_ORIGINS = 16

_KINDS: tuple[tuple[type[Exception], type[errors.LangCacheError]], ...] = (
    # From the special to the general: the first that fits is taken.
    (native.LocationValueError, errors.ConfigurationError),
    (UnicodeError, errors.ConfigurationError),  # a host that no name can be
    (native.NewConnectionError, errors.ConnectError),
    (native.ConnectTimeoutError, errors.ConnectTimeout),
    (native.ReadTimeoutError, errors.ReadTimeout),
    (native.TimeoutError, errors.ReadTimeout),
    (native.SSLError, errors.ConnectError),
    (native.ProxyError, errors.ProxyError),
    (native.DecodeError, errors.DecodingError),
    (native.IncompleteRead, errors.ReadError),
    (native.InvalidChunkLength, errors.RemoteProtocolError),
    (native.InvalidHeader, errors.RemoteProtocolError),
    (native.ProtocolError, errors.ReadError),
    (native.HTTPError, errors.RequestError),
    (http.client.RemoteDisconnected, errors.ReadError),
    (http.client.IncompleteRead, errors.ReadError),
    (http.client.HTTPException, errors.RemoteProtocolError),
    (OSError, errors.NetworkError),
    (ValueError, errors.RemoteProtocolError),  # a length that is no length
    (OverflowError, errors.RemoteProtocolError),
)
"""Which of our errors stands for which of urllib3's, and for those of the standard library that it lets through."""


class Urllib3Transport:
    """Sends with a `urllib3.PoolManager` of its own, and of its process."""

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        self._open()

    def _open(self) -> None:
        self._pools: dict[str | None, urllib3.PoolManager] = {}
        self._lock = threading.Lock()
        self._process = os.getpid()  # last: until then another thread must not take the old pools for its own

    def _pool(self, url: str) -> urllib3.PoolManager:
        """Return the pool for `url`: there is one for each proxy, and one without."""
        proxy = self._options.proxy_for(url)
        with self._lock:
            if proxy not in self._pools:
                self._pools[proxy] = self._made(proxy)
            return self._pools[proxy]

    def _made(self, proxy: str | None) -> urllib3.PoolManager:
        size, certificates = self._options.pool_size, certifi.where()
        if proxy is None:
            return urllib3.PoolManager(_ORIGINS, maxsize=size, retries=False, ca_certs=certificates)
        auth = parse_url(proxy).auth
        headers = urllib3.make_headers(proxy_basic_auth=unquote(auth)) if auth else None
        return urllib3.ProxyManager(
            proxy, _ORIGINS, proxy_headers=headers, maxsize=size, retries=False, ca_certs=certificates
        )

    def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        if self._process != os.getpid():  # a forked child must not speak on its parent's connections
            self._open()
        try:
            answer = self._pool(request.url).request(
                request.method,
                request.url,
                body=request.content,
                headers={"Accept-Encoding": "gzip, deflate", **request.headers.as_dict()},
                timeout=urllib3.Timeout(total=request.timeout),
                redirect=False,
                decode_content=True,
            )
        except (native.HTTPError, http.client.HTTPException, OSError, ValueError, OverflowError) as error:
            raise _translated(error, request) from error
        return Response(answer.status, answer.headers.items(), answer.data, answer)

    def close(self) -> None:
        """Close all connections that are not in use."""
        with self._lock:
            pools = list(self._pools.values())
        for pool in pools:
            pool.clear()


def _translated(error: Exception, request: Request) -> errors.LangCacheError:
    # A ProtocolError wraps what it stands for, where that is known.
    wrapped = error.args[1] if type(error) is native.ProtocolError and len(error.args) > 1 else None
    known = wrapped if isinstance(wrapped, http.client.HTTPException) else error
    kind = next(ours for theirs, ours in _KINDS if isinstance(known, theirs))
    return kind(f"{request.method} {display_url(request.url)}: {error}")


@hookimpl
def langcache_transport(name: str, options: TransportOptions) -> Urllib3Transport | None:
    """Answer to "urllib3"."""
    return Urllib3Transport(options) if name == "urllib3" else None
