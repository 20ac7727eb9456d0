"""The two virtual environments: the official SDK from the package index, and this package from the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

OFFICIAL = "0.14.0"
"""The version of the official SDK to compare with."""

ROOT = Path(__file__).resolve().parents[2]

# httpx is a dependency of the official SDK; here it serves the cases in which the caller brings a client of it.
_HTTPX = "httpx==0.28.1"
_LEFTOVERS = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist")
_SOURCES = ("langcache", "langcache_transports", "pyproject.toml", "README.md", "LICENSE")


class CannotBuild(Exception):
    """An environment could not be built."""


@dataclass(frozen=True)
class Environments:
    """The Python interpreters of the two environments."""

    official: Path
    ours: Path


def build(directory: Path) -> Environments:
    """Build both environments in `directory`; where they are there already, only this package is installed anew."""
    source = copy_checkout(directory / "source")
    with ThreadPoolExecutor(2) as pool:
        official = pool.submit(environment, directory / "official", [f"langcache=={OFFICIAL}", _HTTPX])
        ours = pool.submit(_our_environment, directory / "ours", str(source))
        return Environments(official.result(), ours.result())


def copy_checkout(target: Path) -> Path:
    """Copy what is installed of the checkout to `target`, and return that: building in place would leave things."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in _SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=_LEFTOVERS)
        else:
            shutil.copy2(ROOT / name, target / name)
    return target


def _our_environment(directory: Path, source: str) -> Path:
    if not directory.exists():
        return environment(directory, [source, _HTTPX])
    python = environment(directory, [])
    install(python, "--force-reinstall", "--no-deps", source)
    return python


def environment(directory: Path, packages: Sequence[str]) -> Path:
    """Return the Python of the environment in `directory`, which is made with `packages` where it is not there."""
    python = directory / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        _run(sys.executable, "-m", "venv", str(directory))
        install(python, *packages)
    return python


def install(python: Path, *arguments: str) -> None:
    _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CannotBuild(f"{' '.join(command)}\n{done.stderr or done.stdout}")
