"""Distributions: which installed one something comes from; it takes milliseconds, and is asked by people only."""

from __future__ import annotations

import csv
import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .. import __version__

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

OWN = f"langcache {__version__}"

_OWN_PACKAGES = ("langcache", "langcache_transports")


class Distributions:
    """The installed distributions; they are read once, when the first module that is not ours is looked for."""

    def __init__(self) -> None:
        self._by_package: dict[str, list[Distribution]] | None = None

    def offering(self, entry_point: EntryPoint) -> str:
        """Return the name and the version of the distribution that offers `entry_point`."""
        distribution = entry_point.dist
        return self.of(entry_point.module) if distribution is None else _shown(distribution)

    def of(self, module: str) -> str:
        """Return the name and the version of the distribution that a module belongs to, or say that there is none."""
        package = module.partition(".")[0]
        if package in _OWN_PACKAGES:
            return OWN
        if self._by_package is None:
            self._by_package = _by_package()
        found = self._by_package.get(package, [])
        if len(found) > 1:  # a namespace
            found = [each for each in found if _holds(each, module)] or found
        return " or ".join(sorted({_shown(each) for each in found})) or "no distribution"


def module_of(thing: object) -> str:
    """Return the name of the module that `thing` is, or comes from."""
    if inspect.ismodule(thing):
        return thing.__name__
    return str(getattr(thing, "__module__", None) or type(thing).__module__)


def _by_package() -> dict[str, list[Distribution]]:
    from importlib.metadata import distributions  # on first use: it takes longer to import than much of the package

    found: dict[str, list[Distribution]] = {}
    for distribution in distributions():
        try:
            for package in set(_packages(distribution)):
                found.setdefault(package, []).append(distribution)
        except Exception:  # noqa: BLE001, S112, PERF203 - a stranger's damaged metadata; the doctor tells of it
            continue
    return found


def _packages(distribution: Distribution) -> Iterator[str]:
    """Yield the top-level packages and modules of a distribution, also of an editable one."""
    yield from (distribution.read_text("top_level.txt") or "").split()
    for file in _installed_files(distribution):
        first, slash, _ = file.partition("/")
        yield first if slash else first.partition(".")[0]


def _holds(distribution: Distribution, module: str) -> bool:
    path = module.replace(".", "/")
    return not {f"{path}.py", f"{path}/__init__.py"}.isdisjoint(_installed_files(distribution))


def _installed_files(distribution: Distribution) -> list[str]:
    # Not its `files`, which looks for every one of them, and lists the sources where nothing was recorded.
    recorded = csv.reader((distribution.read_text("RECORD") or "").splitlines())
    return [row[0] for row in recorded if row]


def _shown(distribution: Distribution) -> str:
    there = [field in distribution.metadata for field in ("Name", "Version")]  # in a damaged one they may not be
    name = distribution.name if there[0] else "a distribution without a name"
    return f"{name} {distribution.version if there[1] else '(no version)'}"
