"""What goes wrong with exchanges, one after another, as a seed says."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

SHARE: Final = 0.3
"""Which share of the requests is hit."""

_LONGEST_BURST: Final = 20
"""How many requests on end are answered 503 at the most; half as many on average."""


class Answer(NamedTuple):
    """An answer as it should be; without a body, its status is one that has none."""

    head: bytes
    """The status line and the headers, but for those that say how long the body is."""
    body: bytes | None

    @property
    def whole(self) -> bytes:
        """All of its bytes."""
        return self.head + b"\r\n\r\n" if self.body is None else self._with(self._length, self.body)

    @property
    def within_headers(self) -> bytes:
        """Half of the head."""
        return self.head[: len(self.head) // 2]

    @property
    def within_body(self) -> bytes:
        """The head, and half of the body, which the head promises whole."""
        return self.within_headers if self.body is None else self._with(self._length, self._half)

    @property
    def within_chunks(self) -> bytes:
        """The head, and half of the body in a chunk, without the chunk that would be the last."""
        if self.body is None:
            return self.within_headers
        return self._with(b"Transfer-Encoding: chunked", b"%x\r\n%b\r\n" % (len(self._half), self._half))

    @property
    def without_length(self) -> bytes:
        """The head, and half of the body, whose end is that of the connection."""
        return self.within_headers if self.body is None else self._with(b"Connection: close", self._half)

    @property
    def _length(self) -> bytes:
        return b"Content-Length: %d" % len(self.body or b"")

    @property
    def _half(self) -> bytes:
        body = self.body or b""
        return body[: len(body) // 2]

    def _with(self, header: bytes, body: bytes) -> bytes:
        return b"%b\r\n%b\r\n\r\n%b" % (self.head, header, body)


class Wire(Protocol):
    """The server's end of a connection."""

    def send(self, data: bytes) -> None:
        """Send these bytes."""

    def later(self, seconds: float, deed: Callable[[], None]) -> None:
        """Do that after so many seconds, if the connection is still open then."""

    def close(self) -> None:
        """End the connection."""

    def reset(self) -> None:
        """Break the connection."""


Deed = Callable[[Wire, Answer], None]
"""What is done instead of answering, or to answer."""


class Fault(NamedTuple):
    """A deed, and its name."""

    name: str
    commit: Deed


def fair(wire: Wire, answer: Answer) -> None:
    """Answer as it should be."""
    wire.send(answer.whole)


def _reset(part: Callable[[Answer], bytes]) -> Deed:
    def commit(wire: Wire, answer: Answer) -> None:
        wire.send(part(answer))
        wire.reset()

    return commit


def _reset_behind(wire: Wire, answer: Answer) -> None:
    wire.send(answer.whole)
    wire.later(0.001, wire.reset)


def _cut(part: Callable[[Answer], bytes]) -> Deed:
    def commit(wire: Wire, answer: Answer) -> None:
        wire.send(part(answer))
        wire.close()

    return commit


def _late(seconds: float) -> Deed:
    return lambda wire, answer: wire.later(seconds, lambda: wire.send(answer.whole))


def _dripping(wire: Wire, answer: Answer) -> None:
    """Send a byte every 20 ms."""
    whole = answer.whole

    def drip(position: int) -> None:
        wire.send(whole[position : position + 1])
        if position + 1 < len(whole):
            wire.later(0.02, lambda: drip(position + 1))

    drip(0)


def _busy(*headers: bytes) -> Deed:
    """Answer 503 with these headers more, and the others of the answer."""
    body = b'{"title":"Unavailable","status":503,"type":"/errors/unavailable"}'

    def commit(wire: Wire, answer: Answer) -> None:
        _, _, others = answer.head.partition(b"\r\n")
        wire.send(Answer(b"\r\n".join((b"HTTP/1.1 503 Service Unavailable", *headers, others)), body).whole)

    return commit


_RESETS = (
    Fault("reset before the answer", _reset(lambda _: b"")),
    Fault("reset within the headers", _reset(lambda answer: answer.within_headers)),
    Fault("reset within the body", _reset(lambda answer: answer.within_body)),
    Fault("reset behind the answer", _reset_behind),
)
_CUTS = (
    Fault("body cut", _cut(lambda answer: answer.within_body)),
    Fault("chunks cut", _cut(lambda answer: answer.within_chunks)),
    Fault("body without a length cut", _cut(lambda answer: answer.without_length)),
)
_BUSY = (
    Fault("503", _busy()),
    Fault("503 with Retry-After of 50 ms", _busy(b"Retry-After-Ms: 50")),
    Fault("503 with Retry-After of 1 s", _busy(b"Retry-After: 1")),
)
OUTAGE: Final = _BUSY[0]


def storm(seed: int) -> Iterator[Fault | None]:
    """Give what becomes of each request: a fault, or None for a good answer."""
    chance = random.Random(seed)  # noqa: S311 - it is to be the same every time
    shares = {
        _good: 1 - SHARE,
        _one_of(_RESETS): SHARE * 0.25,
        _one_of(_CUTS): SHARE * 0.25,
        _slow: SHARE * 0.2,
        _burst: SHARE * 0.3 / (_LONGEST_BURST / 2),
    }
    while True:
        (event,) = chance.choices(list(shares), list(shares.values()))
        yield from event(chance)


def _good(chance: random.Random) -> list[Fault | None]:
    return [None]


def _one_of(faults: Sequence[Fault]) -> Callable[[random.Random], list[Fault | None]]:
    return lambda chance: [chance.choice(faults)]


def _slow(chance: random.Random) -> list[Fault | None]:
    kind = chance.random()
    if kind < 0.7:
        return [Fault("late by up to 300 ms", _late(chance.uniform(0.02, 0.3)))]
    if kind < 0.9:
        return [Fault("late by 600 to 1,200 ms", _late(chance.uniform(0.6, 1.2)))]
    return [Fault("dripping", _dripping)]


def _burst(chance: random.Random) -> list[Fault | None]:
    return [chance.choice(_BUSY)] * chance.randint(1, _LONGEST_BURST - 1)
