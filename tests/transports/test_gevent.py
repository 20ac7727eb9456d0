"""Programs that gevent has patched: greenlets share a client, and each exchange lets the others run."""

from __future__ import annotations

from pathlib import Path

import pytest

from langcache_transports.testing import Certificates
from tests.transports.answering import answering
from tests.transports.programs import output_of

pytest.importorskip("gevent", reason="gevent is not installed, or not for this interpreter", exc_type=ImportError)

_BEGINNING = """
from gevent import monkey
monkey.patch_all()
import sys
import gevent.event
from langcache import LangCache, TLSConfig, errors

url, transport, ca = sys.argv[1:]
client = LangCache(
    url, "k", "c", transport=transport, timeout_ms=60_000, pool_size=200, tls=TLSConfig(ca=ca) if ca else None
)


def search(prompt, **options):
    # The server answers with the prompt, so that another's answer is seen.
    found = client.search(prompt=prompt, **options).data[0].prompt
    assert found == prompt, (found, prompt)


def all_of(prompts):
    gevent.joinall([gevent.spawn(search, prompt) for prompt in prompts], raise_error=True)

"""


OVER = pytest.mark.parametrize(("transport", "scheme"), [("urllib3", "https"), ("requests", "http")])


def patched(program: str, transport: str, scheme: str, directory: Path) -> tuple[str, str, int]:
    """Return what a patched program writes, to both outputs, and how many connections it opened."""
    certificates = Certificates(directory / "certificates") if scheme == "https" else None
    with answering(certificates.server_context() if certificates else None) as server:
        ca = certificates.ca if certificates else ""
        output, problems = output_of(_BEGINNING + program, server.url, transport, ca)
        assert server.wait_until_closed()
        return output, problems, server.connections


@OVER
def test_hundreds_of_greenlets_share_a_client(transport: str, scheme: str, tmp_path: Path) -> None:
    """The server answers when 200 requests wait, so that they do overlap; then the connections are used again."""
    program = """
for turn in range(2):
    all_of(f"gather 200 {turn} {number}" for number in range(200))
    all_of(f"{turn} {number}" for number in range(200))
print("done")
"""
    assert patched(program, transport, scheme, tmp_path) == ("done\n", "", 200)


@OVER
def test_greenlets_that_are_killed_leave_the_pool_usable(transport: str, scheme: str, tmp_path: Path) -> None:
    """Their connections are closed, and nobody else gets their answers, the halves of which have come."""
    program = """
def breaks(reason, prompt):
    try:
        search(prompt)
    except reason:
        return
    raise AssertionError("there is an answer")


for turn, reason in enumerate((gevent.GreenletExit, gevent.Timeout, KeyError), 1):
    all_of(f"gather 20 {turn} {number}" for number in range(20))
    broken = [gevent.spawn(breaks, reason, f"hold {turn} {number}") for number in range(10)]
    search(f"held {turn * 10}")
    gevent.killall(broken, exception=reason)
    gevent.joinall(broken, raise_error=True)
    search(f"left {turn * 10}")
    all_of(f"gather 20 again {turn} {number}" for number in range(20))
try:
    with gevent.Timeout(0.1):
        client.search(prompt="hold")
except gevent.Timeout:
    search("after the timeout")
client.close()
print("done")
"""
    output, problems, _ = patched(program, transport, scheme, tmp_path)
    assert (output, problems) == ("done\n", "")


@OVER
def test_a_greenlet_may_be_killed_wherever_it_waits(transport: str, scheme: str, tmp_path: Path) -> None:
    """Also while it looks whether an idle connection is still good: no socket is left to the garbage collector."""
    program = """
for turn in range(40):
    greenlets = [gevent.spawn(search, f"{turn} {number}") for number in range(8)]
    for _ in range(turn % 20):
        gevent.sleep(0)  # each lets the greenlets come a step further
    gevent.killall(greenlets[::2])
    gevent.joinall(greenlets, raise_error=True)
client.close()
print("done")
"""
    output, problems, _ = patched(program, transport, scheme, tmp_path)
    assert (output, problems) == ("done\n", "")


@OVER
def test_the_timeout_of_a_call_holds_while_others_go_on(transport: str, scheme: str, tmp_path: Path) -> None:
    program = """
def times_out(number):
    try:
        client.search(prompt=f"hold {number}", timeout_ms=2_000)
    except errors.ReadTimeout:
        search("left 1")  # the connection is closed
    else:
        raise AssertionError("there is an answer")


slow = [gevent.spawn(times_out, number) for number in range(20)]
all_of(f"{number}" for number in range(20))
gevent.joinall(slow, raise_error=True)
print("done")
"""
    output, problems, _ = patched(program, transport, scheme, tmp_path)
    assert (output, problems) == ("done\n", "")


@OVER
def test_a_look_up_that_hangs_is_cut_off_while_others_go_on(transport: str, scheme: str, tmp_path: Path) -> None:
    """Also with a client of the program's own, whose whole exchange is in another greenlet."""
    program = """
import socket, time
import requests

known, answers = socket.getaddrinfo, gevent.event.Event()


def getaddrinfo(host, *arguments, **hints):
    if host == "cache.example":
        answers.wait()
    return known("127.0.0.1" if host.endswith(".example") else host, *arguments, **hints)


def times_out(client):
    begun = time.monotonic()
    try:
        client.search(prompt="p", server_url=url.replace("127.0.0.1", "cache.example"), timeout_ms=500)
    except errors.TimeoutException:
        assert time.monotonic() - begun < 5
    else:
        raise AssertionError("there is an answer")


socket.getaddrinfo = getaddrinfo
mine = LangCache(url, "k", "c", client=requests.Session())
slow = [gevent.spawn(times_out, each) for each in [client, mine] * 10]
all_of(f"{number}" for number in range(20))
gevent.joinall(slow, raise_error=True)
if url.startswith("http:"):
    assert client.search(prompt="p", server_url=url.replace("127.0.0.1", "known.example")).data[0].prompt == "p"
    assert mine.search(prompt="p").data[0].prompt == "p"
client.close()
print("done")
"""
    output, problems, _ = patched(program, transport, scheme, tmp_path)
    assert (output, problems) == ("done\n", "")


def test_a_patched_program_forks(tmp_path: Path) -> None:
    """gevent's own fork runs; the child has connections of its own."""
    program = """
import os
all_of(f"gather 20 parent {number}" for number in range(20))
child = os.fork()
all_of(f"{child} {number}" for number in range(50))
client.close()
if child:
    assert os.waitpid(child, 0) == (child, 0)
print("done")
"""
    assert patched(program, "urllib3", "http", tmp_path)[:2] == ("done\ndone\n", "")
