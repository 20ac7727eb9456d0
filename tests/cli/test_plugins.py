"""``langcache plugins``: what is installed, what is active and by what, and what is broken."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

import langcache
from langcache import hookimpl
from langcache.cli import main
from langcache.governance import discovery
from tests.conftest import Installed
from tests.governance.stand_ins import Both, Failing, offer

OWN = f"langcache {langcache.__version__}"


def told(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> list[str]:
    """Run the command; return its lines, with no more than one space between words."""
    assert main(["plugins", *arguments]) == status
    output, errors = capsys.readouterr()
    assert errors == ""
    return [" ".join(line.split()) for line in output.splitlines()]


def test_nothing_is_loaded_unasked(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All is listed with its distribution, and a client of this environment is told."""
    offer(installed, monkeypatch, broken=None)
    lines = told(capsys)
    assert lines[:7] == [
        "Transports",
        f"aiohttp langcache_transports.aiohttp {OWN}",
        f"embedded langcache_transports.embedded {OWN}",
        f"requests langcache_transports.requests {OWN}",
        f"supplied langcache_transports.supplied {OWN}",
        f"threaded langcache_transports.threaded {OWN}",
        f"urllib3 langcache_transports.urllib3 {OWN}",
    ]
    assert lines[7:12] == [
        "",
        "Plugins",
        "broken package_of_broken:plugin no distribution not asked for",
        "",
        "A client in this environment",
    ]
    assert lines[12:14] == ["Once a call:", f"identity langcache.middleware.identity.RequestIdentity ({OWN})"]


def test_where_no_plugin_is_installed_that_is_told(installed: Installed, capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys)
    assert lines[lines.index("Plugins") + 1] == "none"


def test_what_is_active_is_told_with_what_asks_for_it(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(installed, monkeypatch, audit=Both(), other=Both())
    monkeypatch.setenv("LANGCACHE_PLUGINS", "audit")
    lines = told(capsys)
    assert "audit package_of_audit:plugin no distribution active, asked for by LANGCACHE_PLUGINS" in lines
    assert "other package_of_other:plugin no distribution not asked for" in lines
    passing = "tests.governance.stand_ins.passing"
    assert lines.count(f"audit {passing} (no distribution, asked for by LANGCACHE_PLUGINS)") == 2
    lines = told(capsys, "--autoload")
    assert "other package_of_other:plugin no distribution active, asked for by autoload" in lines
    assert f"other {passing} (no distribution, asked for by autoload)" in lines


def test_what_is_broken_is_told_with_the_reason_and_the_exit_status_is_1(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where that comes out only when a client is built; and nothing is told a second time by the log."""
    offer(installed, monkeypatch, broken=None, failing=Failing())
    monkeypatch.setenv("LANGCACHE_PLUGINS", "broken,failing,ghost")
    lines = told(capsys, status=1)
    by = "left out, asked for by LANGCACHE_PLUGINS: it"
    assert [line for line in lines if by in line] == [
        f"broken package_of_broken:plugin no distribution {by} cannot be loaded (package_of_broken:plugin): "
        "ModuleNotFoundError: No module named 'package_of_broken'",
        f"failing package_of_failing:plugin no distribution {by} fails in langcache_attempt_middleware: "
        "RuntimeError: no settings for this",
        f"ghost {by} is not installed; installed are broken, failing",
    ]
    assert lines[lines.index("Left out:") + 3] == "ghost: it is not installed; installed are broken, failing"


class Confused(Both):
    """Brings a middleware, and fails where it is told what there is."""

    @hookimpl
    def langcache_composed(self) -> None:
        raise RuntimeError("no idea")


def test_what_fails_although_it_is_there_is_told_and_the_exit_status_is_1(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(installed, monkeypatch, confused=Confused())
    monkeypatch.setenv("LANGCACHE_PLUGINS", "confused")
    lines = told(capsys, status=1)
    what = "it fails in langcache_composed, and goes on without: RuntimeError: no idea"
    assert (
        f"confused package_of_confused:plugin no distribution active, asked for by LANGCACHE_PLUGINS; {what}" in lines
    )
    assert lines[lines.index("Failing:") + 1] == f"confused: {what}"


def test_what_is_turned_off_is_told_and_is_no_failure(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    offer(installed, monkeypatch, broken=None)
    stranger = EntryPoint("stranger", "tests.stranger_transport", discovery.TRANSPORT_GROUP)
    installed[discovery.TRANSPORT_GROUP] = {"stranger": [stranger]}
    assert "stranger tests.stranger_transport no distribution" in told(capsys)
    monkeypatch.setenv("LANGCACHE_DISABLE_PLUGINS", "1")
    lines = told(capsys, "--autoload")
    off = "it is turned off by LANGCACHE_DISABLE_PLUGINS"
    assert f"broken package_of_broken:plugin no distribution left out, asked for by autoload: {off}" in lines
    assert f"stranger tests.stranger_transport no distribution {off}" in lines


def test_transports_that_nobody_gets_are_told(installed: Installed, capsys: pytest.CaptureFixture[str]) -> None:
    """One that takes a name of ours, and two that take each other's."""
    group = discovery.TRANSPORT_GROUP
    installed[group] = {
        "urllib3": [EntryPoint("urllib3", "taking.ours", group)],
        "fast": [EntryPoint("fast", value, group) for value in ("one.module", "another.module")],
        "requests": [EntryPoint("requests", discovery.BUILT_IN_TRANSPORTS["requests"], group)],
    }
    lines = told(capsys)
    assert "urllib3 taking.ours no distribution not used: the name is langcache's own" in lines
    assert "fast one.module no distribution not used: several distributions offer it" in lines
    assert "fast another.module no distribution not used: several distributions offer it" in lines
    assert len([line for line in lines if line.startswith("requests ")]) == 1


def test_a_client_that_cannot_be_made_is_told(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LANGCACHE_SERVER_URL", "carrier-pigeon://loft")
    lines = told(capsys, status=1)
    assert lines[-1].startswith("cannot be made: No transport answers to 'carrier-pigeon'")


class Counting:
    """A plugin that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    @hookimpl
    def langcache_call_middleware(self) -> None:
        self.asked += 1


def test_plugins_are_asked_for_their_middleware_once(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What they open when they are asked is opened once."""
    counting = Counting()
    offer(installed, monkeypatch, counting=counting)
    told(capsys, "--autoload")
    assert counting.asked == 1


class FailingToSend:
    """A plugin whose hooks for transports fail."""

    @hookimpl
    def langcache_transport(self) -> None:
        raise RuntimeError("no hardware for this")

    @hookimpl
    def langcache_async_transport(self) -> None:
        raise SystemExit(3)


def test_a_hook_for_transports_that_fails_ends_no_listing(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither where a client cannot be made, nor where it cannot make async calls."""
    offer(installed, monkeypatch, fast=FailingToSend(), broken=None)
    lines = told(capsys, "--autoload", status=1)
    assert lines[-1] == (
        "cannot be made: The plugin 'fast' fails in langcache_transport, asked for 'urllib3': "
        "RuntimeError: no hardware for this"
    )
    assert "fast package_of_fast:plugin no distribution active, asked for by autoload" in lines
    assert any(line.startswith("broken package_of_broken:plugin no distribution left out, ") for line in lines)
    monkeypatch.delattr(FailingToSend, "langcache_transport")
    lines = told(capsys, "--autoload", status=1)
    said = "The plugin 'fast' fails in langcache_async_transport, asked for 'aiohttp': SystemExit: 3"
    assert f"async calls: none, they cannot be opened: {said}" in lines
