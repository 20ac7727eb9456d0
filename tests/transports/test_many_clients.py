"""Clients that are made and dropped leave nothing behind: no file descriptor, no object, no memory, no warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from langcache_transports.testing import Certificates
from tests.transports.answering import answering
from tests.transports.programs import output_of

_PROGRAM = """
import gc, os, sys
from langcache import LangCache, TLSConfig

url, transport, ca = sys.argv[1:]


def use(count):
    for number in range(count):
        # Each has a configuration of its own, which is equal to the others'.
        tls = TLSConfig(ca=ca) if ca else None
        client = LangCache(url, "k", "c", transport=transport, tls=tls, trust_env=False)
        client.search(prompt="p")
        if number % 2:
            client.close()  # the others are dropped


def left():
    gc.collect()
    with open("/proc/self/statm") as memory:
        resident = int(memory.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return len(os.listdir("/proc/self/fd")), len(gc.get_objects()), resident


use(100)
before = left()
use(1_000)
print(*(now - then for now, then in zip(left(), before)))
"""

_GROWTH = 6 * 1024 * 1024
"""How many bytes of memory may come and go; a thousand contexts that are left behind need many times as much."""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="this operating system has no /proc to look into")
@pytest.mark.parametrize(("transport", "scheme"), [("urllib3", "https"), ("requests", "http")])
def test_a_thousand_clients_leave_nothing_behind(transport: str, scheme: str, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path) if scheme == "https" else None
    with answering(certificates.server_context() if certificates else None) as server:
        ca = certificates.ca if certificates else ""
        output, problems = output_of(_PROGRAM, server.url, transport, ca)
        assert problems == ""
        assert server.wait_until_closed()
        assert server.connections == 1_100
    descriptors, objects, memory = map(int, output.split())
    assert descriptors <= 0
    assert objects < 500  # not one for each client
    assert memory < _GROWTH
