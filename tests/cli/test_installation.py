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
import zipfile
from pathlib import Path

import pytest

from langcache import __version__
from tests.environments import Environment

pytestmark = pytest.mark.skipif(
    "TOX_ENV_NAME" in os.environ, reason="they make environments of their own: once is enough"
)

OFFICIAL = "langcache==0.14.0"


def shipped_modules(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if name.startswith("langcache/") and name.endswith(".py")}


def test_ours_takes_the_place_of_the_official_one(wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "environment", "langcache")
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
    environment = Environment(tmp_path / "environment", "langcache")
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
