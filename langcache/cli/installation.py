"""Which distribution owns the ``langcache`` package that is imported, and whether its files are those it installed.

The official SDK's distribution and its import package have this package's names, so one can be left in pieces under
the other.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.machinery
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import langcache

_MOST_NAMES = 5

_OFFICIAL = ("_hooks", "_version.py", "basesdk.py", "sdk.py", "sdkconfiguration.py")
"""What the official SDK has in its package directory and this package has not."""

_UNREADABLE = (AttributeError, KeyError, TypeError, ValueError)
"""What `importlib.metadata` raises over a file that is not as it should be."""

_REINSTALL = (
    "Run `python -m pip uninstall langcache` until it finds none, delete what is left of {package}, "
    "and install the one langcache that you want."
)


@dataclass(frozen=True)
class Finding:
    """What is wrong, and what to do about it."""

    problem: str
    advice: str


@dataclass(frozen=True)
class Provider:
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


# Which distribution owns the package


def providers_of(package: Path) -> tuple[list[Provider], list[Finding]]:
    """Return the distributions that provide `package` or another langcache, and what was found wrong on the way.

    They are in the order of sys.path. A directory in development has its metadata twice, for pip and for setuptools,
    which counts once.
    """
    found: dict[tuple[str, str, Path], Provider] = {}
    unreadable: list[Finding] = []
    for distribution in distributions():
        seen = _read(distribution, package)
        if isinstance(seen, Finding):
            unreadable.append(seen)
        elif seen is not None:
            key = (_normalized(seen.name), seen.version, seen.package)
            if key not in found or seen.editable:
                found[key] = seen
    return list(found.values()), unreadable


def _read(distribution: Distribution, package: Path) -> Provider | Finding | None:
    try:
        return _provider(distribution, package)
    except _UNREADABLE as error:  # a stranger's broken metadata must not end the report
        place = getattr(distribution, "_path", distribution.locate_file(""))
        return Finding(
            f"The metadata in {place} cannot be read ({type(error).__name__}): whether that distribution provides "
            "the import package langcache too cannot be told.",
            "Reinstall that distribution, or delete the directory where nothing belongs to it.",
        )


def _provider(distribution: Distribution, package: Path) -> Provider | None:
    if not (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO")):
        return None  # a directory that an interrupted installation left; pip does not see it either
    if "Name" not in distribution.metadata:  # Python 3.12 warns of asking for it
        raise ValueError("no name")
    name = distribution.metadata["Name"]
    files = _recorded(distribution)
    # An editable one lists no modules; setuptools names its packages here.
    top_level = (distribution.read_text("top_level.txt") or "").split()
    if _normalized(name) != "langcache" and "langcache" not in top_level and not files:
        return None
    metadata = Path(str(distribution.locate_file(""))).resolve()
    project = _editable_project(distribution)
    provided = (metadata / "langcache").resolve() if project is None else _editable_package(project, package)
    return Provider(name, distribution.version, metadata, provided, project is not None, files or None)


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
    directory: dict[str, Any] = origin.get("dir_info") or {}
    if not directory.get("editable"):
        return None
    url: str = origin["url"]
    return Path(url2pathname(urlsplit(url).path))


def _normalized(name: str) -> str:
    """Return `name` as package indexes compare it."""
    return re.sub("[-_.]+", "-", name).lower()


def owner_among(providers: Iterable[Provider], package: Path) -> Provider | None:
    """Return the distribution that `package` belongs to: of several, the one whose files are there as it had them."""
    claiming = [provider for provider in providers if provider.package == package]

    def contradicted(provider: Provider) -> int:
        _, missing, changed = _differences(provider)
        return len(missing) + len(changed)

    return min(claiming, key=contradicted, default=None)


def _differences(owner: Provider) -> tuple[list[str], list[str], list[str]]:
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
    if kind not in hashlib.algorithms_guaranteed or kind.startswith("shake") or not expected:
        return False
    digest = hashlib.new(kind, path.read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != expected


# What is wrong with it


def ownership_findings(providers: list[Provider], owner: Provider | None, package: Path) -> Iterator[Finding]:
    """Say where there are several distributions of the package, or none, or one of another version."""
    claiming = [provider for provider in providers if provider.package == package]
    if len(providers) > 1:
        yield _several(providers, owner, shared=len(claiming) > 1)
    if owner is None:
        hidden = "".join(f" It hides {provider} in {provider.package.parent}." for provider in providers)
        yield Finding(
            f"No distribution's metadata covers {package}: it is a copy, or a checkout that is not installed.{hidden}",
            "Install it (`python -m pip install DIRECTORY`), so that its version and its files can be told. Where "
            f"another is meant, take {package.parent} off PYTHONPATH, and do not work in that directory.",
        )
    for provider in claiming:
        if provider.version != langcache.__version__:
            yield Finding(
                f"The metadata in {provider.metadata} says {provider}, but the package says {langcache.__version__}.",
                f"Renew it: `python -m pip install --editable {package.parent}`."
                if provider.editable
                else _REINSTALL.format(package=package),
            )


def _several(providers: list[Provider], owner: Provider | None, shared: bool) -> Finding:
    listed = "; ".join(f"{provider} in {provider.package.parent}" for provider in providers)
    if owner is None:
        wins = "Imported is none of them"
    elif shared:
        wins = f"Two share a directory, where the last installed wins; by the files this is {owner}"
    else:
        wins = f"The first on sys.path wins: {owner} in {owner.package.parent}"
    return Finding(
        f"{len(providers)} distributions provide the import package langcache: {listed}. {wins}.",
        "Keep one: uninstall the others (`python -m pip uninstall`), or take their directories off PYTHONPATH. "
        "Where two share a directory, uninstall both, and install the one again.",
    )


def mixture_findings(owner: Provider | None, package: Path) -> Iterator[Finding]:
    """Say where the package's files are not those that its owner installed."""
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
        yield Finding(
            f"{package} is a mixture: {'; '.join(problems)}.",
            _REINSTALL.format(package=package)
            if owner is not None and owner.files is not None
            else "Delete these files; they belong to another distribution.",
        )


def _names(names: list[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
