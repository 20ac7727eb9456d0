"""What the parts of the queue exchange."""

from __future__ import annotations

from langcache.audit.entries import Entry
from langcache.workers import Reply


def test_who_waits_for_the_records_of_a_call_is_told_once() -> None:
    """Though the thread tells of each failure, and a reply is told once."""
    entry, first, second = Entry(), Reply[BaseException | None](), Reply[BaseException | None]()
    entry.replies += [first, second]
    error = LookupError()
    entry.tell(error)
    entry.tell(None)
    assert (first.result(), second.result()) == (error, error)
