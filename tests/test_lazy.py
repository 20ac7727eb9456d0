"""What a package offers loads when it is asked for, and not before."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from langcache.lazy import loader
from tests.transports.programs import output_of

PACKAGE = {
    "__init__.py": """
from langcache.lazy import loader
__getattr__ = loader(__name__, {".inner": ["Thing"], "json": ["dumps"]}, modules=["inner"])
""",
    "inner.py": "Thing = object()",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "lazy_package").mkdir()
    for name, content in PACKAGE.items():
        (tmp_path / "lazy_package" / name).write_text(content)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    import lazy_package  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]

    yield lazy_package
    for name in ("lazy_package", "lazy_package.inner"):
        sys.modules.pop(name, None)


def test_a_name_loads_its_module_on_first_use(package: Any) -> None:
    assert "lazy_package.inner" not in sys.modules
    thing = package.Thing
    assert thing is sys.modules["lazy_package.inner"].Thing
    assert vars(package)["Thing"] is thing  # so that the next use finds it at once


def test_modules_load_on_first_use_too_and_names_may_come_from_elsewhere(package: Any) -> None:
    assert package.inner is sys.modules["lazy_package.inner"]
    assert package.dumps([]) == "[]"


def test_a_name_that_is_not_offered_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'tests' has no attribute 'nothing'"):
        loader("tests", {})("nothing")


def test_a_client_is_made_without_pydantic() -> None:
    """Which takes longer to import than everything else that a client needs before its first call."""
    program = """
    import sys
    from langcache import Credential, KeyFile, LangCache, RetryPolicy, TLSConfig, errors

    cache = LangCache("http://127.0.0.1:9", "k", "c", retry_config=RetryPolicy(), proxy="http://u:p@127.0.0.1:9")
    print(*sorted({"pydantic", "pydantic_core", "requests", "aiohttp"} & set(sys.modules)))
    cache.search(prompt="p", on_failure="miss", deadline_ms=10_000)
    print("pydantic" in sys.modules)
    """
    out, _ = output_of(program)
    assert out.split("\n")[:2] == ["", "True"]
