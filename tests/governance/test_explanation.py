"""What `explain` tells of plugins: names, distributions, versions and options, and never a secret."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

import langcache
from langcache import BreakerPolicy, LangCache, Middleware, Next, Request, Response, RetryPolicy, Steps, hookimpl
from langcache.governance import discovery
from langcache.governance.distributions import Distributions
from langcache.governance.masking import shown
from langcache_transports.testing import FakeTransport
from tests.conftest import Installed
from tests.explained import names, section
from tests.governance.stand_ins import OnlyAttempts, made

CANARY = "canary-7b1e"


def options_of(client: LangCache, plugin: str) -> str:
    """Return the line below that of a plugin, which tells its options."""
    lines = client.explain().splitlines()
    [place] = [index for index, line in enumerate(lines) if line.startswith(f"  {plugin} ")]
    return lines[place + 1].strip()


# Who it is, and where from


def test_a_plugin_is_told_with_its_name_its_distribution_and_what_asks_for_it(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an installed one the distribution is that of its entry point, of an object that of its module."""
    stranger = EntryPoint("stranger", "tests.governance.packaged:plugin", discovery.PLUGIN_GROUP)
    installed[discovery.PLUGIN_GROUP] = {"stranger": [stranger]}
    monkeypatch.setenv("LANGCACHE_PLUGINS", "stranger")
    told = made(OnlyAttempts()).explain()
    assert "  stranger         tests.governance.stand_ins.passing (no distribution, asked for by LANGCACHE_PLUG" in told
    assert "  OnlyAttempts     tests.governance.stand_ins.passing (no distribution, asked for by plugins)" in told


def test_an_object_of_an_installed_package_is_told_with_its_version() -> None:
    """Whether its metadata lists modules or files, and for packages that share a namespace."""
    found = Distributions()
    for module, name in [("pydantic.fields", "pydantic"), ("_pytest.config", "pytest"), ("httpx", "httpx")]:
        assert found.of(module).startswith(f"{name} ")
    assert found.of("langcache_transports.urllib3") == f"langcache {langcache.__version__}"
    assert found.of("__main__") == "no distribution"


def distributed(site: Path, name: str, record: str) -> None:
    """Put a distribution into a directory."""
    metadata = site / f"{name}-2.5.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.5\n", encoding="utf-8")
    (metadata / "RECORD").write_text(record, encoding="utf-8")


def test_packages_of_one_namespace_are_told_apart_and_damaged_ones_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed(tmp_path, "one", "space/one.py,,\n")
    distributed(tmp_path, "two", "space/two/__init__.py,,\nalone.py,,\n")
    distributed(tmp_path, "bad", '"unfinished\n')
    (tmp_path / "worse-1.dist-info").mkdir()
    (tmp_path / "worse-1.dist-info" / "top_level.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "space" / "two").mkdir(parents=True)
    for name in ("space/one.py", "space/two/__init__.py", "alone.py"):  # Python 3.13 leaves out what is not there
        (tmp_path / name).touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = Distributions()
    assert (found.of("space.one"), found.of("space.two"), found.of("alone")) == ("one 2.5", "two 2.5", "two 2.5")
    assert found.of("space.three") == "one 2.5 or two 2.5"


def test_a_distribution_without_metadata_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "worse-1.dist-info").mkdir()
    (tmp_path / "worse-1.dist-info" / "top_level.txt").write_text("worse", encoding="utf-8")
    (tmp_path / "worse-1.dist-info" / "entry_points.txt").write_text("[x]\ny = worse\n", encoding="utf-8")
    (tmp_path / "worse.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    [entry_point] = entry_points(group="x")
    said = "a distribution without a name (no version)"
    assert (Distributions().of("worse"), Distributions().offering(entry_point)) == (said, said)
    assert discovery.source_of(entry_point) == "worse"


def test_names_and_kinds_stay_in_their_line() -> None:
    """Whatever a stranger calls them."""
    plugin = type("Split\nOnce an attempt:", (Telling,), {})({"a\nb\x1b[2J": 1})
    told = made(plugin).explain()
    assert told.count("Once an attempt:\n") == 1
    assert all(line.isprintable() for line in told.splitlines())
    assert "a b [2J=1" in told


def test_a_plugin_that_offers_transports_is_told() -> None:
    class Offering:
        @hookimpl
        def langcache_transport(self) -> FakeTransport:
            return FakeTransport()

    client = LangCache("http://cache.example", "k", "c", plugins=[Offering()])
    [told] = section(client, "Offering transports")
    assert told.startswith("Offering: tests.governance.test_explanation.")
    assert told.endswith("Offering (no distribution, asked for by plugins)")


# Why a transport


@pytest.mark.parametrize(
    ("arguments", "sync", "asynchronous"),
    [
        ({}, "because it is the default", "because aiohttp is installed, and honours the options"),
        (
            {"transport": "requests"},
            "because transport is 'requests'",
            "because the one for sync calls has no async fo",
        ),
        (
            {"server_url": "embedded://"},
            "because the URL's scheme is embedded",
            "because the one for sync calls has no",
        ),
        ({"async_transport": "threaded"}, "because it is the default", "because async_transport is 'threaded'"),
        ({"transport": "aiohttp"}, "none", "because transport is 'aiohttp'"),
        (
            {"proxy": "socks5://proxy.example"},
            "because it is the default",
            "because aiohttp cannot be used (aiohttp does not honour ",
        ),
    ],
)
def test_why_a_transport_serves_is_told(arguments: dict[str, Any], sync: str, asynchronous: str) -> None:
    pytest.importorskip("aiohttp")
    pytest.importorskip("socks")
    given: dict[str, Any] = {"server_url": "http://cache.example", **arguments}
    with LangCache(**given, api_key="k", cache_id="c") as client:
        plain, other = [line for line in section(client, "Sent by") if "calls:" in line]
    assert plain.startswith("sync calls: ")
    assert sync in plain
    assert other.startswith("async calls: ")
    assert asynchronous in other


def test_the_reason_is_told_for_clients_of_the_callers_and_for_async_forms() -> None:
    import httpx

    class Forms:
        @hookimpl
        def langcache_transport(self, name: str) -> FakeTransport | None:
            return FakeTransport() if name == "forms" else None

        @hookimpl
        def langcache_async_transport(self, name: str) -> object:
            from langcache_transports.testing import AsyncFakeTransport

            return AsyncFakeTransport() if name == "forms" else None

    with httpx.Client() as own, LangCache("http://cache.example", "k", "c", client=own) as client:
        assert "because the caller's own client was handed in" in section(client, "Sent by")[0]
    client = LangCache("http://cache.example", "k", "c", transport="forms", plugins=[Forms()])
    assert section(client, "Sent by")[1].endswith("because it is the async form of 'forms'")
    asyncio.run(client.aclose())
    assert section(client, "Sent by")[1] == "async calls: none any more, the client is closed"


def test_what_connections_are_made_with_is_told_as_far_as_the_caller_said_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's variables are not shown, and neither is a proxy's password."""
    monkeypatch.setenv("NO_PROXY", CANARY)
    proxy = f"http://user:{CANARY}@proxy.example:3128"
    with LangCache("http://c.example", "k", "c", proxy=proxy, pool_size=7, connect_timeout_ms=250) as client:
        told = client.explain()
    assert "  with pool_size=7, proxy='http://proxy.example:3128', connect_timeout_ms=250.0" in told
    assert CANARY not in told


# Options, and secrets


def test_the_options_of_the_built_in_ones_are_told() -> None:
    client = made(
        retry_config=RetryPolicy(max_attempts=5),
        breaker=BreakerPolicy(window=60),
        deadline_ms=1500,
        on_failure="miss",
        request_id_header=None,
        debug_logger=logging.getLogger("application"),
    )
    assert options_of(client, "retry").startswith("retry_config=RetryPolicy(max_attempts=5, initial_ms=100, ")
    assert "window=60" in options_of(client, "circuit_breaker")
    assert options_of(client, "deadline") == "deadline_ms=1500.0"
    assert options_of(client, "fail_open") == "on_failure='miss'"
    assert options_of(client, "identity") == "request_id_header=None"
    assert options_of(client, "logging").startswith("logger='application'")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (CANARY, "from='a string', required=True"),
        (SecretStr(CANARY), "from='a string', required=True"),
        (lambda: CANARY, "from='tests.governance.test_explanation.<lambda>', required=True"),
        (None, "from='LANGCACHE_API_KEY, which is set', required=True"),
    ],
)
def test_where_the_key_comes_from_is_told_and_the_key_never(
    monkeypatch: pytest.MonkeyPatch, key: Any, said: str
) -> None:
    monkeypatch.setenv("LANGCACHE_API_KEY", CANARY)
    client = LangCache("http://cache.example", key, "c", transport=FakeTransport())
    assert options_of(client, "auth") == said
    assert CANARY not in client.explain()


class Telling(OnlyAttempts):
    """A plugin that tells its options."""

    def __init__(self, told: object) -> None:
        self._told = told

    def options(self) -> Any:
        if isinstance(self._told, Exception):
            raise self._told
        return self._told


@dataclass
class Signing:
    algorithm: str = "sha256"
    private_key: str = CANARY
    salt: str = field(default=CANARY, repr=False)


class Opaque:
    def __repr__(self) -> str:
        return CANARY


class Faulty(dict[str, object]):
    def items(self) -> Any:
        raise RuntimeError(CANARY)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"header": "X-Tenant", "limit": 5, "strict": True}, "header='X-Tenant', limit=5, strict=True"),
        ({"api_key": CANARY, "Password": CANARY, "token": None}, "api_key=***, Password=***, token=***"),
        ({"to": SecretStr(CANARY)}, "to=***"),
        ({"headers": {"Authorization": CANARY, "Accept": "*"}}, "headers={Authorization: ***, Accept: '*'}"),
        ({"url": f"https://user:{CANARY}@audit.example/x?token={CANARY}"}, "url='https://audit.example/x'"),
        ({"places": ("a", 1, Opaque())}, "places=['a', 1, tests.governance.test_explanation.Opaque]"),
        ({"signing": Signing()}, "signing=Signing(algorithm='sha256', private_key=***)"),
        ({"store": Opaque()}, "store=tests.governance.test_explanation.Opaque"),
        ({"text": "x" * 500}, f"text='{'x' * 399}..."),
        ({"line": "a\nb"}, r"line='a\nb'"),
        (RuntimeError(CANARY), "its options cannot be told: RuntimeError"),
        (Faulty(), "its options cannot be told: RuntimeError"),
    ],
)
def test_the_options_of_a_stranger_are_told_without_what_may_be_secret(told: object, said: str) -> None:
    client = made(Telling(told))
    assert options_of(client, "Telling") == said
    assert CANARY not in client.explain()


def test_options_that_are_their_own_part_end_nothing() -> None:
    told: dict[str, object] = {}
    told["self"] = told
    assert options_of(made(Telling(told)), "Telling") == "its options cannot be told: RecursionError"


@pytest.mark.parametrize("told", [None, 5, [("a", 1)], {}])
def test_what_tells_no_options_is_told_without(told: object) -> None:
    assert options_of(made(Telling(told)), "Telling").startswith("auth")


def test_a_middleware_tells_its_own_options_before_its_plugin_does() -> None:
    class Counting:
        def options(self) -> Mapping[str, object]:
            return {"of": "the middleware"}

        def count(self, request: Request, call_next: Next) -> Steps[Response]:
            return (yield from call_next(request))

    class Plugin:
        def options(self) -> Mapping[str, object]:
            return {"of": "the plugin"}

        @hookimpl
        def langcache_call_middleware(self) -> Middleware:
            return Counting().count

    assert options_of(made(Plugin()), "Plugin") == "of='the middleware'"


def test_the_longest_name_makes_room_for_itself() -> None:
    class AnUncommonlyLongName(OnlyAttempts):
        pass

    assert names(made(AnUncommonlyLongName()), "Once an attempt")[0] == "AnUncommonlyLongName"


def test_values_of_plain_kinds_are_shown_as_they_are() -> None:
    values: list[object] = [None, 1.5, {"a"}, (), {}]
    assert [shown(value) for value in values] == ["None", "1.5", "['a']", "[]", "{}"]
    assert shown(logging.getLogger) == "logging.getLogger"
