"""What `.ci/run` needs of the checkout: ``copy TARGET`` copies it, ``test-command`` prints the README's command."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Where git cannot say what is ignored, these are left out; compare .gitignore.
IGNORED = shutil.ignore_patterns(
    ".git",
    "__pycache__",
    "*.egg-info",
    "build",
    "dist",
    "_build",
    ".venv*",
    ".tox",
    ".*_cache",
    ".hypothesis",
    ".coverage*",
)


def files() -> list[str] | None:
    """List the files that are tracked, or new and not ignored; None where there is no git to ask."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        return None
    return [name for name in sorted(set(listed.split("\0"))) if name and (ROOT / name).is_file()]


def copy(target: Path) -> None:
    """Copy the checkout to the new directory `target`, without what its builds and tests leave behind."""
    names = files()
    if not names:
        shutil.copytree(ROOT, target, ignore=IGNORED)
        return
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)


def test_command() -> str:
    """Return the README's one block of bash that runs pytest."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks: list[str] = re.findall(r"^```bash[^\n]*\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    commands = [block for block in blocks if "pytest" in block]
    if len(commands) != 1:
        sys.exit(f"README.md must have one ```bash block that contains 'pytest'; it has {len(commands)}")
    return commands[0]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["copy", target]:
            copy(Path(target))
        case ["test-command"]:
            print(test_command(), end="")
        case _:
            sys.exit(__doc__)
