"""``python -m tests.comparison``: compare this package with the official SDK; see the package's docstring.

The exit status is 0 where all differences are known, and each that is known occurs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .differences import differences
from .environments import OFFICIAL, CannotBuild, build
from .known import known, unused_rules
from .report import by_case, lines
from .server import RecordingServer

_SECONDS = 180
"""How long the program may take with one package."""


class CannotRun(Exception):
    """The program ended otherwise than it should."""


def main() -> int:
    """Compare, print the report and return the exit status."""
    arguments = _arguments()
    try:
        if arguments.environments is not None:
            return _compare(arguments.environments.resolve(), arguments.only)
        with tempfile.TemporaryDirectory(prefix="langcache-comparison-") as directory:
            return _compare(Path(directory), arguments.only)
    except (CannotBuild, CannotRun) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.comparison", description=f"Compare with langcache {OFFICIAL}."
    )
    parser.add_argument(
        "--only", metavar="PATTERN", default="*", help="play only the cases whose name fits, as a shell's"
    )
    parser.add_argument(
        "--environments", metavar="DIRECTORY", type=Path, help="keep the environments there, and reuse them"
    )
    return parser.parse_args()


def _compare(directory: Path, pattern: str) -> int:
    environments = build(directory)
    with RecordingServer() as server:
        official, ours = (_run(python, server, pattern) for python in (environments.official, environments.ours))
    merged = by_case(differences(official, ours))
    found = [difference for different in merged.values() for difference in different]
    stale = unused_rules(found) if pattern == "*" else []
    for line in lines(merged, stale):
        sys.stdout.write(f"{line}\n")
    return int(bool(stale) or any(known(difference) is None for difference in found))


def _run(python: Path, server: RecordingServer, pattern: str) -> str:
    """Run the program with `python`, and return what it observed."""
    here = Path(__file__).resolve().parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LANGCACHE_", "PYTHON"))}
    done = subprocess.run(
        [python, "-m", "program", str(server.port), str(server.control_port), pattern],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        cwd=python.parent,  # not the checkout, which would be imported instead of the installed package
        env={**environment, "PYTHONPATH": str(here), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"},
    )
    if done.returncode:
        raise CannotRun(f"{python} -m program failed:\n{done.stderr[-10_000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
