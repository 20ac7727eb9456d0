"""The fixtures for pytest cost a run nothing that does not use them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from langcache import LangCache, Response, errors
from langcache_transports.testing import FakeTransport, FaultServer, faults

_OTHERS = """
import sys

def test_of_somebody_else():
    assert "langcache_transports.testing.plugin" in sys.modules
    loaded = {name.removeprefix("langcache_transports") for name in sys.modules if name.startswith("langcache")}
    assert loaded == {"", ".testing", ".testing.plugin"}
"""


def test_the_plugin_is_registered() -> None:
    [found] = [point for point in entry_points(group="pytest11") if point.name == "langcache"]
    assert found.value == "langcache_transports.testing.plugin"


def test_a_run_that_uses_no_fixture_loads_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "test_others.py").write_text(_OTHERS, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_client_sends_with_the_fake_transport(
    langcache_client: LangCache, langcache_fake_transport: FakeTransport
) -> None:
    langcache_fake_transport.add(Response(200, {}, b'{"data":[]}'))
    assert langcache_client.search(prompt="p").data == []
    assert langcache_fake_transport.requests[0].url == "http://langcache.test/v1/caches/test-cache/entries/search"


@pytest.mark.parametrize("turn", [1, 2])
def test_the_embedded_client_begins_empty(langcache_embedded: LangCache, turn: int) -> None:
    assert langcache_embedded.search(prompt="p").data == []
    langcache_embedded.set(prompt="p", response="r")
    assert [found.response for found in langcache_embedded.search(prompt="p").data] == ["r"]


def test_the_fault_server_is_started_with_its_conversations(langcache_fault_server: Callable[..., FaultServer]) -> None:
    server = langcache_fault_server(faults.close_before_answer, faults.response(b'{"data":[]}'))
    with LangCache(server.url, "k", "c") as cache:
        with pytest.raises(errors.ReadError):
            cache.search(prompt="p")
        assert cache.search(prompt="p").data == []
    assert (server.connections, len(server.requests)) == (2, 2)
