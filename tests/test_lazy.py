"""What a package offers loads when it is asked for, and not before, and what is worked out on first use is kept."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from langcache.lazy import CachedProperty, loader
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


@dataclass(frozen=True)
class Words:
    text: str

    @CachedProperty
    def each(self) -> list[str]:
        """The words."""
        return self.text.split()


def test_what_is_worked_out_is_kept_by_its_instance() -> None:
    """Of a frozen dataclass too, whose equality it does not change."""
    first, second = Words("a b"), Words("a b")
    assert first.each == ["a", "b"]
    assert first.each is first.each is vars(first)["each"]
    assert "each" not in vars(second)
    assert second.each is not first.each
    assert first == second
    assert Words.each.__doc__ == "The words."


def test_threads_that_come_at_the_same_time_get_the_same() -> None:
    at_once = threading.Barrier(8)

    class Slow:
        @CachedProperty
        def thing(self) -> object:
            at_once.wait(30)
            return object()

    slow, got = Slow(), list[object]()
    threads = [threading.Thread(target=lambda: got.append(slow.thing)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert set(got) == {slow.thing}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this operating system does not fork")
def test_a_child_that_is_forked_while_a_thread_works_something_out_does_not_wait_for_it() -> None:
    """Neither for the models of an operation, nor for the routes of the embedded data plane."""
    program = """
import os, signal, threading
from dataclasses import replace
from langcache.operations import SEARCH
from langcache_transports.embedded.routes import Route

inside, go_on = threading.Event(), threading.Event()

class Path(str):
    def strip(self, *characters):
        inside.set()
        go_on.wait(30)
        return str.strip(self, *characters)

def arguments():
    inside.set()
    go_on.wait(30)
    return SEARCH.arguments()

for busy, free, name in (
    (replace(SEARCH, arguments=arguments), replace(SEARCH), "model"),
    (Route("GET", Path("/a"), None), Route("GET", "/b", None), "segments"),
):
    inside.clear()
    go_on.clear()
    thread = threading.Thread(target=getattr, args=(busy, name))
    thread.start()
    inside.wait(30)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        getattr(free, name)
        os._exit(0)
    print(os.waitpid(child, 0)[1])
    go_on.set()
    thread.join()
"""
    assert output_of(program) == ("0\n0\n", "")
