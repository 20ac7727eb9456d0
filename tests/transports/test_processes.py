"""Processes: a forked child has connections and threads of its own, and a process ends when its program does."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from langcache import Request, Response
from tests.local_server import LocalServer

_FORK = """
import asyncio, os, sys
from langcache import LangCache

url, transport, form = sys.argv[1:]
client = LangCache(url, "k", "c", transport=transport, timeout_ms=5_000)


def search(prompt):
    if form == "sync":
        return client.search(prompt=prompt)
    return asyncio.run(client.search_async(prompt=prompt))


def answers_its_own(name):
    # The server answers with the prompt, so that another's answer is seen.
    return all(search(f"{name} {i}").data[0].prompt == f"{name} {i}" for i in range(25))


assert answers_its_own("parent before")
children = []
for number in range(4):
    child = os.fork()
    if child == 0:
        os._exit(0 if answers_its_own(f"child {number}") else 3)
    children.append(child)
good = answers_its_own("parent after")
statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
print(good, statuses)
"""


def echo(request: Request) -> Response:
    """Answer a search with an entry whose prompt is the one that was asked for."""
    prompt = (request.content or b"").partition(b'"prompt":"')[2].partition(b'"')[0]
    entry = b'{"id":"1","prompt":"%s","response":"r","attributes":{},"similarity":1,"searchStrategy":"exact"}'
    return Response(200, {}, b'{"data":[' + entry % prompt + b"]}")


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this operating system does not fork")
@pytest.mark.parametrize("form", ["sync", "async"])
@pytest.mark.parametrize("transport", ["urllib3", "requests"])
def test_a_forked_child_gets_its_own_answers(server: LocalServer, transport: str, form: str) -> None:
    """Not its parent's or a sibling's, and its async calls find threads."""
    server.answer = echo
    done = subprocess.run(
        # Python warns of forks in a process with threads, which is just what is tried here.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _FORK, server.url, transport, form],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("True [0, 0, 0, 0]\n", "")


_INTERRUPTED = """
import asyncio, sys
from langcache import LangCache

client = LangCache(sys.argv[1], "k", "c", timeout_ms=0)
{call}
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are not sent like this here")
@pytest.mark.parametrize(
    "call", ['client.search(prompt="p")', 'asyncio.run(client.search_async(prompt="p"))'], ids=["sync", "async"]
)
def test_an_interrupt_ends_a_program_that_waits_for_a_silent_service(server: LocalServer, call: str) -> None:
    """At once, although there is no timeout: no thread holds it up."""
    arrived, leave = threading.Event(), threading.Event()

    def answer(request: Request) -> Response:
        arrived.set()
        leave.wait()
        return Response(200)

    server.answer = answer
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_INTERRUPTED.format(call=call)), server.url], stderr=subprocess.PIPE
    )
    try:
        assert arrived.wait(20)
        begun = time.monotonic()
        program.send_signal(signal.SIGINT)
        _, error = program.communicate(timeout=20)
        assert time.monotonic() - begun < 10
        assert b"KeyboardInterrupt" in error
    finally:
        leave.set()
        program.kill()
        program.communicate()
