"""Contexts that follow their files, shared by all equal configurations of the process.

1. A context is replaced only where something has changed, so what is kept for each context stays bounded.
2. Files are looked at no more often than once in a reload interval, and by one thread; the others are not kept waiting.
3. What fails after there was a good context is logged once, and tried again after the interval.
4. Nothing here keeps a context alive: the configurations do, each of which holds the shared `LiveContext`.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import math
import os
import ssl
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Protocol, cast
from weakref import WeakValueDictionary

from ..errors import ConfigurationError
from ..logs import INFORM, WARN
from .context import make_context
from .files import Stamps, TLSFiles

if TYPE_CHECKING:  # it asks for what is here, and not the other way round
    from .config import TLSConfig


class Source(Protocol):
    """Where contexts come from."""

    def renewed(self) -> ssl.SSLContext | None:
        """Return a new context, or None where nothing has changed since the last; raises ConfigurationError."""
        ...


class FromFiles:
    """Makes contexts from a configuration and its files; `now` gives the time in seconds since 1970."""

    def __init__(self, config: TLSConfig, now: Callable[[], float] = time.time) -> None:
        self._config = config
        self._files = TLSFiles(config)
        self._now = now
        self._stamps: Stamps | None = None
        self._settled = False
        self._digest: bytes | None = None

    def renewed(self) -> ssl.SSLContext | None:
        """Return a new context where the files' contents have changed."""
        # Before anything is read: what changes meanwhile has other stamps the next time.
        now, stamps = self._now(), self._files.stamps()
        if self._settled and stamps == self._stamps:
            return None
        contents = self._files.read()
        digest = _digest(contents)
        context = None
        if digest != self._digest:
            context = make_context(self._config, contents, datetime.fromtimestamp(now, timezone.utc))
        self._stamps, self._settled, self._digest = stamps, stamps.settled(now), digest
        return context


def _digest(contents: dict[str, bytes]) -> bytes:
    """Return what tells these files from others; of a key nothing else is kept."""
    parts = (hashlib.sha256(part).digest() for item in contents.items() for part in (os.fsencode(item[0]), item[1]))
    return hashlib.sha256(b"".join(parts)).digest()


class FromCallable:
    """Asks the caller's callable for contexts."""

    def __init__(self, source: Callable[[], ssl.SSLContext]) -> None:
        self._source = source
        self._last: object = None

    def renewed(self) -> ssl.SSLContext | None:
        """Return the callable's context where it is another one than before."""
        try:
            context = cast("object", self._source())
        except Exception as error:  # the caller's code; its error is the cause of ours
            raise ConfigurationError(f"The callable ssl_context failed: {type(error).__name__}") from error
        if inspect.iscoroutine(context):
            context.close()  # or Python would warn that nobody awaited it
        if not hasattr(context, "wrap_bio"):
            raise ConfigurationError(
                f"The callable ssl_context must return an ssl.SSLContext, not {type(context).__name__}"
            )
        if context is self._last:
            return None
        self._last = context
        return cast("ssl.SSLContext", context)


class LiveContext:
    """The context that is in use now; `clock` gives seconds that only grow."""

    def __init__(self, source: Source, interval: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._interval = math.inf if interval is None else interval
        self._clock = clock
        self._context: ssl.SSLContext | None = None
        self._next_look = -math.inf
        self._told: set[str] = set()
        self.renew_lock()

    def renew_lock(self) -> None:
        """Forget who holds the lock: in a forked child that may be a thread which is not there."""
        self._lock = threading.Lock()

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection; raises ConfigurationError where there never was one."""
        context = self._context
        if context is not None and self._clock() < self._next_look:
            return context
        # Where there is one, another thread's look is not waited for.
        lock = self._lock
        if not lock.acquire(blocking=context is None):
            return cast("ssl.SSLContext", context)
        try:
            return self._looked()
        finally:
            lock.release()

    def _looked(self) -> ssl.SSLContext:
        now = self._clock()
        if self._context is not None and now < self._next_look:  # another thread has looked meanwhile
            return self._context
        if self._context is None:
            self._context = self._source.renewed()
        else:
            self._context = self._renewed() or self._context
        self._next_look = now + self._interval
        return cast("ssl.SSLContext", self._context)

    def _renewed(self) -> ssl.SSLContext | None:
        try:
            context = self._source.renewed()
        except ConfigurationError as error:
            if str(error) not in self._told:
                self._told.add(str(error))
                line = "TLS: what was loaded before stays in use, because a change cannot be: %s"
                WARN(line, error, event="tls_unusable", error=type(error).__name__)
            return None
        self._told.clear()
        if context is not None:
            INFORM("TLS: a change is loaded, and used for new connections", event="tls_reloaded")
        return context


_lock = threading.Lock()
_shared: WeakValueDictionary[TLSConfig, LiveContext] = WeakValueDictionary()


def shared(config: TLSConfig) -> LiveContext:
    """Return what equal configurations share; it is kept by those who hold it."""
    with _lock:
        live = _shared.get(config)
        if live is None:
            # A copy: the key must not hold what it is the key of, or that would never go.
            key = copy.copy(config)
            live = _shared[key] = _live(key)
        return live


def _live(config: TLSConfig) -> LiveContext:
    if config.ssl_context is not None:
        return LiveContext(
            FromCallable(cast("Callable[[], ssl.SSLContext]", config.ssl_context)), config.reload_interval
        )
    return LiveContext(FromFiles(config), config.reload_interval if TLSFiles(config) else None)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    for live in list(_shared.values()):
        live.renew_lock()


if hasattr(os, "register_at_fork"):  # Windows does not fork
    os.register_at_fork(after_in_child=_after_fork)
