"""Says in words why TLS failed, for the errors that transports raise."""

from __future__ import annotations

from typing import Final

from ..causes import behind
from .config import TLSConfig

_UNKNOWN_ISSUER: Final = frozenset({2, 18, 19, 20, 21, 27})
"""The results of OpenSSL's verification (X509_STORE_CTX_get_error(3)) for an issuer that is not among the trusted."""

_VERIFICATION: Final = {
    9: "the server's certificate is not valid yet",
    10: "the server's certificate has expired",
    23: "the server's certificate has been revoked",
}

_NO_TLS: Final = (
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "HTTPS_PROXY_REQUEST",
    "UNKNOWN_PROTOCOL",
    "RECORD_LAYER_FAILURE",
)
_NO_VERSION: Final = ("TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL", "NO_PROTOCOLS_AVAILABLE")
_REFUSALS: Final = {
    "CERTIFICATE_REQUIRED": "it requires one",
    "HANDSHAKE_FAILURE": "it may require one, or share no cipher",
    "UNKNOWN_CA": "it does not know the issuer",
    "BAD_CERTIFICATE": "it cannot use it",
    "UNSUPPORTED_CERTIFICATE": "it does not take its kind",
    "CERTIFICATE_EXPIRED": "it has expired",
    "CERTIFICATE_REVOKED": "it has been revoked",
    "CERTIFICATE_UNKNOWN": "it does not accept it",
    "ACCESS_DENIED": "it does not grant it access",
}
"""What the server says of the client's certificate, by its alert's name (RFC 8446, section 6.2)."""


def explain_tls_error(error: BaseException, config: TLSConfig) -> str | None:
    """Say in one sentence why TLS failed, or None where `error` and what it wraps have nothing to say of that.

    `error` may be an HTTP library's: the `ssl.SSLError` is looked for in its arguments and causes.
    """
    for candidate in behind(error):
        code = getattr(candidate, "verify_code", None)
        if isinstance(code, int):
            return _verification(code, str(getattr(candidate, "verify_message", "")), config)
    for candidate in behind(error):
        reason = getattr(candidate, "reason", None)
        sentence = _handshake(reason, config) if isinstance(reason, str) else None
        if sentence is not None:
            return sentence
    return None


def _verification(code: int, message: str, config: TLSConfig) -> str:
    if code in _UNKNOWN_ISSUER:
        advice = "" if config.ssl_context is not None else "; name its authority with TLSConfig(ca=...)"
        return f"the server's certificate is of an unknown issuer ({message}): trusted are {config.trusted}{advice}"
    said = _VERIFICATION.get(code)
    if said is None:
        said = f"the server's certificate cannot be verified: {message.rstrip('.')}"
    return f"{said} (trusted are {config.trusted})"


def _handshake(reason: str, config: TLSConfig) -> str | None:
    if reason in _NO_TLS:
        return "the server does not speak TLS on this port"
    if reason in _NO_VERSION:
        least = "" if config.ssl_context is not None else f"; asked for is {config.minimum_version} or newer"
        return f"the server and this client have no version of TLS in common{least}"
    # OpenSSL: the version that defined the alert, then the alert's name.
    _, alert, name = reason.partition("_ALERT_")
    said = _REFUSALS.get(name) if alert else None
    if said is None:
        return None
    if config.ssl_context is not None:
        return f"the server refused the client certificate, or that there is none: {said}"
    if config.cert is None:
        return f"the server refused a client without certificate: {said}; give TLSConfig(cert=..., key=...)"
    return f"the server refused the client certificate {config.cert}: {said}"
