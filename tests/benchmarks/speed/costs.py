"""What is paid once: importing, building a client, and having many of them; each in fresh processes, in turn."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Mapping
from pathlib import Path

_COMMON = """
import json, os, resource, sys, time
def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1000
def resident():
    with open("/proc/self/statm") as memory:
        return int(memory.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024
def client():
    return LangCache(server_url="http://127.0.0.1:9", api_key="k", cache_id="c")
start, before, begun = cpu(), resident(), time.perf_counter()
from langcache import LangCache
imported, wall = cpu(), time.perf_counter()
clients = [client()]
built, memory, ended = cpu(), resident(), time.perf_counter()
"""

_FIRST = """
print(json.dumps({
    "import, CPU ms": imported - start,
    "import, ms": (wall - begun) * 1000,
    "import and client, CPU ms": built - start,
    "import and client, ms": (ended - begun) * 1000,
    "import and client, KiB": memory - before,
}))
"""

_MANY = """
clients += [client() for _ in range(999)]
print(json.dumps({
    "a client more, CPU us": (cpu() - built) * 1000 / 999,
    "a client more, KiB": (resident() - memory) / 999,
    "descriptors of 1,000 clients": len(os.listdir("/proc/self/fd")),
}))
"""


def measure(pythons: Mapping[str, Path], rounds: int) -> dict[str, dict[str, float]]:
    """Return the medians by contestant and by what was measured; 1,000 clients are made once, which takes a while."""
    contestants = {"langcache": pythons["ours"], "official": pythons["official"]}
    turns = [{name: _run(python, _FIRST) for name, python in contestants.items()} for _ in range(rounds)]
    return {
        name: {what: statistics.median(turn[name][what] for turn in turns) for what in turns[0][name]}
        | _run(python, _MANY)
        for name, python in contestants.items()
    }


def _run(python: Path, program: str) -> dict[str, float]:
    done = subprocess.run([str(python), "-I", "-c", _COMMON + program], capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured
