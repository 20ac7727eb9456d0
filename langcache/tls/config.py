"""`TLSConfig`: whom to trust and what to show, as a frozen value that is checked in words."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeGuard, Union, cast

from ..errors import ConfigurationError
from ..secret import Secret, SecretText, revealed

if TYPE_CHECKING:
    import ssl

    from .rotation import LiveContext

DEFAULT_RELOAD_INTERVAL: Final = 10.0
"""How many seconds at the least lie between two looks at the files: what rotates them leaves much longer to notice."""

AUTHORITY_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""The environment's variables that name authorities, the one that goes before the others first."""

Password = Union[str, bytes, SecretText]

_PEM: Final = "-----BEGIN"
_TRUST: Final = ("certifi", "system")
_VERSIONS: Final = ("TLSv1.2", "TLSv1.3")


@dataclass(frozen=True, repr=False, kw_only=True)
class TLSConfig:
    """How TLS connections are made; every transport honours it alike.

    The server's certificate is always verified, with TLS 1.2 or newer. Raises ConfigurationError for a value that
    cannot be; files are read when the first context is needed, or by `check`. Relative paths are those of the moment
    when this is made. Equal configurations share one context for as long as one of them is alive.

    A certificate, key or authority that changes on disk is used for the connections made after the next look. Where
    the new files cannot be used (half written, a key that does not match yet, expired), the context made before stays
    in use, the logger "langcache" gets a warning, and the files are looked at again after `reload_interval`.
    """

    ca: str | bytes | os.PathLike[str] | None = None
    """The authorities to trust and no others: the path of a PEM file, or of a directory whose certificates have hashed
    names (``openssl rehash``), or the certificates themselves as PEM."""
    cert: str | os.PathLike[str] | None = None
    """The path of the client's certificate and its chain (PEM), for servers that ask for one; the key may be in it."""
    key: str | os.PathLike[str] | None = None
    """The path of the client's key (PEM), where it is not in `cert`."""
    key_password: Password | Callable[[], Password] | None = field(default=None, hash=False)
    """The password of an encrypted key, or a callable that returns it, which is asked at every load of the key."""
    ssl_context: ssl.SSLContext | Callable[[], ssl.SSLContext] | None = field(default=None, hash=False)
    """A context that is used as it is, instead of all other fields; or a callable that returns one, which is asked
    again after `reload_interval` and should return the same one for as long as nothing has changed."""
    trust: Literal["certifi", "system"] | None = None
    """Whose authorities to trust where `ca` names none: ``"certifi"`` for those of the package certifi, the default
    where the environment names none either; ``"system"`` for those in OpenSSL's default locations or Windows' store,
    which is where OpenSSL itself heeds SSL_CERT_FILE and SSL_CERT_DIR. These are not looked at again."""
    verify_hostname: bool = True
    """Whether the server's certificate must name the host of the URL; without it, any host's certificate that an
    authority has signed is taken."""
    minimum_version: Literal["TLSv1.2", "TLSv1.3"] = "TLSv1.2"
    """The oldest version of TLS to speak; where OpenSSL is set up to demand a newer one, that holds."""
    reload_interval: float | None = DEFAULT_RELOAD_INTERVAL
    """How many seconds at the least lie between two looks at the files; 0 to look for every new connection, None to
    look only once. While one thread looks, the others go on with what was loaded before."""
    _named_by: tuple[str, str] | None = None
    """The environment variable that named an authority, and which."""

    _live: ClassVar[LiveContext | None] = None  # set on the instance; no field, for it is no part of the value

    def __post_init__(self) -> None:
        for name, value in (
            ("ca", self.ca if self.ca is None else _authorities(self.ca)),
            ("cert", _path("cert", self.cert)),
            ("key", _path("key", self.key)),
            ("key_password", _password(self.key_password)),
        ):
            object.__setattr__(self, name, value)
        if self.trust not in (None, *_TRUST):
            raise _wrong("trust", 'be "certifi" or "system"', self.trust)
        if not isinstance(self.verify_hostname, bool):
            raise _wrong("verify_hostname", "be True or False", self.verify_hostname)
        if self.minimum_version not in _VERSIONS:
            raise _wrong("minimum_version", 'be "TLSv1.2" or "TLSv1.3"', self.minimum_version)
        interval = self.reload_interval
        if interval is not None and not _is_interval(interval):
            raise _wrong("reload_interval", "be a number of seconds of 0 or more, or None to look only once", interval)
        self._check_together()

    def _check_together(self) -> None:
        if self.ssl_context is not None:
            if not _is_context(self.ssl_context) and not callable(self.ssl_context):
                raise _wrong("ssl_context", "be an ssl.SSLContext or a callable that returns one", self.ssl_context)
            others = self._given() - {"ssl_context", "reload_interval"}
            if others:
                raise ConfigurationError(
                    f"TLSConfig: ssl_context is used as it is, so it excludes {', '.join(sorted(others))}; "
                    "set that in the context"
                )
        if self.ca is not None and self.trust is not None:
            raise ConfigurationError("TLSConfig: ca and trust exclude one another; ca alone says whom to trust")
        if self.cert is None and self._given() & {"key", "key_password"}:
            raise ConfigurationError("TLSConfig: key and key_password need cert, the path of the client's certificate")

    def _given(self) -> set[str]:
        """Name the fields that differ from their defaults."""
        return {item.name for item in fields(self) if getattr(self, item.name) != item.default}

    def with_environment(self, environment: Mapping[str, str]) -> TLSConfig:
        """Return this with the authorities that `environment` names, where this says nothing about whom to trust.

        They are the first that is set of REQUESTS_CA_BUNDLE, SSL_CERT_FILE and SSL_CERT_DIR, which may list several
        directories as OpenSSL has it. Errors about them say which variable it was.
        """
        if self.ca is not None or self.trust is not None or self.ssl_context is not None:
            return self
        for variable in AUTHORITY_VARIABLES:
            value = environment.get(variable, "")
            places = value.split(os.pathsep) if variable == "SSL_CERT_DIR" else [value]
            if any(places):
                return self._with_authorities(variable, [place for place in places if place])
        return self

    def _with_authorities(self, variable: str, places: list[str]) -> TLSConfig:
        try:
            ca = os.pathsep.join(map(_authorities, places))
        except ConfigurationError as error:
            raise ConfigurationError(f"The environment variable {variable}: {error}") from error
        return replace(self, ca=ca, _named_by=(variable, ca))

    @property
    def places(self) -> list[str]:
        """The paths of the authorities: none, or one, but for a list of directories in SSL_CERT_DIR."""
        if self.ca is None or self._is_pem:
            return []
        ca = cast("str", self.ca)
        return ca.split(os.pathsep) if self._variable == "SSL_CERT_DIR" else [ca]

    @property
    def named_ca(self) -> str:
        """The path in `ca`, and the environment's variable that named it."""
        ca = cast("str", self.ca)
        return f"{ca} (named by {self._variable})" if self._variable else ca

    @property
    def trusted(self) -> str:
        """Who is trusted, in words."""
        if self.ssl_context is not None:
            return "the authorities of the given ssl_context"
        if self.ca is None:
            return f"the authorities of {'the system' if self.trust == 'system' else 'certifi'}"
        return "the authorities given as PEM text in ca" if self._is_pem else f"the authorities in {self.named_ca}"

    @property
    def _is_pem(self) -> bool:
        return isinstance(self.ca, str) and _PEM in self.ca

    @property
    def _variable(self) -> str | None:
        # A copy with another `ca` still carries the old variable, which did not name that.
        return self._named_by[0] if self._named_by and self._named_by[1] == self.ca else None

    def check(self) -> None:
        """Load everything; raises ConfigurationError where that fails, and says which file it was and why."""
        self.context()

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection: always the same one, until something has changed.

        Raises ConfigurationError where there never was a good one. It is for all threads, and to be asked for every
        new connection, which costs next to nothing.
        """
        if self._live is None:
            if _is_context(self.ssl_context):
                return self.ssl_context
            from .rotation import shared  # on first use: it imports ssl

            object.__setattr__(self, "_live", shared(self))
        live: Any = self._live
        context: ssl.SSLContext = live.context()
        return context

    def __getstate__(self) -> dict[str, Any]:
        # A copy, also one in another process, makes or finds a context by itself.
        return {name: value for name, value in vars(self).items() if name != "_live"}

    def __repr__(self) -> str:
        given = self._given() - {"_named_by"}
        values = (f"{item.name}={self._shown(item.name)}" for item in fields(self) if item.name in given)
        return f"TLSConfig({', '.join(values)})"

    def _shown(self, name: str) -> str:
        if name == "key_password":
            return "***"
        if name == "ca" and self._is_pem:
            return "<PEM text>"  # in a careless file a key may stand besides
        return repr(getattr(self, name))


def _wrong(name: str, right: str, value: object) -> ConfigurationError:
    shown = repr(value) if isinstance(value, (int, float)) else type(value).__name__
    if isinstance(value, str) and len(value) <= 20:  # longer than any of the words that were meant: who knows what
        shown = repr(value)
    return ConfigurationError(f"TLSConfig: {name} must {right}, not {shown}")


def _is_interval(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_context(value: object) -> TypeGuard[ssl.SSLContext]:
    # By what it does: a program that replaces the class, as gevent does, may hold contexts of the old one.
    return hasattr(value, "wrap_bio") and not isinstance(value, type)


def _authorities(value: object) -> str:
    """Return `ca` as PEM text or as an absolute path."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if isinstance(text, str) and _PEM in text:
        return text
    if isinstance(value, bytes):
        raise ConfigurationError("TLSConfig: ca has bytes that are no PEM; give PEM, or the path of a file as a string")
    path = _path("ca", value, "the path of a file or directory, or PEM text")
    if path is None:
        raise AssertionError("unreachable: a path stays one")
    return path


def _path(name: str, value: object, right: str = "the path of a PEM file") -> str | None:
    """Return `value` as an absolute path; its links are not followed, because they may lead elsewhere tomorrow."""
    if value is None:
        return None
    path = os.fspath(cast("os.PathLike[str]", value)) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str):
        raise ConfigurationError(f"TLSConfig: {name} must be {right}, not {type(path).__name__}")
    if not path:
        raise ConfigurationError(f"TLSConfig: {name} must be {right}, and is empty")
    if _PEM in path or any(character in path for character in "\0\r\n"):
        # Not shown: it may be the key itself.
        raise ConfigurationError(f"TLSConfig: {name} must be {right}; it was given something else, of several lines")
    return str(Path(path).absolute())


def _password(value: object) -> Secret | Callable[[], Password] | None:
    if value is None:
        return value
    plain = revealed(value)
    if isinstance(plain, bytes):
        return Secret(plain.decode("utf-8", "surrogateescape"))
    if isinstance(plain, str):
        return Secret(plain)
    if callable(value):
        return cast("Callable[[], Password]", value)
    raise ConfigurationError(
        "TLSConfig: key_password must be a string, bytes, a SecretStr or a callable that returns one, "
        f"not {type(value).__name__}"
    )
