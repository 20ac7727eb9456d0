"""Verification: what is altered, missing or reordered is found, and where nothing is, nothing is found."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache.audit import Chain, Finding, Head, JsonLinesFile, Verification, verify
from langcache.audit.verification import MOST_FINDINGS, Verifier
from langcache.errors import ConfigurationError
from tests.audit.recording import KEY, record

CHAINS = [Chain(), Chain(KEY)]


ID = "9" * 32


def chained(count: int, chain: Chain = CHAINS[0], identity: str = ID) -> list[bytes]:
    lines: list[bytes] = []
    head = chain.start(identity)
    for number in range(count):
        line, head = chain.link(record(number).json(), head)
        lines.append(line)
    return lines


def verified(lines: list[bytes], chain: Chain = CHAINS[0], after: str | None = None) -> Verification:
    verifier = Verifier(chain, after)
    for number, line in enumerate(lines, 1):
        verifier.read("f", number, line)
    return verifier.finish()


def problems(lines: list[bytes], chain: Chain = CHAINS[0]) -> list[tuple[int, str]]:
    return [(finding.line, finding.problem) for finding in verified(lines, chain).findings]


def hash_of(line: bytes) -> str:
    return line[-66:-2].decode()


chains = st.sampled_from(CHAINS)


@given(st.integers(0, 30), chains)
def test_a_chain_that_is_as_it_was_written_is_whole(count: int, chain: Chain) -> None:
    lines = chained(count, chain)
    found = verified(lines, chain)
    assert found.is_whole
    assert found.findings == ()
    assert (found.records, found.last) == (count, Head(count, hash_of(lines[-1]), ID) if count else None)


@given(st.data(), st.integers(1, 12), chains)
def test_an_altered_line_is_found_where_it_is(data: st.DataObject, count: int, chain: Chain) -> None:
    """Whichever byte of it is another one, is taken out or put in."""
    lines = chained(count, chain)
    index = data.draw(st.integers(0, count - 1))
    line = bytearray(lines[index])
    position = data.draw(st.integers(0, len(line) - 1))
    change = data.draw(st.sampled_from(["other", "out", "in"]))
    if change == "other":
        line[position] ^= data.draw(st.integers(1, 255))
    elif change == "out":
        del line[position]
    else:
        line.insert(position, data.draw(st.integers(0, 255)))
    lines[index] = bytes(line)
    found = verified(lines, chain)
    assert not found.is_whole
    # A line break that comes in makes two lines of one only where it is read from a file.
    assert {finding.line for finding in found.findings} == {index + 1}
    assert found.findings[0].problem in ("altered", "not JSON", "not chained")


@given(st.data(), st.integers(2, 12), chains)
def test_a_missing_line_is_found_where_it_was(data: st.DataObject, count: int, chain: Chain) -> None:
    lines = chained(count, chain)
    index = data.draw(st.integers(0, count - 2))
    del lines[index]
    [finding] = verified(lines, chain).findings
    assert (finding.line, finding.problem) == (index + 1, "missing")
    assert finding.text == f"record {index + 1} is missing before this line"


@given(st.data(), st.integers(2, 12), chains)
def test_reordered_lines_are_found(data: st.DataObject, count: int, chain: Chain) -> None:
    lines = chained(count, chain)
    shuffled = data.draw(st.permutations(lines))
    found = verified(shuffled, chain)
    assert found.is_whole == (shuffled == lines)
    assert {finding.problem for finding in found.findings} <= {"reordered"}


@given(st.data(), st.integers(1, 12), chains)
def test_a_repeated_line_is_found(data: st.DataObject, count: int, chain: Chain) -> None:
    lines = chained(count, chain)
    again = data.draw(st.integers(0, count - 1))
    where = data.draw(st.integers(again + 1, count))
    lines.insert(where, lines[again])
    assert problems(lines, chain) == [(where + 1, "reordered")]


@given(st.data(), st.integers(1, 8), chains)
def test_whatever_is_done_to_all_lines_but_for_cutting_off_the_end_is_found(
    data: st.DataObject, count: int, chain: Chain
) -> None:
    """Any list of lines, whole or damaged, in any order and number, is whole only as a beginning of what there was."""
    lines = chained(count, chain)
    strange = [*lines, *(line[1:] for line in lines), *(line.replace(b"miss", b"hits") for line in lines), b"", b"{}"]
    chosen = data.draw(st.lists(st.sampled_from(strange), max_size=count + 2))
    assert verified(chosen, chain).is_whole == (chosen == lines[: len(chosen)])


def test_an_alteration_with_a_hash_of_its_own_is_found_in_the_line_behind_it() -> None:
    """As somebody makes it who can compute hashes, and does so for one line."""
    lines = chained(5)
    head = Head(2, hash_of(lines[1]), ID)
    lines[2], _ = Chain().link(record(2, actor="eve").json(), head)
    [finding] = verified(lines).findings
    assert (finding.line, finding.problem) == (4, "altered")
    assert finding.text == "record 4 was not written behind record 3 as that is now"


def test_without_a_key_who_computes_all_hashes_anew_is_not_found_and_with_one_he_is() -> None:
    """The documentation says so."""
    forged = chained(5)
    assert verified(forged, Chain()).is_whole
    assert verified(forged, Chain(KEY)).problems == 5


def test_what_is_cut_off_is_only_found_by_who_knows_the_end(tmp_path: Path) -> None:
    lines = chained(5)
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines[:3]))
    last = hash_of(lines[4])
    assert verify([file]).is_whole
    [finding] = verify([file], expect_last=last).findings
    assert finding == Finding(
        str(file), 3, "missing", f"the last record, 3, has the hash {hash_of(lines[2])}, and not {last}"
    )
    [finding] = verify([file], expect_records=5).findings
    assert (finding.line, finding.text) == (3, "there are 3 records, and not 5")
    assert verify([file], expect_last=hash_of(lines[2]), expect_records=3).is_whole


def test_an_empty_file_is_whole_but_where_something_is_expected(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    file.touch()
    found = verify([file])
    assert (found.is_whole, found.records, found.last) == (True, 0, None)
    [warning] = found.warnings  # it may have been emptied, and its head taken away
    assert "whether records are missing at the end is not known" in warning
    assert not verify([file], expect_last="0" * 64).is_whole
    assert not verify([file], expect_records=1).is_whole


def test_several_files_are_one_chain_and_lines_are_told_with_their_file(tmp_path: Path) -> None:
    lines = chained(6)
    first, second = tmp_path / "b", tmp_path / "a"
    first.write_bytes(b"".join(line + b"\n" for line in lines[:3]))
    second.write_bytes(b"".join(line + b"\n" for line in lines[3:]))
    assert verify([first, second]).is_whole
    assert not verify([second, first]).is_whole
    first.write_bytes(b"".join(line + b"\n" for line in [lines[0].replace(b"miss", b"hits"), lines[1]]))
    found = verify([first, second])
    where = [(finding.file, finding.line, finding.problem) for finding in found.findings]
    assert where == [(str(first), 1, "altered"), (str(second), 1, "missing")]


def test_files_that_continue_others_are_verified_behind_those(tmp_path: Path) -> None:
    lines = chained(6)
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines[3:]))
    [finding] = verify([file]).findings
    assert (finding.line, finding.text) == (1, "records 1 to 3 are missing before this line")
    assert verify([file], after=hash_of(lines[2])).is_whole
    [finding] = verify([file], after=hash_of(lines[1])).findings
    assert (finding.line, finding.problem) == (1, "missing")


def test_a_damaged_first_line_behind_other_files_is_one_finding() -> None:
    lines = chained(6)
    behind = [lines[3][1:], *lines[4:]]
    found = verified(behind, after=hash_of(lines[2]))
    assert [(finding.line, finding.problem) for finding in found.findings] == [(1, "not JSON")]


def test_the_last_line_may_lack_its_line_break(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"\n".join(chained(3)))
    assert verify([file]).is_whole


@pytest.mark.parametrize("end", [b"\r", b" ", b"\n", b"\x00"])
def test_nothing_may_be_added_to_a_line(end: bytes, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"".join(line + end + b"\n" for line in chained(3)))
    assert verify([file]).problems == 3


def test_records_without_a_chain_are_told_as_such() -> None:
    assert problems([record(1).json().encode()]) == [(1, "not chained")]


def test_damage_and_a_gap_are_told_apart() -> None:
    """Of two lines of which one is damaged and one gone, it is known that one is gone, and not which."""
    lines = chained(5)
    found = verified([lines[0], b"?", *lines[3:]])
    assert [finding.text for finding in found.findings] == [
        "the line of 1 bytes is no JSON object",
        "1 of the records 2 to 3 is missing before this line",
    ]
    assert problems([lines[0], b"?", b"?", *lines[3:]]) == [(2, "not JSON"), (3, "not JSON")]
    assert problems([lines[0], b"?", *lines[1:]]) == [(2, "not JSON")]


def test_of_many_findings_the_first_are_kept_and_all_are_counted() -> None:
    found = verified(chained(MOST_FINDINGS * 3), Chain(KEY))
    assert (len(found.findings), found.problems) == (MOST_FINDINGS, MOST_FINDINGS * 3)
    assert [finding.line for finding in found.findings] == list(range(1, MOST_FINDINGS + 1))


def test_a_hostile_order_is_verified_in_time() -> None:
    """What would take the square of the lines takes seconds for ten thousand."""
    lines = chained(10_000)
    random.Random(7).shuffle(lines)  # noqa: S311 - no secret
    assert verified(lines).problems > 9_000


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"none\.jsonl"):
        verify([tmp_path / "none.jsonl"])


# With the head that the writers left


@pytest.fixture(params=CHAINS, ids=["plain", "keyed"])
def chain(request: pytest.FixtureRequest) -> Chain:
    made: Chain = request.param
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def written(path: Path, count: int, chain: Chain, **options: Any) -> JsonLinesFile:
    file = JsonLinesFile(path, chain=chain, **options)
    for number in range(count):
        assert file.write([record(number)]) == 1
    file.close()
    return file


def texts(found: Verification) -> list[str]:
    return [f"{finding.line} {finding.problem}: {finding.text}" for finding in found.findings]


@pytest.mark.parametrize("left", [0, 1, 4])
def test_what_was_cut_off_is_found_by_the_head_that_stands_beside(path: Path, chain: Chain, left: int) -> None:
    written(path, 5, chain)
    assert verify([path], chain).is_whole
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:left]))
    which = "record 5 is" if left == 4 else f"records {left + 1} to 5 are"
    assert texts(verify([path], chain)) == [f"{left} missing: {which} missing behind this line"]
    assert verify([path], chain).findings[0].file == str(path)


def test_that_the_head_is_gone_is_a_warning(path: Path, chain: Chain) -> None:
    """A copy elsewhere has none; then only who knows the end can tell."""
    written(path, 3, chain)
    head = path.with_name(".audit.jsonl.head")
    head.unlink()
    found = verify([path], chain)
    assert found.is_whole
    assert found.warnings == (
        f"the head {str(head)!r} is not there: whether records are missing at the end is not known",
    )


def test_a_whole_file_of_the_same_key_in_the_place_of_another_is_found(path: Path, chain: Chain) -> None:
    other = path.with_name("other.jsonl")
    written(path, 3, chain)
    written(other, 3, chain)
    path.write_bytes(other.read_bytes())
    [text] = texts(verify([path], chain))
    assert text.startswith("3 another chain: the records are of the chain ")
    head = JsonLinesFile(other, chain=chain).head()
    assert head is not None
    assert verify([other], chain, expect_chain=head.chain).is_whole
    path.with_name(".audit.jsonl.head").unlink()
    [text] = texts(verify([path], chain, expect_chain=ID))
    assert text == f"3 another chain: the chain is {head.chain}, and not {ID}"


def test_a_chain_that_does_not_begin_as_its_id_says_is_altered() -> None:
    """As the records of one with the id of another."""
    line, _ = Chain().link(record(0).json(), Head(0, Chain().start("8" * 32).hash, ID))
    assert problems([line]) == [(1, "altered")]
    line, _ = Chain().link(record(0).json(), Head(0, "0" * 64, ID))
    assert problems([line]) == [(1, "altered")]


def test_files_that_were_put_aside_are_verified_in_whatever_order_a_shell_names_them(path: Path, chain: Chain) -> None:
    written(path, 6, chain, max_bytes=1)
    files = sorted(path.parent.glob("audit.jsonl*"))
    assert files[0] == path
    found = verify(files, chain)
    assert (found.is_whole, found.records, found.warnings) == (True, 6, ())
    assert verify(reversed(files), chain).is_whole
    del files[2]
    assert texts(verify(files, chain)) == ["1 missing: record 2 is missing before this line"]


def test_files_that_were_deleted_because_only_so_many_are_kept_are_not_missing(path: Path, chain: Chain) -> None:
    written(path, 6, chain, max_bytes=1, keep=2)
    files = sorted(path.parent.glob("audit.jsonl*"))
    assert len(files) == 3
    assert verify(files, chain).is_whole
    files[1].unlink()
    assert texts(verify([files[0], files[2]], chain)) == ["1 missing: record 4 is missing before this line"]
    written(path, 2, chain, max_bytes=1, keep=2)
    assert verify(path.parent.glob("audit.jsonl*"), chain).is_whole


def test_the_records_of_another_chain_of_the_same_key_are_found_where_the_first_ones_were_deleted(
    path: Path, chain: Chain
) -> None:
    """Then no first record says which chain it is; the head knows two of its records."""
    written(path, 6, chain, max_bytes=1, keep=2)
    for file in path.parent.glob("audit.jsonl.*"):
        file.unlink()
    other = path.with_name("other.jsonl")
    written(other, 8, chain)
    lines = other.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[1:]))
    assert texts(verify([path], chain)) == [
        "2 another chain: record 3 is not the one that the head knows",
        "5 another chain: record 6 is not the one that the head knows",
    ]
    path.write_bytes(b"".join(lines[6:]))  # which follow neither
    assert not verify([path], chain).is_whole
    after = json.loads(lines[5])["hash"]
    assert texts(verify([path], chain, after=after)) == ["1 another chain: record 6 is not the one that the head knows"]
    path.write_bytes(lines[7])
    after = json.loads(lines[6])["hash"]
    assert texts(verify([path], chain, after=after)) == [
        "1 another chain: the records do not follow record 6, which the head knows"
    ]


def test_only_what_was_put_aside_is_verified_without_its_end(path: Path, chain: Chain) -> None:
    """What the head says of the beginning and of the chain is looked at all the same."""
    written(path, 6, chain, max_bytes=1, keep=3)
    aside = [file for file in path.parent.glob("audit.jsonl*") if file != path]
    found = verify(aside, chain)
    assert (found.is_whole, found.records, found.warnings) == (True, 3, ())


def test_that_the_newest_file_is_gone_is_found_where_those_that_were_put_aside_are_all_there_is(
    path: Path, chain: Chain
) -> None:
    """As a shell's pattern for all files gives them."""
    written(path, 6, chain, max_bytes=1)
    path.unlink()
    found = verify(path.parent.glob("audit.jsonl*"), chain)
    assert texts(found) == ["1 missing: record 6 is missing behind this line"]
    path.with_name(".audit.jsonl.head").unlink()
    found = verify(path.parent.glob("audit.jsonl*"), chain)
    assert (found.is_whole, len(found.warnings)) == (True, 1)


def test_files_are_ordered_however_their_paths_are_written(
    path: Path, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(path, 3, chain, max_bytes=1)
    monkeypatch.chdir(path.parent)
    assert verify([path, *(file.name for file in path.parent.glob("audit.jsonl.*"))], chain).is_whole


@pytest.mark.parametrize("directory", [".", "/"])
def test_a_directory_is_no_audit_file(directory: str) -> None:
    with pytest.raises(OSError, match=re.escape(repr(directory))):
        verify([directory])


def test_without_a_file_there_is_nothing_to_verify() -> None:
    with pytest.raises(ConfigurationError, match="files must name one audit file at least"):
        verify([])


def test_what_is_appended_while_it_is_verified_is_no_finding(path: Path, chain: Chain) -> None:
    file = written(path, 2, chain)
    head = path.with_name(".audit.jsonl.head")
    before = head.read_bytes()
    file.write([record(2)])
    head.write_bytes(before)
    found = verify([path], chain)
    assert (found.is_whole, found.records) == (True, 3)
