"""Verification: reads the lines of chained audit files, and tells what is altered, missing, reordered or no record."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from .chain import START, Chain, Head, Link, link_of

MOST_FINDINGS: Final = 100
"""How many findings are kept; further ones are counted."""

Problem = Literal["altered", "missing", "reordered", "not JSON", "not chained"]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, and where it is seen; lines count from 1."""

    file: str
    line: int
    problem: Problem
    text: str


@dataclass(frozen=True)
class Verification:
    """What verifying found."""

    records: int
    """How many chained records there are."""
    last: Head | None
    """The number and the hash of the last one; None where there is none."""
    problems: int = 0
    """How many things are wrong."""
    findings: tuple[Finding, ...] = field(default=(), repr=False)
    """The first of them, 100 at the most."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(
    files: Iterable[str | os.PathLike[str]],
    chain: Chain | None = None,
    *,
    after: str | None = None,
    expect_last: str | None = None,
    expect_records: int | None = None,
) -> Verification:
    """Verify audit files, the oldest first, as one chain; raises OSError where one cannot be read.

    The chain must begin with the first record there ever was, or, with `after`, behind the record of that hash, which
    older files end with. What the files end with, only `expect_last`, a hash, or `expect_records`, a number, can show
    to be the end: that records were cut off is not seen otherwise.
    """
    verifier = Verifier(chain or Chain(), after)
    for file in files:
        with Path(file).open("rb") as lines:
            for number, line in enumerate(lines, 1):
                verifier.read(str(file), number, line.removesuffix(b"\n"))
    return verifier.finish(expect_last, expect_records)


@dataclass
class _Gap:
    """Records that are not where they should be: `count` of those from `first` to `last`."""

    first: int
    last: int
    count: int
    where: tuple[int, str, int]


class Verifier:
    """Reads lines one by one, in their order; it keeps no more of them than what is wrong."""

    def __init__(self, chain: Chain, after: str | None = None) -> None:
        self._chain = chain
        self._after = after
        self._head: Head | None = None if after is not None else START
        """The last record that is as it was written."""
        self._strange = 0
        """How many lines there are since then: each may have been a record, and it is not known which."""
        self._records = 0
        self._gaps: list[_Gap] = []
        self._findings: list[tuple[tuple[int, str, int], Problem, str]] = []
        self._problems = 0
        self._where = (0, "", 0)

    def read(self, file: str, number: int, line: bytes) -> None:
        """Read the line of that number, without its line break."""
        order, last_file, _ = self._where
        self._where = (order + (file != last_file or number == 1), file, number)
        try:
            link = link_of(line)
        except ValueError:
            self._find_strange("not JSON", f"the line of {len(line)} bytes is no JSON object")
            return
        if link is None:
            self._find_strange("not chained", "the record has no seq, previous and hash")
            return
        self._records += 1
        if self._chain.is_genuine(line):
            self._place(link)
        else:
            self._find_strange("altered", f"record {link.seq} is not as it was written")

    def _place(self, link: Link) -> None:
        head = self._head
        if head is None:  # the first record behind those of other files
            if not self._strange and link.previous != self._after:
                self._find("missing", f"record {link.seq} does not follow the record {self._after}")
            head = Head(link.seq - 1 - self._strange, link.previous)
        if link.seq <= head.seq:
            self._find_late(link.seq)
            return
        between = link.seq - 1 - head.seq
        if between > self._strange:
            self._gaps.append(_Gap(head.seq + 1, link.seq - 1, between - self._strange, self._where))
        elif not between and link.previous != head.hash:
            self._find("altered", f"record {link.seq} was not written behind record {head.seq} as that is now")
        self._strange = 0
        self._head = Head(link.seq, link.hash)

    def _find_late(self, seq: int) -> None:
        """Take note of a record that stands behind a later one."""
        index = bisect_right(self._gaps, seq, key=lambda gap: gap.first) - 1
        if index >= 0 and seq <= self._gaps[index].last and self._gaps[index].count:
            self._gaps[index].count -= 1
            self._find("reordered", f"record {seq} stands behind a later one")
        else:
            self._find("reordered", f"record {seq} stands here again, or in the place of another one")

    def finish(self, expect_last: str | None = None, expect_records: int | None = None) -> Verification:
        """Return what was found, in the order of the lines."""
        for gap in self._gaps:
            if gap.count:
                self._find("missing", _missing(gap), gap.where)
        last = self._head if self._records and self._head is not START else None
        if expect_last is not None and (last is None or last.hash != expect_last):
            ended = "there is no record" if last is None else f"the last record, {last.seq}, has the hash {last.hash}"
            self._find("missing", f"{ended}, and not {expect_last}")
        if expect_records is not None and self._records != expect_records:
            self._find("missing", f"there are {self._records} records, and not {expect_records}")
        findings = sorted(self._findings)[:MOST_FINDINGS]
        shown = tuple(Finding(file, line, problem, text) for (_, file, line), problem, text in findings)
        return Verification(self._records, last, self._problems, shown)

    def _find_strange(self, problem: Problem, text: str) -> None:
        self._strange += 1
        self._find(problem, text)

    def _find(self, problem: Problem, text: str, where: tuple[int, str, int] | None = None) -> None:
        self._problems += 1
        if where is not None or len(self._findings) < MOST_FINDINGS:
            self._findings.append((where or self._where, problem, text))


def _missing(gap: _Gap) -> str:
    size = gap.last - gap.first + 1
    if size == 1:
        return f"record {gap.first} is missing before this line"
    which = f"records {gap.first} to {gap.last}"
    if gap.count == size:
        return f"{which} are missing before this line"
    return f"{gap.count} of the {which} {'is' if gap.count == 1 else 'are'} missing before this line"
