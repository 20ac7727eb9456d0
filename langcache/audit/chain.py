"""The chain: each line of an audit file holds the hash of the line before it, so that none can be changed unseen.

    {...,"chain":"9b1...","seq":1,"previous":"e07...","hash":"3fa..."}
    {...,"seq":2,"previous":"3fa...","hash":"c07..."}

1. A record's hash is that of its line as it stands, byte by byte, without the last member: ``{...,"seq":2,"previous":
   "3fa..."}``. It is SHA-256, or HMAC-SHA-256 where there is a key, in hexadecimal digits.
2. `seq` counts from 1. Each chain has an id of its own, 32 random hexadecimal digits, which the first record holds as
   `chain`; its `previous` is the hash of ``langcache audit chain ID``. So no chain can be taken for another one.
3. Without a key, whoever can write the file can compute the hashes of a file that suits him. With one he cannot, but he
   can still cut off the end: what a file ended with has to be known from elsewhere.
4. The head - the end of the chain - stands in a small file beside the audit file, ``.audit.jsonl.head``, with a hash of
   its own, which is the lock of all writers too. It outlasts restarts, and files that were moved away. The audit file's
   own end is asked as well: a process that died may have written there, and not here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from ..errors import AuditError
from ..logs import WARN, Seldom
from .descriptors import SharedFile, first_line, last_line, rotated
from .records import Key, key_bytes

_DIGITS: Final = 64
_END = re.compile(rb',"hash":"([0-9a-f]{64})"\}')
_LARGEST: Final = 2**63
_END_LENGTH: Final = len(',"hash":""}') + _DIGITS


_SIZE: Final = 1024
"""How many bytes a head's file has: always the same, so that it is replaced by one write."""


@dataclass(frozen=True)
class Head:
    """The end of a chain: the number of its last record and that one's hash, and the chain's id."""

    seq: int
    hash: str
    chain: str | None = None
    """None where it is not known, because the first record was not read."""


class Chain:
    """Links records; with a `key`, 16 bytes or more, only who has it can make or check the hashes."""

    def __init__(self, key: Key | None = None) -> None:
        self._key = None if key is None else key_bytes("the key of Chain", key)

    @property
    def is_keyed(self) -> bool:
        """Whether the hashes are made with a key."""
        return self._key is not None

    def digest(self, body: bytes) -> str:
        """Return the hash of a line without its last member."""
        if self._key is None:
            return hashlib.sha256(body).hexdigest()
        return hmac.digest(self._key, body, "sha256").hex()

    def start(self, identity: str | None = None) -> Head:
        """Return the end of a chain that has no record yet, a new one or the one of that id."""
        identity = identity or os.urandom(16).hex()
        return Head(0, self.digest(f"langcache audit chain {identity}".encode()), identity)

    def link(self, record: str, head: Head) -> tuple[bytes, Head]:
        """Return the line of `record`, a JSON object, behind `head`, and the head that it is then."""
        seq = head.seq + 1
        identity = "" if head.seq else f',"chain":"{head.chain}"'
        body = f'{record[:-1]}{identity},"seq":{seq},"previous":"{head.hash}"}}'.encode()
        digest = self.digest(body)
        return body[:-1] + f',"hash":"{digest}"}}'.encode(), Head(seq, digest, head.chain)

    def is_genuine(self, line: bytes) -> bool:
        """Say whether the hash at the end of `line`, without its line break, is that of the rest."""
        end = _END.fullmatch(line, max(len(line) - _END_LENGTH, 0))
        return end is not None and hmac.compare_digest(
            self.digest(line[:-_END_LENGTH] + b"}"), end.group(1).decode("ascii")
        )


@dataclass(frozen=True)
class Link:
    """What a line says of its place in the chain, whether that is true or not."""

    seq: int
    previous: str
    hash: str
    chain: str | None = None
    """The chain's id, where it is the first record."""


def link_of(line: bytes) -> Link | None:
    """Return what `line` says of its place, or None where it is a JSON object that says nothing of it.

    Raises ValueError where it is no JSON object.
    """
    try:
        record: Any = json.loads(line)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(record, dict):
        raise ValueError("it is no object")
    members = cast("dict[str, object]", record)
    seq, previous, digest = members.get("seq"), members.get("previous"), members.get("hash")
    if isinstance(seq, bool) or not isinstance(seq, int) or not 0 < seq <= _LARGEST:
        return None
    if not isinstance(previous, str) or not isinstance(digest, str):
        return None
    identity = members.get("chain")
    return Link(seq, previous, digest, identity if seq == 1 and isinstance(identity, str) else None)


@dataclass(frozen=True)
class Kept:
    """What the file of a head holds."""

    head: Head
    begin: Head | None
    """The last record that was deleted because only so many files are kept; None where there is none."""
    state: list[int]
    """The state in which the audit file was then."""


class HeadAlteredError(ValueError):
    """A head is not as it was written, or was written for another file."""


class OtherKeyError(ValueError):
    """A head is of a chain with another key, or with none where there is one, or the other way."""


def head_path(path: Path) -> Path:
    """Return where the head of the audit file at `path` is."""
    return path.with_name(f".{path.name}.head")


def packed(kept: Kept, path: Path, chain: Chain) -> bytes:
    """Return what the file of the head of the audit file at `path` is to hold."""
    members: dict[str, object] = {
        "seq": kept.head.seq,
        "hash": kept.head.hash,
        "chain": kept.head.chain,
        "begin": None if kept.begin is None else [kept.begin.seq, kept.begin.hash],
        "state": kept.state,
        "key": chain.digest(_KEY_MARK),
    }
    members["proof"] = _proof(members, path, chain)
    return json.dumps(members, separators=(",", ":")).encode().ljust(_SIZE - 1) + b"\n"


def unpacked(content: bytes, path: Path, chain: Chain) -> Kept:
    """Return what the file of a head holds; raises HeadAlteredError or OtherKeyError."""
    try:
        members: dict[str, Any] = json.loads(content)
        proof = members.pop("proof")
        begin: Any = members["begin"]
        kept = Kept(
            Head(members["seq"], members["hash"], members["chain"]),
            None if begin is None else Head(begin[0], begin[1], members["chain"]),
            members["state"],
        )
        mark: object = members["key"]
        is_genuine = hmac.compare_digest(_proof(members, path, chain), proof)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise HeadAlteredError(f"the head in {str(head_path(path))!r} cannot be read") from error
    if mark != chain.digest(_KEY_MARK):
        raise OtherKeyError(f"the head in {str(head_path(path))!r} was written with another key, or with none")
    if not is_genuine:
        raise HeadAlteredError(
            f"the head in {str(head_path(path))!r} is not as it was written, or was written for another file"
        )
    return kept


_KEY_MARK: Final = b"langcache audit"
"""Its hash tells the key from another one, and tells nothing else of it."""


def _proof(members: Mapping[str, object], path: Path, chain: Chain) -> str:
    """Return the hash of a head, which is that of one file: another one's cannot take its place."""
    text = json.dumps(["langcache audit head", path.name, members], separators=(",", ":"))
    return chain.digest(text.encode())


class HeadFile:
    """The file that holds the head; it is read and written by whoever has its lock."""

    def __init__(self, path: Path, chain: Chain, mode: int) -> None:
        self.file = SharedFile(head_path(path), mode, os.O_RDWR)
        self._path = path
        self._chain = chain
        self._begin: Head | None = None
        self._seldom = Seldom()

    def read(self, log: SharedFile) -> Head:
        """Return the head that the next record of `log` is linked to; raises AuditError where that is not clear."""
        kept = self._kept()
        self._begin = None if kept is None else kept.begin
        if kept is not None and kept.state == log.state():
            return kept.head
        last = last_line(self._path)
        if last is None and kept is None:  # both files are new, or this one is lost
            older = rotated(self._path)
            last = last_line(older[-1]) if older else None
            if last is None:
                return self._chain.start()
        found = None if last is None else self._genuine(last)
        if kept is None:
            return self._without_head(found)
        if found is not None and found.seq > kept.head.seq and self._is_behind(kept.head):
            return Head(found.seq, found.hash, kept.head.chain)
        return kept.head  # where records behind it are gone, or are another chain's, the chain shows it

    def _is_behind(self, head: Head) -> bool:
        """Say whether the file has the record `head`, or begins with the one behind it: it is no other chain's."""
        with self._path.open("rb") as lines:
            for line in lines:
                link = self._genuine(line.removesuffix(b"\n"))
                if link is not None and (
                    (link.seq, link.hash) == (head.seq, head.hash)
                    or (link.seq - 1, link.previous) == (head.seq, head.hash)
                ):
                    return True
        return False

    def _without_head(self, found: Link | None) -> Head:
        if found is None:
            raise AuditError(
                f"The audit file {str(self._path)!r} does not end with a record of this chain: it was written without "
                "a chain or with another key, or was altered; begin a new file"
            )
        if self._seldom.turn() is not None:
            WARN(
                "The head of the audit file %r is gone or altered: whether records are missing at its end is not known",
                str(self._path),
                event="audit_head_missing",
                sink=str(self._path),
            )
        first = self._genuine(first_line([*rotated(self._path), self._path][0]))
        return Head(found.seq, found.hash, None if first is None else first.chain)

    def write(self, log: SharedFile, head: Head) -> None:
        """Keep `head`, which `log` ends with."""
        self._write(Kept(head, self._begin, log.state()))

    def begin_behind(self, deleted: Path) -> None:
        """Take note that files are deleted, of which this one is the last."""
        kept, line = self._kept(), last_line(deleted)
        link = None if line is None else self._genuine(line)
        if kept is not None and link is not None:
            self._write(Kept(kept.head, Head(link.seq, link.hash, kept.head.chain), kept.state))

    def _write(self, kept: Kept) -> None:
        descriptor = self.file.descriptor
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, packed(kept, self._path, self._chain))

    def _kept(self) -> Kept | None:
        """Return what the file holds, or None where that cannot be relied on."""
        descriptor = self.file.descriptor
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            return unpacked(os.read(descriptor, _SIZE), self._path, self._chain)
        except HeadAlteredError:
            return None  # then the audit file itself is asked, and that is told
        except OtherKeyError:
            raise AuditError(
                f"The chain of the audit file {str(self._path)!r} was begun with another key, or with none; begin a "
                "new file with this one"
            ) from None

    def _genuine(self, line: bytes) -> Link | None:
        try:
            link = link_of(line)
        except ValueError:
            return None
        return link if link is not None and self._chain.is_genuine(line) else None
