"""Verification: reads the lines of chained audit files, and tells what is altered, missing, reordered or no record."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from ..errors import ConfigurationError
from .chain import Chain, Head, HeadAlteredError, Kept, Link, OtherKeyError, head_path, link_of, unpacked
from .descriptors import followed, in_order, written_to

MOST_FINDINGS: Final = 100
"""How many findings are kept; further ones are counted."""

Problem = Literal["altered", "missing", "reordered", "not JSON", "not chained", "another chain"]


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
    """The number and the hash of the last one, and the chain's id; None where there is none."""
    problems: int = 0
    """How many things are wrong."""
    findings: tuple[Finding, ...] = field(default=(), repr=False)
    """The first of them, 100 at the most."""
    warnings: tuple[str, ...] = ()
    """What could not be looked at, so that something may be wrong unseen."""

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
    expect_chain: str | None = None,
) -> Verification:
    """Verify audit files as one chain; raises OSError where one cannot be read, ConfigurationError where there is none.

    Files that were put aside are read in the order in which they were written; others as they are given, the oldest
    first. Where the head of the last file stands beside it, as its writers left it, that says how the chain begins and
    ends; where it does not, that is a warning. Where only files that were put aside are given, the end is not looked
    at, unless the file that they were written as is gone: then they are all there is.

    Without it, the chain must begin with the first record there ever was, or, with `after`, behind the record of that
    hash, which older files end with. What it ends with, only `expect_last`, a hash, or `expect_records`, a number, can
    show then, and which chain it is, only `expect_chain`, its id.
    """
    chain = chain or Chain()
    paths = in_order([Path(file) for file in files])
    if not paths:
        raise ConfigurationError(
            "files must name one audit file at least; where a pattern found none, see its directory"
        )
    last = paths[-1]
    origin = written_to(last)
    # Before the lines: what is appended meanwhile is behind it.
    found = _find_head(followed(origin), chain)
    verifier = Verifier(chain, after, found.kept)
    for path in paths:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                verifier.read(str(path), number, line.removesuffix(b"\n"))
    # After the lines: a writer that puts a file aside has a new one by now.
    verifier.compare(str(last), found, is_end=origin == last or not origin.exists())
    return verifier.finish(expect_last, expect_records, expect_chain)


@dataclass(frozen=True)
class FoundHead:
    """What there is of the head of an audit file; with a `problem` or a `warning`, it cannot be relied on."""

    kept: Kept | None = None
    problem: str | None = None
    warning: str | None = None


def _find_head(path: Path, chain: Chain) -> FoundHead:
    if not path.name:
        return FoundHead()  # it is a directory, which whoever opens it is told
    head = head_path(path)
    try:
        content = head.read_bytes()
        if not content:  # it was created, and its writer could not go on
            raise FileNotFoundError
        return FoundHead(unpacked(content, path, chain))
    except (HeadAlteredError, OtherKeyError) as error:
        return FoundHead(problem=str(error))
    except OSError as error:
        reason = "is not there" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        return FoundHead(
            warning=f"the head {str(head)!r} {reason}: whether records are missing at the end is not known"
        )


@dataclass
class _Gap:
    """Records that are not where they should be: `count` of those from `first` to `last`."""

    first: int
    last: int
    count: int
    where: tuple[int, str, int]


class Verifier:
    """Reads lines one by one, in their order; it keeps no more of them than what is wrong."""

    def __init__(self, chain: Chain, after: str | None = None, kept: Kept | None = None) -> None:
        self._chain = chain
        self._after = after
        self._begin = None if kept is None else kept.begin
        self._known = {} if kept is None else {head.seq: head for head in (kept.begin, kept.head) if head is not None}
        """Records of which the head says what their hashes are."""
        self._head: Head | None = None
        """The last record that is as it was written, or what stands before the first one."""
        self._damaged = 0
        """How many lines there are since then: each may have been a record, and it is not known which."""
        self._records = 0
        self._gaps: list[_Gap] = []
        self._findings: list[tuple[tuple[int, str, int], Problem, str]] = []
        self._warnings: list[str] = []
        self._problems = 0
        self._where = (0, "", 0)

    def read(self, file: str, number: int, line: bytes) -> None:
        """Read the line of that number, without its line break."""
        order, last_file, _ = self._where
        self._where = (order + (file != last_file or number == 1), file, number)
        try:
            link = link_of(line)
        except ValueError:
            self._find_damaged("not JSON", f"the line of {len(line)} bytes is no JSON object")
            return
        if link is None:
            self._find_damaged("not chained", "the record has no seq, previous and hash")
            return
        self._records += 1
        if self._chain.is_genuine(line):
            self._place(link)
        else:
            self._find_damaged("altered", f"record {link.seq} is not as it was written")

    def _place(self, link: Link) -> None:
        head = self._head or self._before(link)
        if link.seq <= head.seq:
            self._find_late(link.seq)
            return
        between = link.seq - 1 - head.seq
        if between > self._damaged:
            self._gaps.append(_Gap(head.seq + 1, link.seq - 1, between - self._damaged, self._where))
        elif not between and link.previous != head.hash:
            where = f"was not written behind record {head.seq} as that is now" if head.seq else "does not begin a chain"
            self._find("altered", f"record {link.seq} {where}")
        else:
            if self._head is None:  # what is before the first line is only known from that
                self._compare_known(Head(link.seq - 1, link.previous, link.chain))
            self._compare_known(Head(link.seq, link.hash, head.chain or link.chain))
        self._damaged = 0
        self._head = Head(link.seq, link.hash, head.chain or link.chain)

    def _compare_known(self, shown: Head) -> None:
        """Compare a record with what the head says of it, which is asked for each record once."""
        known = self._known.pop(shown.seq, None)
        if (
            known is None or known.hash == shown.hash or _are_others(known, shown)
        ):  # the last of which is told at the end
            return
        self._find("another chain", f"record {known.seq} is not the one that the head knows")

    def _before(self, link: Link) -> Head:
        """Return what is to stand before the first record, which is `link`."""
        behind = Head(link.seq - 1 - self._damaged, link.previous)
        if self._after is not None:
            if not self._damaged and link.previous != self._after:
                self._find("missing", f"record {link.seq} does not follow the record {self._after}")
            return behind
        if link.seq == 1:
            return self._chain.start(link.chain or "none")
        if self._begin is None:
            return Head(0, "")
        # What is older than the last record that was deleted may be there or not.
        return behind if link.seq <= self._begin.seq else self._begin

    def _find_late(self, seq: int) -> None:
        """Take note of a record that stands behind a later one."""
        index = bisect_right(self._gaps, seq, key=lambda gap: gap.first) - 1
        if index >= 0 and seq <= self._gaps[index].last and self._gaps[index].count:
            self._gaps[index].count -= 1
            self._find("reordered", f"record {seq} stands behind a later one")
        else:
            self._find("reordered", f"record {seq} stands here again, or in the place of another one")

    def compare(self, file: str, found: FoundHead, is_end: bool) -> None:
        """Compare what was read, which ends with `file`, with the head that the chain's writers left.

        Without `is_end` there is more behind it, which was not read, and nothing says that there has to be a head.
        """
        order, where, _ = self._where
        if where != file:  # there is no line in it
            self._where = (order + 1, file, 0)
        if found.problem is not None:
            self._find("altered", found.problem)
        if is_end and found.warning is not None and (self._records or not self._problems):
            self._warnings.append(found.warning)
        if found.kept is not None:
            self._compare(found.kept.head, is_end)

    def _compare(self, head: Head, is_end: bool) -> None:
        last = self._head or Head(0, "")
        seen = last.seq + self._damaged
        if _are_others(last, head):
            self._find("another chain", f"the records are of the chain {last.chain}, and the head is of {head.chain}")
        elif is_end and seen < head.seq:
            self._find("missing", f"{_which(seen + 1, head.seq)} missing behind this line")
        elif last.seq > head.seq and head.seq in self._known and not (self._problems or self._gaps):
            self._find("another chain", f"the records do not follow record {head.seq}, which the head knows")

    def finish(
        self, expect_last: str | None = None, expect_records: int | None = None, expect_chain: str | None = None
    ) -> Verification:
        """Return what was found, in the order of the lines."""
        for gap in self._gaps:
            if gap.count:
                self._find("missing", _missing(gap), gap.where)
        last = self._head
        if expect_last is not None and (last is None or last.hash != expect_last):
            ended = "there is no record" if last is None else f"the last record, {last.seq}, has the hash {last.hash}"
            self._find("missing", f"{ended}, and not {expect_last}")
        if expect_records is not None and self._records != expect_records:
            self._find("missing", f"there are {self._records} records, and not {expect_records}")
        if expect_chain is not None and (last is None or last.chain != expect_chain):
            identity = "there is no record" if last is None else f"the chain is {last.chain or 'not known'}"
            self._find("another chain", f"{identity}, and not {expect_chain}")
        findings = sorted(self._findings)[:MOST_FINDINGS]
        shown = tuple(Finding(file, line, problem, text) for (_, file, line), problem, text in findings)
        return Verification(self._records, last, self._problems, shown, tuple(self._warnings))

    def _find_damaged(self, problem: Problem, text: str) -> None:
        self._damaged += 1
        self._find(problem, text)

    def _find(self, problem: Problem, text: str, where: tuple[int, str, int] | None = None) -> None:
        self._problems += 1
        if where is not None or len(self._findings) < MOST_FINDINGS:
            self._findings.append((where or self._where, problem, text))


def _are_others(one: Head, other: Head) -> bool:
    """Say whether both are known to be of different chains."""
    return one.chain is not None and other.chain is not None and one.chain != other.chain


def _missing(gap: _Gap) -> str:
    size = gap.last - gap.first + 1
    if gap.count == size:
        return f"{_which(gap.first, gap.last)} missing before this line"
    verb = "is" if gap.count == 1 else "are"
    return f"{gap.count} of the records {gap.first} to {gap.last} {verb} missing before this line"


def _which(first: int, last: int) -> str:
    return f"record {first} is" if first == last else f"records {first} to {last} are"
