"""Makes an `ssl.SSLContext` as a configuration says; whatever is wrong with a file is said in words."""

from __future__ import annotations

import base64
import inspect
import os
import re
import ssl
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

import certifi

from ..errors import ConfigurationError
from ..secret import revealed
from .x509 import validity

if TYPE_CHECKING:
    from .config import TLSConfig

_BEGIN: Final = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----")
_BLOCK: Final = re.compile(_BEGIN.pattern + rb"([^-]*)-----END ")
_PRIVATE_KEY: Final = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")
_PRIVATE_KEY_END: Final = re.compile(rb"-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----")
_VERSIONS: Final = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}


def make_context(config: TLSConfig, contents: Mapping[str, bytes], now: datetime) -> ssl.SSLContext:
    """Return a new context; `contents` are those of the files by path, `now` decides on the client's certificate.

    Raises ConfigurationError with the file and the reason where something cannot be used.
    """
    cert = cast("str | None", config.cert)
    key = cast("str | None", config.key)
    if cert is not None:
        _check_certificate(cert, contents[cert], now)
        _check_key(key or cert, contents[key or cert], alone=key is not None)
    context = _verifying(config, contents)
    # The system's OpenSSL may be set up to demand more; that is not for us to lower.
    context.minimum_version = max(context.minimum_version, _VERSIONS[config.minimum_version])
    context.check_hostname = config.verify_hostname
    context.set_alpn_protocols(["http/1.1"])
    if cert is not None:
        _load(context, cert, key, config.key_password)
    return context


def _verifying(config: TLSConfig, contents: Mapping[str, bytes]) -> ssl.SSLContext:
    """Return the standard library's context for clients, with its defaults, that trusts whom it should."""
    try:
        return ssl.create_default_context(**_authorities(config, contents))
    except ssl.SSLError as error:
        raise ConfigurationError(f"Among {config.trusted} is a certificate that is damaged{_reason(error)}") from error
    except OSError as error:
        raise ConfigurationError(f"Loading {config.trusted} failed: {error.strerror}") from error


def _authorities(config: TLSConfig, contents: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the arguments that name the authorities; none stand for the system's."""
    places = config.places
    if config.trust == "system":
        return {}
    if config.ca is None:
        return {"cafile": certifi.where()}
    if not places:
        # Outside of the blocks there may be comments in any script; OpenSSL takes ASCII.
        return {"cadata": cast("str", config.ca).encode("ascii", "ignore").decode("ascii")}
    if places[0] in contents:
        _check_complete(f"The CA file {config.named_ca}", contents[places[0]])
        return {"cafile": places[0]}
    return {"capath": os.pathsep.join(places)}


def _reason(error: ssl.SSLError) -> str:
    """Return OpenSSL's reason, which has nothing of a file's content, for the end of a sentence."""
    reason: str | None = error.reason
    return f" ({reason.replace('_', ' ').lower()})" if reason else ""


def _check_complete(what: str, content: bytes) -> None:
    if len(_BEGIN.findall(content)) != len(_BLOCK.findall(content)):
        raise ConfigurationError(f"{what} ends within a certificate: it is damaged or half written")


def _check_certificate(path: str, content: bytes, now: datetime) -> None:
    """Check the client's certificate, the first in the file, as far as that can be done without its key."""
    what = f"The client certificate {path}"
    if not _BEGIN.search(content):
        raise ConfigurationError(f"{what} is no certificate: the file has no PEM block '-----BEGIN CERTIFICATE-----'")
    _check_complete(what, content)
    try:
        not_before, not_after = validity(base64.b64decode(_BLOCK.findall(content)[0]))
    except ValueError as error:
        raise ConfigurationError(f"{what} is damaged: {error}") from error
    if now > not_after:
        raise ConfigurationError(f"{what} has expired: it was valid until {not_after:%Y-%m-%d %H:%M:%S} UTC")
    if now < not_before:
        raise ConfigurationError(f"{what} is not valid yet, but from {not_before:%Y-%m-%d %H:%M:%S} UTC")


def _check_key(path: str, content: bytes, alone: bool) -> None:
    if not _PRIVATE_KEY.search(content):
        hint = "" if alone else "; name the file that has it with key"
        raise ConfigurationError(f"There is no private key (PEM) in {path}{hint}")
    if not _PRIVATE_KEY_END.search(content):
        raise ConfigurationError(f"{path} ends within the private key: it is damaged or half written")


def _load(context: ssl.SSLContext, cert: str, key: str | None, password: object) -> None:
    """Load the client's certificate and key; OpenSSL never asks for the password on the terminal."""
    where = key or cert
    asked = False

    def answer() -> bytes:
        nonlocal asked
        asked = True
        if password is None:
            raise ConfigurationError(f"The private key in {where} is encrypted; give its password with key_password")
        return _password(password)

    try:
        context.load_cert_chain(cert, key, answer)
    except ssl.SSLError as error:
        raise ConfigurationError(_loading_failed(error, cert, where, asked)) from error
    except OSError as error:  # gone since it was read
        raise ConfigurationError(f"{cert} or {where} cannot be read: {error.strerror}") from error
    except ConfigurationError:
        raise  # it says what is wrong with the password
    except ValueError as error:
        raise ConfigurationError(f"The private key in {where} cannot be decrypted: {error}") from error


def _loading_failed(error: ssl.SSLError, cert: str, where: str, asked: bool) -> str:
    if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
        return f"The private key in {where} does not match the client certificate {cert}"
    if asked:  # OpenSSL gives no reason of its own here
        return f"The private key in {where} cannot be decrypted: key_password is wrong, or the key is damaged"
    return (
        f"The client certificate {cert} with the private key in {where} cannot be loaded{_reason(error) or ': damaged'}"
    )


def _password(source: object) -> bytes:
    """Return the password that `source` is or returns; no error shows it."""
    value = source
    if callable(source):
        try:
            value = source()
        except Exception as error:  # the caller's code; its error is the cause of ours
            raise ConfigurationError(f"The callable key_password failed: {type(error).__name__}") from error
    value = revealed(value)
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    if isinstance(value, bytes):
        return value
    if inspect.iscoroutine(value):
        value.close()  # or Python would warn that nobody awaited it
    raise ConfigurationError(
        f"The callable key_password must return a string, bytes or a SecretStr, not {type(value).__name__}"
    )
