"""JSON Lines files, with real files, full disks and several processes."""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache.audit import Chain, JsonLinesFile, verify
from langcache.audit.descriptors import rotated
from langcache.audit.files import Rotation
from langcache.errors import AuditError, ConfigurationError
from tests.audit.recording import record
from tests.middleware.stepping import Clock
from tests.transports.programs import output_of

posix = pytest.mark.skipif(sys.platform == "win32", reason="of POSIX systems")
CHAINS = pytest.mark.parametrize("chain", [None, Chain()], ids=["plain", "chained"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def read(*paths: Path) -> list[int]:
    """Return the numbers of the records in files; each line is one."""
    return [int(json.loads(line)["request_id"]) for path in paths for line in path.read_bytes().splitlines()]


def write(file: JsonLinesFile, *numbers: int) -> None:
    left = [record(number) for number in numbers]
    while left:
        left = left[file.write(left) :]


@CHAINS
@pytest.mark.parametrize("fsync", ["never", "batch", "always"])
def test_records_are_appended_a_line_each_and_behind_what_is_there(path: Path, fsync: Any, chain: Chain | None) -> None:
    for numbers in ([1, 2], [3], [4, 5, 6]):
        file = JsonLinesFile(path, fsync=fsync, chain=chain)
        file.check()
        write(file, *numbers)
        file.close()
    assert read(path) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("fsync", "times"), [("never", 0), ("batch", 2), ("always", 4)])
def test_fsync_is_called_as_it_was_chosen(path: Path, fsync: Any, times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    file = JsonLinesFile(path, fsync=fsync)
    write(file, 1)
    write(file, 2, 3, 4)
    assert len(synced) == times
    file.close()


def test_a_closed_file_is_opened_again(path: Path) -> None:
    file = JsonLinesFile(path)
    write(file, 1)
    file.close()
    file.close()
    write(file, 2)
    assert read(path) == [1, 2]


def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = JsonLinesFile("audit.jsonl")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write(file, 1)
    assert read(tmp_path / "audit.jsonl") == [1]
    assert repr(file) == f"JsonLinesFile({str(tmp_path / 'audit.jsonl')!r})"


@CHAINS
def test_files_are_put_aside_when_they_are_large_enough(path: Path, chain: Chain | None) -> None:
    file = JsonLinesFile(path, max_bytes=2_000, chain=chain)
    write(file, *range(20))
    write(file, *range(20, 40))
    assert len(rotated(path)) > 5
    assert all(one.stat().st_size <= 2_000 for one in [*rotated(path), path])
    assert read(*rotated(path), path) == list(range(40))
    if chain is not None:
        assert verify([*rotated(path), path], chain).is_whole


def test_only_so_many_files_are_kept(path: Path) -> None:
    file = JsonLinesFile(path, max_bytes=1, keep=2)
    write(file, *range(6))
    assert read(*rotated(path), path) == [3, 4, 5]


@posix
def test_a_file_of_another_day_is_put_aside(path: Path) -> None:
    file = JsonLinesFile(path, rotate="day")
    write(file, 1, 2)
    assert rotated(path) == []
    os.utime(path, (0, 0))
    write(file, 3, 4)
    write(file, 5)
    assert (read(*rotated(path)), read(path)) == ([1, 2], [3, 4, 5])


@posix
@CHAINS
@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_is_followed_and_stays_what_it_is(path: Path, chain: Chain | None, is_there: bool) -> None:
    """Also one that leads to no file yet; what is put aside is the file."""
    target = path.with_name("target.jsonl")
    if is_there:
        target.touch()
    path.symlink_to(target)
    file = JsonLinesFile(path, max_bytes=1, chain=chain)
    file.check()
    write(file, 1, 2)
    assert path.is_symlink()
    assert read(*rotated(target), path) == [1, 2]
    assert rotated(path) == []
    if chain is not None:
        assert verify([*rotated(target), path], chain) == verify([*rotated(target), target], chain)


@posix
@CHAINS
def test_a_file_that_is_moved_away_or_deleted_is_begun_anew(path: Path, chain: Chain | None) -> None:
    file = JsonLinesFile(path, chain=chain)
    write(file, 1)
    path.rename(path.with_name("old"))
    write(file, 2)
    path.unlink()
    write(file, 3)
    assert (read(path.with_name("old")), read(path)) == ([1], [3])


# What goes wrong


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no such device")
def test_a_full_disk_is_told_with_the_name_of_the_file() -> None:
    with pytest.raises(AuditError, match="The audit file '/dev/full' cannot be written: No space left on device"):
        JsonLinesFile("/dev/full").write([record()])


class Disk:
    """Makes writes fail when so many more bytes are written, in the middle of a line where it comes so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, descriptor: int, data: Any) -> int:
        taken = min(len(data), self.room)
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= taken
        return self._write(descriptor, data[:taken])


@CHAINS
@pytest.mark.parametrize("room", [0, 1, 100, 700, 1_100])
def test_when_the_disk_is_full_lines_are_whole_or_not_there(
    path: Path, chain: Chain | None, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was not written is written when there is room again, once."""
    file = JsonLinesFile(path, chain=chain)
    write(file, 1)
    disk = Disk(monkeypatch, room)
    with pytest.raises(AuditError, match="No space left"):
        write(file, 2, 3, 4, 5)
    assert read(path) == [1]
    disk.room = 10**6
    write(file, 2, 3, 4, 5)
    assert read(path) == [1, 2, 3, 4, 5]
    if chain is not None:
        assert verify([path], chain).is_whole


@pytest.mark.parametrize("room", [1, 100])
def test_what_cannot_be_cut_off_again_is_ended_before_the_next_line(
    path: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = JsonLinesFile(path)
    write(file, 1)
    disk = Disk(monkeypatch, room)

    def cannot(descriptor: int, size: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "ftruncate", cannot)
    with pytest.raises(AuditError, match="No space left"):
        write(file, 2)
    disk.room = 10**6
    write(file, 2, 3)
    first, damaged, *rest = path.read_bytes().splitlines()
    assert (len(damaged), [json.loads(line)["request_id"] for line in (first, *rest)]) == (room, ["1", "2", "3"])


@pytest.mark.parametrize("chain", [None, Chain()], ids=["plain", "chained"])
def test_what_the_disk_did_not_keep_is_not_counted(
    path: Path, chain: Chain | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = JsonLinesFile(path, chain=chain)
    write(file, 1)

    def fails(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(AuditError, match="Input/output error"):
            write(file, 2)
    write(file, 2)
    assert read(path) == [1, 2]
    if chain is not None:
        assert verify([path], chain).is_whole


def test_a_disk_without_a_free_block_is_found_before_anything_is_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not hasattr(os, "fstatvfs"):
        pytest.skip("the operating system does not tell")
    real = os.fstatvfs

    def full(descriptor: int) -> Any:
        seen = list(real(descriptor))
        seen[3] = seen[4] = 0  # f_bfree, f_bavail
        return os.statvfs_result(seen)

    monkeypatch.setattr(os, "fstatvfs", full)
    with pytest.raises(AuditError, match="cannot be opened: No space left"):
        JsonLinesFile(path).check()


@CHAINS
@pytest.mark.parametrize("what", ["missing directory", "a directory", "behind a file"])
def test_what_cannot_be_opened_is_told_with_the_name_of_the_file(
    tmp_path: Path, what: str, chain: Chain | None
) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").touch()
    path = {"missing directory": "none/a", "a directory": "directory", "behind a file": "file/a"}[what]
    file = JsonLinesFile(tmp_path / path, chain=chain)
    with pytest.raises(AuditError, match=f"The audit file '{tmp_path / path}' cannot be opened: "):
        file.check()
    with pytest.raises(AuditError, match=f"The audit file '{tmp_path / path}' cannot be written: "):
        file.write([record()])


@posix
@CHAINS
def test_a_directory_that_is_removed_is_found_at_once(tmp_path: Path, chain: Chain | None) -> None:
    """Although the file is open, and could be written for ever without anybody seeing it."""
    directory = tmp_path / "logs"
    directory.mkdir()
    file = JsonLinesFile(directory / "audit.jsonl", chain=chain)
    write(file, 1)
    directory.rename(tmp_path / "gone")
    for attempt in (file.check, lambda: write(file, 2)):
        with pytest.raises(AuditError, match="No such file or directory"):
            attempt()
    directory.mkdir()
    write(file, 2)
    assert read(directory / "audit.jsonl") == [2]


@posix
def test_a_file_that_may_not_be_written_is_told(tmp_path: Path) -> None:
    """Whoever runs the tests: root may write everything, and so becomes nobody here."""
    program = """
import os, sys
from langcache.audit import JsonLinesFile
from langcache.errors import AuditError

if os.geteuid() == 0:
    os.setuid(65534)
try:
    JsonLinesFile(sys.argv[1]).check()
except AuditError as error:
    print(error)
"""
    forbidden = tmp_path / "forbidden"
    forbidden.mkdir(mode=0o500)
    output, problems = output_of(program, str(forbidden / "audit.jsonl"))
    assert (output, problems) == (
        f"The audit file '{forbidden / 'audit.jsonl'}' cannot be opened: Permission denied\n",
        "",
    )


@posix
@pytest.mark.parametrize("arguments", [{"chain": Chain()}, {"max_bytes": 1}, {"rotate": "day"}])
def test_what_is_no_regular_file_can_neither_be_chained_nor_put_aside(
    arguments: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "null").symlink_to("/dev/null")
    with pytest.raises(AuditError, match="null' is no regular file"):
        JsonLinesFile(tmp_path / "null", **arguments).check()


@posix
def test_standard_output_is_a_file_too() -> None:
    program = """
from langcache.audit import JsonLinesFile
from tests.audit.recording import record

file = JsonLinesFile("/dev/stdout")
file.check()
file.write([record(1), record(2)])
"""
    output, problems = output_of(program)
    assert ([json.loads(line)["request_id"] for line in output.splitlines()], problems) == (["1", "2"], "")


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"fsync": "sometimes"}, "fsync"),
        ({"rotate": "week"}, "rotate"),
        ({"max_bytes": -1}, "max_bytes"),
        ({"keep": 0}, "keep"),
        ({"keep": 3}, "keep=3 says how many files that were put aside are kept, but none is: set max_bytes or rotate"),
        ({"chain": True}, "chain"),
        ({"mode": "600"}, "mode must let the owner .*, such as 0o600 or 0o640, not '600'"),
        ({"mode": 600}, r"not 600 \(0o1130\)"),
        ({"mode": 0o400}, r"not 256 \(0o400\)"),
        ({"mode": True}, "mode must let"),
    ],
)
def test_what_cannot_work_is_refused(wrong: Any, name: str, path: Path) -> None:
    with pytest.raises(ConfigurationError, match=name):
        JsonLinesFile(path, **wrong)


# Many at once


@CHAINS
def test_threads_share_a_file(path: Path, chain: Chain | None) -> None:
    files = [JsonLinesFile(path, chain=chain), JsonLinesFile(path, chain=chain)]
    threads = [
        threading.Thread(target=write, args=(files[number % 2], *range(number * 20, number * 20 + 20)))
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read(path)) == list(range(160))
    if chain is not None:
        assert verify([path], chain).is_whole


_WRITING = """
import os, sys
from langcache.audit import Chain, JsonLinesFile
from tests.audit.recording import record

path, kind = sys.argv[1:]
file = JsonLinesFile(
    path, fsync="never", max_bytes=None if kind == "plain" else 20_000, chain=Chain() if kind == "chained" else None
)


def write(numbers):
    left = [record(number) for number in numbers]
    while left:
        left = left[file.write(left[:7]) :]


write(range(50))
children = []
for number in range(1, 5):
    child = os.fork()
    if child == 0:
        write(range(number * 50, number * 50 + 50))
        os._exit(0)
    children.append(child)
write(range(250, 300))
print({os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children})
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this operating system does not fork")
@pytest.mark.parametrize("kind", ["plain", "rotated", "chained"])
def test_processes_share_a_file_that_one_of_them_has_opened(path: Path, kind: str) -> None:
    """Every record is there once, whole, in whichever file; and they are one chain."""
    assert output_of(_WRITING, str(path), kind) == ("{0}\n", "")
    files = [*rotated(path), path]
    assert len(files) > 1 or kind == "plain"
    assert sorted(read(*files)) == list(range(300))
    if kind == "chained":
        assert verify(files).is_whole


# Rotation: when a file is put aside, under which name, and which old ones go


DAY = 86_400


def set_to(now: float) -> Clock:
    clock = Clock()
    clock.now = now
    return clock


def test_without_a_reason_no_file_is_ever_put_aside() -> None:
    assert not Rotation().is_wanted
    assert not Rotation(clock=set_to(10 * DAY)).is_due(10**12, 0, 10**6)


@pytest.mark.parametrize(("size", "more", "due"), [(0, 200, False), (60, 40, False), (60, 41, True), (101, 1, True)])
def test_a_file_does_not_grow_over_its_size_but_for_one_record(size: int, more: int, due: bool) -> None:
    rotation = Rotation(max_bytes=100, clock=set_to(0))
    assert rotation.is_wanted
    assert rotation.is_due(size, 0, more) is due


@pytest.mark.parametrize(
    ("every", "written", "now", "due"),
    [
        ("day", DAY - 1, DAY, True),
        ("day", DAY, 2 * DAY - 1, False),
        ("day", 2 * DAY, DAY, False),  # the clock went backwards
        ("hour", 3599, 3600, True),
        ("hour", 3600, 7199, False),
    ],
)
def test_a_new_period_begins_a_new_file(every: Any, written: float, now: float, due: bool) -> None:
    rotation = Rotation(every=every, clock=set_to(now))
    assert rotation.is_due(1, written, 1) is due
    assert not rotation.is_due(0, written, 1)


def test_a_file_that_is_put_aside_has_the_moment_in_its_name(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.write_text("old")
    Rotation(clock=set_to(1_700_000_000.1234)).put_aside(path)
    assert [file.name for file in tmp_path.iterdir()] == ["audit.jsonl.20231114T221320123Z"]
    assert rotated(path) == [tmp_path / "audit.jsonl.20231114T221320123Z"]


@given(st.lists(st.floats(0, 4e9), min_size=2, max_size=6))
def test_the_names_sort_as_the_files_came_whatever_the_clock_does(
    tmp_path_factory: pytest.TempPathFactory, times: list[float]
) -> None:
    path = tmp_path_factory.mktemp("audit") / "audit.jsonl"
    for number, now in enumerate(times):
        path.write_text(str(number))
        Rotation(clock=set_to(now)).put_aside(path)
    assert [file.read_text() for file in rotated(path)] == [str(number) for number in range(len(times))]


def test_the_last_moment_of_a_year_is_followed_too(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    (tmp_path / "audit.jsonl.99991231T235959999Z").write_text("strange")
    path.write_text("new")
    Rotation(clock=set_to(0)).put_aside(path)
    assert [file.read_text() for file in rotated(path)] == ["strange", "new"]


def test_those_that_are_too_many_go_the_oldest_first_and_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    others = [
        "audit.jsonl.gz",
        "audit.jsonl.1",
        "audit.jsonl.20231114T221320123Z.gz",
        "audit.jsonl2",
        ".audit.jsonl.head",
    ]
    for name in others:
        (tmp_path / name).touch()
    for number in range(4):
        path.write_text(str(number))
        for oldest in Rotation(keep=2, max_bytes=1, clock=set_to(number)).put_aside(path):
            oldest.unlink()
    assert [file.read_text() for file in rotated(path)] == ["2", "3"]
    assert {file.name for file in tmp_path.iterdir()} - {file.name for file in rotated(path)} == set(others)


@pytest.mark.parametrize(
    "wrong", [{"max_bytes": 0}, {"max_bytes": True}, {"keep": 0}, {"keep": "2"}, {"every": "week"}, {"keep": 2}]
)
def test_a_rotation_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"must be|set max_bytes or rotate"):
        Rotation(**wrong)
