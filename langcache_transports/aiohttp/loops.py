"""A session for each event loop, which ends with it.

A session is held by its event loop, through a timer that is never due, and by nothing else: so no loop is kept alive,
and a loop that is closed drops its session, which closes its connections. Where the loop is ended in good order, as
`asyncio.run` does, it finalises an asynchronous generator first, and that closes them while the loop still runs. With
uvloop the latter is needed: it warns of what is open when it is closed, before anyone can do anything about it.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import weakref
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

import aiohttp

from langcache.processes import PerProcess

from .connections import Connector
from .limits import Limits

_NEVER = 100 * 365 * 24 * 3600.0  # seconds


class Home:
    """The session of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connector: Connector, session: aiohttp.ClientSession) -> None:
        self.connector = connector
        self.session = session
        self.limits = Limits(loop)
        self.lifetime: AsyncGenerator[None, None] | None = None
        self._process = os.getpid()
        # The context is empty, because that of the first caller would live as long as the loop.
        anchor = loop.call_later(_NEVER, self.__class__._stay, self, context=contextvars.Context())
        self._anchor = weakref.ref(anchor)  # weak, or this would be a reference cycle and not end with the loop

    def _stay(self) -> None:
        """Do nothing: it is for the reference."""

    async def live(self) -> None:
        """Have the running loop close the session when it finalises its asynchronous generators."""
        self.lifetime = _lifetime(self.connector, self.session)
        await self.lifetime.__anext__()

    @property
    def closed(self) -> bool:
        """Whether the session is closed."""
        return self.session.closed

    def shut(self) -> None:
        """Close the connections, in the loop's thread; asyncio carries it out in the loop's next turns."""
        self.connector.shut()
        self.limits.expire()
        self._end()

    def _end(self) -> None:
        self.session.detach()
        lifetime, self.lifetime = self.lifetime, None
        if lifetime is not None:
            with suppress(StopIteration, RuntimeError):  # it is at its end, or the loop is just finalising it
                lifetime.aclose().__await__().send(None)
        self.limits.end()
        anchor = self._anchor()
        if anchor is not None:
            anchor.cancel()

    def __del__(self) -> None:
        """Close what the loop left open when it was closed."""
        if self._process == os.getpid():
            self.connector.abandon()
        else:  # a forked child: to touch the loop's poll object would be to touch the parent's
            self.connector.disown()
        self._end()


async def _lifetime(connector: Connector, session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        busy = connector.shut()
        session.detach()
        if busy:  # asyncio closes a socket in the turn after the one in which it is asked to
            await asyncio.sleep(0)
            await asyncio.sleep(0)


Make = Callable[[asyncio.AbstractEventLoop], tuple[Connector, aiohttp.ClientSession]]


class _Known:
    """The sessions of one process, by their event loops."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.homes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[Home]] = (
            weakref.WeakKeyDictionary()
        )


class Homes:
    """The sessions of all event loops in this process."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._known = PerProcess(_Known)  # a forked child must not speak on its parent's connections

    def known(self) -> Home | None:
        """Return the running loop's session, if it has one that is open."""
        known = self._known.get().homes.get(asyncio.get_running_loop())
        home = None if known is None else known()
        return None if home is None or home.closed else home

    async def opened(self) -> Home:
        """Open a session for the running loop."""
        loop = asyncio.get_running_loop()
        home = Home(loop, *self._make(loop))
        known = self._known.get()
        if loop not in known.homes:  # a loop that has closed a session may be about to end, and take no more generators
            await home.live()
        with known.lock:
            known.homes[loop] = weakref.ref(home)
        return home

    def close(self) -> None:
        """Close all sessions: the running loop's at once, and others when their loop takes its next turn."""
        mine = self._known.get()
        with mine.lock:
            homes = list(mine.homes.items())
        for loop, known in homes:
            if loop is _running_loop():
                _shut(known)
            else:
                with suppress(RuntimeError):  # the loop was closed, and its session with it
                    loop.call_soon_threadsafe(_shut, known, context=contextvars.Context())


def _shut(known: weakref.ref[Home]) -> None:
    home = known()
    if home is not None:
        home.shut()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
