"""What the adapters of the libraries share: answers and exceptions become ours, without importing any library."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from langcache import errors
from langcache.http import Request, Response, display_url

_KINDS: Mapping[str, type[errors.RequestError]] = {
    # httpx; requests has some of the same names
    "ConnectTimeout": errors.ConnectTimeout,
    "ReadTimeout": errors.ReadTimeout,
    "WriteTimeout": errors.WriteTimeout,
    "PoolTimeout": errors.PoolTimeout,
    "TimeoutException": errors.TimeoutException,
    "ConnectError": errors.ConnectError,
    "ReadError": errors.ReadError,
    "WriteError": errors.WriteError,
    "NetworkError": errors.NetworkError,
    "ProxyError": errors.ProxyError,
    "RemoteProtocolError": errors.RemoteProtocolError,
    "DecodingError": errors.DecodingError,
    "RequestError": errors.RequestError,
    # requests
    "SSLError": errors.ConnectError,
    "ContentDecodingError": errors.DecodingError,
    "ChunkedEncodingError": errors.ReadError,
    "ConnectionError": errors.ReadError,
    "RequestException": errors.RequestError,
    # urllib3
    "NewConnectionError": errors.ConnectError,
    "ConnectTimeoutError": errors.ConnectTimeout,
    "ReadTimeoutError": errors.ReadTimeout,
    "EmptyPoolError": errors.PoolTimeout,
    "DecodeError": errors.DecodingError,
    "InvalidChunkLength": errors.RemoteProtocolError,
    "ProtocolError": errors.ReadError,
    "HTTPError": errors.RequestError,
    # aiohttp
    "ConnectionTimeoutError": errors.ConnectTimeout,
    "ClientProxyConnectionError": errors.ProxyError,
    "ClientHttpProxyError": errors.ProxyError,
    "ClientConnectorError": errors.ConnectError,
    "ClientConnectionError": errors.ReadError,
    "ClientPayloadError": errors.ReadError,
    "ClientResponseError": errors.RemoteProtocolError,
    "ClientError": errors.RequestError,
    # Python
    "TimeoutError": errors.ReadTimeout,
    "OSError": errors.NetworkError,
}
"""Which of our errors stands for an exception whose class, or the nearest of its bases, has that name."""

_VAGUE = (errors.ReadError, errors.RequestError)


@contextmanager
def translated(request: Request) -> Generator[None, None, None]:
    """Raise the exceptions of HTTP libraries as ours, from the original; any other passes."""
    try:
        yield
    except errors.LangCacheError:
        raise
    except Exception as error:
        answer: Any = getattr(error, "response", None)
        if getattr(answer, "status_code", None):  # what raise_for_status raises, which some hooks call
            raise errors.error_for(neutral(answer, answer.status_code, answer.content)) from error
        kind = _kind(error)
        if kind is None:
            raise
        raise kind(f"{request.method} {display_url(request.url)}: {str(error) or type(error).__name__}") from error


def has_own_timeout(request: Request) -> bool:
    """Say whether the caller set a timeout; where not, that of the caller's client holds, if it has one."""
    return request.options.get("timeout_ms") is not None


def neutral(answer: Any, status: int, content: bytes) -> Response:
    """Return a library's answer as ours."""
    return Response(status, answer.headers.items(), content, answer)


def _kind(error: object) -> type[errors.RequestError] | None:
    """Return our class for a library's exception, or None where it is none."""
    names = [base.__name__ for base in type(error).__mro__]
    kind = next((_KINDS[name] for name in names if name in _KINDS), None)
    if kind in _VAGUE:  # requests wraps urllib3's exception, which may be in a MaxRetryError, and that knows better
        inner = next(iter(getattr(error, "args", ())), None)
        inner = getattr(inner, "reason", inner)
        if isinstance(inner, Exception):
            return _kind(inner) or kind
    return kind
