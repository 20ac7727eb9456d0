"""The guide "Write a transport" holds: its package is installed beside this one, found, and run through the suite."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.documentation import ROOT, files
from tests.environments import Environment

pytestmark = pytest.mark.skipif(
    "TOX_ENV_NAME" in os.environ, reason="they make environments of their own: once is enough"
)

_PROGRAM = """
from langcache import LangCache
from langcache_transports.testing import FaultServer, faults

with FaultServer(faults.response(b'{"data":[]}')) as server:
    with LangCache(server.url, "k", "c", transport="plain") as cache:
        assert cache.search(prompt="p").data == []
        assert "plain_transport.PlainTransport" in cache.explain()
    [seen] = server.requests
    assert (seen.method, seen.url) == ("POST", "/v1/caches/c/entries/search")

try:
    LangCache("http://cache.example", "k", "c", transport="plain", proxy="http://proxy.example:3128")
except ValueError as error:
    print(error)
"""


def test_the_guides_package_is_installed_found_and_keeps_its_promises(wheel: Path, tmp_path: Path) -> None:
    """In a fresh virtual environment: by its entry point, and by the suite with every warning an error."""
    package = tmp_path / "package"
    package.mkdir()
    for name, text in files(ROOT / "docs" / "writing-a-transport.md").items():
        (package / name).write_text(text, encoding="utf-8")
    assert {path.name for path in package.iterdir()} == {
        "plain_transport.py",
        "pyproject.toml",
        "test_plain_transport.py",
        "test_program.py",
    }

    environment = Environment(tmp_path / "environment", "langcache[testing]")
    environment.pip("install", f"langcache[testing] @ {wheel.as_uri()}", str(package))
    assert environment.run("-c", _PROGRAM).stdout.startswith("plain does not honour proxy; ")

    said = environment.run("-m", "pytest", "-q", "-rs", "-W", "error", "-p", "no:cacheprovider", str(package)).stdout
    [counts] = re.findall(r"^(\d+) passed, (\d+) skipped in", said, re.MULTILINE)
    passed, skipped = map(int, counts)
    assert passed > 100
    assert skipped < passed / 3
    assert "TestPlainTransport declares proxy as unsupported" in said
