"""What several test modules share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from langcache import Request, Response
from langcache.governance import discovery
from tests.environments import built_wheel
from tests.local_server import LocalServer

# How long an example takes says more of the machine than of the code.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run the whole suite in two processes; a part is done before a second one has started."""
    return 2 if config.args == config.getini("testpaths") else 0


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the variables of the machine that runs it."""
    for name in ("SERVER_URL", "API_KEY", "CACHE_ID", "DEBUG", "PLUGINS", "DISABLE_PLUGINS"):
        monkeypatch.delenv(f"LANGCACHE_{name}", raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


Installed = dict[str, dict[str, list[EntryPoint]]]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Entry points, by group and name, as if packages that bring them were installed, and no others."""
    offered: Installed = {}

    def only_these(group: str, _search_path: Sequence[str]) -> Mapping[str, Sequence[EntryPoint]]:
        return offered.get(group, {})

    monkeypatch.setattr(discovery, "_installed", only_these)
    return offered


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A real HTTP server; a test sets its `answer`."""

    def unset(request: Request) -> Response:
        raise AssertionError(f"the test has set no answer for {request!r}")

    with LocalServer(unset) as started:
        yield started


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This distribution, built from a copy of the checkout."""
    return built_wheel(tmp_path_factory.mktemp("wheel"))
