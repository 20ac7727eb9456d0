"""Certificates, keys and authorities change while the program runs; contexts are shared by equal configurations."""

from __future__ import annotations

import logging
import os
import ssl
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import trustme

from langcache import TLSConfig
from langcache.errors import ConfigurationError
from langcache.tls import rotation
from langcache.tls.context import make_context as original
from langcache.tls.files import Stamps, TLSFiles
from langcache.tls.rotation import FromCallable, FromFiles, LiveContext
from tests.tls.peers import Identity, TLSServer, encrypted, key_of, pem


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What the logger "langcache" was told at the level of a warning."""
    caplog.set_level(logging.DEBUG, "langcache")

    def messages() -> list[str]:
        records = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert all((record.name, record.levelno) == ("langcache", logging.WARNING) for record in records)
        return [record.getMessage() for record in records]

    return messages


def replace_atomically(path: Path, content: bytes) -> None:
    """Write beside the file and rename."""
    beside = path.with_name("beside")
    beside.write_bytes(content)
    beside.replace(path)


def live(config: TLSConfig, clock: Clock, interval: float | None = 10.0) -> LiveContext:
    return LiveContext(FromFiles(config), interval, clock)


@pytest.mark.parametrize("write", [Path.write_bytes, replace_atomically])
@pytest.mark.parametrize("which", ["ca", "client"])
def test_what_changed_on_disk_is_used_after_the_interval(
    client: Identity,
    ca_file: Path,
    authority: trustme.CA,
    clock: Clock,
    which: str,
    write: Callable[[Path, bytes], None],
) -> None:
    """Whether it was written to or replaced; between the looks nothing is read, without a change nothing is made."""
    context = live(TLSConfig(ca=ca_file, cert=client.cert, key=client.key), clock)
    first = context.context()
    if which == "ca":
        write(ca_file, trustme.CA().cert_pem.bytes())
    else:
        leaf = authority.issue_cert("x")
        write(client.cert, pem(leaf))
        write(client.key, key_of(leaf))
    clock.seconds = 9.9
    assert context.context() is first
    clock.seconds = 10
    second = context.context()
    assert second is not first
    clock.seconds = 100
    assert context.context() is second


def test_a_symbolic_link_that_leads_elsewhere_is_a_change(
    client: Identity, authority: trustme.CA, tmp_path: Path
) -> None:
    """Kubernetes has tls.crt -> ..data/tls.crt, and renames a new ..data over the old one."""

    def publish(number: int) -> None:
        folder = tmp_path / f"..{number}"
        folder.mkdir()
        leaf = authority.issue_cert("x")
        (folder / "tls.crt").write_bytes(pem(leaf))
        (folder / "tls.key").write_bytes(key_of(leaf))
        (tmp_path / "..tmp").symlink_to(folder.name)
        (tmp_path / "..tmp").replace(tmp_path / "..data")

    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    publish(1)
    config = TLSConfig(cert=tmp_path / "tls.crt", key=tmp_path / "tls.key", reload_interval=0)
    first = config.context()
    assert config.context() is first
    publish(2)
    second = config.context()
    assert second is not first
    assert config.context() is second


def test_the_same_contents_are_no_change(client: Identity, clock: Clock) -> None:
    """A file that is touched, or replaced by its like, costs no pool its connections."""
    context = live(TLSConfig(cert=client.cert, key=client.key), clock, 0)
    first = context.context()
    os.utime(client.cert, (1, 1))
    replace_atomically(client.key, client.key.read_bytes())
    assert context.context() is first


def test_a_change_that_no_time_shows_is_seen_where_the_file_is_young(
    client: Identity, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two changes in one tick of the file system's clock leave the same size and time."""
    config = TLSConfig(ca=ca_file)
    frozen = TLSFiles(config).stamps()

    def stamps(_files: TLSFiles) -> Stamps:
        return frozen

    monkeypatch.setattr(TLSFiles, "stamps", stamps)
    now = Clock()
    source = FromFiles(config, now)
    now.seconds = frozen.newest + 1
    assert source.renewed() is not None
    ca_file.write_bytes(trustme.CA().cert_pem.bytes())
    assert source.renewed() is not None
    now.seconds = frozen.newest + 3
    assert source.renewed() is None
    ca_file.write_bytes(b"not looked at, because these stamps are old enough to be believed")
    assert source.renewed() is None


def test_a_replacement_of_the_same_size_and_time_is_a_change(ca_file: Path, clock: Clock) -> None:
    """As archives and images keep the times of files; this one is old enough that its stamps alone are looked at."""
    certificates = [trustme.CA().cert_pem.bytes().ljust(2000, b"\n") for _ in range(2)]
    source = FromFiles(TLSConfig(ca=ca_file), clock)
    clock.seconds = ca_file.stat().st_ctime + 1000
    for certificate in certificates:
        replace_atomically(ca_file, certificate)
        os.utime(ca_file, (1e9, 1e9))
        assert source.renewed() is not None
        assert source.renewed() is None


def test_a_directory_of_authorities_is_followed(ca_file: Path, tmp_path: Path, clock: Clock) -> None:
    folder = tmp_path / "certs"
    folder.mkdir()
    (folder / "0a1b2c3d.0").write_bytes(ca_file.read_bytes())
    context = live(TLSConfig(ca=folder), clock, 0)
    first = context.context()
    (folder / "README").write_text("no certificate")
    assert context.context() is first
    (folder / "0a1b2c3d.1").write_bytes(trustme.CA().cert_pem.bytes())
    second = context.context()
    assert second is not first
    (folder / "0a1b2c3d.0").unlink()
    assert context.context() is not second


def test_none_looks_once_and_zero_every_time(client: Identity, authority: trustme.CA, clock: Clock) -> None:
    config = TLSConfig(cert=client.cert, key=client.key)
    never, always = live(config, clock, None), live(config, clock, 0)
    before = never.context(), always.context()
    leaf = authority.issue_cert("x")
    client.cert.write_bytes(pem(leaf) + key_of(leaf))
    client.key.write_bytes(key_of(leaf))
    clock.seconds = 1e9
    assert never.context() is before[0]
    assert always.context() is not before[1]


def test_what_cannot_be_loaded_leaves_the_old_in_use_and_is_told_once(
    client: Identity, authority: trustme.CA, clock: Clock, warnings: Callable[[], list[str]]
) -> None:
    """A key that does not match yet, a file that is half written or gone, a certificate that has expired."""
    context = live(TLSConfig(cert=client.cert, key=client.key), clock)
    first = context.context()
    now = datetime.now(timezone.utc)
    old = authority.issue_cert("old", not_before=now - timedelta(2), not_after=now - timedelta(1))
    new = authority.issue_cert("new")
    states = [
        (pem(new), "does not match"),
        (pem(new)[:300], "ends within a certificate"),
        (b"", "is no certificate"),
        (pem(old), "has expired"),
    ]
    for number, (content, reason) in enumerate(states):
        client.cert.write_bytes(content)
        for _ in range(3):
            clock.seconds += 10
            assert context.context() is first
        assert len(warnings()) == number + 1
        assert reason in warnings()[-1]
        assert str(client.cert) in warnings()[-1]
    client.cert.unlink()
    clock.seconds += 10
    assert context.context() is first
    assert warnings()[-1].endswith("client.pem cannot be read: No such file or directory")
    client.cert.write_bytes(pem(new))
    client.key.write_bytes(key_of(new))
    clock.seconds += 10
    assert context.context() is not first
    assert len(warnings()) == 5
    assert not any("PRIVATE" in message or "MII" in message for message in warnings())


def test_what_fails_again_after_it_was_good_is_told_again(
    client: Identity, clock: Clock, warnings: Callable[[], list[str]]
) -> None:
    context = live(TLSConfig(cert=client.cert, key=client.key), clock, 0)
    good, first = client.key.read_bytes(), context.context()
    for _ in range(2):
        client.key.write_bytes(b"")
        assert context.context() is context.context() is first
        client.key.write_bytes(good)
        assert context.context() is first
    assert len(warnings()) == 2


def test_after_a_failure_the_files_are_left_alone_for_the_interval(client: Identity, clock: Clock) -> None:
    looks: list[float] = []

    class Failing:
        def renewed(self) -> ssl.SSLContext | None:
            looks.append(clock.seconds)
            if len(looks) > 1:
                raise ConfigurationError("not now")
            return ssl.create_default_context()

    context = LiveContext(Failing(), 10, clock)
    for clock.seconds in range(0, 31, 2):
        context.context()
    assert looks == [0, 10, 20, 30]


def test_where_nothing_was_ever_good_every_call_says_why_until_it_is(client: Identity) -> None:
    good = client.cert.read_bytes()
    client.cert.unlink()
    config = TLSConfig(cert=client.cert, key=client.key, reload_interval=None)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            config.check()
    client.cert.write_bytes(good)
    config.check()


def test_a_rotated_key_is_opened_with_the_password_of_now(client: Identity, authority: trustme.CA) -> None:
    passwords = ["one"]
    client.key.write_bytes(encrypted(key_of(client.leaf), b"one"))
    config = TLSConfig(cert=client.cert, key=client.key, key_password=lambda: passwords[-1], reload_interval=0)
    first = config.context()
    leaf = authority.issue_cert("x")
    client.cert.write_bytes(pem(leaf))
    client.key.write_bytes(encrypted(key_of(leaf), b"two"))
    assert config.context() is first
    passwords.append("two")
    assert config.context() is not first


# Contexts from a callable


def test_a_callable_is_asked_again_after_the_interval(clock: Clock, warnings: Callable[[], list[str]]) -> None:
    answers: list[object] = [ssl.create_default_context()]

    def answer() -> ssl.SSLContext:
        if isinstance(answers[-1], Exception):
            raise answers[-1]
        return answers[-1]  # type: ignore[return-value]

    context = LiveContext(FromCallable(answer), 10, clock)
    first = context.context()
    assert first is answers[0]
    answers.append(ssl.create_default_context())
    assert context.context() is first
    clock.seconds = 10
    assert context.context() is answers[1]
    for answers[1:] in ([RuntimeError("s3cret")], [None], [RuntimeError("s3cret")]):
        clock.seconds += 10
        assert context.context() is not first
    assert [message.partition(": ")[2].partition(": ")[2] for message in warnings()] == [
        "The callable ssl_context failed: RuntimeError",
        "The callable ssl_context must return an ssl.SSLContext, not NoneType",
    ]


async def coroutine() -> ssl.SSLContext:
    return ssl.create_default_context()


def test_a_callable_that_returns_no_context_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"must return an ssl.SSLContext, not coroutine"):
        TLSConfig(ssl_context=coroutine).check()  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_a_callable_is_asked_once_for_equal_configurations() -> None:
    asked: list[ssl.SSLContext] = []

    def answer() -> ssl.SSLContext:
        asked.append(ssl.create_default_context())
        return asked[-1]

    configs = [TLSConfig(ssl_context=answer) for _ in range(10)]
    assert {config.context() for config in configs} == set(asked)
    assert len(asked) == 1


# Sharing


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[TLSConfig]:
    """The configurations that a context was made for."""
    configs: list[TLSConfig] = []

    def make_context(config: TLSConfig, contents: dict[str, bytes], now: datetime) -> ssl.SSLContext:
        configs.append(config)
        return original(config, contents, now)

    monkeypatch.setattr(rotation, "make_context", make_context)
    return configs


def test_a_thousand_equal_configurations_share_one_context(ca_file: Path, made: list[TLSConfig]) -> None:
    for ca in (None, ca_file):
        configs = [TLSConfig(ca=ca, reload_interval=77) for _ in range(1000)]
        assert len({config.context() for config in configs}) == 1
    assert len(made) == 2


def test_a_context_goes_with_the_last_configuration_that_holds_it(ca_file: Path) -> None:
    """At once, and without a trace in what is shared; the connections that use it keep it by themselves."""
    one, other = TLSConfig(ca=ca_file, reload_interval=5), TLSConfig(ca=ca_file, reload_interval=5)
    context = weakref.ref(one.context())
    other.check()
    del one
    assert context() is other.context()
    before = len(rotation._shared)  # pyright: ignore[reportPrivateUsage]
    del other
    assert context() is None
    assert len(rotation._shared) == before - 1  # pyright: ignore[reportPrivateUsage]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this operating system does not list descriptors")
def test_configurations_made_and_dropped_leave_no_descriptors(client: Identity, ca_file: Path) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    for _ in range(100):
        TLSConfig(ca=ca_file, cert=client.cert, key=client.key).check()
    assert count() == before


def test_many_threads_at_once_make_one_context(ca_file: Path, made: list[TLSConfig]) -> None:
    barrier = threading.Barrier(50)

    def ask(_number: int) -> ssl.SSLContext:
        config = TLSConfig(ca=ca_file, reload_interval=6)
        barrier.wait()
        configs.append(config)
        return config.context()

    configs: list[TLSConfig] = []
    with ThreadPoolExecutor(50) as threads:
        assert len(set(threads.map(ask, range(50)))) == 1
    assert len(made) == 1


def test_nobody_waits_for_another_threads_look(clock: Clock) -> None:
    looking, go_on = threading.Event(), threading.Event()
    contexts = [ssl.create_default_context(), ssl.create_default_context()]

    class Slow:
        looks = 0

        def renewed(self) -> ssl.SSLContext:
            self.looks += 1
            if self.looks == 2:
                looking.set()
                assert go_on.wait(30)
            return contexts[self.looks - 1]

    source = Slow()
    context = LiveContext(source, 10, clock)
    assert context.context() is contexts[0]
    clock.seconds = 10
    with ThreadPoolExecutor(1) as threads:
        looked = threads.submit(context.context)
        assert looking.wait(30)
        assert context.context() is contexts[0]
        go_on.set()
        assert looked.result() is contexts[1]
    assert context.context() is contexts[1]
    assert source.looks == 2


_FORK = """
import os, sys, threading
from langcache import TLSConfig

parent, inside, go_on = os.getpid(), threading.Event(), threading.Event()


def password():
    if os.getpid() == parent:
        inside.set()
        go_on.wait()
    return "pw"


config = TLSConfig(cert=sys.argv[1], key=sys.argv[2], key_password=password)
other = TLSConfig()
other.check()
thread = threading.Thread(target=config.check)
thread.start()
inside.wait()  # the thread holds the lock now
child = os.fork()
if child == 0:
    config.check()
    TLSConfig().check()
    TLSConfig(reload_interval=1).check()
    os._exit(7)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
go_on.set()
thread.join()
print(status, config.context() is config.context())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this operating system does not fork")
def test_a_child_that_is_forked_while_a_context_is_made_makes_its_own(client: Identity) -> None:
    """The lock that another thread of the parent holds is not waited for."""
    client.key.write_bytes(encrypted(key_of(client.leaf), b"pw"))
    program = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _FORK, str(client.cert), str(client.key)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("7 True\n", "")


# All of it at once


class Callers:
    """Threads that connect without end; a round is over when each of them has begun and ended a call in it."""

    def __init__(self, connect: Callable[[], None], count: int) -> None:
        self._connect = connect
        self._changed = threading.Condition()
        self._round = 0
        self._last = [0] * count
        self._stop = False

    def call(self, number: int) -> None:
        """Connect until it is enough; what fails ends it all."""
        try:
            while not self._stop:
                begun = self._round
                self._connect()
                with self._changed:
                    self._last[number] = begun
                    self._changed.notify()
        except BaseException:
            with self._changed:
                self._stop = True
                self._changed.notify()
            raise

    def finish_round(self) -> None:
        """Wait until nobody still has what it was given before now."""
        with self._changed:
            self._round += 1
            assert self._changed.wait_for(lambda: self._stop or min(self._last) == self._round, 60)

    def stop(self) -> None:
        """Let each end after its call."""
        self._stop = True


def test_rotation_while_connections_are_made_fails_none_of_them(
    authority: trustme.CA, other_authority: trustme.CA, ca_file: Path, client: Identity
) -> None:
    """Client certificates and keys are written one after the other. The server's authority changes as operators do it:
    first both are trusted, then the server shows a certificate of the new one, then the old one goes."""
    contexts: set[ssl.SSLContext] = set()
    names: list[str] = []
    config = TLSConfig(ca=ca_file, cert=client.cert, key=client.key, reload_interval=0)
    contexts.add(config.context())  # the files change from here on, and not while they are read for the first time

    def connect() -> None:
        context = config.context()
        contexts.add(context)
        names.append(server.greet(context))

    callers = Callers(connect, 8)
    old, new = authority.cert_pem.bytes(), other_authority.cert_pem.bytes()
    with TLSServer(authority.issue_cert("localhost"), authority) as server, ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(callers.call, number) for number in range(8)]
        try:
            for number, trusted in enumerate([old, old + new, old + new, new, new]):
                replace_atomically(ca_file, trusted)
                if number == 2:
                    server.identity = other_authority.issue_cert("localhost")
                leaf = authority.issue_cert(common_name=f"client{number}")
                client.cert.write_bytes(pem(leaf))
                client.key.write_bytes(key_of(leaf))
                # While one thread looks at the files, the others still use what was loaded before.
                for _ in range(100):
                    callers.finish_round()
                    if f"client{number}" in names:
                        break
                callers.finish_round()
                assert names[-1] == f"client{number}"
        finally:
            callers.stop()
        for call in calls:
            call.result()
    # One for each state that could be loaded, and not one for each connection.
    assert 6 <= len(contexts) <= 1 + 2 * 5
