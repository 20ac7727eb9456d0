"""Which of our errors stands for an exception of an HTTP library, by the name of its class: none is imported."""

from __future__ import annotations

from collections.abc import Mapping

from langcache import errors
from langcache.causes import behind

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
    "StreamError": errors.RequestError,
    "CookieConflict": errors.ConfigurationError,
    # requests
    "MissingSchema": errors.ConfigurationError,
    "InvalidSchema": errors.ConfigurationError,
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
    "ClosedPoolError": errors.ClientClosedError,
    "LocationValueError": errors.ConfigurationError,
    "DecodeError": errors.DecodingError,
    "InvalidChunkLength": errors.RemoteProtocolError,
    "ProtocolError": errors.ReadError,
    "HTTPError": errors.RequestError,
    # aiohttp
    "NonHttpUrlClientError": errors.ConfigurationError,
    "ConnectionTimeoutError": errors.ConnectTimeout,
    "ServerTimeoutError": errors.ReadTimeout,
    "ClientProxyConnectionError": errors.ProxyError,
    "ClientHttpProxyError": errors.ProxyError,
    "ClientConnectorError": errors.ConnectError,
    "ClientConnectionError": errors.ReadError,
    "ClientPayloadError": errors.ReadError,
    "ClientResponseError": errors.RemoteProtocolError,
    "ClientError": errors.RequestError,
    # Python; the lengths are those that an answer says it has
    "TimeoutError": errors.ReadTimeout,
    "RemoteDisconnected": errors.ReadError,
    "IncompleteRead": errors.ReadError,
    "HTTPException": errors.RemoteProtocolError,
    "OverflowError": errors.RemoteProtocolError,
}
"""Which of our errors stands for an exception whose class, or the nearest of its bases, has that name."""

_LIBRARIES = frozenset({"aiohttp", "asyncio", "builtins", "http", "httpx", "requests", "urllib3"})
"""Where these classes come from; one of the same name from elsewhere is the caller's own, and passes."""

_CUT_OFF = ("disconnected", "peer closed", "got length b'',")
"""httpx's words, and those of older versions of urllib3, for a connection that was closed before the answer's end."""

_ENCODING = "ContentEncodingError"
"""What aiohttp raises its own exceptions from where a body is not encoded as it says."""

_VAGUE = (errors.ReadError, errors.RequestError)


def kind_of(error: BaseException) -> type[errors.LangCacheError] | None:
    """Return our class for a library's exception, or None where it is none."""
    kind = _by_name(error)
    if kind is None:
        return None
    if is_of_certificates(error):
        return errors.ConnectError
    if any(type(each).__name__ == _ENCODING for each in behind(error)):
        return errors.DecodingError
    return kind


def is_of_certificates(error: BaseException) -> bool:
    """Say whether one side did not accept the other's certificate, where the library has kept OpenSSL's word for it."""
    reasons = [str(getattr(each, "reason", "")) for each in behind(error)]
    return any("CERTIFICATE" in reason or "UNKNOWN_CA" in reason for reason in reasons)


def _by_name(error: BaseException) -> type[errors.LangCacheError] | None:
    bases = [base for base in type(error).__mro__ if base.__module__.partition(".")[0] in _LIBRARIES]
    kind = next((_KINDS[base.__name__] for base in bases if base.__name__ in _KINDS), None)
    if kind is errors.RemoteProtocolError and any(said in str(error) for said in _CUT_OFF):
        return errors.ReadError
    if kind in _VAGUE:  # requests and urllib3 wrap the exception that knows better, and that one may be wrapped again
        for inner in (getattr(error, "reason", None), *error.args):
            known = _by_name(inner) if isinstance(inner, Exception) else None
            if known is not None:
                return known
    return kind
