"""``langcache doctor``: which langcache is imported, what belongs to it, and whether the server answers.

The official SDK's distribution and its import package have this package's names, so one can be left in pieces under
the other. For that case this module imports at the top nothing of the package but its root, which loads the rest on
first use: a damaged installation can still be told from a sound one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING

import langcache

from . import connection
from .installation import (
    Finding,
    Provider,
    mixture_findings,
    owner_among,
    ownership_findings,
    providers_of,
)

if TYPE_CHECKING:
    from .connection import Commands

_DESCRIPTION = """\
Tell which langcache is imported and which distribution it belongs to, the versions, transports, plugins and
environment variables in use (never a variable's value), and whether the server answers a search. The exit status
is 1 where there is a warning or the server does not answer as it should."""

_TIMEOUT_MS = 5000
_LONGEST_LINE = 400
_SHORTEST_KEY = 4
_REQUIRED = ("pydantic", "pluggy", "urllib3", "requests", "certifi")
_OPTIONAL = ("httpx", "aiohttp")
_PROXY_AND_CA = {
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
}


def add_to(commands: Commands) -> None:
    """Add this command to the parser's `commands`."""
    parser = commands.add_parser(
        "doctor", help="tell which langcache is in use, and whether the server answers", description=_DESCRIPTION
    )
    connection.add_options(parser, None, "no server is asked")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> int:
    package = Path(str(langcache.__file__)).parent.resolve()
    providers, unreadable = providers_of(package)
    owner = owner_among(providers, package)
    mixture = list(mixture_findings(owner, package))
    warnings = [*ownership_findings(providers, owner, package), *mixture, *unreadable]
    _show_installation(owner)
    _show("Versions", _versions())
    for title, group in (("Transports", "langcache.transports"), ("Plugins", "langcache.plugins")):
        _show(title, _plugins(entry_points(group=group)))
    _show("Environment, without its values", _environment())
    # The client of a mixture may be anybody's, so nothing is tried with it.
    with connection.silent_log():
        is_made, findings = (False, []) if mixture else _show_client(chosen)
        answered = _show_server(chosen) if is_made else _show_unasked("the warnings are to be put right first")
    _show_outcome([*warnings, *findings], answered)
    return 0 if answered and not warnings and not findings else 1


# What is shown


def _show(title: str, rows: Iterable[tuple[str, str]]) -> None:
    print(f"\n{title}")
    for name, value in list(rows) or [("none", "")]:
        print(f"  {name:<20}  {value}".rstrip())


def _show_installation(owner: Provider | None) -> None:
    print("Installation")
    print(f"  {'imported from':<20}  {langcache.__file__}")
    if owner is None:
        print(f"  {'distribution':<20}  none")
        return
    print(f"  {'distribution':<20}  {owner}{' (editable)' if owner.editable else ''}")
    print(f"  {'its metadata':<20}  {owner.metadata}")


def _versions() -> Iterator[tuple[str, str]]:
    yield "langcache", langcache.__version__
    yield "Python", f"{platform.python_version()} ({platform.python_implementation()}, {sys.executable})"
    yield "platform", platform.platform()
    for name in _REQUIRED:
        yield name, _version(name) or "not installed"
    for name in _OPTIONAL:
        found = _version(name)
        yield name, "not installed, not needed" if found is None else f"{found} (not needed)"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _plugins(found: Iterable[EntryPoint]) -> list[tuple[str, str]]:
    # A directory in development has its metadata twice, for pip and for setuptools.
    rows = sorted({(entry.name, entry.value, "" if entry.dist is None else _titled(entry.dist)) for entry in found})
    width = max((len(value) for _, value, _ in rows), default=0)
    return [(name, f"{value:<{width}}  {distribution}") for name, value, distribution in rows]


def _titled(distribution: Distribution) -> str:
    there = [field in distribution.metadata for field in ("Name", "Version")]  # in a damaged one they may not be
    name = distribution.name if there[0] else "a distribution without a name"
    return f"{name} {distribution.version if there[1] else '(no version)'}"


def _environment() -> list[tuple[str, str]]:
    """Return the variables that may matter; of their values only whether they are empty."""
    names = sorted(name for name in os.environ if name.startswith("LANGCACHE_") or name in _PROXY_AND_CA)
    return [(name, "set" if os.environ[name] else "set, but empty") for name in names]


def _show_client(chosen: argparse.Namespace) -> tuple[bool, list[Finding]]:
    """Show what a call passes in a client with these settings; return whether one can be made, and what is wrong."""
    print("\nA client with these settings")
    try:
        with _client(chosen) as client:
            lines = client.explain().splitlines()
            findings = list(_amiss(client))
    except (ImportError, ValueError) as error:
        print("  cannot be made")
        problem = f"No client can be made: {_shown(f'{type(error).__name__}: {error}', chosen)}"
        return False, [Finding(problem, "Put right what it names, after the other warnings, where there are any.")]
    for line in lines:
        print(f"  {line}")
    return True, findings


def _amiss(client: langcache.LangCache) -> Iterator[Finding]:
    """Yield the plugins that were asked for and are not there or fail, but for those that are turned off on purpose."""
    from langcache.client import members_of  # not at the top, which a damaged installation has to get past
    from langcache.governance.choice import DISABLED

    for member in members_of(client).values():
        if member.problem not in (None, DISABLED):
            problem = f"The plugin {member.name!r}, which {member.by} asks for, is left out: it {member.problem}"
            yield Finding(problem, "Install it or put it right, or do not ask for it.")
        elif member.fault is not None:
            problem = f"The plugin {member.name!r}, which {member.by} asks for, {member.fault}"
            yield Finding(problem, "Put it right, or do not ask for it.")


def _show_outcome(warnings: list[Finding], answered: bool) -> None:
    for warning in warnings:
        print(f"\nWarning: {warning.problem}\n  {warning.advice}")
    if not warnings:
        print("\nAll is well." if answered else "\nThe installation is sound; the server check failed.")


# Whether the server answers


def _client(chosen: argparse.Namespace) -> langcache.LangCache:
    return langcache.LangCache(
        server_url=chosen.server_url,
        api_key=chosen.api_key,
        cache_id=chosen.cache_id,
        timeout_ms=_TIMEOUT_MS,
    )


def _show_unasked(reason: str) -> bool:
    _show("Server", [("not asked", reason)])
    return True


def _show_server(chosen: argparse.Namespace) -> bool:
    """Search for something harmless, show what came of it, and say whether it is as it should be."""
    if not chosen.server_url:
        return _show_unasked("neither --server-url nor LANGCACHE_SERVER_URL is set, which is no failure")
    error: Exception | None = None
    with _client(chosen) as client:
        start = time.perf_counter()
        try:
            found = client.search(prompt="langcache doctor: is anybody there?", max_results=1)
            request_id = found.metadata.server_request_id
        except (langcache.errors.LangCacheError, ValueError) as failure:
            error, request_id = failure, getattr(failure, "request_id", None)
        milliseconds = (time.perf_counter() - start) * 1000
    rows = [("search", "answered" if error is None else "failed"), ("time", f"{milliseconds:.1f} ms")]
    if request_id is not None:
        rows.append(("request id", _shown(request_id, chosen)))
    if error is not None:
        rows += [("error", _shown(f"{type(error).__name__}: {error}", chosen)), ("hint", _hint(error))]
    _show("Server", rows)
    return error is None


def _hint(error: Exception) -> str:
    """Say what to look at after `error`."""
    errors = langcache.errors
    by_status = {
        401: "check the API key: --api-key or LANGCACHE_API_KEY",
        403: "check the API key, and that it may read this cache",
        404: "check the cache id, --cache-id or LANGCACHE_CACHE_ID, and that the server URL has no path too many",
        429: "the service asks for fewer requests; try again later",
    }
    by_kind: list[tuple[type[Exception], str]] = [
        (errors.ConfigurationError, "nothing was sent; give what it names as an option or in the environment"),
        (errors.ConnectError, "check the server URL, DNS, the firewall and, for https, the certificate"),
        (errors.TimeoutException, f"no answer in {_TIMEOUT_MS} ms: check the server URL, the firewall and the proxy"),
        (errors.ProxyError, "check the proxy that the environment names, and NO_PROXY"),
        (
            errors.RequestError,
            "the connection broke: check the network, the proxy, and http or https in the server URL",
        ),
        (errors.ResponseValidationError, "check that the server URL is a LangCache service's, and not another's"),
    ]
    status = getattr(error, "status_code", 0)
    if status in by_status:
        return by_status[status]
    if status >= 500:
        return "the service failed; tell its operators the request id, where there is one"
    known = (hint for kind, hint in by_kind if isinstance(error, kind))
    return next(known, "check that the server URL is a LangCache service's, and see the error's text")


def _shown(text: str, chosen: argparse.Namespace) -> str:
    """Return `text` in one line that is safe to show: a server may have quoted the key, or anything else."""
    key = str(chosen.api_key or os.environ.get("LANGCACHE_API_KEY") or "").strip()
    if len(key) >= _SHORTEST_KEY:  # a shorter one is a placeholder, and would be found in any text
        for form in {key, json.dumps(key)[1:-1]}:
            text = text.replace(form, "***")
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}..."
