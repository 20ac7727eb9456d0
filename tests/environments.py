"""Virtual environments that tests make for themselves, and this distribution as a wheel to install there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.documentation import ROOT

SHIPPED = ("langcache", "langcache_transports", "LICENSE", "README.md", "pyproject.toml")


class Environment:
    """A fresh virtual environment. It has no pip of its own, which would take longer to install than all else.

    What `requirement` needs is linked into it from the environment that runs the tests, and is not installed anew.
    """

    def __init__(self, directory: Path, requirement: str) -> None:
        venv.create(directory, symlinks=os.name != "nt")
        self._directory = directory
        self._scripts = directory / ("Scripts" if os.name == "nt" else "bin")
        self.python = str(self._scripts / "python")
        self.site = Path(self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
        libraries = directory.with_name(f"libraries of {directory.name}")
        link_libraries(libraries, requirement)
        (self.site / "libraries.pth").write_text(str(libraries), encoding="utf-8")

    def run(self, *arguments: str, status: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Python in the environment, in whose directory there is nothing to import, with further variables."""
        return finished([self.python, *arguments], self._directory, status, variables)

    def pip(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "pip", "--python", self.python, "--disable-pip-version-check", *arguments]
        return finished(command, self._directory).stdout

    def listed(self) -> list[str]:
        """Return what pip lists of our name."""
        return [line for line in self.pip("list", "--format=freeze").splitlines() if line.startswith("langcache")]

    def has_command(self) -> bool:
        return shutil.which("langcache", path=str(self._scripts)) is not None

    def modules(self) -> set[str]:
        """Return the modules in the package's directory."""
        return {path.relative_to(self.site).as_posix() for path in (self.site / "langcache").rglob("*.py")}

    def recorded_modules(self) -> set[str]:
        """Return the modules that the installed distribution says are its own."""
        code = "import importlib.metadata as m; print(*m.files('langcache'), sep='\\n')"
        return {name for name in self.run("-c", code).stdout.splitlines() if name.endswith(".py")}


def link_libraries(directory: Path, requirement: str) -> None:
    """Link into the new `directory` what `requirement` needs of that which is installed here, but not langcache."""
    directory.mkdir()
    for library in _needed(Requirement(requirement)):
        for name in {file.parts[0] for file in library.files or []} - {".."}:
            link = directory / name
            if not link.exists():  # several have modules in one directory, such as that of the bytecode
                link.symlink_to(str(library.locate_file(name)))


def _needed(requirement: Requirement) -> Iterator[Distribution]:
    """Yield the distributions that a requirement brings, without langcache."""
    waiting, seen = [requirement], set[str]()
    while waiting:
        wanted = waiting.pop()
        if str(wanted) in seen:
            continue
        seen.add(str(wanted))
        found = distribution(wanted.name)
        if wanted.name != "langcache":
            yield found
        waiting.extend(each for each in map(Requirement, found.requires or []) if _is_asked_for(each, wanted.extras))


def _is_asked_for(requirement: Requirement, extras: set[str]) -> bool:
    """Say whether a requirement applies to this interpreter and machine, and to a distribution with these extras."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ["", *extras])


def finished(
    command: list[str], directory: Path, status: int = 0, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LANGCACHE_", "PYTHON"))}
    environment.update(variables or {})
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def built_wheel(directory: Path) -> Path:
    """Build this distribution below `directory` from a copy of the checkout, and return the wheel."""
    source, built = directory / "source", directory / "built"
    source.mkdir()
    for name in SHIPPED:
        original = ROOT / name
        if original.is_dir():
            shutil.copytree(original, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(original, source / name)
    finished([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(built), "."], source)
    [found] = built.glob("*.whl")
    return found


def wheel_of(directory: Path, name: str, version: str, source: str, entry_points: str) -> str:
    """Make a wheel of a distribution that has one module of its name, and return its path."""
    module = name.replace("-", "_")
    metadata = f"{module}-{version}.dist-info"
    contents = {
        f"{module}.py": source,
        f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{metadata}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{metadata}/entry_points.txt": entry_points,
        f"{metadata}/RECORD": "",
    }
    path = directory / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in contents.items():
            archive.writestr(file, text)
    return str(path)
