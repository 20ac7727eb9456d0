"""Authentication: the API key as a bearer token (RFC 6750, section 2.1) on every attempt.

1. A key that is a string is sent as it is. A provider is asked before every attempt, so that a rotated key is used at
   once, and that every caller gets its own key where the provider decides by the caller.
2. A `Credential` says that it may be kept: for all calls, until it expires or the service refuses it (401). Then one
   call asks for a new one, and all others wait for what comes of it.
3. After a 401 the provider is asked again, and where it has another key, the attempt is made once more with that. Where
   that is refused as well, calls are not repeated for a while, and neither is the question.
4. Nothing holds a key but as a Secret, so that no repr, no log and no traceback shows one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..config import Settings, api_key_from_environment
from ..credentials import EMPTY, SCHEME, ApiKey, KeyProvider, key_problem
from ..errors import AuthenticationError, ConfigurationError, describe
from ..hookspecs import hookimpl
from ..http import Headers, Request, Response
from ..processes import PerProcess
from ..secret import Secret, revealed
from ..steps import Middleware, Next, Steps
from .keys import Key, Keys


class BearerAuth:
    """Sends the key with each attempt, and once more with another key where it is refused and there is another one.

    A key that already names the scheme is sent as it is. A request with an Authorization header of the caller's passes
    as it is. Where there is no key, others fail if one is `required`, unless they are sent with an HTTP client of
    the caller's, which may bring the authentication. `clock` gives seconds.
    """

    def __init__(
        self, key: Secret | KeyProvider, required: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fixed = key if isinstance(key, Secret) else None
        self._provider = None if isinstance(key, Secret) else key
        # At a fork, a thread may hold a lock, or be about to get a key, that the child does not have.
        self._keys = None if isinstance(key, Secret) else PerProcess(partial(Keys, key, clock))
        self._required = required
        self._clock = clock
        self._header: Headers | None = None
        """The header of a key that is always the same."""

    def options(self) -> Mapping[str, object]:
        """Return what `explain` shows: where the key comes from, and never the key."""
        source = "a string" if self._provider is None else describe(self._provider)
        if self._provider is api_key_from_environment:
            source = f"LANGCACHE_API_KEY, which is {'not ' if api_key_from_environment() is None else ''}set"
        return {"from": source, "required": self._required}

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Send the key with this attempt."""
        if "authorization" in request.headers:
            return call_next(request)
        if self._fixed is not None:  # there is no other one to send after it was refused
            return call_next(self._authorized(request, self._fixed))
        return self._provided(request, call_next)

    def _provided(self, request: Request, call_next: Next) -> Steps[Response]:
        """Send the provider's key, and once more with another one where it is refused and there is another one."""
        key = yield from self._ask()
        if key is None:
            if self._required and not request.options.get("own_client"):
                raise ConfigurationError("No API key: give LangCache(api_key=...) or set LANGCACHE_API_KEY")
            return (yield from call_next(request))
        begun = self._clock()
        try:
            return (yield from call_next(self._authorized(request, key)))
        except AuthenticationError:
            took = self._clock() - begun
            other = yield from self._ask(refused=key)
            if other is None or other == key:
                raise
        if request.timeout is not None:  # both exchanges are one attempt
            request = request.with_timeout(max(request.timeout - took, 0.001))
        try:
            return (yield from call_next(self._authorized(request, other)))
        except AuthenticationError:
            if self._keys is not None:
                self._keys.get().give_up(other)
            raise

    def _authorized(self, request: Request, key: Secret) -> Request:
        if key is not self._fixed:  # a provider's is kept by nobody, unless the provider allows it
            return request.with_headers({"Authorization": authorization(key)})
        if self._header is None:
            self._header = Headers({"Authorization": authorization(key)})
        return request.with_headers(self._header)

    def _ask(self, refused: Key = None) -> Steps[Key]:
        """Return the key for an attempt, or for one after the service has `refused` a key."""
        if self._keys is None:
            return self._fixed
        return (yield from self._keys.get().ask(refused))


def authorization(key: ApiKey) -> str:
    """Return the Authorization header for `key`; raises ConfigurationError, which never shows it, where it is none."""
    header, problem = _header(key)
    if problem is not None:
        raise ConfigurationError(f"The API key {problem}")
    return header


def _header(key: ApiKey) -> tuple[str, str | None]:
    """Return the header, or "" and the problem: a function that raises would hold the key in its frame."""
    plain: Any = revealed(key)
    problem = key_problem(key)
    if problem is not None:
        return "", f"{problem}; give LangCache(api_key=...) or set LANGCACHE_API_KEY" if problem == EMPTY else problem
    return (plain if plain.lower().startswith(SCHEME.lower()) else SCHEME + plain), None


@hookimpl
def langcache_attempt_middleware(settings: Settings) -> Middleware:
    """Send the client's key."""
    return BearerAuth(settings.api_key, required=settings.is_http)
