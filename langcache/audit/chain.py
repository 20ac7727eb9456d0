"""The chain: each line of an audit file holds the hash of the line before it, so that none can be changed unseen.

    {...,"seq":1,"previous":"000...","hash":"3fa..."}
    {...,"seq":2,"previous":"3fa...","hash":"c07..."}

1. A record's hash is that of its line as it stands, byte by byte, without the last member: ``{...,"seq":1,"previous":
   "000..."}``. It is SHA-256, or HMAC-SHA-256 where there is a key, in hexadecimal digits.
2. `seq` counts from 1, and `previous` of the first record is 64 zeros.
3. Without a key, whoever can write the file can compute the hashes of a file that suits him. With one he cannot, but he
   can still cut off the end: what a file ended with has to be known from elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import Any, Final, cast

from .records import Key, key_bytes

_DIGITS: Final = 64
_END = re.compile(rb',"hash":"([0-9a-f]{64})"\}')
_LARGEST: Final = 2**63
_END_LENGTH: Final = len(',"hash":""}') + _DIGITS


@dataclass(frozen=True)
class Head:
    """The end of a chain: the number of its last record and that one's hash."""

    seq: int
    hash: str


START: Final = Head(0, "0" * _DIGITS)
"""The end of a chain that has no record yet."""


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

    def link(self, record: str, head: Head) -> tuple[bytes, Head]:
        """Return the line of `record`, a JSON object, behind `head`, and the head that it is then."""
        seq = head.seq + 1
        body = f'{record[:-1]},"seq":{seq},"previous":"{head.hash}"}}'.encode()
        digest = self.digest(body)
        return body[:-1] + f',"hash":"{digest}"}}'.encode(), Head(seq, digest)

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
    return Link(seq, previous, digest) if isinstance(previous, str) and isinstance(digest, str) else None
