"""A server of searches whose answers tell whose they are, and which waits for what a prompt says."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress

from langcache_transports.testing import Connection, FaultServer, faults

_LONGEST_WAIT = 60.0  # seconds


class Answering:
    """A conversation for `FaultServer`: every search finds one entry, whose prompt is the one that was asked for.

    Some prompts mean more to it:

    - ``gather COUNT ...`` is answered when that many of them are waiting, all at the same time;
    - ``hold ...`` gets the head of an answer and nothing more, until the caller hangs up, and then the rest;
    - ``held COUNT ...`` is answered when that many are held, and ``left COUNT ...`` when as many callers have hung up.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._gathered = 0
        self._held = 0
        self._left = 0

    def __call__(self, connection: Connection) -> None:
        """Serve one connection."""
        while (request := connection.request()) is not None:
            prompt: str = json.loads(request.content or b"{}")["prompt"]
            verb, _, count = prompt.partition(" ")
            if verb == "hold":
                self._hold(connection, prompt)
                return
            if verb == "gather":
                self._gather(int(count.partition(" ")[0]))
            elif verb == "held":
                self._wait_for(lambda: self._held, int(count))
            elif verb == "left":
                self._wait_for(lambda: self._left, int(count))
            connection.send(answer_to(prompt))

    def _gather(self, count: int) -> None:
        with self._changed:
            self._gathered += 1
            self._changed.notify_all()
            wanted = -(-self._gathered // count) * count
            assert self._changed.wait_for(lambda: self._gathered >= wanted, _LONGEST_WAIT), "the others did not come"

    def _hold(self, connection: Connection, prompt: str) -> None:
        answer = answer_to(prompt)
        connection.send(answer[:-10])
        with self._changed:
            self._held += 1
            self._changed.notify_all()
        with suppress(OSError):  # what the caller had not read when it hung up makes it a reset
            connection.hold()
        with self._changed:
            self._left += 1
            self._changed.notify_all()
        connection.send(answer[-10:])  # to a connection that is closed, or to one that somebody else uses

    def _wait_for(self, number: Callable[[], int], count: int) -> None:
        with self._changed:
            happened = self._changed.wait_for(lambda: number() >= count, _LONGEST_WAIT)
            assert happened, "what this request waits for did not happen"


def answer_to(prompt: str) -> bytes:
    """Return the answer to a search for `prompt`, as bytes of HTTP."""
    entry: dict[str, object] = {
        "id": "1",
        "prompt": prompt,
        "response": "r",
        "attributes": {},
        "similarity": 1,
        "searchStrategy": "exact",
    }
    return faults.response(json.dumps({"data": [entry]}).encode())


def answering(ssl_context: ssl.SSLContext | None = None) -> FaultServer:
    """Return such a server, to be started."""
    return FaultServer(Answering(), ssl_context=ssl_context)
