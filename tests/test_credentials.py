"""Where the key comes from: credentials, and a file that is rotated on disk."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from langcache import Credential, KeyFile, LangCache, Request, Response
from langcache.errors import AuthenticationError, ConfigurationError
from langcache.secret import Secret
from langcache_transports.testing import FakeTransport

K1, K2 = Secret("k1"), Secret("k2")
FOUND = Response(200, content=b'{"data":[]}')


def shown(error: BaseException) -> str:
    """Return all that a traceback of ours can show, the variables of each frame of the package included."""
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    shown = [str(error), repr(vars(error))]
    while told:
        shown += [str(frame.locals) for frame in told.stack if "test_credentials" not in frame.filename]
        told = told.__cause__ or told.__context__  # type: ignore[assignment]
    return "\n".join(shown)


# Credentials


@pytest.mark.parametrize("key", ["k1", SecretStr("k1")])
def test_a_credential_has_its_key_as_a_secret(key: Any) -> None:
    credential = Credential(key, expires_in_ms=1_000)
    assert (credential.key, credential.expires_in_ms) == (K1, 1_000)
    assert "k1" not in f"{credential!r} {credential} {vars(credential)}"


def test_a_credential_is_kept_for_as_long_as_it_is_accepted_where_nothing_is_said() -> None:
    assert Credential("k1").expires_in_ms is None


def test_credentials_are_values() -> None:
    credential = Credential("k1", 5)
    assert credential == copy.deepcopy(credential) == Credential(K1, 5) != Credential("k1", 6)
    assert hash(credential) == hash(Credential("k1", 5))
    with pytest.raises(AttributeError):
        credential.key = K2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("expires", [0, 0.5, float("inf")])
def test_a_credential_may_expire_at_once_and_never(expires: float) -> None:
    assert Credential("k1", expires).expires_in_ms == expires


@pytest.mark.parametrize(
    ("expires", "named"),
    [
        (-1, "-1"), (float("nan"), "nan"), (True, "bool"), ("s3cret", "str"), (["s3cret"], "list"),
        (10**400, "one that is too large to be computed with"),
    ],
)  # fmt: skip
def test_a_time_that_is_none_is_refused(expires: Any, named: str) -> None:
    """It may be the key, where the two were given in the wrong order, and is not shown then."""
    with pytest.raises(ConfigurationError) as caught:
        Credential("k1", expires)
    assert str(caught.value) == f"expires_in_ms must be a number of 0 or more milliseconds, not {named}"
    assert "s3cret" not in shown(caught.value)


@pytest.mark.parametrize("key", [b"s3cret", ["s3cret"], SecretStr(b"s3cret")], ids=["bytes", "list", "hidden"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def test_what_is_no_key_is_refused_and_not_shown(key: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^The API key must be a string, not (bytes|list)$") as caught:
        Credential(key)
    assert "s3cret" not in shown(caught.value)


@pytest.mark.parametrize("key", [None, lambda: "k1"])
def test_a_credential_has_a_key(key: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"The API key must be a string, not (NoneType|function)"):
        Credential(key)


# A file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with a key."""
    path = tmp_path / "key"
    path.write_text("k1\n")
    return path


def replace(path: Path, text: str) -> None:
    """Put another file in the place of `path`, as editors and most programs do."""
    fresh = path.with_name("fresh")
    fresh.write_text(text)
    fresh.replace(path)


class Log(logging.Handler):
    """What the package's logger tells."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname}: {record.getMessage()}")


@pytest.fixture
def log() -> Iterator[Log]:
    """The lines of the package's logger."""
    log, logger = Log(), logging.getLogger("langcache")
    logger.addHandler(log)
    yield log
    logger.removeHandler(log)


@pytest.mark.parametrize("text", ["k1", "k1\n", " \tk1\r\n\n", "\nk1"])
def test_white_space_around_the_key_is_left_out(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
    assert KeyFile(path)() == KeyFile(str(path))() == K1


@pytest.mark.parametrize("text", ["k1", "k1\r\n"])
def test_a_byte_order_mark_is_no_part_of_the_key(path: Path, text: str) -> None:
    """Editors of Windows write one."""
    path.write_text(text, encoding="utf-8-sig")
    assert KeyFile(path)() == K1


def test_the_file_is_read_once_for_as_long_as_it_looks_the_same(path: Path) -> None:
    key_file = KeyFile(path)
    assert key_file() is key_file()


def test_a_file_that_takes_the_place_of_another_is_used_at_once(path: Path) -> None:
    """Of the same size, and even of the same age."""
    key_file = KeyFile(path)
    key_file()
    seen = path.stat()
    replace(path, "k2\n")
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert key_file() == K2


def test_a_link_that_is_swapped_is_used_at_once(tmp_path: Path) -> None:
    """As Kubernetes rotates secrets: the file is a link into a folder that is one itself, and that one is swapped."""
    for name, key in (("..1", "k1"), ("..2", "k2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "api-key").write_text(key)
        os.utime(tmp_path / name / "api-key", ns=(0, 0))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "api-key").symlink_to("..data/api-key")
    key_file = KeyFile(tmp_path / "api-key")
    assert key_file() == K1
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    assert key_file() == K2


def test_a_file_that_is_written_in_place_is_used_at_once(path: Path) -> None:
    key_file = KeyFile(path)
    key_file()
    path.write_text("another\n")
    assert key_file() == Secret("another")


def test_a_change_that_cannot_be_seen_is_found_when_the_key_is_refused(path: Path) -> None:
    """Written in place, of the same size, in the same tick of the file system's clock."""
    key_file = KeyFile(path)
    key_file()
    seen = path.stat()
    path.write_text("k2\n")
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert key_file() == K1
    assert key_file.refresh() == K2
    assert key_file() == K2


def test_the_client_finds_it_by_itself(path: Path) -> None:
    def answer(request: Request) -> Response:
        return FOUND if request.headers["authorization"] == "Bearer k2" else Response(401)

    key_file, transport = KeyFile(path), FakeTransport(answer)
    client = LangCache("http://cache.example", key_file, "c", transport=transport)
    with pytest.raises(AuthenticationError):
        client.search(prompt="p")
    assert len(transport.requests) == 1, "the same key is not tried twice"
    seen = path.stat()
    path.write_text("k2\n")
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    client.search(prompt="p")
    client.search(prompt="p")
    assert [request.headers["authorization"] for request in transport.requests[1:]] == [
        "Bearer k1",
        "Bearer k2",
        "Bearer k2",
    ]


# What cannot be used: each way is a reason, and how the file is made so


def missing(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_text(" \n")


def not_text(path: Path) -> None:
    path.write_bytes(b"s3cret\xff")


def the_scheme_alone(path: Path) -> None:
    path.write_text("Bearer \n")


def nul(path: Path) -> None:
    path.write_bytes(b"s3cret\0\0\0")


def two_lines(path: Path) -> None:
    path.write_text("s3cret\ns3cret too\n")


def utf_16(path: Path) -> None:
    path.write_bytes("s3cret".encode("utf-16-le"))


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def under_a_file(path: Path) -> None:
    """Make a file of the folder that it is in."""
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("s3cret")


unusable = pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (missing, "No such file or directory"),
        (empty, "it is empty"),
        (the_scheme_alone, "it is empty"),
        (not_text, "it is not UTF-8"),
        (nul, "the key in it contains U+0000 at position 6, which HTTP headers cannot carry"),
        (two_lines, "the key in it contains a line break at position 6 of 17; strip it"),
        (utf_16, "the key in it contains U+0000 at position 1, which HTTP headers cannot carry"),
        (a_directory, "Is a directory"),
        (a_loop, "Too many levels of symbolic links"),
        (under_a_file, "Not a directory"),
    ],
)
Spoil = Callable[[Path], None]


@unusable
def test_at_first_a_file_that_cannot_be_used_is_named_and_nothing_in_it(path: Path, spoil: Spoil, reason: str) -> None:
    spoil(path)
    for ask in (KeyFile(path), KeyFile(path).refresh):
        with pytest.raises(ConfigurationError) as caught:
            ask()
        assert str(caught.value) == f"The key file {str(path)!r} cannot be used: {reason}"
        assert "s3cret" not in shown(caught.value)


def test_a_file_that_may_not_be_read_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The administrator may read everything, so it is the system's answer that is put in its place."""

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ConfigurationError, match=r"cannot be used: Permission denied$"):
        KeyFile(path)()


def test_a_path_that_cannot_be_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"The key file 'a\\x00b' cannot be used: .*embedded null"):
        KeyFile("a\0b")()


def test_a_file_that_comes_later_is_used_then(path: Path) -> None:
    path.unlink()
    key_file = KeyFile(path)
    with pytest.raises(ConfigurationError):
        key_file()
    path.write_text("k1")
    assert key_file() == K1


@unusable
def test_later_the_last_key_stays_in_use_and_the_log_is_told_once(
    path: Path, log: Log, spoil: Spoil, reason: str
) -> None:
    """It is looked at before every attempt, which must not be a line each."""
    key_file = KeyFile(path)
    key_file()
    spoil(path)
    assert {key_file() for _ in range(5)} | {key_file.refresh() for _ in range(5)} == {K1}
    assert log.lines == [f"WARNING: The key file {str(path)!r} cannot be used: {reason}; the last key stays in use"]


def test_each_reason_is_told_once_until_the_file_is_well_again(path: Path, log: Log) -> None:
    key_file = KeyFile(path)
    key_file()
    for _ in range(3):
        empty(path)
        key_file()
        missing(path)
        key_file()
    assert [line.split(": ")[2].split(";")[0] for line in log.lines] == ["it is empty", "No such file or directory"]
    path.write_text("k2")
    assert key_file() == K2
    missing(path)
    assert key_file() == K2
    assert len(log.lines) == 3


def test_threads_share_it_while_it_is_rotated(path: Path, log: Log) -> None:
    """Each gets a key that was there, whole; and the last one in the end."""
    key_file, keys = KeyFile(path), [f"key-{number}" * (1 + number % 3) for number in range(50)]
    wrong, stop = list[object](), threading.Event()
    key_file()

    def use() -> None:
        while not stop.is_set():
            try:
                key = key_file().get_secret_value()
            except BaseException as error:  # noqa: BLE001 - it is told below
                wrong.append(error)
                return
            if key not in ("k1", *keys):
                wrong.append(key)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for key in keys:
        replace(path, key)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert key_file.refresh() == Secret(keys[-1])  # the last two may have been of one tick of the clock
    assert log.lines == []


def test_of_many_threads_one_tells_the_log(path: Path, log: Log) -> None:
    key_file, together = KeyFile(path), threading.Barrier(20)
    key_file()
    missing(path)

    def use() -> None:
        together.wait(10)
        key_file()

    threads = [threading.Thread(target=use) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.lines) == 1


def test_it_shows_and_copies_its_path_and_no_key(path: Path) -> None:
    path.write_text("s3cret")
    key_file = KeyFile(path)
    key_file()
    assert repr(key_file) == f"KeyFile({str(path)!r})"
    assert b"s3cret" not in pickle.dumps(key_file)
    for copied in (pickle.loads(pickle.dumps(key_file)), copy.deepcopy(key_file), copy.copy(key_file)):  # noqa: S301 - our own
        assert copied() == Secret("s3cret")
