"""The chain: each line holds the hash of the line before it, and its head outlasts all that happens to files."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from langcache.audit import Chain, Head, JsonLinesFile, verify
from langcache.audit.chain import Link, link_of
from langcache.audit.descriptors import rotated
from langcache.errors import AuditError
from tests.audit.recording import KEY, record
from tests.middleware.stepping import fields_of

CHAINS = pytest.mark.parametrize("chain", [Chain(), Chain(KEY), Chain(SecretStr("another key, which is a string"))])


@CHAINS
def test_a_line_is_its_record_with_its_place(chain: Chain) -> None:
    start = chain.start()
    first, head = chain.link(record(1).json(), start)
    second, last = chain.link(record(2).json(), head)
    members = json.loads(second)
    assert {name: members[name] for name in record(2).as_dict()} == record(2).as_dict()
    assert list(members)[-3:] == ["seq", "previous", "hash"]
    assert (head.seq, last.seq) == (1, 2)
    assert json.loads(first)["chain"] == start.chain
    assert link_of(first) == Link(1, start.hash, head.hash, start.chain)
    assert link_of(second) == Link(2, head.hash, last.hash)
    assert chain.is_genuine(first)
    assert chain.is_genuine(second)


def test_the_hash_is_that_of_the_line_without_its_last_member() -> None:
    """As other languages can compute it with a few lines."""
    start = Chain().start("9" * 32)
    assert start.hash == hashlib.sha256(b"langcache audit chain " + b"9" * 32).hexdigest()
    line, head = Chain().link('{"a":1}', start)
    body = b'{"a":1,"chain":"%b","seq":1,"previous":"%b"}' % (b"9" * 32, start.hash.encode())
    assert line == body[:-1] + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}'
    assert Chain(KEY).link('{"a":1}', start)[1].hash == hmac.new(KEY, body, hashlib.sha256).hexdigest() != head.hash
    body = b'{"a":2,"seq":2,"previous":"%b"}' % head.hash.encode()
    assert Chain().link('{"a":2}', head)[1].hash == hashlib.sha256(body).hexdigest()


@CHAINS
def test_no_byte_can_be_another_one(chain: Chain) -> None:
    line, _ = chain.link('{"actor":"ann"}', chain.start())
    for position in range(len(line)):
        altered = bytearray(line)
        altered[position] ^= 1
        assert not chain.is_genuine(bytes(altered)), position
    assert not any(chain.is_genuine(line[:length]) for length in range(len(line)))
    assert not chain.is_genuine(line + b" ")
    assert not chain.is_genuine(b" " + line)


def test_only_who_has_the_key_can_tell() -> None:
    line, _ = Chain(KEY).link("{}", Chain(KEY).start())
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


def test_each_chain_begins_in_a_way_of_its_own() -> None:
    assert len({Chain(KEY).start().hash for _ in range(10)}) == 10
    assert Chain(KEY).start("9" * 32) == Chain(KEY).start("9" * 32) != Chain().start("9" * 32)


# The head


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def head_file(path: Path) -> Path:
    return path.with_name(f".{path.name}.head")


def written(path: Path, *numbers: int, chain: Chain | None = None) -> JsonLinesFile:
    """Write some records as a process does that begins and ends with them."""
    file = JsonLinesFile(path, chain=chain or Chain())
    for number in numbers:
        assert file.write([record(number)]) == 1
    file.close()
    return file


def test_a_restart_continues_the_chain(path: Path) -> None:
    written(path, 1, 2)
    file = written(path, 3)
    assert verify([path]).is_whole
    head = file.head()
    assert head == verify([path]).last
    assert head is not None
    assert head.seq == 3


def test_there_is_no_head_without_a_record_or_without_a_chain(path: Path) -> None:
    assert JsonLinesFile(path, chain=Chain()).head() is None
    plain = JsonLinesFile(path.with_name("plain.jsonl"))
    plain.write([record()])
    assert plain.head() is None


def test_a_file_that_was_moved_away_by_somebody_else_is_continued(path: Path) -> None:
    """As logrotate does it, with a name that we do not know, and while no process of ours runs."""
    written(path, 1, 2)
    path.rename(path.with_name("old"))
    written(path, 3)
    assert verify([path.with_name("old"), path]).is_whole


def test_a_file_that_was_copied_and_cut_is_continued(path: Path) -> None:
    """As logrotate's copytruncate does it, while the file is open."""
    file = written(path, 1, 2)
    file.write([record(3)])
    path.with_name("copy").write_bytes(path.read_bytes())
    os.truncate(path, 0)
    file.write([record(4)])
    assert verify([path.with_name("copy"), path]).is_whole


HEADS = [None, b"", b"{", b"[]", b"7", b'{"seq":"1","hash":"a","key":"b","state":[]}']


@pytest.mark.parametrize("content", HEADS)
def test_where_the_head_is_lost_the_files_own_end_is_continued_and_that_is_told(
    path: Path, content: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    written(path, 1, 2)
    if content is None:
        head_file(path).unlink()
    else:
        head_file(path).write_bytes(content)
    before = verify([path]).last
    assert before is not None
    looking = JsonLinesFile(path, chain=Chain())
    for _ in range(3):
        looking.check()
    looking.close()
    assert len(caplog.records) == 1
    caplog.clear()
    file = written(path, 3)
    found = verify([path])
    assert (found.is_whole, found.last) == (True, file.head())
    assert found.last is not None
    assert found.last.chain == before.chain
    [line] = caplog.records
    assert fields_of(line) == {"event": "audit_head_missing", "sink": str(path)}


def test_where_the_head_and_the_file_are_lost_the_last_one_that_was_put_aside_is_continued(path: Path) -> None:
    file = JsonLinesFile(path, chain=Chain(), max_bytes=1)
    for number in range(3):
        file.write([record(number)])
    head_file(path).unlink()
    path.unlink()
    written(path, 9)
    found = verify([*rotated(path), path])
    assert (found.is_whole, found.records) == (True, 3)  # that one is lost, nothing is left to show


def test_what_a_process_that_died_wrote_last_is_continued(path: Path) -> None:
    """It died after it had written to the file, and before it had written to the head."""
    file = written(path, 1)
    before = head_file(path).read_bytes()
    written(path, 2)
    head_file(path).write_bytes(before)
    file.write([record(3)])
    assert verify([path]).is_whole


def test_it_is_continued_also_where_that_began_a_new_file(path: Path) -> None:
    file = JsonLinesFile(path, chain=Chain(), max_bytes=1)
    file.write([record(1)])
    before = head_file(path).read_bytes()
    file.write([record(2)])
    file.close()
    head_file(path).write_bytes(before)
    written(path, 3)
    found = verify([*rotated(path), path])
    assert (found.is_whole, found.records) == (True, 3)


def test_the_records_of_another_chain_are_not_continued(path: Path) -> None:
    """Though they end behind the head; the next record is linked to what the head knows, which shows it."""
    written(path, 1, 2)
    head = JsonLinesFile(path, chain=Chain()).head()
    other = path.with_name("other.jsonl")
    written(other, 1, 2, 3, 4)
    path.write_bytes(other.read_bytes())
    written(path, 5)
    last = json.loads(path.read_bytes().splitlines()[-1])
    assert head is not None
    assert (last["seq"], last["previous"]) == (3, head.hash)
    assert not verify([path]).is_whole


def test_where_the_end_of_the_file_was_cut_off_the_next_record_shows_it(path: Path) -> None:
    file = written(path, 1, 2, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))
    file.write([record(4)])
    found = verify([path])
    assert [finding.text for finding in found.findings] == ["record 3 is missing before this line"]
    assert found.findings[0].line == 3


@pytest.mark.parametrize("rest", [b"{", b'{"schema":1,"kind":"call"', b"\x00" * 5000])
def test_the_rest_of_a_line_of_a_process_that_died_is_cut_off(path: Path, rest: bytes) -> None:
    written(path, 1, 2)
    with path.open("ab") as file:
        file.write(rest)
    written(path, 3)
    assert verify([path]).is_whole
    assert len(path.read_bytes().splitlines()) == 3


def test_a_file_that_was_not_chained_cannot_be_continued(path: Path) -> None:
    JsonLinesFile(path).write([record(1)])
    with pytest.raises(AuditError, match=r"audit\.jsonl' does not end with a record of this chain"):
        JsonLinesFile(path, chain=Chain()).check()
    assert path.read_bytes().count(b"\n") == 1


@pytest.mark.parametrize(
    ("first", "second"), [(Chain(), Chain(KEY)), (Chain(KEY), Chain()), (Chain(KEY), Chain(KEY * 2))]
)
def test_a_chain_of_another_key_cannot_be_continued(path: Path, first: Chain, second: Chain) -> None:
    written(path, 1, chain=first)
    with pytest.raises(AuditError, match=r"audit\.jsonl' was begun with another key, or with none"):
        JsonLinesFile(path, chain=second).write([record(2)])
    head_file(path).unlink()
    with pytest.raises(AuditError, match="does not end with a record of this chain"):
        JsonLinesFile(path, chain=second).check()
    assert verify([path], first).is_whole


def test_a_head_that_somebody_has_set_back_is_shown_by_the_next_record(path: Path) -> None:
    """He took out the last record, and set the head back behind the one before it; the rest is whole, so is the end."""
    file = written(path, 1)
    back = head_file(path).read_bytes()
    written(path, 2, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[2]]))
    head_file(path).write_bytes(back)
    file.write([record(4)])
    assert [finding.text for finding in verify([path]).findings] == ["record 2 is missing before this line"]


@pytest.mark.parametrize("chain", [Chain(), Chain(KEY)], ids=["plain", "keyed"])
def test_a_record_that_lost_its_line_break_is_not_lost(path: Path, chain: Chain) -> None:
    """As an editor may strip it: what is there is a whole record, also where the head is gone."""
    for number in (1, 2):
        written(path, number, chain=chain)
        path.write_bytes(path.read_bytes()[:-1])
    head_file(path).unlink()
    written(path, 3, chain=chain)
    found = verify([path], chain)
    assert (found.is_whole, found.records) == (True, 3)


def test_a_head_that_is_not_as_it_was_written_is_not_relied_on(path: Path) -> None:
    """Whichever of its members is another one."""
    for name in ("seq", "hash", "chain", "begin", "state", "key", "proof"):
        path.unlink(missing_ok=True)
        head_file(path).unlink(missing_ok=True)
        written(path, 1, 2, chain=Chain(KEY))
        members = json.loads(head_file(path).read_bytes())
        members[name] = {"seq": 1, "begin": [1, "0" * 64], "state": [0, 0, 0]}.get(name, "0" * 64)
        head_file(path).write_bytes(json.dumps(members).encode())
        [finding] = verify([path], Chain(KEY)).findings
        assert finding.problem == "altered", name
        assert str(head_file(path)) in finding.text


def test_a_head_of_another_file_is_not_relied_on(path: Path) -> None:
    other = path.with_name("other.jsonl")
    written(path, 1, 2, 3, chain=Chain(KEY))
    written(other, 1, 2, chain=Chain(KEY))
    head_file(path).write_bytes(head_file(other).read_bytes())
    path.write_bytes(other.read_bytes())
    found = verify([path], Chain(KEY))
    assert [finding.problem for finding in found.findings] == ["altered"]


def test_neither_a_key_nor_a_record_is_in_the_head(path: Path) -> None:
    file = written(path, 1, chain=Chain(KEY))
    members = json.loads(head_file(path).read_bytes())
    assert sorted(members) == ["begin", "chain", "hash", "key", "proof", "seq", "state"]
    assert KEY not in head_file(path).read_bytes()
    assert Head(members["seq"], members["hash"], members["chain"]) == file.head()
