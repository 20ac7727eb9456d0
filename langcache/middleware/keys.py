"""Keys: how a provider is asked for the API key, and what it gives is kept. Threads and tasks share all of this.

1. A bare key is one call's alone: the provider may decide by the caller. It is asked before each attempt.
2. A `Credential` is for all calls, until it expires or the service refuses it. Then one call asks for a new one, and
   the others wait for what comes of it. Such a question is a flight.
3. A flight lands with what the provider gives or raises. That the call which asks has no more time, or is cancelled, is
   its own matter: then another one asks; or, where the provider is in a thread that goes on, that is waited for.
4. A flight is waited for as long as it may take, and no longer: a provider may hang, an event loop be stopped, and an
   interrupt come where nothing can be tidied up. Then another call asks.
5. What a provider gives is hidden in a Secret before anybody else sees it, so that no frame of a traceback has it.
"""

from __future__ import annotations

import copy
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final

from ..credentials import Credential, KeyProvider
from ..errors import ConfigurationError, describe
from ..secret import Secret, revealed
from ..steps import Steps, Wait, perform, resolve

Key = Secret | None
Answer = Credential | Secret | None
"""What a provider gives, hidden."""

Landing = Future[Key | Exception]
"""What comes of a flight: a key, or the provider's failure, or None where nothing came of it that others can use."""


LONGEST_FLIGHT: Final = 30.0
"""How many seconds the calls that wait for a flight give it."""

REST: Final = 1.0
"""How many seconds the provider is left alone after the service has refused a key that it had just given."""


class Keys:
    """The keys of one provider, for one process; `clock` gives seconds.

    Where the provider has a method ``refresh``, that is asked after the service has refused a key. Where it has just
    given that key, it is not asked again for a while, and has no other one.
    """

    def __init__(self, provider: KeyProvider, clock: Callable[[], float]) -> None:
        # Of its class, and not of the object: a mock has whatever attribute it is asked for.
        refresh = getattr(type(provider), "refresh", None)
        self._provider = provider
        self._refresh: KeyProvider = getattr(provider, "refresh") if callable(refresh) else provider  # noqa: B009
        self._module, _, self._name = describe(provider).rpartition(".")
        self._clock = clock
        # Reentrant: a signal's handler or a finalizer may make a call while its own thread has it.
        self._lock = threading.RLock()
        self._key: Key = None
        self._expires: float | None = None
        self._flight: _Flight | None = None
        self._given_up: Key = None
        """The key that was refused just after the provider had given it."""
        self._rests_until = 0.0
        """Until when the provider is not asked for another one in its place."""
        self._is_shared = True
        """Whether the provider gives credentials, or it is not known yet what it gives."""

    def ask(self, refused: Key = None) -> Steps[Key]:
        """Return the key for an attempt, or for one after the service has `refused` a key."""
        while True:
            found = self._look(refused)
            if isinstance(found, Secret):
                return found
            if isinstance(found, _Flight):
                key = yield from self._lead(found, refused)
                if refused is not None and key == refused and self._is_shared:
                    self.give_up(key)
                return key
            landed: Key | Exception
            try:
                landed = yield from perform(found)
            except TimeoutError:  # the flight has taken too long: whoever sees that first is the next to ask
                continue
            if isinstance(landed, Exception):
                raise _copied(landed)
            if landed is not None:
                return landed

    def give_up(self, key: Key) -> None:
        """Take note that `key`, which the provider has just given, is refused too."""
        with self._lock:
            self._given_up, self._rests_until = key, self._clock() + REST

    def _look(self, refused: Key) -> Secret | _Flight | Wait:
        """Return the key that is kept, or the flight that the call is to make, or the wait for another call's."""
        with self._lock:
            now = self._clock()
            if refused is not None and refused == self._given_up and now < self._rests_until:
                return refused
            if any(flight.keys is self and not flight.has_landed for flight in _asking.get()):
                raise ConfigurationError("The key provider uses the client that waits for its key")
            if not self._is_shared:
                return _Flight(self, now)
            if self._key is not None and self._key != refused and not self._is_over():
                return self._key
            flight = self._flight
            if flight is not None and now >= flight.until:
                self._end(flight, None)
                flight = None
            if flight is None:
                self._flight = _Flight(self, now)
                return self._flight
            return Wait(flight.landing(), flight.until - now, thread=flight.loop)

    def _is_over(self) -> bool:
        return self._expires is not None and self._clock() >= self._expires

    def _lead(self, flight: _Flight, refused: Key) -> Steps[Key]:
        """Ask the provider, for all calls that wait for `flight`."""
        try:
            answer = yield from resolve(self._question(flight, refused))
        finally:
            self._leave(flight)
        return answer.key if isinstance(answer, Credential) else answer

    def _question(self, flight: _Flight, refused: Key) -> Callable[[], Any]:
        """Return what asks the provider, and lands `flight` with what comes of it, whether or not that is in time."""

        def ask() -> Any:
            if not self._enter(flight):
                return None  # the call that asked has gone before this began
            try:
                with flight.is_asked():
                    provided = self._call(refused)
                if inspect.isawaitable(provided):
                    return _Awaited(provided, partial(self._awaited, flight))
                provided = _hidden(provided)
                return self._land(flight, provided)
            except Exception as error:
                self._fail(flight, error)
                raise
            finally:
                self._leave(flight)

        async def ask_async() -> Answer:
            with flight.is_asked():
                provided = self._call(refused)
            return await self._awaited(flight, provided)

        question: Callable[[], Any] = ask
        if inspect.iscoroutinefunction(self._provider if refused is None else self._refresh):
            question = ask_async
            flight.loop = threading.get_ident()
        question.__module__, question.__qualname__ = self._module, self._name  # messages tell what is asked
        return question

    def _call(self, refused: Key) -> Any:
        return self._provider() if refused is None else self._refresh()

    async def _awaited(self, flight: _Flight, provided: Awaitable[Any]) -> Answer:
        flight.loop = threading.get_ident()
        try:
            with flight.is_asked():
                answer = _hidden(await provided)
            return self._land(flight, answer)
        except Exception as error:
            self._fail(flight, error)
            raise

    def _enter(self, flight: _Flight) -> bool:
        """Note that a thread is in the provider; say False where nobody waits for what comes of it any more.

        Who has asked still does where the others have given the flight up.
        """
        with self._lock:
            if not flight.holders:
                return False
            flight.holders += 1
            return True

    def _leave(self, flight: _Flight) -> None:
        """Take one holder from `flight`; where that was the last, and brought nothing, nothing will come of it."""
        with self._lock:
            flight.holders -= 1
            if not flight.holders:
                self._end(flight, None)

    def _land(self, flight: _Flight, answer: Answer | type) -> Answer:
        """End `flight` with the provider's answer, and return that; raises ConfigurationError where it is none."""
        if isinstance(answer, type):
            raise ConfigurationError(f"The API key must be a string, not {answer.__name__}")
        with self._lock:
            if not flight.has_landed:
                self._is_shared = isinstance(answer, Credential)
                self._end(flight, self._keep(answer) if isinstance(answer, Credential) else None)
        return answer

    def _keep(self, credential: Credential) -> Secret:
        milliseconds = credential.expires_in_ms
        self._key = credential.key
        self._expires = None if milliseconds is None else self._clock() + milliseconds / 1000
        return credential.key

    def _fail(self, flight: _Flight, error: Exception) -> None:
        """End `flight` with the provider's failure, which is that of all who wait."""
        with self._lock:
            self._end(flight, error)

    def _end(self, flight: _Flight, landed: Key | Exception) -> None:
        """End `flight`, where it has not ended; the lock is held."""
        if self._flight is flight:
            self._flight = None
        flight.land(landed)


class _Flight:
    """A question to the provider, for the call that asks it and for others that wait; the lock of `Keys` guards it.

    It is held by the call that asks, and by a thread that is in the provider: by whoever can still bring an answer.
    """

    def __init__(self, keys: Keys, now: float) -> None:
        self.keys = keys
        self.until = now + LONGEST_FLIGHT
        self.holders = 1
        self.loop: int | None = None
        """The thread whose event loop awaits the provider."""
        self.has_landed = False
        self._landing: Landing | None = None

    @contextmanager
    def is_asked(self) -> Generator[None, None, None]:
        """Mark the context of what is done meanwhile: the provider, and what it calls, awaits and begins."""
        before = _asking.get()
        _asking.set((*before, self))
        try:
            yield
        finally:
            # Not by its token: a coroutine may be closed in another context than the one it ran in.
            _asking.set(before)

    def landing(self) -> Landing:
        """Return the future of what comes of it, which no call that waits for it can cancel."""
        if self._landing is None:  # made for the first that waits: most often nobody does
            self._landing = Future()
            self._landing.set_running_or_notify_cancel()
        return self._landing

    def land(self, landed: Key | Exception) -> None:
        """Tell those who wait what has come of it; a second time does nothing."""
        if self._landing is not None and not self.has_landed:
            self._landing.set_result(_copied(landed) if isinstance(landed, Exception) else landed)
        self.has_landed = True


_asking: ContextVar[tuple[_Flight, ...]] = ContextVar("langcache_asking", default=())
"""The flights whose provider this is done for. One that has landed may still be there, and counts no more."""


class _Awaited:
    """What an awaitable of the provider's gives, read by `read`; it can be closed, as a coroutine can."""

    def __init__(self, provided: Awaitable[Any], read: Callable[[Awaitable[Any]], Coroutine[Any, Any, Answer]]) -> None:
        self._provided = provided
        self._read = read

    def __await__(self) -> Generator[Any, Any, Answer]:
        return self._read(self._provided).__await__()

    def close(self) -> None:
        """Close what is not awaited, or Python warns that it never was."""
        if inspect.iscoroutine(self._provided):
            self._provided.close()


def _hidden(provided: object) -> Answer | type:
    """Return what a provider gave as a secret, or its type where it is no key.

    That is no error yet: the traceback of one that is raised here would hold this frame, and with it the key.
    """
    if provided is None or isinstance(provided, Credential):
        return provided
    plain = revealed(provided)
    return Secret(plain) if isinstance(plain, str) else type(provided)


def _copied(error: Exception) -> Exception:
    """Return a copy of the provider's failure without its traceback, or the failure itself where it has no copies.

    What one call notes on it is not another's, nor is another's what the frames of that call hold, such as its prompt.
    """
    try:
        copied = copy.copy(error)
    except Exception:  # noqa: BLE001 - whatever a stranger's exception does where it is copied
        return error
    if type(copied) is not type(error):
        return error
    copied.__cause__, copied.__suppress_context__ = error.__cause__, error.__suppress_context__
    return copied
