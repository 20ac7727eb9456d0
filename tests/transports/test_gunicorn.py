"""gunicorn with --preload: the master has used the client before it forks its workers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import urllib3

from langcache_transports.testing import Certificates
from tests.transports.answering import answering
from tests.transports.programs import STRICT

pytest.importorskip("fcntl", reason="gunicorn does not run on this operating system")
pytest.importorskip("gunicorn", reason="gunicorn is not installed")

_APP = """
import os
from urllib.parse import unquote
from langcache import LangCache, TLSConfig

client = LangCache(
    os.environ["SERVER"], "k", "c", transport=os.environ["TRANSPORT"], tls=TLSConfig(ca=os.environ["CA"])
)
assert client.search(prompt="at import").data[0].prompt == "at import"
master = os.getpid()


def app(environ, start_response):
    assert os.getpid() != master
    found = client.search(prompt=unquote(environ["QUERY_STRING"])).data[0].prompt.encode()
    start_response("200 OK", [("Content-Length", str(len(found))), ("X-Worker", str(os.getpid()))])
    return [found]
"""
_PATCHED = """
from gevent import monkey
monkey.patch_all()
"""


@contextmanager
def served(directory: Path, server: str, transport: str, ca: str, *options: str) -> Generator[str, None, None]:
    """Run gunicorn with the application and these options; give its URL."""
    (directory / "app.py").write_text(_APP)
    # gevent has to patch before anything is imported, also what gunicorn imports itself.
    (directory / "gunicorn.conf.py").write_text(_PATCHED if "gevent" in options else "")
    gunicorn = subprocess.Popen(
        [sys.executable, *STRICT, "-m", "gunicorn", "--preload", "--bind", "127.0.0.1:0", *options, "app:app"],
        cwd=directory,
        env={**os.environ, "SERVER": server, "TRANSPORT": transport, "CA": ca},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert gunicorn.stderr is not None
    log: list[str] = []
    try:
        for line in gunicorn.stderr:
            log.append(line)
            if found := re.search(r"Listening at: (http://\S+)", line):
                yield found[1]
                break
    finally:
        gunicorn.send_signal(signal.SIGTERM)
        log.append(gunicorn.communicate(timeout=60)[1])
    # gunicorn leaves its own listeners to the garbage collector; connections over TCP are ours.
    assert not re.findall(r"(?m)^.*(?:ERROR|Traceback|unclosed .*proto=6).*$", "".join(log))
    assert gunicorn.returncode == 0


@pytest.mark.parametrize(
    ("worker", "workers", "threads", "at_once", "transport"),
    [
        ("sync", 3, 1, 3, "urllib3"),  # one for each worker
        ("gthread", 2, 4, 4, "urllib3"),  # a worker may accept them all, so that they must not be more than its threads
        ("gthread", 2, 4, 4, "requests"),
        ("gevent", 2, 1, 40, "urllib3"),
    ],
)
def test_every_worker_has_connections_of_its_own(
    worker: str, workers: int, threads: int, at_once: int, transport: str, tmp_path: Path
) -> None:
    """The first calls overlap in time, because the service answers when it has them all."""
    if worker == "gevent":
        pytest.importorskip("gevent", reason="gevent is not there for this interpreter", exc_type=ImportError)
    certificates = Certificates(tmp_path / "certificates")
    options = ("--worker-class", worker, "--workers", str(workers), "--threads", str(threads))
    with (
        answering(certificates.server_context()) as server,
        served(tmp_path, server.url, transport, certificates.ca, *options) as url,
        urllib3.PoolManager(maxsize=at_once, retries=False, timeout=60) as callers,
        ThreadPoolExecutor(at_once) as threads_here,
    ):

        def ask(prompt: str) -> tuple[str, str]:
            answer = callers.request("GET", f"{url}/?{quote(prompt)}", headers={"Connection": "close"})
            assert answer.status == 200
            return answer.data.decode(), answer.headers["X-Worker"]

        first = [f"gather {at_once} {number}" for number in range(at_once * 2)]
        then = [f"{number}" for number in range(200)]
        answers = list(threads_here.map(ask, first + then))
        assert [answer for answer, _ in answers] == first + then
        if worker == "sync":  # each does one at a time
            assert len({process for _, process in answers[:at_once]}) == workers
        # The master's, and no more than one for each call that a worker may have had in flight.
        assert server.connections <= 1 + workers * at_once
