"""The end of a process: what is queued is written, or told of, however it ends but for being killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from langcache.audit import verify
from tests.transports.programs import STRICT, output_of

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent like this here")

_BEGINNING = """
import os, signal, sys, threading
from langcache import LangCache
from langcache.audit import Audit, Chain, JsonLinesFile
from tests.audit.recording import Stuck, transport

audit = Audit(JsonLinesFile(sys.argv[1], chain=Chain()))
cache = LangCache("http://cache.example", "k", "c", transport=transport(), plugins=[audit])


def search(*prompts):
    for prompt in prompts:
        cache.search(prompt=prompt)

"""

ENDS = {
    "its last line": ("search('p')", 1),
    "sys.exit": ("search('p'); sys.exit(3)", 1),
    "an exception": ("search('p'); raise LookupError('the end')", 1),
    # The first call is the main thread's: some Pythons start no thread for others when that is done.
    "a thread": ("search('p'); thread = threading.Thread(target=search, args='p'); thread.start()", 2),
    "an interrupt": ("search('p'); os.kill(os.getpid(), signal.SIGINT)", 1),
    "a thousand calls": ("search(*('p' for _ in range(1_000)))", 1_000),
    "a dropped client": ("search('p'); del cache, audit", 1),
}


@pytest.mark.parametrize("end", ENDS)
def test_when_a_process_ends_right_after_a_call_its_record_is_there(end: str, tmp_path: Path) -> None:
    program, records = ENDS[end]
    path = tmp_path / "audit.jsonl"
    output_of(_BEGINNING + "signal.signal(signal.SIGINT, signal.default_int_handler)\n" + program, str(path))
    found = verify([path])
    assert (found.is_whole, found.records) == (True, records)


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this operating system does not fork")


@needs_fork
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_so_it_is_in_processes_of_multiprocessing(method: str, tmp_path: Path) -> None:
    """Which end without what `atexit` knows, where they were forked."""
    program = """
import multiprocessing, sys
from langcache import LangCache
from langcache.audit import Audit, Chain, JsonLinesFile
from tests.audit.recording import transport


def call(path):
    audit = Audit(JsonLinesFile(path, chain=Chain()))
    cache = LangCache("http://cache.example", "k", "c", transport=transport(), plugins=[audit])
    cache.search(prompt="p")


if __name__ == "__main__":
    processes = multiprocessing.get_context(sys.argv[2])
    for _ in range(2):
        process = processes.Process(target=call, args=[sys.argv[1]])
        process.start()
        process.join()
        print(process.exitcode)
"""
    path, script = tmp_path / "audit.jsonl", tmp_path / "program.py"
    script.write_text(program)
    root = str(Path(__file__).parent.parent.parent)
    assert output_of(script, str(path), method, PYTHONPATH=root) == ("0\n0\n", "")
    found = verify([path])
    assert (found.is_whole, found.records) == (True, 2)


@needs_fork
def test_a_forked_child_writes_its_own_records_and_its_parent_those_that_were_queued(tmp_path: Path) -> None:
    """At the fork the queue is full, and its sink takes nothing."""
    program = """
class Gate(JsonLinesFile):
    gate = threading.Event()

    def write(self, records):
        self.gate.wait(30)
        return super().write(records)


audit = Audit(Gate(sys.argv[1], chain=Chain()), queue_size=20, when_full="drop", check_ms=60_000)
cache = LangCache("http://cache.example", "k", "c", transport=transport(), plugins=[audit])
Gate.gate.set()
search("first")
Gate.gate.clear()
search(*(f"parent {number}" for number in range(25)))
stats = audit.stats()
children = []
for number in range(3):
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # ends a child that waits for ever
        Gate.gate.set()
        assert audit.stats().queued == 0
        search("child", "child")
        sys.exit(0)
    children.append(child)
print([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
Gate.gate.set()
print(stats.queued, stats.dropped, audit.close(), audit.stats().written)
"""
    path = tmp_path / "audit.jsonl"
    output, problems = output_of(_BEGINNING + program, str(path))
    assert output == "[0, 0, 0]\n20 5 True 21\n"
    assert problems.splitlines() == [
        "The audit to __main__.Gate: its queue is full; records lost since the last warning: 1",
        "The audit to __main__.Gate: its queue is full; records lost since the last warning: 4",
    ]
    found = verify([path])
    assert (found.is_whole, found.records) == (True, 27)


@needs_fork
def test_a_child_that_drops_its_parents_call_records_nothing_and_waits_for_nothing(tmp_path: Path) -> None:
    """Though at the fork another thread had the lock of the parent's queue."""
    program = """
from langcache import Request, send
from langcache.audit import AuditStats
from tests.audit.recording import NOTHING

audit = Audit(JsonLinesFile(sys.argv[1], chain=Chain()), check_ms=60_000)
cache = LangCache("http://cache.example", "k", "c", transport=transport(), plugins=[audit])
search("p")
steps = audit._call_audit(Request("POST", "http://cache.example/", operation="search"), send)
next(steps)
held, forked = threading.Event(), threading.Event()


def hold():
    with audit._queues.get()._state.lock:
        held.set()
        forked.wait()


holding = threading.Thread(target=hold)
holding.start()
held.wait()
child = os.fork()
if child == 0:
    signal.alarm(30)  # ends a child that waits for ever
    steps.close()
    os._exit(0 if audit.close() and audit.stats() == AuditStats(0, 0, 0, 0) else 1)
forked.set()
print(os.waitpid(child, 0)[1])
try:
    steps.send(NOTHING)
except StopIteration:
    print(audit.close(), audit.stats().written)
"""
    path = tmp_path / "audit.jsonl"
    assert output_of(_BEGINNING + program, str(path))[0] == "0\nTrue 2\n"
    assert verify([path]).records == 2


def test_a_sink_that_blocks_for_ever_holds_up_no_end_for_longer_than_was_said_and_that_is_told(tmp_path: Path) -> None:
    program = """
stuck = Stuck()
audit = Audit(stuck, on_error="ignore", exit_ms=50)
cache = LangCache("http://cache.example", "k", "c", transport=transport(), plugins=[audit])
search("p", "p", "p")
print(stuck.begun.wait(20))
"""
    output, problems = output_of(_BEGINNING + program, str(tmp_path / "a"))
    assert output == "True\n"
    assert re.fullmatch(
        r"The audit to tests\.audit\.recording\.Stuck: the process ended, and after \S+ s 3 records are not written\n",
        problems,
    )


def test_a_sink_that_is_slow_at_the_end_has_the_time_that_was_said(tmp_path: Path) -> None:
    program = """
class Slow(JsonLinesFile):
    def write(self, records):
        threading.Event().wait(0.02)  # a slow disk
        return super().write(records[:1])


audit = Audit(Slow(sys.argv[1], chain=Chain()), exit_ms=60_000)
cache = LangCache("http://cache.example", "k", "c", transport=transport(), plugins=[audit])
search(*(f"p {number}" for number in range(20)))
"""
    path = tmp_path / "audit.jsonl"
    assert output_of(_BEGINNING + program, str(path)) == ("", "")
    assert verify([path]).records == 20


def test_a_short_outage_while_the_process_ends_loses_nothing(tmp_path: Path) -> None:
    program = """
class Recovering(JsonLinesFile):
    failures = 0

    def write(self, records):
        if self.failures < 3:
            self.failures += 1
            raise OSError("down")
        return super().write(records)


audit = Audit(Recovering(sys.argv[1], chain=Chain()), on_error="ignore", exit_ms=60_000)
cache = LangCache("http://cache.example", "k", "c", transport=transport(), plugins=[audit])
search("p", "p", "p")
"""
    path = tmp_path / "audit.jsonl"
    assert "OSError was raised" in output_of(_BEGINNING + program, str(path))[1]
    assert verify([path]).records == 3


def test_a_sink_that_blocks_while_nothing_is_queued_holds_up_no_end(tmp_path: Path) -> None:
    program = """
class Silent(Stuck):
    def check(self):
        self.begun.set()
        self.go_on.wait()


stuck = Silent()
audit = Audit(stuck, wait_ms=10, exit_ms=3_600_000)
cache = LangCache("http://cache.example", "k", "c", transport=transport(), plugins=[audit])
try:
    search("p")
except Exception as error:
    print(error)
stuck.begun.wait()
"""
    output, problems = output_of(_BEGINNING + program, str(tmp_path / "a"))
    assert "its sink was silent for 0.01 s" in output
    assert problems == ""


def test_a_call_that_a_daemon_thread_is_making_holds_up_no_end(tmp_path: Path) -> None:
    """It will not end; what was recorded before is written."""
    program = """
class Endless:
    def send(self, request):
        begun.set()
        threading.Event().wait()

    def close(self):
        pass


begun = threading.Event()
audit = Audit(JsonLinesFile(sys.argv[1]), exit_ms=3_600_000)
cache = LangCache("http://cache.example", "k", "c", transport=transport(), plugins=[audit])
search("p")
other = LangCache("http://cache.example", "k", "c", transport=Endless(), plugins=[audit])
threading.Thread(target=other.search, kwargs={"prompt": "p"}, daemon=True).start()
begun.wait()
"""
    path = tmp_path / "audit.jsonl"
    _, problems = output_of(_BEGINNING + program, str(path))
    assert problems.count("0 records are not written, and 1 calls have not ended") == 1
    assert len(path.read_bytes().splitlines()) == 1


@posix
def test_a_handler_of_a_signal_that_exits_has_what_is_queued_written(tmp_path: Path) -> None:
    """By default SIGTERM ends a process without that, as os._exit does; the guide shows such a handler."""
    program = """
def ended(number, frame):
    sys.exit(128 + number)


signal.signal(signal.SIGTERM, ended)
search("p")
os.kill(os.getpid(), signal.SIGTERM)
"""
    path = tmp_path / "audit.jsonl"
    assert output_of(_BEGINNING + program, str(path)) == ("", "")
    assert len(path.read_bytes().splitlines()) == 1


def test_a_call_in_the_end_itself_is_refused_and_not_lost_unseen(tmp_path: Path) -> None:
    program = """
import atexit
from langcache.errors import AuditError


def late():
    try:
        search("late")
    except AuditError as error:
        print(error)


def main():
    from langcache.audit import exit

    search("p")
    atexit.unregister(exit.end_all)
    atexit.register(late)
    atexit.register(exit.end_all)


main()
"""
    path = tmp_path / "audit.jsonl"
    output, problems = output_of(_BEGINNING + program, str(path))
    assert (output, problems) == ("search: not sent, because it cannot be recorded: the audit is closed\n", "")
    assert len(path.read_bytes().splitlines()) == 1


@posix
@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGTERM)"])
def test_an_end_in_which_python_runs_nothing_leaves_whole_lines_and_those_that_were_confirmed(
    end: str, tmp_path: Path
) -> None:
    path = tmp_path / "audit.jsonl"
    program = f"""
confirmed = Audit(JsonLinesFile(sys.argv[1], chain=Chain()), confirm=True, wait_ms=60_000)
cache = LangCache("http://cache.example", "k", "c", transport=transport(), plugins=[confirmed])
search("p", "p", "p")
{end}
"""
    assert output_of(_BEGINNING + program, str(path)) == ("", "")
    assert verify([path]) == verify([path], expect_records=3)


@posix
def test_a_process_that_is_killed_leaves_whole_lines_and_a_chain_that_can_be_continued(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    program = _BEGINNING + "print('ready', flush=True)\nwhile True: search('p')\n"
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, *STRICT, "-c", textwrap.dedent(program), str(path)], stdout=subprocess.PIPE
        )
        with process:
            assert process.stdout is not None
            process.stdout.readline()
            while not path.exists() or path.stat().st_size < 50_000 * (_ + 1):
                assert process.poll() is None
            process.send_signal(signal.SIGKILL)
    output_of(_BEGINNING + "search('p')", str(path))
    assert verify([path]).is_whole
    assert all(json.loads(line)["kind"] == "call" for line in path.read_bytes().splitlines())
