"""The environment may forbid httpx: everything runs where its import fails."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib.metadata import requires

from langcache_transports.embedded import DataPlane
from tests.local_server import LocalServer

_PROGRAM = """
import asyncio, importlib, pkgutil, sys


class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("httpx", "httpcore", "anyio", "h11"):
            raise ImportError(f"{name} is forbidden here")


sys.meta_path.insert(0, Forbidden())

import langcache, langcache_transports
from langcache import BackoffStrategy, LangCache, RetryConfig, errors

for package in (langcache, langcache_transports):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def everything(client):
    entry_id = client.set(prompt="p", response="r", attributes={"language": "en"}, ttl_millis=60_000).entry_id
    assert client.search(prompt="P", search_strategies=["exact"]).data[0].id == entry_id
    assert client.search(prompt="p").data[0].response == "r"
    assert client.conversational_search(prompt="p").actual_prompt == "p"
    client.delete_by_id(entry_id=entry_id)
    client.set(prompt="p", response="r", attributes={"language": "en"})
    assert client.delete_query(attributes={"language": "en"}).deleted_entries_count == 1
    client.flush()
    client.health()
    try:
        client.delete_by_id(entry_id=entry_id)
    except errors.NotFoundError as error:
        assert error.status_code == 404
    else:
        raise AssertionError("expected a NotFoundError")


async def everything_async(client):
    entry_id = (await client.set_async(prompt="p", response="r", attributes={"language": "en"})).entry_id
    assert (await client.search_async(prompt="P", search_strategies=["exact"])).data[0].id == entry_id
    assert (await client.conversational_search_async(prompt="p")).actual_prompt == "p"
    await client.delete_by_id_async(entry_id=entry_id)
    await client.set_async(prompt="p", response="r", attributes={"language": "en"})
    assert (await client.delete_query_async(attributes={"language": "en"})).deleted_entries_count == 1
    await client.flush_async()
    await client.health_async()


retries = RetryConfig("backoff", BackoffStrategy(1, 50, 1.1, 100), True)
for url, transport in ((sys.argv[1], "urllib3"), (sys.argv[1], "requests"), ("embedded://", None)):
    with LangCache(url, "k", "c", transport=transport, retry_config=retries) as client:
        everything(client)
        asyncio.run(everything_async(client))

from langcache.cli import main

assert main(["demo"]) == 0
assert not {"httpx", "httpcore", "anyio", "h11"} & set(sys.modules)
print("everything ran")
"""


def test_everything_runs_where_httpx_is_forbidden(server: LocalServer) -> None:
    """All modules import, and all operations, transports, both forms and the command work."""
    server.answer = DataPlane().handle
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_PROGRAM), server.url], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.endswith("everything ran\n")


def test_the_core_requires_four_libraries_and_no_others() -> None:
    names = {name.partition(";")[0].split(">")[0] for name in requires("langcache") or [] if "extra ==" not in name}
    assert names == {"pluggy", "pydantic", "requests", "urllib3"}
