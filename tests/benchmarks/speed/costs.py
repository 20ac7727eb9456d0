"""What is paid once: importing, building a client, and having many of them; each in fresh processes, in turn."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Mapping
from pathlib import Path

_PROGRAM = """
import json, os, resource, sys, time
def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return (used.ru_utime + used.ru_stime) * 1000
def resident():
    with open("/proc/self/statm") as memory:
        return int(memory.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024
start, before, begun = cpu(), resident(), time.perf_counter()
from langcache import LangCache
imported, wall = cpu(), time.perf_counter()
clients = [LangCache(server_url="http://127.0.0.1:9", api_key="k", cache_id="c")]
built, memory, ended = cpu(), resident(), time.perf_counter()
clients += [LangCache(server_url="http://127.0.0.1:9", api_key="k", cache_id="c") for _ in range(999)]
print(json.dumps({
    "import, CPU ms": imported - start,
    "import, ms": (wall - begun) * 1000,
    "import and client, CPU ms": built - start,
    "import and client, ms": (ended - begun) * 1000,
    "import and client, KiB": memory - before,
    "a client more, CPU us": (cpu() - built) * 1000 / 999,
    "a client more, KiB": (resident() - memory) / 999,
    "descriptors of 1,000 clients": len(os.listdir("/proc/self/fd")),
}))
"""


def measure(pythons: Mapping[str, Path], rounds: int) -> dict[str, dict[str, float]]:
    """Return the medians by contestant and by what was measured."""
    found: dict[str, list[dict[str, float]]] = {"langcache": [], "official": []}
    for _ in range(rounds):
        for name, kept in found.items():
            python = pythons["ours" if name == "langcache" else name]
            done = subprocess.run([str(python), "-I", "-c", _PROGRAM], capture_output=True, text=True, check=True)
            kept.append(json.loads(done.stdout))
    return {
        name: {what: statistics.median(one[what] for one in kept) for what in kept[0]} for name, kept in found.items()
    }
