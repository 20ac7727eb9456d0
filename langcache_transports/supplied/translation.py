"""What the adapters of the libraries share: answers and exceptions become ours, without importing any library."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from langcache import errors
from langcache.http import Request, Response, display_url

_KINDS: Mapping[str, type[errors.LangCacheError]] = {
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
    "LocalProtocolError": errors.ConfigurationError,
    "UnsupportedProtocol": errors.ConfigurationError,
    "InvalidURL": errors.ConfigurationError,
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
    "ServerTimeoutError": errors.ReadTimeout,
    "ClientProxyConnectionError": errors.ProxyError,
    "ClientHttpProxyError": errors.ProxyError,
    "ClientConnectorError": errors.ConnectError,
    "ClientConnectionError": errors.ReadError,
    "ClientPayloadError": errors.ReadError,
    "ClientResponseError": errors.RemoteProtocolError,
    "ClientError": errors.RequestError,
    # Python
    "TimeoutError": errors.ReadTimeout,
}
"""Which of our errors stands for an exception whose class, or the nearest of its bases, has that name."""

_LIBRARIES = frozenset({"aiohttp", "asyncio", "builtins", "httpx", "requests", "urllib3"})
"""Where these classes come from; one of the same name from elsewhere is the caller's own, and passes."""

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
        if _is_answer(answer, request):  # what raise_for_status raises, which some hooks call
            raise errors.error_for(neutral(answer, answer.status_code, _read(answer))) from error
        kind = _kind(error)
        if kind is None:
            raise
        raise kind(f"{request.method} {display_url(request.url)}: {str(error) or type(error).__name__}") from error


def _is_answer(answer: Any, request: Request) -> bool:
    """Say whether an exception's response answers `request`, and not one of the caller's own, for a token, say."""
    if not getattr(answer, "status_code", None) or not hasattr(answer, "headers"):
        return False
    return urlsplit(str(getattr(answer, "url", ""))).netloc == urlsplit(request.url).netloc


def _read(answer: Any) -> bytes:
    try:
        content = answer.content
    except RuntimeError:  # httpx runs hooks before the body is read, and closes the answer when one raises
        return b""
    return content if isinstance(content, bytes) else b""


def has_own_timeout(request: Request) -> bool:
    """Say whether the caller set a timeout; where not, that of the caller's client holds, if it has one."""
    return request.options.get("timeout_ms") is not None


def neutral(answer: Any, status: int, content: bytes) -> Response:
    """Return a library's answer as ours."""
    return Response(status, answer.headers.items(), content, answer)


def _kind(error: BaseException) -> type[errors.LangCacheError] | None:
    """Return our class for a library's exception, or None where it is none."""
    bases = [base for base in type(error).__mro__ if base.__module__.partition(".")[0] in _LIBRARIES]
    kind = next((_KINDS[base.__name__] for base in bases if base.__name__ in _KINDS), None)
    if kind is errors.RemoteProtocolError and "disconnected" in str(error):
        return errors.ReadError  # httpx's word for a connection that was closed before the answer
    if kind in _VAGUE:  # requests and urllib3 wrap the exception that knows better, and that one may be wrapped again
        for inner in (getattr(error, "reason", None), *error.args):
            known = _kind(inner) if isinstance(inner, Exception) else None
            if known is not None:
                return known
    return kind
