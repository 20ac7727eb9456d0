"""Packages of third parties, installed in a virtual environment: sound ones, broken ones, and when they are loaded."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.documentation import ROOT, files
from tests.environments import Environment, link_libraries, wheel_of

pytestmark = pytest.mark.skipif(
    "TOX_ENV_NAME" in os.environ, reason="they make environments of their own: once is enough"
)

_CARRIER = """
from langcache import Response, hookimpl


class Carrier:
    def send(self, request):
        print("tenant:", request.headers.get("X-Tenant"))
        return Response(200, {"Content-Type": "application/json"}, b'{"data":[]}')

    def close(self):
        pass


@hookimpl
def langcache_transport(name):
    return Carrier() if name == "carrier" else None
"""

_MISSPELT = """
from langcache import hookimpl


@hookimpl
def langcache_attempt_midleware():
    raise AssertionError("never called")
"""

_SEARCH = """
import sys
from langcache import LangCache
with LangCache("http://cache.example", "k", "c", transport="carrier"{arguments}) as cache:
    assert cache.search(prompt="p").data == []
    print(cache.explain())
print("loaded:", sorted(name for name in sys.modules if name.startswith("acme_")))
"""

_TOGETHER = """
import json
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from langcache import LangCache
from langcache.audit import Audit, JsonLinesFile
from langcache.telemetry import OpenTelemetry

spans, tracers = InMemorySpanExporter(), TracerProvider()
tracers.add_span_processor(SimpleSpanProcessor(spans))
with Audit(JsonLinesFile("{path}"), attempts=True) as audit:
    with LangCache(
        "http://cache.example", "k", "c", transport="carrier", plugins=["tenant", audit, OpenTelemetry(tracers)],
        required=["tenant", "Audit", "OpenTelemetry"], autoload={autoload}
    ) as cache:
        assert cache.search(prompt="p").data == []
        print(cache.explain())
print("records:", *(json.loads(line)["outcome"] for line in Path("{path}").read_text().splitlines()))
print("spans:", *(span.name for span in spans.get_finished_spans()))
"""

NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
BROKEN = "it cannot be loaded (acme_broken): ModuleNotFoundError: No module named 'acme_missing'"
MISSPELT = "it implements the unknown hook 'langcache_attempt_midleware' (did you mean 'langcache_attempt_middleware'?)"


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """One environment with this distribution, the package of the guide "Plugins", and three others."""
    directory = tmp_path_factory.mktemp("third")
    package = directory / "package"
    package.mkdir()
    for name, text in files(ROOT / "docs" / "plugins.md").items():
        (package / name).write_text(text, encoding="utf-8")
    plugins, transports = "[langcache.plugins]\n{0} = acme_{0}\n", "[langcache.transports]\n{0} = acme_{0}\n"
    made = Environment(directory / "environment", "langcache")
    made.pip(
        "install",
        "--no-deps",
        str(wheel),
        str(package),
        wheel_of(directory, "acme-broken", "1.0", "import acme_missing\n", plugins.format("broken")),
        wheel_of(directory, "acme-misspelt", "1.5", _MISSPELT, plugins.format("misspelt")),
        wheel_of(directory, "acme-carrier", "3.0", _CARRIER, transports.format("carrier")),
    )
    return made


def searched(
    environment: Environment, arguments: str = "", variables: Mapping[str, str] = NO_VARIABLES, status: int = 0
) -> str:
    """Run a program that searches with the installed transport; return what it says, with its warnings and errors."""
    done: subprocess.CompletedProcess[str] = environment.run(
        "-W", "error", "-c", _SEARCH.format(arguments=arguments), status=status, ACME_TENANT="acme", **variables
    )
    return done.stdout + done.stderr


def test_a_transport_is_loaded_where_it_is_named_and_no_plugin_unasked(environment: Environment) -> None:
    said = searched(environment)
    assert "tenant: None\n" in said
    assert "  sync calls: acme_carrier.Carrier (acme-carrier 3.0), because transport is 'carrier'\n" in said
    assert "loaded: ['acme_carrier']\n" in said


@pytest.mark.parametrize(
    ("arguments", "variables", "asked"),
    [(", plugins=['tenant']", {}, "plugins"), ("", {"LANGCACHE_PLUGINS": "tenant"}, "LANGCACHE_PLUGINS")],
)
def test_a_plugin_is_loaded_where_it_is_named(
    environment: Environment, arguments: str, variables: dict[str, str], asked: str
) -> None:
    said = searched(environment, arguments, variables)
    assert "tenant: acme\n" in said
    assert f"  tenant           langcache.functions.Around (acme-tenant 2.1, asked for by {asked})\n" in said
    assert "before_attempt=acme_tenant.add_tenant\n" in said
    assert "loaded: ['acme_carrier', 'acme_tenant']\n" in said


def test_autoload_has_what_is_sound_and_a_warning_names_each_that_is_not(environment: Environment) -> None:
    said = searched(environment, ", autoload=True, required=['tenant']")
    assert "tenant: acme\n" in said
    assert said.splitlines()[-2:] == [
        f"The plugin 'broken' is left out: {BROKEN}",
        f"The plugin 'misspelt' is left out: {MISSPELT}",
    ]
    assert f"Left out:\n  broken: {BROKEN}\n  misspelt: {MISSPELT}\n" in said


@pytest.mark.parametrize(
    ("arguments", "variables", "reason"),
    [
        ("required=['broken'], autoload=True", {}, f"'broken' is required, but {BROKEN}"),
        ("required=['misspelt'], plugins=['misspelt']", {}, f"'misspelt' is required, but {MISSPELT}"),
        ("required=True", {"LANGCACHE_PLUGINS": "broken"}, f"'broken' is required, but {BROKEN}"),
        (
            "required=['other'], plugins=['other']",
            {},
            "'other' is required, but it is not installed; installed are brok",
        ),
        (
            "required=True, plugins=['tenant']",
            {"LANGCACHE_DISABLE_PLUGINS": "1"},
            "'tenant' is required, but it is turned off by LANGCACHE_DISABLE_PLUGINS",
        ),
    ],
)
def test_what_is_required_and_not_there_stops_construction(
    environment: Environment, arguments: str, variables: dict[str, str], reason: str
) -> None:
    said = searched(environment, f", {arguments}", variables, status=1)
    assert f"langcache.errors.PluginError: The plugin {reason}" in said


def test_all_of_them_are_turned_off_at_once(environment: Environment) -> None:
    """A program that relies on one's transport is told why there is none."""
    said = searched(environment, ", autoload=True", {"LANGCACHE_DISABLE_PLUGINS": "1"}, status=1)
    assert "No transport answers to 'carrier'; known are aiohttp, embedded, requests, supplied, threaded, url" in said
    assert "LANGCACHE_DISABLE_PLUGINS turns off all that is not built in" in said


def test_the_command_lists_them_and_fails_where_one_that_is_asked_for_is_broken(environment: Environment) -> None:
    def listed(status: int, *arguments: str, **variables: str) -> list[str]:
        done = environment.run("-m", "langcache", "plugins", *arguments, status=status, **variables)
        assert done.stderr == ""
        return [" ".join(line.split()) for line in done.stdout.splitlines()]

    lines = listed(0)
    assert "carrier acme_carrier acme-carrier 3.0" in lines
    assert [line for line in lines if line.endswith("not asked for")] == [
        "broken acme_broken acme-broken 1.0 not asked for",
        "misspelt acme_misspelt acme-misspelt 1.5 not asked for",
        "tenant acme_tenant:plugin acme-tenant 2.1 not asked for",
    ]
    lines = listed(0, LANGCACHE_PLUGINS="tenant")
    assert "tenant acme_tenant:plugin acme-tenant 2.1 active, asked for by LANGCACHE_PLUGINS" in lines
    lines = listed(1, LANGCACHE_PLUGINS="tenant,broken")
    assert f"broken acme_broken acme-broken 1.0 left out, asked for by LANGCACHE_PLUGINS: {BROKEN}" in lines
    assert f"misspelt acme_misspelt acme-misspelt 1.5 left out, asked for by autoload: {MISSPELT}" in listed(
        1, "--autoload"
    )
    lines = listed(0, "--autoload", LANGCACHE_DISABLE_PLUGINS="1")
    assert "carrier acme_carrier acme-carrier 3.0 it is turned off by LANGCACHE_DISABLE_PLUGINS" in lines


@pytest.mark.parametrize("autoload", [False, True])
def test_one_stands_together_with_the_audit_and_with_telemetry(
    environment: Environment, tmp_path: Path, autoload: bool
) -> None:
    """All three do their work in one call, and `explain` tells each with the distribution that it is of."""
    link_libraries(tmp_path / "libraries", "opentelemetry-sdk")
    done = environment.run(
        "-c", _TOGETHER.format(path=tmp_path / "audit.jsonl", autoload=autoload),
        ACME_TENANT="acme", PYTHONPATH=str(tmp_path / "libraries"),
    )  # fmt: skip
    said = done.stdout
    assert "tenant: acme\n" in said
    assert "records: done miss\n" in said
    assert "spans: POST /v1/caches/{cache_id}/entries/search\n" in said
    told = " ".join(said.split())
    assert "tenant langcache.functions.Around (acme-tenant 2.1, asked for by plugins)" in told
    for name in ("Audit", "OpenTelemetry"):
        assert re.search(rf" {name} langcache\.\S+ \(langcache \S+, asked for by plugins\)", told)
