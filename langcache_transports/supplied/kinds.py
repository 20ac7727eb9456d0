"""Which of our errors stands for an exception of an HTTP library, by the name of its class: none is imported."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from traceback import walk_tb

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
    "SSLError": errors.ReadError,
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
    "InvalidHeader": errors.RemoteProtocolError,
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

_NO_CONNECTION = frozenset({"NewConnectionError", "ConnectTimeoutError"})
"""urllib3's classes for a connection that was not made; what derives from them counts too."""

_FILES = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
_NO_FILE = "Could not find"
"""requests' words for certificates that are not where the session says."""

_WORKSHOP = frozenset(
    {"aiohttp", "anyio", "charset_normalizer", "gevent", "h11", "h2", "hpack", "httpcore", "httpx", "idna", "requests"}
    | {"socks", "socksio", "trio", "urllib3", "yarl"}
)
"""The libraries, and what they do their work with."""


def kind_of(error: BaseException) -> type[errors.LangCacheError] | None:
    """Return our class for a library's exception, or None where it is none."""
    kind = _by_name(error) or _by_place(error)
    if kind is None:
        return None
    if is_of_certificates(error):
        return errors.ConnectError
    if any(type(each).__name__ == _ENCODING for each in behind(error)):
        return errors.DecodingError
    if kind is errors.ReadError and _is_of_handshake(error):
        return errors.ConnectError
    return kind


def _by_place(error: BaseException) -> type[errors.LangCacheError] | None:
    """Return our class for an exception of Python's that a library lets through, of whatever it stumbled over.

    The same from a hook of the caller's is the caller's own, and passes.
    """
    if not isinstance(error, (OSError, ValueError, LookupError)) or not _is_raised_by_library(error):
        return None
    if _is_of_tls(error):
        return errors.ReadError
    if isinstance(error, _FILES) or str(error).startswith(_NO_FILE):
        return errors.ConfigurationError
    return errors.NetworkError if isinstance(error, OSError) else errors.RemoteProtocolError


def _is_raised_by_library(error: BaseException) -> bool:
    """Say whether the code that raised `error`, or that called Python's own for it, is a library's."""
    modules = [str(frame.f_globals.get("__name__")).partition(".")[0] for frame, _ in walk_tb(error.__traceback__)]
    foreign = [module for module in modules if module not in sys.stdlib_module_names]
    return bool(foreign) and foreign[-1] in _WORKSHOP


def _is_of_handshake(error: BaseException) -> bool:
    """Say whether it is known of a failure of TLS that nothing was sent by it yet; an alert can come later too."""
    found = list(behind(error))
    return any(map(_is_of_tls, found)) and any(map(_is_of_connecting, found))


def _is_of_tls(error: BaseException) -> bool:
    return any(base.__name__ == "SSLError" for base in type(error).__mro__)


def _is_of_connecting(error: BaseException) -> bool:
    """Say whether `error` came while urllib3 made a connection, with the proxy's tunnel and TLS."""
    if any(base.__name__ in _NO_CONNECTION for base in type(error).__mro__):
        return True
    return any(
        frame.f_code.co_name == "connect" and str(frame.f_globals.get("__name__")).startswith("urllib3.")
        for frame, _ in walk_tb(error.__traceback__)
    )


def is_of_certificates(error: BaseException) -> bool:
    """Say whether one side did not accept the other's certificate, where the library has kept OpenSSL's word for it."""
    reasons = [str(getattr(each, "reason", "")) for each in behind(error)]
    return any("CERTIFICATE" in reason or "UNKNOWN_CA" in reason for reason in reasons)


def _by_name(error: BaseException) -> type[errors.LangCacheError] | None:
    bases = [base for base in type(error).__mro__ if base.__module__.partition(".")[0] in _LIBRARIES]
    kind = next((_KINDS[base.__name__] for base in bases if base.__name__ in _KINDS), None)
    if kind is errors.RemoteProtocolError and any(said in str(error) for said in _CUT_OFF):
        return errors.ReadError
    if kind is errors.ProxyError and _may_be_sent(error):
        return _within(error) or errors.ReadError
    return (kind in _VAGUE and _within(error)) or kind


def _within(error: BaseException) -> type[errors.LangCacheError] | None:
    """Return the class for what requests and urllib3 wrap: that knows better, and may be wrapped again."""
    for inner in (getattr(error, "reason", None), getattr(error, "original_error", None), *error.args):
        known = _by_name(inner) if isinstance(inner, Exception) else None
        if known is not None:
            return known
    return None


def _may_be_sent(error: BaseException) -> bool:
    """Say whether a failure of urllib3 at a proxy may have come after the proxy has read the request.

    To a proxy that forwards requests, as for http, urllib3 lays all that happens on its connection.
    """
    is_urllib3s = any(base.__module__.startswith(("requests.", "urllib3.")) for base in type(error).__mro__)
    return is_urllib3s and not any(map(_is_of_connecting, behind(error)))
