"""The commands and examples of README.md and docs/, so that they can be executed and type-checked.

``python -m tests.documentation DIRECTORY`` writes each Python example to a file of its own, for type checkers.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_CAPTIONED = re.compile(r":caption: (?P<name>[^\n]+)\n\n(?P<text>.*)", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def name(self) -> str:
        """Where it stands, for a test's id and a file's name."""
        return f"{self.page.stem.lower()}_{self.line}"


def blocks(*languages: str) -> list[Block]:
    """Return the blocks of all pages that are in one of these languages."""
    return [block for page in PAGES for block in _blocks_of(page) if block.language in languages]


def _blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, fence.start()) + 2, fence["language"].strip(), fence["text"])
        for fence in _FENCE.finditer(text)
    ]


def files(page: Path) -> dict[str, str]:
    """Return the files that a page shows in code blocks with a caption, by their names."""
    shown = [_CAPTIONED.fullmatch(block.text) for block in _blocks_of(page)]
    return {captioned["name"]: captioned["text"] for captioned in shown if captioned}


def write_examples(directory: Path) -> None:
    """Write each Python example into `directory`, and the modules that pages show under their own names."""
    directory.mkdir(parents=True, exist_ok=True)
    for block in blocks("python"):
        (directory / f"{block.name}.py").write_text(block.text, encoding="utf-8")
    for name, text in modules().items():
        (directory / name).write_text(text, encoding="utf-8")


def modules() -> dict[str, str]:
    """Return the modules that the pages show as files."""
    return {name: text for page in PAGES for name, text in files(page).items() if name.endswith(".py")}


if __name__ == "__main__":
    write_examples(Path(sys.argv[1]))
