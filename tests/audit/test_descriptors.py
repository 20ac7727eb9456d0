"""Files that several processes append to, with real files."""

from __future__ import annotations

import os
import stat
import sys
import threading
from pathlib import Path

import pytest

from langcache.audit.descriptors import SharedFile, first_line, in_order, last_line, unfinished, write_all, written_to
from tests.transports.programs import output_of

FLAGS = os.O_WRONLY | os.O_APPEND
posix = pytest.mark.skipif(sys.platform == "win32", reason="of POSIX systems")


def opened(path: Path, mode: int = 0o600) -> SharedFile:
    file = SharedFile(path, mode, FLAGS)
    file.open()
    return file


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_new_file_has_its_permissions_whatever_the_umask_is_and_an_old_one_keeps_them(
    tmp_path: Path, mode: int
) -> None:
    mask = os.umask(0o077)
    try:
        opened(tmp_path / "new", mode).close()
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == mode
    (tmp_path / "new").chmod(0o604)
    opened(tmp_path / "new", mode).close()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o604


@posix
@pytest.mark.parametrize("change", ["moved", "deleted"])
def test_where_the_path_leads_elsewhere_that_is_opened(tmp_path: Path, change: str) -> None:
    path = tmp_path / "a"
    file = opened(path)
    write_all(file.descriptor, b"old\n")
    if change == "moved":
        path.rename(tmp_path / "b")
    else:
        path.unlink()
    with file.locked():
        write_all(file.descriptor, b"new\n")
    file.close()
    assert path.read_bytes() == b"new\n"


def test_what_is_open_stays_open(tmp_path: Path) -> None:
    file = opened(tmp_path / "a")
    descriptor = file.descriptor
    for _ in range(3):
        with file.locked():
            assert file.descriptor == descriptor
    file.close()
    file.close()


@posix
def test_a_device_is_no_regular_file_and_is_never_opened_again() -> None:
    file = opened(Path("/dev/null"))
    assert not file.is_regular
    with file.locked():
        write_all(file.descriptor, b"x")
    file.close()


@posix
def test_two_that_lock_a_file_wait_for_each_other(tmp_path: Path) -> None:
    first, second = opened(tmp_path / "a"), opened(tmp_path / "a")
    order: list[str] = []
    begun = threading.Event()

    def work() -> None:
        begun.set()
        with second.locked():
            order.append("second")

    thread = threading.Thread(target=work)
    with first.locked():
        thread.start()
        assert begun.wait(30)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]
    first.close()
    second.close()


@posix
def test_who_waited_for_a_file_that_was_moved_meanwhile_locks_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    first, second = opened(path), opened(path)
    begun = threading.Event()

    def work() -> None:
        begun.set()
        with second.locked():
            write_all(second.descriptor, b"second\n")

    thread = threading.Thread(target=work)
    with first.locked():
        thread.start()
        assert begun.wait(30)
        write_all(first.descriptor, b"first\n")
        path.rename(tmp_path / "b")
    thread.join(30)
    assert (path.read_bytes(), (tmp_path / "b").read_bytes()) == (b"second\n", b"first\n")
    first.close()
    second.close()


def test_a_file_is_not_left_to_programs_that_are_started() -> None:
    program = """
import os, subprocess, sys, tempfile
from pathlib import Path
from langcache.audit.descriptors import SharedFile

file = SharedFile(Path(tempfile.mkdtemp(), "a"), 0o600, os.O_WRONLY)
file.open()
print(os.get_inheritable(file.descriptor))
"""
    assert output_of(program) == ("False\n", "")


LINES = [
    b"",
    b"\n",
    b"a",
    b"a\n",
    b"a\nb",
    b"a\n\n",
    b"a" * 9_000 + b"\n" + b"b" * 9_000 + b"\n",
    b"c\n" + b"d" * 9_000,
]


@pytest.mark.parametrize("content", LINES, ids=range(len(LINES)))
def test_the_last_whole_line_is_found_and_what_is_behind_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    *whole, rest = content.split(b"\n")
    assert last_line(path) == (whole[-1] if whole else None)
    assert unfinished(path) == rest
    assert first_line(path) == content.split(b"\n")[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this operating system does not fork")
def test_a_child_that_outlives_a_killed_parent_holds_no_lock_of_its(tmp_path: Path) -> None:
    """Though it was forked while the parent had the lock, and never runs another program."""
    program = """
import os, signal, sys
from pathlib import Path
from langcache.audit.descriptors import SharedFile

file = SharedFile(Path(sys.argv[1]), 0o600, os.O_WRONLY | os.O_APPEND)
ready, tell = os.pipe()
ended, end = os.pipe()
parent = os.fork()
if parent == 0:
    with file.locked():
        if os.fork() == 0:
            os.close(end)
            os.write(tell, b"x")
            os.read(ended, 1)  # until the one below ends
            os._exit(0)
        signal.pause()
os.read(ready, 1)
os.kill(parent, signal.SIGKILL)
os.waitpid(parent, 0)
signal.alarm(20)
with file.locked():
    print("locked")
"""
    assert output_of(program, str(tmp_path / "a")) == ("locked\n", "")


STAMP = "20261123T101500123Z"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (f"a.jsonl.{STAMP}", "a.jsonl"),
        ("a.jsonl", "a.jsonl"),
        (f"a.jsonl.{STAMP}.gz", f"a.jsonl.{STAMP}.gz"),
        (f".{STAMP}", f".{STAMP}"),
        (f"a.{STAMP}.{STAMP}", f"a.{STAMP}"),
    ],
)
def test_of_what_was_put_aside_it_is_known_where_it_was_written(name: str, written: str, tmp_path: Path) -> None:
    assert written_to(tmp_path / name) == tmp_path / written


def test_files_are_put_into_the_order_in_which_they_were_written_and_others_stay_where_they_are() -> None:
    given = ["z", "a", f"a.2{STAMP[1:]}", "b", f"a.1{STAMP[1:]}", f"b.{STAMP}"]
    ordered = [path.name for path in in_order([Path(name) for name in given])]
    assert ordered == ["z", f"a.1{STAMP[1:]}", f"a.2{STAMP[1:]}", f"b.{STAMP}", "a", "b"]
