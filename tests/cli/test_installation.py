"""This distribution and the official SDK's share a name: each takes the other's place, and none is left in pieces.

What a user sees is asserted here. pip uninstalls the one when it installs the other, in either order, and says so:

- Ours over the official one: ``Successfully uninstalled langcache-0.14.0``. ``langcache doctor`` finds all well. The
  official one's own dependencies, httpx among them, stay installed, as pip never removes those.
- The official one over ours: the same of our version, with `langcache_transports` and the command ``langcache``. The
  shell does not find the command, and ``python -m langcache`` says "No module named langcache.__main__". That, or
  ``langcache.__version__``, is how a user notices.

Copying the one over the other, which asks no installer, is what does leave a mixture, and the doctor tells it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from langcache import __version__
from tests.documentation import ROOT

pytestmark = pytest.mark.skipif(
    "TOX_ENV_NAME" in os.environ, reason="they make environments of their own: once is enough"
)

OFFICIAL = "langcache==0.14.0"
SHIPPED = ("langcache", "langcache_transports", "LICENSE", "README.md", "pyproject.toml")


class Environment:
    """A fresh virtual environment. It has no pip of its own, which would take longer to install than all else."""

    def __init__(self, directory: Path) -> None:
        venv.create(directory, symlinks=os.name != "nt")
        self._directory = directory
        self._scripts = directory / ("Scripts" if os.name == "nt" else "bin")
        self.python = str(self._scripts / "python")
        self.site = Path(self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())

    def run(self, *arguments: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run Python in the environment, in whose directory there is nothing to import."""
        return finished([self.python, *arguments], self._directory, status)

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


def finished(command: list[str], directory: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LANGCACHE_", "PYTHON"))}
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This distribution, built from a copy of the checkout."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in SHIPPED:
        original = ROOT / name
        if original.is_dir():
            shutil.copytree(original, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(original, source / name)
    finished([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(built), "."], source)
    [found] = built.glob("*.whl")
    return found


def shipped_modules(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if name.startswith("langcache/") and name.endswith(".py")}


def test_ours_takes_the_place_of_the_official_one(wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "environment")
    environment.pip("install", OFFICIAL)
    assert "langcache/sdk.py" in environment.modules()

    said = environment.pip("install", str(wheel))
    assert "Successfully uninstalled langcache-0.14.0" in said
    assert environment.listed() == [f"langcache=={__version__}"]
    assert environment.modules() == shipped_modules(wheel)
    doctor = environment.run("-m", "langcache", "doctor").stdout
    assert f"  distribution          langcache {__version__}\n" in doctor
    assert str(environment.site / "langcache" / "__init__.py") in doctor
    assert "(not needed)" in doctor.partition("  httpx ")[2].splitlines()[0]
    assert doctor.endswith("\nAll is well.\n")
    assert environment.has_command()

    # Packages that require the official one by its name and version are content.
    assert "Requirement already satisfied" in environment.pip("install", "--no-index", "langcache>=0.11.0")


def test_the_official_one_takes_the_place_of_ours(wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "environment")
    environment.pip("install", str(wheel))
    assert environment.run("-m", "langcache", "doctor").stdout.endswith("\nAll is well.\n")

    said = environment.pip("install", OFFICIAL)
    assert f"Successfully uninstalled langcache-{__version__}" in said
    assert environment.listed() == ["langcache==0.14.0"]
    assert environment.modules() == environment.recorded_modules()
    imported = environment.run("-c", "import langcache; print(langcache.__version__, langcache.LangCache.__module__)")
    assert imported.stdout == "0.14.0 langcache.sdk\n"
    assert not environment.has_command()
    assert "No module named langcache.__main__" in environment.run("-m", "langcache", "doctor", status=1).stderr
    assert not (environment.site / "langcache_transports").exists()

    # A copy of ours over it asks no installer: the two are mixed, and cannot be imported.
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(environment.site)
    doctor = environment.run("-m", "langcache", "doctor", status=1).stdout
    assert "2 distributions provide the import package langcache" in doctor
    assert f"by the files this is langcache {__version__}" in doctor
    assert "is a mixture: it holds files of the official SDK: _hooks, _version.py, basesdk.py, sdk.py" in doctor
    assert "errors/__init__.py" in doctor
