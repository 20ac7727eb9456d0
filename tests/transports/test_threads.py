"""Threads: hundreds share a client, and what interrupts a call breaks that call alone."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from langcache import LangCache, TLSConfig
from langcache_transports.pooling.answer import Answer
from langcache_transports.pooling.connection import TimedConnection
from langcache_transports.testing import Certificates, Connection, FaultServer, faults
from tests.transports.answering import answering

THREADS = 200
TURNS = 8


def search(client: LangCache, prompt: str) -> None:
    """Search, and see to it that the answer is not another's."""
    found = client.search(prompt=prompt).data[0].prompt
    assert found == prompt, (found, prompt)


def in_threads(count: int, work: Callable[[int], None]) -> list[BaseException]:
    """Do `work` in that many threads at the same time, with the number of each; return what went wrong."""
    wrong: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - it is returned
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


@pytest.mark.parametrize(("transport", "scheme"), [("urllib3", "https"), ("requests", "http")])
def test_hundreds_of_threads_share_a_client(transport: str, scheme: str, tmp_path: Path) -> None:
    """Each gets its own answers, on one connection for each call that is in flight, and none is left behind."""
    certificates = Certificates(tmp_path) if scheme == "https" else None
    tls = TLSConfig(ca=certificates.ca) if certificates else None
    done, waited = 0, [0] * THREADS
    counting = threading.Lock()

    def work(number: int) -> None:
        nonlocal done
        search(client, f"gather {THREADS} {number}")  # all at once, so that there are as many connections
        search(client, f"gather {THREADS} again {number}")
        for turn in range(TURNS):
            before = done
            search(client, f"{number} {turn}")
            with counting:
                done += 1
                waited[number] = max(waited[number], done - before)

    with (
        answering(certificates.server_context() if certificates else None) as server,
        LangCache(
            server.url, "k", "c", transport=transport, timeout_ms=60_000, pool_size=THREADS, tls=tls, trust_env=False
        ) as client,
    ):
        assert in_threads(THREADS, work) == []
        assert server.connections == THREADS
        # While the call that waited longest was under way, the others were done with less than all of theirs.
        assert max(waited) < THREADS * TURNS * 0.9


def test_more_threads_than_connections_that_are_kept(tmp_path: Path) -> None:
    """None waits for another, and what is too much is closed again."""
    with answering() as server, LangCache(server.url, "k", "c", timeout_ms=60_000, pool_size=5) as client:
        assert in_threads(100, lambda number: search(client, f"gather 100 {number}")) == []
        assert server.connections == 100
        assert server.wait_until_closed(left=5)
        assert in_threads(5, lambda number: search(client, f"{number}")) == []
        assert server.connections == 100


class Stop(Exception):
    """What a program's own signal handler raises, to stop whatever runs."""


@pytest.fixture(params=[KeyboardInterrupt, Stop])
def stop(request: pytest.FixtureRequest) -> Iterator[type[BaseException]]:
    """Have the alarm's signal raise this in the main thread."""
    if not hasattr(signal, "pthread_kill"):
        pytest.skip("signals are not sent to threads on this operating system")
    kind: type[BaseException] = request.param

    def handler(*_: object) -> None:
        raise kind

    before = signal.signal(signal.SIGALRM, handler)
    yield kind
    signal.signal(signal.SIGALRM, before)


def alarm_when(condition: Callable[[], object]) -> threading.Thread:
    """Send the signal to the main thread when the condition, which waits, is there."""

    def work() -> None:
        condition()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
@pytest.mark.parametrize("transport", ["urllib3", "requests"])
def test_an_interrupt_within_an_answer_leaves_the_pool_usable(transport: str, stop: type[BaseException]) -> None:
    """The connection is closed, and the rest of its answer is nobody's."""
    with answering() as server, LangCache(server.url, "k", "c", transport=transport, timeout_ms=60_000) as client:
        for turn in range(1, 6):
            search(client, f"before {turn}")

            def held(turn: int = turn) -> None:
                search(client, f"held {turn}")

            thread = alarm_when(held)
            with pytest.raises(stop):
                search(client, f"hold {turn}")
            thread.join()
            search(client, f"left {turn}")
        client.close()
        assert server.wait_until_closed()


@pytest.mark.parametrize("transport", ["urllib3", "requests"])
def test_an_interrupt_between_two_steps_ends_the_connection(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the error holds what was made, and nobody else knows it yet: here the reader of the answer."""

    def interrupted(connection: TimedConnection, sock: socket.socket, **_: object) -> Answer:
        made = Answer(sock, None)
        raise KeyboardInterrupt(made)

    monkeypatch.setattr(TimedConnection, "response_class", interrupted)
    with answering() as server, LangCache(server.url, "k", "c", transport=transport) as client:
        with pytest.raises(KeyboardInterrupt) as caught:
            search(client, "any")
        assert server.wait_until_closed()
        caught.value.args[0].close()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
# Python's own SSLSocket, which is not ours before the handshake is done, is then closed as Python forgets it.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
@pytest.mark.parametrize("transport", ["urllib3", "requests"])
def test_an_interrupt_while_connecting_ends_the_connection(
    transport: str, stop: type[BaseException], tmp_path: Path
) -> None:
    """In the middle of the TLS handshake, to which the server does not answer."""
    began = threading.Event()

    def mute(connection: Connection) -> None:
        began.set()
        faults.mute(connection)

    with FaultServer(mute) as server:
        url = server.url.replace("http://", "https://")
        tls = TLSConfig(ca=Certificates(tmp_path).ca)
        with LangCache(url, "k", "c", transport=transport, timeout_ms=60_000, tls=tls) as client:
            thread = alarm_when(began.wait)
            with pytest.raises(stop):
                search(client, "any")
            thread.join()
            assert server.wait_until_closed()
