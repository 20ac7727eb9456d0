"""The chain: each line holds the hash of the line before it, byte by byte."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from pydantic import SecretStr

from langcache.audit import Chain, Head
from langcache.audit.chain import START, Link, link_of
from tests.audit.recording import KEY, record

CHAINS = pytest.mark.parametrize("chain", [Chain(), Chain(KEY), Chain(SecretStr("another key, which is a string"))])


@CHAINS
def test_a_line_is_its_record_with_its_place(chain: Chain) -> None:
    first, head = chain.link(record(1).json(), START)
    second, last = chain.link(record(2).json(), head)
    members = json.loads(second)
    assert {name: members[name] for name in record(2).as_dict()} == record(2).as_dict()
    assert list(members)[-3:] == ["seq", "previous", "hash"]
    assert (head.seq, last.seq) == (1, 2)
    assert link_of(first) == Link(1, "0" * 64, head.hash)
    assert link_of(second) == Link(2, head.hash, last.hash)
    assert chain.is_genuine(first)
    assert chain.is_genuine(second)


def test_the_hash_is_that_of_the_line_without_its_last_member() -> None:
    """As other languages can compute it with a few lines."""
    line, head = Chain().link('{"a":1}', START)
    body = b'{"a":1,"seq":1,"previous":"' + b"0" * 64 + b'"}'
    assert line == body[:-1] + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}'
    assert Chain(KEY).link('{"a":1}', START)[1].hash == hmac.new(KEY, body, hashlib.sha256).hexdigest() != head.hash


@CHAINS
def test_no_byte_can_be_another_one(chain: Chain) -> None:
    line, _ = chain.link('{"actor":"ann"}', START)
    for position in range(len(line)):
        altered = bytearray(line)
        altered[position] ^= 1
        assert not chain.is_genuine(bytes(altered)), position
    assert not any(chain.is_genuine(line[:length]) for length in range(len(line)))
    assert not chain.is_genuine(line + b" ")
    assert not chain.is_genuine(b" " + line)


def test_only_who_has_the_key_can_tell() -> None:
    line, _ = Chain(KEY).link("{}", START)
    assert not Chain().is_genuine(line)
    assert not Chain(KEY + b"!").is_genuine(line)
    assert (Chain().is_keyed, Chain(KEY).is_keyed) == (False, True)


NO_OBJECTS = [b"", b"{", b"[]", b"7", b"null", b'"x"', b"\xff", b"[" * 100_000, b'{"seq":' + b"9" * 9_999]


@pytest.mark.parametrize("line", NO_OBJECTS, ids=range(len(NO_OBJECTS)))
def test_what_is_no_object_is_no_record(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        link_of(line)


@pytest.mark.parametrize("seq", ["0", "-1", "true", "1.0", '"1"', "null", str(2**63 + 1)])
def test_a_place_that_is_none_is_none(seq: str) -> None:
    assert link_of(b'{"seq":' + seq.encode() + b',"previous":"a","hash":"b"}') is None
    assert link_of(b'{"seq":1,"previous":"a","hash":"b"}') == Link(1, "a", "b")
    assert link_of(b'{"seq":1,"previous":7,"hash":"b"}') is None
    assert link_of(b'{"seq":1,"previous":"a"}') is None
    assert link_of(record().json().encode()) is None


def test_a_chain_that_has_no_record_yet_ends_before_the_first() -> None:
    assert Head(0, "0" * 64) == START
