"""What the parts of the queue exchange: the policy, the entries of calls, those who ask for room, and what is told."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal, NamedTuple, Union

from ..workers import Reply
from .records import AuditRecord

WhenFull = Literal["block", "drop", "fail"]
"""What becomes of a call's records for which there is no room: it waits, they are lost, or they count as failed."""


@dataclass(frozen=True)
class Policy:
    """What is to be done where calls cannot be recorded; times are in seconds."""

    strict: bool = True
    """Whether a call without a record is an AuditError. Where it is not, nothing here raises or stops a call."""
    when_full: WhenFull = "block"
    size: int = 10_000
    """Of how many calls the records may wait, those included that have not ended."""
    wait: float = 1.0
    """How long a call waits at each of its ends, at the most."""
    vouched: float = 1.0
    """How long a strict audit takes a sink that worked for one that works."""
    confirms: bool = False
    """Whether each call waits until its records are written."""
    last: float = 5.0
    """How long the end of a process waits."""


@dataclass(frozen=True)
class AuditStats:
    """What became of the records of this process."""

    written: int
    dropped: int
    """Lost because the queue was full, where the policy is to drop."""
    failed: int
    """Lost because they could not be made, queued or written."""
    queued: int
    """Not yet written."""


class Entry:
    """A call's room in the queue, and its records when it has ended."""

    __slots__ = ("__weakref__", "confirms", "is_lost", "is_settled", "records", "replies", "was_refused")

    def __init__(self, confirms: bool = False) -> None:
        self.confirms = confirms
        """Whether the call has to wait until its records are written."""
        self.records: deque[AuditRecord] | None = None
        """What is not written yet; None until the call ends."""
        self.replies: list[Reply[BaseException | None]] = []
        """Who waits for what becomes of them: None when all are written, or the reason why one is not, or not yet."""
        self.is_settled = False
        """Whether its records are queued, or counted as lost."""
        self.is_lost = False
        """Whether one of its records was queued and is lost."""
        self.was_refused = False
        """Whether the sink did not take its first record alone."""

    def tell(self, error: BaseException | None) -> None:
        """Tell who waits."""
        while self.replies:
            self.replies.pop().tell(error)


Answer = Union[Entry, Literal["full", "closed"], BaseException]
"""What one who asks for room is told: it is taken, there is none, or why nothing can be written."""


class Asking(NamedTuple):
    """One who asks for room."""

    reply: Reply[Answer]
    waits: bool
    """Whether he waits for room where there is none."""
    sure: bool
    """Whether he has to know that the sink works."""
