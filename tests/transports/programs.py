"""Programs that tests run in processes of their own, with all warnings as errors."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

STRICT = (
    "-W",
    "error",
    # Python warns of forks in a process with threads, which is just what is tried here.
    "-W",
    "ignore:This process:DeprecationWarning",
)
"""The options with which Python runs a program that must cause no warning."""


def output_of(program: str | Path, *arguments: str, **variables: str) -> tuple[str, str]:
    """Return what a program writes to its outputs, standard and error; it is to be done within a minute.

    It is given as text or as a file, beside which it finds its modules.
    """
    code = [str(program)] if isinstance(program, Path) else ["-c", textwrap.dedent(program)]
    done = subprocess.run(
        [sys.executable, *STRICT, *code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **variables},
    )
    return done.stdout, done.stderr
