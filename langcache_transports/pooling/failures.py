"""Which of our errors stands for what goes wrong in an exchange, by the phase in which it does."""

from __future__ import annotations

import http.client
import ssl
from enum import Enum
from typing import NoReturn

import urllib3.exceptions as native

from langcache import errors
from langcache.causes import forget_variables
from langcache.http import Request, display_url, headers_problem
from langcache.tls import TLSConfig, explain_tls_error

from .connection import TunnelError

Kinds = tuple[tuple[type[BaseException], type[errors.LangCacheError]], ...]


_LONGEST_REASON = 500


class Phase(Enum):
    """How far an exchange had come."""

    CONNECT = "connecting"
    CONNECT_PROXY = "connecting to the proxy"
    SEND = "sending the request"
    EXCHANGE = "waiting for the answer"
    BODY = "reading the answer"


_ANYWHERE: Kinds = (
    # From the special to the general: the first that fits is taken.
    (native.LocationValueError, errors.ConfigurationError),
    (UnicodeError, errors.ConfigurationError),  # a host that no name can be
    (http.client.InvalidURL, errors.ConfigurationError),
)
_CONNECT: Kinds = (
    (TimeoutError, errors.ConnectTimeout),
    (TunnelError, errors.ProxyError),
    (ssl.SSLError, errors.ConnectError),
    (native.HTTPError, errors.ConnectError),
    (OSError, errors.ConnectError),
)
_PROXY: Kinds = (
    (TimeoutError, errors.ConnectTimeout),
    (OSError, errors.ProxyError),
    (native.HTTPError, errors.ProxyError),
)
_SEND: Kinds = (
    (TimeoutError, errors.WriteTimeout),
    (OSError, errors.WriteError),
)
_EXCHANGE: Kinds = (
    (TimeoutError, errors.ReadTimeout),
    (ssl.SSLError, errors.ReadError),
    (http.client.RemoteDisconnected, errors.ReadError),
    (http.client.IncompleteRead, errors.ReadError),
    (http.client.HTTPException, errors.RemoteProtocolError),
    (OSError, errors.ReadError),
    (ValueError, errors.RemoteProtocolError),  # a length that is no length
    (OverflowError, errors.RemoteProtocolError),
)
_BY_PHASE: dict[Phase, Kinds] = {
    Phase.CONNECT: _ANYWHERE + _CONNECT,
    Phase.CONNECT_PROXY: _ANYWHERE + _PROXY,
    Phase.SEND: _ANYWHERE + _SEND,
    Phase.EXCHANGE: _EXCHANGE,
    Phase.BODY: _EXCHANGE,
}
_CAUGHT = (OSError, ValueError, OverflowError, http.client.HTTPException, native.HTTPError)


def raise_translated(
    error: BaseException, phase: Phase, request: Request, tls: TLSConfig, is_first: bool = True
) -> NoReturn:
    """Raise the error of ours that stands for `error`, from it, or `error` itself where it is no failure of this.

    `is_first` says whether nothing was received on the connection before it. The frames that `error` came through
    keep no variables.
    """
    ours = _translated(error, phase, request, tls, is_first)
    forget_variables(error)
    try:
        if ours is None:
            raise error
        raise ours from error
    finally:
        del ours, error  # their tracebacks hold this frame: with them, a reference cycle


def _translated(
    error: BaseException, phase: Phase, request: Request, tls: TLSConfig, is_first: bool
) -> errors.LangCacheError | None:
    where = f"{request.method} {display_url(request.url)}"
    if isinstance(error, (errors.DecodingError, errors.ResponseTooLargeError, errors.ConfigurationError)):
        return type(error)(f"{where}: {error}")
    if isinstance(error, errors.LangCacheError) or not isinstance(error, _CAUGHT):
        return None
    kind = next((ours for theirs, ours in _BY_PHASE[phase] if isinstance(error, theirs)), None)
    if kind is None:
        return None
    said = explain_tls_error(error, tls) if _is_of_handshake(error, phase, is_first) else None
    if said is None:
        ours = kind(f"{where}: {_text(error, phase, request)}")
        if isinstance(error, TunnelError) and " 407 " in str(error):  # other credentials are needed
            ours.retryable = False
        return ours
    # The same would come of it again.
    if phase is Phase.CONNECT_PROXY:
        refused: errors.LangCacheError = errors.ProxyError(f"{where}: at the proxy: {said}")
    else:
        refused = errors.ConnectError(f"{where}: {said}")
    refused.retryable = False
    return refused


def _is_of_handshake(error: BaseException, phase: Phase, is_first: bool) -> bool:
    """Say whether TLS could not be agreed upon; with TLS 1.3 a server refuses a certificate after the handshake."""
    if not isinstance(error, (ssl.SSLError, native.SSLError)):
        return False
    if phase in (Phase.CONNECT, Phase.CONNECT_PROXY):
        return True
    return is_first and phase is not Phase.BODY and "ALERT" in (getattr(error, "reason", None) or "")


def _text(error: BaseException, phase: Phase, request: Request) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {request.timeout} s" if phase is Phase.BODY else f"timed out while {phase.value}"
    if isinstance(error, (UnicodeError, http.client.InvalidURL)):  # their own texts show the whole URL
        return headers_problem(request.headers) or "the URL has a host or a character that HTTP cannot carry"
    said = str(error) or type(error).__name__  # it may quote the server, whatever that sent
    shown = "".join(character if character.isprintable() else " " for character in said[:_LONGEST_REASON])
    return f"{shown} while {phase.value}"
