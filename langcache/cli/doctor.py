"""``langcache doctor``: which langcache is imported, what belongs to it, and whether the server answers.

The official SDK's distribution and its import package have this package's names, so one can be left in pieces under
the other. For that case this module imports at the top nothing of the package but its root, which loads the rest on
first use: a damaged installation can still be told from a sound one.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import importlib.machinery
import json
import os
import platform
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distributions, entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import langcache

from . import connection

if TYPE_CHECKING:
    from .. import Middleware, Next, Request, Response, Steps
    from .connection import Commands

_DESCRIPTION = """\
Tell which langcache is imported and which distribution it belongs to, the versions, transports, plugins and
environment variables in use (never a variable's value), and whether the server answers a search. The exit status
is 1 where there is a warning or the server does not answer as it should."""

_TIMEOUT_MS = 5000
_LONGEST_LINE = 400
_MOST_NAMES = 5
_REQUIRED = ("pydantic", "pluggy", "urllib3", "requests", "certifi")
_OPTIONAL = ("httpx", "aiohttp")
_PROXY_AND_CA = {
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"),
}

_OFFICIAL = ("_hooks", "_version.py", "basesdk.py", "sdk.py", "sdkconfiguration.py")
"""What the official SDK has in its package directory and this package has not."""

_REINSTALL = (
    "Run `python -m pip uninstall langcache` until it finds none, delete what is left of {package}, "
    "and install the one langcache that you want."
)


@dataclass(frozen=True)
class _Warning:
    """What is wrong, and what to do about it."""

    problem: str
    advice: str


@dataclass(frozen=True)
class _Provider:
    """A distribution that provides an import package of the name langcache."""

    name: str
    version: str
    metadata: Path
    """The directory in which its metadata was found."""
    package: Path
    """The directory of the import package that it provides."""
    editable: bool
    files: Mapping[str, str] | None
    """What it installed there, with the hashes of RECORD; None where its metadata cannot tell."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def add_to(commands: Commands) -> None:
    """Add this command to the parser's `commands`."""
    parser = commands.add_parser(
        "doctor", help="tell which langcache is in use, and whether the server answers", description=_DESCRIPTION
    )
    connection.add_options(parser, None, "no server is asked")
    parser.set_defaults(run=_run)


def _run(chosen: argparse.Namespace) -> int:
    package = Path(str(langcache.__file__)).parent.resolve()
    providers = _providers(package)
    owner = _owner(providers, package)
    mixture = list(_mixture_warnings(owner, package))
    warnings = [*_ownership_warnings(providers, owner, package), *mixture]
    _show_installation(owner)
    _show("Versions", _versions())
    for title, group in (("Transports", "langcache.transports"), ("Plugins", "langcache.plugins")):
        _show(title, _plugins(entry_points(group=group)))
    _show("Environment, without its values", _environment())
    # The client of a mixture may be anybody's, so nothing is tried with it.
    hindrances = [] if mixture else _show_client(chosen)
    if mixture or hindrances:
        answered = _show_unasked("the warnings are to be put right first")
    else:
        answered = _show_server(chosen)
    _show_outcome([*warnings, *hindrances], answered)
    return 0 if answered and not warnings and not hindrances else 1


# Which distribution owns the package


def _providers(package: Path) -> list[_Provider]:
    """Return the distributions that provide `package` or another langcache, in the order of sys.path.

    A directory in development has its metadata twice, for pip and for setuptools, which counts once.
    """
    found: dict[tuple[str, str, Path], _Provider] = {}
    for distribution in distributions():
        provider = _provider(distribution, package)
        if provider is not None:
            key = (_normalized(provider.name), provider.version, provider.package)
            if key not in found or provider.editable:
                found[key] = provider
    return list(found.values())


def _provider(distribution: Distribution, package: Path) -> _Provider | None:
    if not (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO")):
        return None  # a directory that an interrupted installation left; pip does not see it either
    name = distribution.metadata["Name"]
    files = _recorded(distribution)
    # An editable one lists no modules; setuptools names its packages here.
    top_level = (distribution.read_text("top_level.txt") or "").split()
    if _normalized(name) != "langcache" and "langcache" not in top_level and not files:
        return None
    metadata = Path(str(distribution.locate_file(""))).resolve()
    project = _editable_project(distribution)
    provided = (metadata / "langcache").resolve() if project is None else _editable_package(project, package)
    return _Provider(name, distribution.version, metadata, provided, project is not None, files or None)


def _editable_package(project: Path, package: Path) -> Path:
    """Return the package that `project` provides: `package` where it is one of those that it can, or else the likely.

    In its strict mode setuptools fills a directory of its build's with links to the files.
    """
    sources = [project / "src", project, *sorted(project.glob("build/__editable__.*"))]
    there = [found for source in sources if (found := (source / "langcache").resolve()).is_dir()]
    return package if package in there else next(iter(there), project / "langcache")


def _recorded(distribution: Distribution) -> dict[str, str]:
    """Return what RECORD lists of the package, by its name in the package's directory, with the hashes."""
    rows = csv.reader((distribution.read_text("RECORD") or "").splitlines())
    return {row[0][len("langcache/") :]: row[1] for row in rows if len(row) > 1 and row[0].startswith("langcache/")}


def _editable_project(distribution: Distribution) -> Path | None:
    """Return the directory of which `distribution` is an editable installation (PEP 610), or None."""
    origin: dict[str, Any] = json.loads(distribution.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return None
    url: str = origin["url"]
    return Path(url2pathname(urlsplit(url).path))


def _normalized(name: str) -> str:
    """Return `name` as package indexes compare it."""
    return re.sub("[-_.]+", "-", name).lower()


def _owner(providers: Iterable[_Provider], package: Path) -> _Provider | None:
    """Return the distribution that `package` belongs to: of several, the one whose files are there as it had them."""
    claiming = [provider for provider in providers if provider.package == package]

    def contradicted(provider: _Provider) -> int:
        _, missing, changed = _differences(provider)
        return len(missing) + len(changed)

    return min(claiming, key=contradicted, default=None)


def _differences(owner: _Provider) -> tuple[list[str], list[str], list[str]]:
    """Return the names of the files that are strange to `owner`, that are missing, and that were changed.

    Strange are those alone that Python could import. A package in an archive is taken as it is.
    """
    if owner.files is None or not owner.package.is_dir():
        return [], [], []
    suffixes = tuple(importlib.machinery.all_suffixes())
    there = {path.relative_to(owner.package).as_posix() for path in owner.package.rglob("*") if path.is_file()}
    modules = {name for name in there if name.endswith(suffixes) and "__pycache__" not in name}
    listed = {name for name in owner.files if "__pycache__" not in name}
    changed = {name for name in listed & there if _is_changed(owner.package / name, owner.files[name])}
    return sorted(modules - listed), sorted(listed - there), sorted(changed)


def _is_changed(path: Path, recorded: str) -> bool:
    """Say whether the file has another hash than RECORD says; hashes of unknown kinds are believed."""
    kind, _, expected = recorded.partition("=")
    if kind not in hashlib.algorithms_guaranteed or not expected:
        return False
    digest = hashlib.new(kind, path.read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != expected


# What is wrong with it


def _ownership_warnings(providers: list[_Provider], owner: _Provider | None, package: Path) -> Iterator[_Warning]:
    claiming = [provider for provider in providers if provider.package == package]
    if len(providers) > 1:
        yield _several(providers, owner, shared=len(claiming) > 1)
    if owner is None:
        hidden = "".join(f" It hides {provider} in {provider.package.parent}." for provider in providers)
        yield _Warning(
            f"No distribution's metadata covers {package}: it is a copy, or a checkout that is not installed.{hidden}",
            "Install it (`python -m pip install DIRECTORY`): transports and plugins are found by the metadata. Where "
            f"another is meant, take {package.parent} off PYTHONPATH, and do not work in that directory.",
        )
    for provider in claiming:
        if provider.version != langcache.__version__:
            yield _Warning(
                f"The metadata in {provider.metadata} says {provider}, but the package says {langcache.__version__}.",
                f"Renew it: `python -m pip install --editable {package.parent}`."
                if provider.editable
                else _REINSTALL.format(package=package),
            )


def _several(providers: list[_Provider], owner: _Provider | None, shared: bool) -> _Warning:
    listed = "; ".join(f"{provider} in {provider.package.parent}" for provider in providers)
    if owner is None:
        wins = "Imported is none of them"
    elif shared:
        wins = f"Two share a directory, where the last installed wins; by the files this is {owner}"
    else:
        wins = f"The first on sys.path wins: {owner} in {owner.package.parent}"
    return _Warning(
        f"{len(providers)} distributions provide the import package langcache: {listed}. {wins}.",
        "Keep one: uninstall the others (`python -m pip uninstall`), or take their directories off PYTHONPATH. "
        "Where two share a directory, uninstall both, and install the one again.",
    )


def _mixture_warnings(owner: _Provider | None, package: Path) -> Iterator[_Warning]:
    strange, missing, changed = ([], [], []) if owner is None else _differences(owner)
    official = [name for name in _OFFICIAL if (package / name).exists()]
    strange = [name for name in strange if name.partition("/")[0] not in official]
    parts = [
        ("holds files of the official SDK", official),
        (f"holds files that {owner} did not install", strange),
        (f"lacks files that {owner} installed", missing),
        (f"holds files that are not as {owner} installed them", changed),
    ]
    problems = [f"it {problem}: {_names(names)}" for problem, names in parts if names]
    if problems:
        yield _Warning(
            f"{package} is a mixture: {'; '.join(problems)}.",
            _REINSTALL.format(package=package)
            if owner is not None and owner.files is not None
            else "Delete these files; they belong to another distribution.",
        )


def _names(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


# What is shown


def _show(title: str, rows: Iterable[tuple[str, str]]) -> None:
    print(f"\n{title}")
    for name, value in list(rows) or [("none", "")]:
        print(f"  {name:<20}  {value}".rstrip())


def _show_installation(owner: _Provider | None) -> None:
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
    rows = sorted(
        (entry.name, entry.value, "" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}")
        for entry in found
    )
    width = max((len(value) for _, value, _ in rows), default=0)
    return [(name, f"{value:<{width}}  {distribution}") for name, value, distribution in rows]


def _environment() -> list[tuple[str, str]]:
    """Return the variables that may matter; of their values only whether they are empty."""
    names = sorted(name for name in os.environ if name.startswith("LANGCACHE_") or name in _PROXY_AND_CA)
    return [(name, "set" if os.environ[name] else "set, but empty") for name in names]


def _show_client(chosen: argparse.Namespace) -> list[_Warning]:
    """Show what a call passes in a client with these settings; return what hinders to make one."""
    print("\nA client with these settings")
    try:
        with _client(chosen) as client:
            lines = client.explain().splitlines()
    except (ImportError, ValueError) as error:
        print("  cannot be made")
        problem = f"No client can be made: {_shown(f'{type(error).__name__}: {error}', chosen)}"
        return [_Warning(problem, "Put right what it names, after the other warnings, where there are any.")]
    for line in lines:
        print(f"  {line}")
    return []


def _show_outcome(warnings: list[_Warning], answered: bool) -> None:
    for warning in warnings:
        print(f"\nWarning: {warning.problem}\n  {warning.advice}")
    if not warnings:
        print("\nAll is well." if answered else "\nThe installation is sound; the server check failed.")


# Whether the server answers


def _listener(answers: list[Response]) -> object:
    """Return a plugin that keeps the answers, whose headers the results do not carry."""

    def listen(request: Request, call_next: Next) -> Steps[Response]:
        answers.append((yield from call_next(request)))
        return answers[-1]

    class Listener:
        @langcache.hookimpl
        def langcache_attempt_middleware(self) -> Middleware:
            return listen

    return Listener()


def _client(chosen: argparse.Namespace, *plugins: object) -> langcache.LangCache:
    return langcache.LangCache(
        server_url=chosen.server_url,
        api_key=chosen.api_key,
        cache_id=chosen.cache_id,
        timeout_ms=_TIMEOUT_MS,
        plugins=plugins,
    )


def _show_unasked(reason: str) -> bool:
    _show("Server", [("not asked", reason)])
    return True


def _show_server(chosen: argparse.Namespace) -> bool:
    """Search for something harmless, show what came of it, and say whether it is as it should be."""
    if not chosen.server_url:
        return _show_unasked("neither --server-url nor LANGCACHE_SERVER_URL is set, which is no failure")
    error: Exception | None = None
    answers: list[Response] = []
    with _client(chosen, _listener(answers)) as client:
        start = time.perf_counter()
        try:
            client.search(prompt="langcache doctor: is anybody there?", max_results=1)
        except (langcache.errors.LangCacheError, ValueError) as failure:
            error = failure
        milliseconds = (time.perf_counter() - start) * 1000
    # The errors know under which headers services send it, so one is asked after a good answer too.
    told = error or langcache.errors.LangCacheError("", answers[-1])
    request_id = getattr(told, "request_id", None)
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
    for form in {key, json.dumps(key)[1:-1]} - {""}:
        text = text.replace(form, "***")
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}..."
