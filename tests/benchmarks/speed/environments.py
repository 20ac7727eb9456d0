"""The virtual environments: the official SDK's, this package's, the bare libraries', and the one that draws."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.comparison.environments import OFFICIAL, copy_checkout, environment, install

_LIBRARIES = ["aiohttp", "httpx", "requests", "urllib3"]


def build(directory: Path) -> dict[str, Path]:
    """Build the environments in `directory`, where they are not there already; return their Pythons by name.

    All have the newest versions of the same libraries; this package is installed anew each time.
    """
    source = copy_checkout(directory / "source")
    with ThreadPoolExecutor(2) as pool:
        made = {
            "official": pool.submit(environment, directory / "official", [f"langcache=={OFFICIAL}"]),
            "ours": pool.submit(environment, directory / "ours", [*_LIBRARIES, f"{source}[aiohttp]"]),
            "bare": pool.submit(environment, directory / "bare", _LIBRARIES),
            "plot": pool.submit(environment, directory / "plot", ["matplotlib"]),
        }
        pythons = {name: future.result() for name, future in made.items()}
    install(pythons["ours"], "--force-reinstall", "--no-deps", str(source))
    return pythons


def of_contestant(name: str) -> str:
    """Return the name of the environment that a contestant runs in."""
    return {"langcache": "ours", "official": "official", "bare": "bare"}[name.partition(" ")[0]]
