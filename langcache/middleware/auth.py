"""Authentication: the API key as a bearer token (RFC 6750, section 2.1) on every attempt."""

from __future__ import annotations

from pydantic import SecretStr

from ..config import ApiKey, KeyProvider, Settings
from ..errors import ConfigurationError
from ..hookspecs import hookimpl
from ..http import Request, Response, header_value_problem
from ..steps import Middleware, Next, Steps, resolve

_SCHEME = "Bearer "


class BearerAuth:
    """Asks for the key before each attempt, so that a rotated one is used at once, and sends it.

    A key that already names the scheme is sent as it is. A request with an Authorization header of the caller's passes
    as it is. Where there is no key, others fail if one is `required`, unless they are sent with an HTTP client of
    the caller's, which may bring the authentication.
    """

    def __init__(self, key: SecretStr | KeyProvider, required: bool = True) -> None:
        self._key = key
        self._required = required

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Send the key with this attempt."""
        if "authorization" in request.headers:
            return (yield from call_next(request))
        key = self._key if isinstance(self._key, SecretStr) else _hidden((yield from resolve(self._key)))
        if key is not None:
            request = request.with_headers({"Authorization": authorization(key)})
        elif self._required and not request.options.get("own_client"):
            raise ConfigurationError("No API key: give LangCache(api_key=...) or set LANGCACHE_API_KEY")
        return (yield from call_next(request))


def _hidden(key: ApiKey | None) -> SecretStr | None:
    """Return what a provider gave so that no traceback shows it."""
    return key if key is None or isinstance(key, SecretStr) else SecretStr(key)


def authorization(key: ApiKey) -> str:
    """Return the Authorization header for `key`; raises ConfigurationError, which never shows it, where it is none."""
    problem = _problem(key)
    if problem is not None:
        raise ConfigurationError(f"The API key {problem}")
    plain = key.get_secret_value() if isinstance(key, SecretStr) else key
    return plain if plain.lower().startswith(_SCHEME.lower()) else _SCHEME + plain


def _problem(key: ApiKey) -> str | None:
    plain = key.get_secret_value() if isinstance(key, SecretStr) else key
    if isinstance(plain, str) and plain.strip().lower() in ("", _SCHEME.strip().lower()):
        return "is empty; give LangCache(api_key=...) or set LANGCACHE_API_KEY"
    return header_value_problem(plain)


@hookimpl
def langcache_attempt_middleware(settings: Settings) -> Middleware:
    """Send the client's key."""
    return BearerAuth(settings.api_key, required=settings.is_http)
