"""Programs that gevent has patched: the writing thread is a greenlet, and holds nobody up."""

from __future__ import annotations

from pathlib import Path

import pytest

from langcache.audit import verify
from tests.transports.programs import output_of

pytest.importorskip("gevent", reason="gevent is not installed, or not for this interpreter", exc_type=ImportError)


def test_greenlets_share_an_audit_and_the_end_of_the_process_writes_the_rest(tmp_path: Path) -> None:
    program = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent
from langcache import LangCache
from langcache.audit import Audit, Chain, JsonLinesFile
from tests.audit.recording import transport

audit = Audit(JsonLinesFile(sys.argv[1], chain=Chain()), attempts=True, queue_size=50, wait_ms=60_000)
cache = LangCache("http://cache.example", "k", "c", transport=transport(), plugins=[audit])
gevent.joinall([gevent.spawn(cache.search, prompt="p") for _ in range(200)], raise_error=True)
print(audit.flush(60_000), audit.stats().written)
cache.search(prompt="p")
"""
    path = tmp_path / "audit.jsonl"
    assert output_of(program, str(path)) == ("True 400\n", "")
    found = verify([path])
    assert (found.is_whole, found.records) == (True, 402)


def test_a_greenlet_that_is_killed_in_the_first_call_leaves_one_writer_and_no_room_taken() -> None:
    program = """
from gevent import monkey
monkey.patch_all()
import threading
import gevent
from langcache import LangCache
from langcache.audit import Audit
from tests.audit.recording import transport

together, most, taken = [], [0], []


def take(record):
    together.append(1)
    most[0] = max(most[0], len(together))
    gevent.sleep(0.001)
    together.pop()
    taken.append(record)


audit = Audit(take, queue_size=3, wait_ms=60_000)
cache = LangCache("http://cache.example", "k", "c", transport=transport(), plugins=[audit])
for _ in range(3):
    killed = gevent.spawn(cache.search, prompt="p")
    gevent.sleep(0)
    killed.kill()
gevent.joinall([gevent.spawn(cache.search, prompt="p") for _ in range(20)], raise_error=True)
print(audit.flush(60_000), most, len({id(record) for record in taken}) == len(taken))
print(sum(thread.name == "langcache-audit" for thread in threading.enumerate()))
print(audit.close(), audit.stats().queued)
"""
    assert output_of(program)[0] == "True [1] True\n1\nTrue 0\n"
