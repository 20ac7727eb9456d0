"""The transport on requests. It only translates: requests' retries, redirects, netrc and cookies are off.

What a `requests.Session` is used for works: its mocks (the package responses), and what instruments it. Underneath it
sends on the same pools as the transport "urllib3", so that the same promises hold.
"""

from __future__ import annotations

import io
from dataclasses import replace
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, NamedTuple, cast

import requests
import urllib3
from requests import exceptions as native
from requests.adapters import HTTPAdapter

from langcache import errors
from langcache.causes import forget_variables
from langcache.hookspecs import hookimpl
from langcache.http import Headers, Request, Response, display_url, headers_problem
from langcache.processes import PerProcess
from langcache.transport import TransportOptions

from .pooling import Pools

_KINDS: tuple[tuple[type[BaseException], type[errors.LangCacheError]], ...] = (
    # From the special to the general: the first that fits is taken. Most are what mocks raise.
    (native.InvalidURL, errors.ConfigurationError),
    (native.MissingSchema, errors.ConfigurationError),
    (native.InvalidSchema, errors.ConfigurationError),
    (native.InvalidHeader, errors.ConfigurationError),
    (native.ConnectTimeout, errors.ConnectTimeout),
    (native.Timeout, errors.ReadTimeout),
    (native.ProxyError, errors.ProxyError),
    (native.SSLError, errors.ConnectError),
    (native.ContentDecodingError, errors.DecodingError),
    (native.ChunkedEncodingError, errors.ReadError),
    (native.ConnectionError, errors.ReadError),
    (native.RequestException, errors.RequestError),
    (OSError, errors.NetworkError),
    (ValueError, errors.RemoteProtocolError),
)
"""Which of our errors stands for which of requests'."""


class RequestsTransport:
    """Sends with a `requests.Session` of its own, and of its process."""

    ends_in_time: Final = True
    """Whatever happens; see `langcache.sending`."""

    def __init__(self, options: TransportOptions) -> None:
        # A forked child must not speak on its parent's connections; that it closes its copies of them ends none.
        self._own = PerProcess(lambda: _opened(options), lambda own: own.pools.close())

    def send(self, request: Request) -> Response:
        """Send `request` and return the complete answer."""
        session = self._own.get().session
        try:
            answer = session.send(_Prepared(request), timeout=request.timeout, allow_redirects=False)
        except errors.LangCacheError as error:
            forget_variables(error)
            raise
        except (native.RequestException, OSError, ValueError) as error:
            forget_variables(error)
            kind = next(ours for theirs, ours in _KINDS if isinstance(error, theirs))
            where = f"{request.method} {display_url(request.url)}"
            if isinstance(error, native.InvalidHeader):  # it shows the value, which may be the key
                raise kind(f"{where}: {headers_problem(request.headers) or 'a header cannot be sent'}") from None
            raise kind(f"{where}: {error}") from error
        return Response(answer.status_code, answer.headers.items(), answer.content, answer)

    def close(self) -> None:
        """Close all connections that are not in use; the others are closed when they are done."""
        self._own.get().session.close()


class _Own(NamedTuple):
    """What one process sends with."""

    session: requests.Session
    pools: Pools


def _opened(options: TransportOptions) -> _Own:
    session, pools = requests.Session(), Pools(options)
    # Without this, requests puts a password of .netrc in the place of the bearer token.
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = _Adapter(pools)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return _Own(session, pools)


class _Prepared(requests.PreparedRequest):
    """A request as requests has it, which knows ours."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        prepare: Any = self.prepare  # pyright: ignore
        prepare(method=request.method, url=request.url, headers=request.headers.as_dict(), data=request.content)
        # requests decodes escapes that it finds unnecessary; a path segment of "%2E%2E" would become another path.
        self.url = request.url
        self.original = request


class _Adapter(HTTPAdapter):
    """Gives requests our pools for urllib3's."""

    def __init__(self, pools: Pools) -> None:
        super().__init__(max_retries=0)
        self._pools = pools

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: Any,  # noqa: ARG002 - all of this is the pools' matter
        proxies: Any = None,  # noqa: ARG002
        cert: Any = None,  # noqa: ARG002
    ) -> Any:
        """Return what has `urlopen` for this request."""
        return _Opener(self._pools, request)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the pools know the certificates."""

    def close(self) -> None:
        """Close all connections that are not in use."""
        self._pools.close()
        super().close()


class _Opener:
    """Stands in for one of urllib3's pools, for one request."""

    def __init__(self, pools: Pools, request: requests.PreparedRequest) -> None:
        self._pools = pools
        self._request = request

    def urlopen(self, method: str, body: bytes | None, headers: Any, **_: Any) -> urllib3.HTTPResponse:
        """Send the request and return the whole answer, decoded, as requests takes it."""
        original = cast(_Prepared, self._request).original
        request = replace(original, method=method, headers=Headers(headers), content=body)
        answer, content = self._pools.send(request)
        # The body is decoded, and requests would decode it again.
        fields = [(name, value) for name, value in answer.fields() if name.lower() != "content-encoding"]
        return urllib3.HTTPResponse(
            io.BytesIO(content),
            urllib3.HTTPHeaderDict(fields),
            answer.status,
            reason=answer.reason,
            preload_content=False,
            decode_content=False,
            original_response=answer,
            enforce_content_length=False,
            request_method=method,
        )


@hookimpl
def langcache_transport(name: str, options: TransportOptions) -> RequestsTransport | None:
    """Answer to "requests"."""
    return RequestsTransport(options) if name == "requests" else None
