"""``langcache demo``: what a newcomer sees first."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from langcache import LangCache, Request, Response
from langcache.cli import main
from langcache_transports.embedded import DataPlane
from tests.local_server import LocalServer


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_it_runs_end_to_end_on_the_embedded_data_plane(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    output = shown(capsys)
    assert "embedded://" in output
    assert re.search(r"hit, exact, similarity 1\.000", output)
    assert len(re.findall(r"hit, semantic, similarity 0\.\d{3}", output)) == 3
    assert len(re.findall("miss:", output)) == 1
    assert "4 of 5 questions answered from the cache" in output
    assert "4 of 4 entries deleted" in output
    assert len(re.findall(r"\d ms", output)) == 13


@pytest.mark.parametrize("from_environment", [False, True])
def test_the_same_demo_runs_against_a_service(
    server: LocalServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, from_environment: bool
) -> None:
    """With options or with the environment; it deletes what it stored, one by one, and never more."""
    plane = DataPlane()
    server.answer = plane.handle
    plane.handle(Request("POST", "/v1/caches/c/entries", content=b'{"prompt":"somebody else\'s","response":"r"}'))
    arguments = ["demo"]
    for name, value in (("server-url", server.url), ("cache-id", "c"), ("api-key", "k1")):
        if from_environment:
            monkeypatch.setenv(f"LANGCACHE_{name.upper().replace('-', '_')}", value)
        else:
            arguments += [f"--{name}", value]
    assert main(arguments) == 0
    assert "4 of 4 entries deleted" in shown(capsys)
    assert {request.headers["authorization"] for request in server.requests} == {"Bearer k1"}
    assert [request.method for request in server.requests].count("DELETE") == 4
    assert not any(request.url.endswith("/flush") for request in server.requests)
    search = Request(
        "POST",
        "/v1/caches/c/entries/search",
        content=b'{"prompt":"somebody else\'s","searchStrategies":["exact"]}',
    )
    assert len(plane.handle(search).json()["data"]) == 1


def test_an_entry_that_is_there_already_is_neither_overwritten_nor_deleted(
    server: LocalServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """An entry's id is a digest of its prompt, so the demo's own questions may be somebody's entries."""
    plane = DataPlane()
    server.answer = plane.handle
    with LangCache(server.url, "k1", "c") as theirs:
        theirs.set(prompt="What is the capital of France?", response="Theirs.")
        assert main(["demo", "--server-url", server.url, "--cache-id", "c", "--api-key", "k1"]) == 0
        [entry] = theirs.search(prompt="What is the capital of France?", search_strategies=["exact"]).data
    assert entry.response == "Theirs."
    output = shown(capsys)
    assert "there already  What is the capital of France?" in output
    assert "3 of 3 entries deleted" in output


def test_what_it_stored_is_deleted_although_a_search_fails(
    server: LocalServer, capsys: pytest.CaptureFixture[str]
) -> None:
    plane = DataPlane()
    server.answer = lambda request: Response(503) if b"Jupiter" in (request.content or b"") else plane.handle(request)
    assert main(["demo", "--server-url", server.url, "--cache-id", "c", "--api-key", "k1"]) == 1
    assert [request.method for request in server.requests].count("DELETE") == 4
    captured = capsys.readouterr()
    assert "langcache demo: APIError: The service answered 503 Service Unavailable" in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--server-url", "http://127.0.0.1:9"], "ConfigurationError: No cache id"),
        (["--server-url", "http://127.0.0.1:9", "--cache-id", "c"], "ConfigurationError: No API key"),
        (["--server-url", "localhost", "--cache-id", "c"], "has no scheme"),
        (["--server-url", "redis://localhost:6379", "--cache-id", "c"], "No transport answers to 'redis'"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("langcache demo: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "command", [[sys.executable, "-m", "langcache"], [str(Path(sys.executable).parent / "langcache")]]
)
def test_it_is_a_console_script_and_a_module(command: list[str]) -> None:
    done = subprocess.run([*command, "demo"], capture_output=True, text=True, check=True)
    assert "4 of 5 questions answered from the cache" in done.stdout
    assert done.stderr == ""


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """``langcache demo | head -1`` ends without a traceback."""
    program = subprocess.Popen(
        [sys.executable, "-u", "-m", "langcache", "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.close()
    with program.stderr:
        assert program.stderr.read() == b""
    assert program.wait() == 0


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert shown(capsys) == "langcache 1.0.0\n"


def test_without_a_command_the_usage_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert "COMMAND" in capsys.readouterr().err
