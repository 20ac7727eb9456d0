"""The head of a chain: it outlasts restarts, files that were moved away, and what was lost of either file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from langcache.audit import Chain, Head, JsonLinesFile, verify
from langcache.audit.rotation import rotated
from langcache.errors import AuditError
from tests.audit.recording import KEY, record


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


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"seq":"1","hash":"a","key":"b","state":[]}'])
def test_where_the_head_is_lost_the_files_own_end_is_continued(path: Path, content: bytes | None) -> None:
    written(path, 1, 2)
    if content is None:
        head_file(path).unlink()
    else:
        head_file(path).write_bytes(content)
    written(path, 3)
    assert verify([path]).is_whole


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


def test_where_the_end_of_the_file_was_cut_off_the_next_record_shows_it(path: Path) -> None:
    file = written(path, 1, 2, 3)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))
    file.write([record(4)])
    [finding] = verify([path]).findings
    assert finding.text == "record 3 is missing before this line"


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


def test_neither_a_key_nor_a_record_is_in_the_head(path: Path) -> None:
    file = written(path, 1, chain=Chain(KEY))
    members = json.loads(head_file(path).read_bytes())
    assert sorted(members) == ["hash", "key", "seq", "state"]
    assert KEY not in head_file(path).read_bytes()
    assert Head(members["seq"], members["hash"]) == file.head()
