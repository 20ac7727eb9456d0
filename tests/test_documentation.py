"""Every command and every code block of README.md and docs/ is executed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.comparison.known import KNOWN
from tests.documentation import PAGES, ROOT, Block, blocks, modules, write_examples

_NOT_SHIPPED = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist", "_build")


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.name)
def test_every_example_runs(block: Block, tmp_path: Path) -> None:
    """As a program of its own, with nothing in the environment and nothing on standard error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.text], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_block_is_of_a_kind_that_is_executed() -> None:
    """Directives of the pages' own language apart, which the pages' build executes."""
    assert {block.language for page in PAGES for block in blocks_of_any_kind(page)} <= {"python", "bash"}


def blocks_of_any_kind(page: Path) -> list[Block]:
    languages = {line[3:].strip() for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("```")}
    directives = {language for language in languages if language.startswith("{")}
    return [block for block in blocks(*(languages - directives - {""})) if block.page == page]


def test_the_readme_opens_with_two_commands_that_run_the_main_job_and_the_tests() -> None:
    first, second, *_ = [block for block in blocks("bash") if block.page.name == "README.md"]
    assert first.text.rstrip().endswith("langcache demo")
    assert second.text.rstrip().endswith("pytest")


@pytest.mark.skipif("TOX_ENV_NAME" in os.environ, reason="they make environments of their own: once is enough")
def test_the_commands_run_in_a_fresh_copy_of_the_checkout(tmp_path: Path) -> None:
    """Each as it stands, page by page, in virtual environments that they make themselves.

    pytest only collects the tests here, because it is a test that runs it.
    """
    environment = {**os.environ, "PYTEST_ADDOPTS": "--collect-only --quiet", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    for page in PAGES:
        commands = [block.text for block in blocks("bash") if block.page == page]
        if not commands:
            continue
        fresh = tmp_path / page.stem
        shutil.copytree(ROOT, fresh, ignore=_NOT_SHIPPED)
        for command in commands:
            done = subprocess.run(
                ["bash", "-eo", "pipefail", "-c", command],  # noqa: S607 - whichever the reader has
                cwd=fresh,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{page.name}: {command}\n{done.stdout}\n{done.stderr}"
            if command.rstrip().endswith("demo"):
                assert "4 of 5 questions answered from the cache" in done.stdout
            if command.rstrip().endswith("pytest"):
                assert "tests collected" in done.stdout


def test_the_migration_guide_lists_every_difference_that_the_comparison_knows() -> None:
    """In the comparison's own words, so that neither can be changed without the other."""
    guide = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")
    listed = [line for line in guide.splitlines() if line.startswith("| `")]
    rows = [f"| `{difference.id}` | {difference.what} | {difference.why} |" for difference in KNOWN]
    assert listed[-len(rows) :] == rows


def test_the_examples_can_be_written_out_for_type_checkers(tmp_path: Path) -> None:
    write_examples(tmp_path)
    written = sorted(path.read_text(encoding="utf-8") for path in tmp_path.iterdir())
    assert written == sorted([*(block.text for block in blocks("python")), *modules().values()])
