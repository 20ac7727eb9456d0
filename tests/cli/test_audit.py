"""``langcache audit verify``: what an auditor sees, and what a script is told by the exit status."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from langcache.audit import Chain, JsonLinesFile
from langcache.cli import main
from tests.audit.recording import KEY, record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A chained file of five records."""
    path = tmp_path / "audit.jsonl"
    write(path, Chain())
    return path


def write(path: Path, chain: Chain | None) -> None:
    file = JsonLinesFile(path, chain=chain)
    assert file.write([record(number) for number in range(5)]) == 5
    file.close()


def verify(*arguments: str | Path) -> int:
    return main(["audit", "verify", *(str(argument) for argument in arguments)])


def edit(path: Path, *lines: int, altered: int | None = None) -> None:
    """Leave only these lines of the file, which count from 1, in this order; alter one of them."""
    all_lines = path.read_bytes().splitlines(keepends=True)
    if altered is not None:
        all_lines[altered - 1] = all_lines[altered - 1].replace(b'"miss"', b'"hits"')
    path.write_bytes(b"".join(all_lines[line - 1] for line in lines))


def test_a_whole_file_is_told_with_its_end(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(path) == 0
    first, *_, end = (json.loads(line) for line in path.read_text().splitlines())
    last, chain = end["hash"], first["chain"]
    told = f"Whole: 5 records, the last is number 5 with the hash {last}, of the chain {chain}\n"
    assert capsys.readouterr().out == told
    assert verify(path, "--expect-last", last, "--expect-records", "5", "--expect-chain", chain) == 0
    assert verify(path, "--expect-chain", "9" * 32) == 1


@pytest.mark.parametrize(
    ("lines", "altered", "told"),
    [
        ((1, 2, 3, 4, 5), 3, "3: altered: record 3 is not as it was written"),
        ((1, 3, 4, 5), None, "2: missing: record 2 is missing before this line"),
        ((1, 2, 4, 3, 5), None, "4: reordered: record 3 stands behind a later one"),
        ((1, 2, 2, 3, 4, 5), None, "3: reordered: record 2 stands here again, or in the place of another one"),
        ((4, 5), None, "1: missing: records 1 to 3 are missing before this line"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    path: Path, lines: tuple[int, ...], altered: int | None, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(path, *lines, altered=altered)
    assert verify(path) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first == f"{path}:{told}"
    assert last.startswith(f"Not whole: {len(lines)} records, the last is number 5 with the hash ")


def test_what_is_no_json_is_told(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with path.open("ab") as file:
        file.write(b"{")
    assert verify(path) == 1
    assert f"{path}:6: not JSON: the line of 1 bytes is no JSON object" in capsys.readouterr().out


def test_an_end_that_was_cut_off_is_told_by_the_command_alone(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(path, 1, 2, 3, 4)
    assert verify(path) == 1
    assert f"{path}:4: missing: record 5 is missing behind this line" in capsys.readouterr().out


def test_an_end_that_was_cut_off_is_told_where_it_is_known(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = json.loads(path.read_text().splitlines()[-1])["hash"]
    edit(path, 1, 2, 3)
    path.with_name(".audit.jsonl.head").unlink()
    assert verify(path) == 0
    assert "Warning: the head " in capsys.readouterr().out
    assert verify(path, "--expect-last", last) == 1
    assert verify(path, "--expect-records", "5") == 1
    assert f"{path}:3: missing: there are 3 records, and not 5" in capsys.readouterr().out


def test_files_that_continue_others_are_verified_behind_those(path: Path) -> None:
    before = json.loads(path.read_text().splitlines()[1])["hash"]
    older = path.with_name("older")
    older.write_bytes(path.read_bytes())
    edit(older, 1, 2)
    edit(path, 3, 4, 5)
    assert verify(older, path) == 0
    assert verify(path, older) == 1
    assert verify(path, "--after", before) == 0
    assert verify(path) == 1


def test_json_says_the_same_for_programs(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = json.loads(path.read_text().splitlines()[-1])["hash"]
    chain = json.loads(path.read_text().splitlines()[0])["chain"]
    edit(path, 1, 3, 4, 5)
    assert verify(path, "--json") == 1
    assert json.loads(capsys.readouterr().out) == {
        "whole": False,
        "records": 4,
        "last": {"seq": 5, "hash": last, "chain": chain},
        "problems": 1,
        "findings": [
            {"file": str(path), "line": 2, "problem": "missing", "text": "record 2 is missing before this line"}
        ],
        "warnings": [],
    }
    path.write_bytes(b"")
    path.with_name(".audit.jsonl.head").unlink()
    assert verify("--json", path) == 0
    assert json.loads(capsys.readouterr().out)["last"] is None


def test_a_keyed_chain_needs_its_key_which_is_in_the_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, Chain(KEY))
    monkeypatch.setenv("AUDIT_KEY", KEY.decode())
    monkeypatch.setenv("OTHER_KEY", "a key that is another one")
    assert verify(path, "--key-env", "AUDIT_KEY") == 0
    assert verify(path) == 1
    assert "No record is as it was written. Were they written with a key (--key-file)?" in capsys.readouterr().out
    assert verify(path, "--key-env", "OTHER_KEY") == 1
    shown = capsys.readouterr().out
    assert "Is it the key that they were written with?" in shown
    assert "another one" not in shown


BINARY = bytes(range(240, 256)) + b"\n\x00 and more of it\n"
"""A key as secrets.token_bytes makes them: no text, and with bytes at its ends that a shell would strip."""


def test_a_key_that_is_bytes_is_read_from_a_file_or_written_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, key = tmp_path / "audit.jsonl", tmp_path / "audit.key"
    write(path, Chain(BINARY))
    key.write_bytes(BINARY)
    monkeypatch.setenv("HEX", BINARY.hex())
    monkeypatch.setenv("BASE64", base64.b64encode(BINARY).decode())
    assert verify(path, "--key-file", key) == 0
    assert verify(path, "--key-env", "HEX", "--key-format", "hex") == 0
    assert verify(path, "--key-env", "BASE64", "--key-format", "base64") == 0
    assert verify(path, "--key-env", "HEX", "--key-format", "text") == 1


def test_files_are_verified_in_the_order_in_which_a_shell_names_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = JsonLinesFile(tmp_path / "audit.jsonl", chain=Chain(), max_bytes=1, keep=2)
    for number in range(5):
        file.write([record(number)])
    files = sorted(tmp_path.glob("audit.jsonl*"))
    assert len(files) == 3
    assert verify(*files) == 0
    assert capsys.readouterr().out.startswith("Whole: 3 records, the last is number 5 ")


def test_of_many_findings_the_first_are_shown_and_the_others_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "audit.jsonl"
    for _ in range(25):
        write(path, None)
    assert verify(path) == 1
    shown = capsys.readouterr().out.splitlines()
    assert (len(shown), shown[-2], shown[-1]) == (102, "... and 25 more", "Not whole: 0 records")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.jsonl"], "No such file or directory: 'none.jsonl'"),
        (["--key-env", "NOT_SET", "none.jsonl"], "the environment variable 'NOT_SET', which --key-env names, holds no"),
        (["--key-env", "SHORT", "none.jsonl"], "the key of Chain must have 16 bytes or more, not 5"),
        (["--key-env", "SHORT", "--key-format", "hex", "none.jsonl"], "'SHORT' holds no key in the format hex"),
        (["--key-env", "SHORT", "--key-format", "base64", "none.jsonl"], "'SHORT' holds no key in the format base64"),
        (["--key-format", "hex", "none.jsonl"], "--key-format says how the key is written that --key-env names"),
        (["--key-file", "no.key", "none.jsonl"], "No such file or directory: 'no.key'"),
    ],
)
def test_what_cannot_be_told_is_no_verdict(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    monkeypatch.setenv("SHORT", "short")
    assert verify(*arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("langcache audit verify: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["audit"], "COMMAND"),
        (["audit", "verify"], "FILE"),
        (["audit", "verify", "--expect-last", "abc", "f"], "'abc' is no hash, which has 64 hexadecimal digits"),
        (["audit", "verify", "--after", "A" * 64, "f"], "in lower case"),
        (["audit", "verify", "--expect-records", "many", "f"], "'many' is no number of records, which is 0 or more"),
        (["audit", "verify", "--expect-records", "-1", "f"], "'-1' is no number of records, which is 0 or more"),
        (["audit", "verify", "--expect-chain", "7", "f"], "'7' is no id, which has 32 hexadecimal digits"),
        (["audit", "verify", "--key-file", "a", "--key-env", "B", "f"], "not allowed with argument --key-file"),
        (["audit", "verify", "--key-env", "B", "--key-format", "rot13", "f"], "invalid choice: 'rot13'"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_it_is_a_command_of_its_own(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "langcache", "audit", "verify", str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Whole: 5 records")
    assert done.stderr == ""
