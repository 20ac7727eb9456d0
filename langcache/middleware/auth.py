"""Authentication: the API key as a bearer token (RFC 6750, section 2.1) on every attempt.

1. A key that is a string is sent as it is. A provider is asked before every attempt, so that a rotated key is used at
   once, and that every caller gets its own key where the provider decides by the caller.
2. A `Credential` says that it may be kept: for all calls, until it expires or the service refuses it (401). Then one
   call asks for a new one, and all others wait for what comes of it.
3. After a 401 the provider is asked again, and where it has another key, the attempt is made once more with that.
4. Nothing holds a key but as a SecretStr, so that no repr, no log and no traceback shows one.
"""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from pydantic import SecretStr

from ..config import Settings
from ..credentials import ApiKey, Credential, KeyProvider
from ..errors import AuthenticationError, ConfigurationError, DeadlineExceeded, describe
from ..hookspecs import hookimpl
from ..http import Request, Response, header_value_problem
from ..processes import PerProcess
from ..steps import Middleware, Next, Steps, resolve, wait

_SCHEME = "Bearer "

Key = SecretStr | None
Flight = Future[Key]
"""What comes of asking for a credential: its key, or None where nothing came of it that others could use."""


class BearerAuth:
    """Sends the key with each attempt, and once more with another key where it is refused and there is another one.

    A key that already names the scheme is sent as it is. A request with an Authorization header of the caller's passes
    as it is. Where there is no key, others fail if one is `required`, unless they are sent with an HTTP client of
    the caller's, which may bring the authentication. `clock` gives seconds.
    """

    def __init__(
        self, key: SecretStr | KeyProvider, required: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._key = key
        self._required = required
        self._clock = clock
        # At a fork, a thread may hold a lock, or be about to get a key, that the child does not have.
        self._kept = PerProcess(lambda: _Kept(clock))

    def __call__(self, request: Request, call_next: Next) -> Steps[Response]:
        """Send the key with this attempt."""
        if "authorization" in request.headers:
            return (yield from call_next(request))
        key = self._key if isinstance(self._key, SecretStr) else (yield from self._ask(self._key))
        if key is None:
            if self._required and not request.options.get("own_client"):
                raise ConfigurationError("No API key: give LangCache(api_key=...) or set LANGCACHE_API_KEY")
            return (yield from call_next(request))
        begun = self._clock()
        try:
            return (yield from call_next(_authorized(request, key)))
        except AuthenticationError:
            took = self._clock() - begun
            other = None if isinstance(self._key, SecretStr) else (yield from self._ask(self._key, refused=key))
            if other is None or other == key:
                raise
        if request.timeout is not None:  # both exchanges are one attempt
            request = request.with_timeout(max(request.timeout - took, 0.001))
        return (yield from call_next(_authorized(request, other)))

    def _ask(self, provider: KeyProvider, refused: Key = None) -> Steps[Key]:
        """Return the key for an attempt, or for one after the service has `refused` a key."""
        kept = self._kept.get()
        if refused is not None:
            provider = getattr(provider, "refresh", provider)
        while kept.is_shared:
            found = kept.board(refused)
            if isinstance(found, SecretStr):
                return found
            flight, leads = found
            if leads:
                return (yield from _fly(kept, flight, provider))
            key = yield from wait(flight)
            if key is not None:
                return key
        return kept.take((yield from resolve(provider)))


def _fly(kept: _Kept, flight: Flight, provider: KeyProvider) -> Steps[Key]:
    """Ask the provider for all calls that wait for `flight`."""
    goes_on = threading.Event()
    ask = provider if inspect.iscoroutinefunction(provider) else _landing(kept, flight, provider, goes_on)
    try:
        provided = yield from resolve(ask)
    except BaseException as error:
        if not goes_on.is_set():  # in a thread, which lands the flight: what comes of it is still for the others
            kept.land(flight, failure=error)
        raise
    kept.land(flight, provided)
    return _secret(provided)


def _landing(kept: _Kept, flight: Flight, provider: KeyProvider, goes_on: threading.Event) -> Callable[[], Any]:
    """Return `provider` so that it lands `flight` by itself, also where the call that asked has ended meanwhile.

    `goes_on` is set while it will.
    """

    def ask() -> Any:
        goes_on.set()
        try:
            provided = provider()
        except BaseException as error:
            kept.land(flight, failure=error)
            raise
        if inspect.isawaitable(provided):
            goes_on.clear()
        else:
            kept.land(flight, provided)
        return provided

    ask.__module__, _, ask.__qualname__ = describe(provider).rpartition(".")
    return ask


class _Kept:
    """The credential that all calls of a process share. It is shared by threads and tasks."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._key: Key = None
        self._expires: float | None = None
        self._flight: Flight | None = None
        self.is_shared = True
        """Whether the provider gives credentials, or it is not known yet; a bare key is one call's alone."""

    def board(self, refused: Key) -> SecretStr | tuple[Flight, bool]:
        """Return the key, or the flight that is to bring it, with whether the caller is to make that."""
        with self._lock:
            is_current = self._expires is None or self._clock() < self._expires
            if self._key is not None and self._key != refused and is_current:
                return self._key
            leads = self._flight is None
            if self._flight is None:
                self._flight = Flight()
                self._flight.set_running_or_notify_cancel()  # so that a call which waits for it cannot cancel it
            return self._flight, leads

    def land(self, flight: Flight, provided: object = None, failure: BaseException | None = None) -> None:
        """End `flight` with what came of it; a second time does nothing."""
        with self._lock:
            if flight.done():
                return
            self._flight = None
            key = self._keep(provided)
            if failure is None:
                self.is_shared = key is not None
            # What befell the call that asked - its deadline, a cancellation - is no failure of the provider's.
            if isinstance(failure, Exception) and not isinstance(failure, DeadlineExceeded):
                flight.set_exception(failure)
            else:
                flight.set_result(key)

    def take(self, provided: object) -> Key:
        """Return the key that a provider has given to one call, and keep it where it is a credential."""
        if isinstance(provided, Credential):
            with self._lock:
                self.is_shared = True
                self._keep(provided)
        return _secret(provided)

    def _keep(self, provided: object) -> Key:
        if not isinstance(provided, Credential):
            return None
        milliseconds = provided.expires_in_ms
        self._key = provided.key
        self._expires = None if milliseconds is None else self._clock() + milliseconds / 1000
        return provided.key


def _secret(provided: object) -> Key:
    """Return what a provider gave as a secret; raises ConfigurationError, which never shows it, where it is no key."""
    if provided is None or isinstance(provided, SecretStr):
        return provided
    if isinstance(provided, Credential):
        return provided.key
    if isinstance(provided, str):
        return SecretStr(provided)
    raise ConfigurationError(f"The API key must be a string, not {type(provided).__name__}")


def _authorized(request: Request, key: SecretStr) -> Request:
    return request.with_headers({"Authorization": authorization(key)})


def authorization(key: ApiKey) -> str:
    """Return the Authorization header for `key`; raises ConfigurationError, which never shows it, where it is none."""
    header, problem = _header(key)
    if problem is not None:
        raise ConfigurationError(f"The API key {problem}")
    return header


def _header(key: ApiKey) -> tuple[str, str | None]:
    """Return the header, or "" and the problem: a function that raises would hold the key in its frame."""
    plain: Any = key.get_secret_value() if isinstance(key, SecretStr) else key
    if isinstance(plain, str) and plain.strip().lower() in ("", _SCHEME.strip().lower()):
        return "", "is empty; give LangCache(api_key=...) or set LANGCACHE_API_KEY"
    problem = header_value_problem(plain)
    if problem is not None:
        return "", problem
    return (plain if plain.lower().startswith(_SCHEME.lower()) else _SCHEME + plain), None


@hookimpl
def langcache_attempt_middleware(settings: Settings) -> Middleware:
    """Send the client's key."""
    return BearerAuth(settings.api_key, required=settings.is_http)
