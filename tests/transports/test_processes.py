"""Processes: a forked child has connections and threads of its own, and a process ends when its program does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from langcache import Request, Response
from tests.local_server import LocalServer
from tests.transports.answering import answering
from tests.transports.programs import output_of

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
        sys.exit(0 if answers_its_own(f"child {number}") else 3)
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


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this operating system does not fork")


@needs_fork
@pytest.mark.parametrize("form", ["sync", "async"])
@pytest.mark.parametrize("transport", ["urllib3", "requests"])
def test_a_forked_child_gets_its_own_answers(transport: str, form: str) -> None:
    """Not its parent's or a sibling's, and its async calls find threads."""
    with answering() as server:
        assert output_of(_FORK, server.url, transport, form) == ("True [0, 0, 0, 0]\n", "")


_FORK_IN_MID_CALL = """
import asyncio, os, signal, sys, threading
from langcache import LangCache

client = LangCache(sys.argv[1], "k", "c", transport=sys.argv[2], async_transport="threaded", pool_size=4)
process = os.getpid()
stop = threading.Event()
wrong = []


def search(prompt):
    assert client.search(prompt=prompt).data[0].prompt == prompt


def search_async(prompt):
    assert asyncio.run(client.search_async(prompt=prompt)).data[0].prompt == prompt


def work(search, name):
    turn = 0
    while not stop.is_set():
        turn += 1
        try:
            search(f"{name} {turn}")
        except Exception as error:
            wrong.append(error)


calls = [threading.Thread(target=work, args=(form, f"{form} {n}")) for form in (search, search_async) for n in range(4)]
for thread in calls:
    thread.start()
children = []
for number in range(12):
    search(f"parent {number}")
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # ends a child that waits for ever
        search("child")
        search_async("child")
        in_child = [threading.Thread(target=search, args=(f"{os.getpid()} {n}",)) for n in range(4)]
        for thread in in_child:
            thread.start()
        for thread in in_child:
            thread.join()
        if number % 2:
            client.close()
        os._exit(0) if number % 3 else sys.exit(0)  # which runs what is to be done at the end, also the finalizers
    children.append(child)
statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
stop.set()
for thread in calls:
    thread.join()
client.close()
print(set(statuses), wrong)
"""


@needs_fork
@pytest.mark.parametrize("transport", ["urllib3", "requests"])
def test_a_fork_while_other_threads_call_leaves_a_usable_child(transport: str) -> None:
    """Whatever locks they hold at that moment; and the parent's calls go on, on its own connections."""
    with answering() as server:
        assert output_of(_FORK_IN_MID_CALL, server.url, transport) == ("{0} []\n", "")
        assert server.wait_until_closed()


_FORK_WHILE_A_TRANSPORT_IS_OPENED = """
import asyncio, os, signal, sys, threading
from langcache import LangCache, hookimpl
from langcache_transports.threaded import ThreadedTransport

entered, leave, process = threading.Event(), threading.Event(), os.getpid()


class SlowToOpen:
    @hookimpl
    def langcache_async_transport(self, name, options, transport):
        if os.getpid() == process:
            entered.set()
            leave.wait()
        return ThreadedTransport(transport, 2) if name == "slow" else None


class Plain:
    @hookimpl
    def langcache_transport(self, name, options):
        from langcache_transports.urllib3 import Urllib3Transport
        return Urllib3Transport(options) if name == "slow" else None


client = LangCache(sys.argv[1], "k", "c", transport="slow", plugins=[SlowToOpen(), Plain()])
client.search(prompt="warm")
search = lambda: asyncio.run(client.search_async(prompt="p")).data[0].prompt
opening = threading.Thread(target=search)
opening.start()
entered.wait()
child = os.fork()
if child == 0:
    signal.alarm(30)
    assert search() == "p"
    client.close()
    sys.exit(0)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
leave.set()
opening.join()
client.close()
print(status)
"""


@needs_fork
def test_a_fork_while_another_thread_opens_a_transport_leaves_a_usable_child() -> None:
    with answering() as server:
        assert output_of(_FORK_WHILE_A_TRANSPORT_IS_OPENED, server.url) == ("0\n", "")


_MODULE = """
import asyncio, os
from langcache import LangCache

client = LangCache(os.environ["SERVER"], "k", "c", async_transport="threaded")
assert client.search(prompt="at import").data[0].prompt == "at import"


def wrong(name):
    found = [client.search(prompt=f"{name} {turn}").data[0].prompt == f"{name} {turn}" for turn in range(20)]
    found.append(asyncio.run(client.search_async(prompt=name)).data[0].prompt == name)
    return found.count(False)
"""
_PROGRAM = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import cached


def main():
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(3) as pool:
        asked = pool.map_async(cached.wrong, [f"pool {number}" for number in range(6)], chunksize=1)
        print(cached.wrong("parent"), asked.get(60))
        pool.close()
        pool.join()
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        asked = executor.map(cached.wrong, [f"executor {number}" for number in range(4)])
        print(cached.wrong("parent"), list(asked))
    process = context.Process(target=cached.wrong, args=("process",))
    process.start()
    print(cached.wrong("parent"))
    process.join()
    cached.client.close()
    print(process.exitcode)


if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_client_works_in_the_processes_of_multiprocessing(method: str, tmp_path: Path) -> None:
    """A module's client, which its import has used already: pools of both kinds and a single process call with it."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this operating system has no start method {method!r}")
    (tmp_path / "cached.py").write_text(_MODULE)
    (tmp_path / "program.py").write_text(_PROGRAM)
    with answering() as server:
        done = output_of(tmp_path / "program.py", method, SERVER=server.url)
    assert done == ("0 [0, 0, 0, 0, 0, 0]\n0 [0, 0, 0, 0]\n0\n0\n", "")


_INTERRUPTED = """
import asyncio, signal, sys
from langcache import LangCache

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it runs in the background
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
