"""Contexts as a configuration says, and errors in words, with real certificates and connections."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import certifi
import pytest
import trustme
from pydantic import SecretStr

from langcache import TLSConfig
from langcache.errors import ConfigurationError
from tests.tls.peers import Identity, TLSServer, encrypted, key_of, pem

RIGHT = "a pässword"
WRONG = "s3cret"


def hashed_directory(folder: Path, *authorities: trustme.CA) -> Path:
    """Make a directory of authorities as OpenSSL wants it."""
    folder.mkdir()
    for number, authority in enumerate(authorities):
        authority.cert_pem.write_to_path(str(folder / f"{number}.pem"))
    subprocess.run(["openssl", "rehash", str(folder)], check=True, capture_output=True)  # noqa: S607
    return folder


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="the command openssl is not installed")


def test_the_authorities_of_a_file_are_trusted_and_no_others(
    tls_server: TLSServer, ca_file: Path, other_authority: trustme.CA
) -> None:
    assert tls_server.greet(TLSConfig(ca=ca_file).context()) == "stranger"
    for others in (TLSConfig(), TLSConfig(trust="system"), TLSConfig(ca=other_authority.cert_pem.bytes())):
        with pytest.raises(ssl.SSLCertVerificationError):
            tls_server.greet(others.context())


@pytest.mark.parametrize("comment", ["", "# Autorité de certification\n", "\N{SNOWMAN}\r\n"])
@pytest.mark.parametrize("kind", [str, bytes])
def test_the_authorities_may_be_pem(
    tls_server: TLSServer, authority: trustme.CA, comment: str, kind: Callable[..., Any]
) -> None:
    """As text or bytes, with comments in any script between the certificates."""
    text = comment + authority.cert_pem.bytes().decode()
    assert tls_server.greet(TLSConfig(ca=text if kind is str else text.encode()).context()) == "stranger"


def test_a_ca_file_may_have_comments_in_any_script(tls_server: TLSServer, ca_file: Path) -> None:
    ca_file.write_bytes("# Autorité\n".encode() + ca_file.read_bytes())
    assert tls_server.greet(TLSConfig(ca=ca_file).context()) == "stranger"


@needs_openssl
def test_the_authorities_of_a_directory_are_trusted(
    tls_server: TLSServer, authority: trustme.CA, other_authority: trustme.CA, tmp_path: Path
) -> None:
    folder = hashed_directory(tmp_path / "certs", other_authority, authority)
    (folder / "00000000.0").symlink_to("nowhere")
    assert tls_server.greet(TLSConfig(ca=folder).context()) == "stranger"
    for variable in ("SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"):
        assert tls_server.greet(TLSConfig().with_environment({variable: str(folder)}).context()) == "stranger"


@needs_openssl
def test_ssl_cert_dir_may_list_several_directories(
    tls_server: TLSServer, authority: trustme.CA, other_authority: trustme.CA, tmp_path: Path
) -> None:
    """As OpenSSL has it, one that does not exist is passed over."""
    one, other = (hashed_directory(tmp_path / str(i), ca) for i, ca in enumerate((other_authority, authority)))
    listed = os.pathsep.join([str(tmp_path / "none"), str(one), str(other)])
    assert tls_server.greet(TLSConfig().with_environment({"SSL_CERT_DIR": listed}).context()) == "stranger"
    nothing = os.pathsep.join([str(tmp_path / "none"), str(tmp_path)])
    with pytest.raises(ConfigurationError, match=r"The CA directory .*named by SSL_CERT_DIR\) holds no certificate"):
        TLSConfig().with_environment({"SSL_CERT_DIR": nothing}).check()


def test_the_defaults_are_those_of_the_standard_library() -> None:
    """So what both accept does not differ; the version of Python decides on VERIFY_X509_STRICT."""
    ours, standard = TLSConfig().context(), ssl.create_default_context(cafile=certifi.where())
    for name in ("protocol", "verify_mode", "verify_flags", "options", "check_hostname", "keylog_filename"):
        assert getattr(ours, name) == getattr(standard, name)
    assert [cipher["name"] for cipher in ours.get_ciphers()] == [cipher["name"] for cipher in standard.get_ciphers()]
    assert ours.cert_store_stats() == standard.cert_store_stats()
    assert ours.protocol == ssl.PROTOCOL_TLS_CLIENT
    assert ours.verify_mode == ssl.CERT_REQUIRED


def test_the_systems_authorities_are_those_of_the_standard_library() -> None:
    assert TLSConfig(trust="system").context().cert_store_stats() == ssl.create_default_context().cert_store_stats()


def test_certifi_is_the_default() -> None:
    assert TLSConfig() != TLSConfig(trust="certifi")
    assert TLSConfig().context().cert_store_stats() == TLSConfig(trust="certifi").context().cert_store_stats()


def test_a_name_that_is_not_in_the_certificate_is_refused_unless_names_are_not_verified(
    tls_server: TLSServer, ca_file: Path, other_authority: trustme.CA
) -> None:
    """Without the name, the authority still must have signed it."""
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        tls_server.greet(TLSConfig(ca=ca_file).context(), "elsewhere.example")
    careless = TLSConfig(ca=ca_file, verify_hostname=False)
    assert tls_server.greet(careless.context(), "elsewhere.example") == "stranger"
    with pytest.raises(ssl.SSLCertVerificationError):
        tls_server.greet(TLSConfig(ca=other_authority.cert_pem.bytes(), verify_hostname=False).context())


def test_the_oldest_version_of_tls(tls_server: TLSServer, ca_file: Path) -> None:
    tls_server.version = ssl.TLSVersion.TLSv1_2
    assert tls_server.greet(TLSConfig(ca=ca_file).context()) == "stranger"
    with pytest.raises(ssl.SSLError, match="protocol version"):
        tls_server.greet(TLSConfig(ca=ca_file, minimum_version="TLSv1.3").context())
    assert TLSConfig().context().minimum_version == ssl.TLSVersion.TLSv1_2


def test_http_1_1_is_the_only_protocol_that_is_offered(ca_file: Path, authority: trustme.CA) -> None:
    """So a server that prefers HTTP/2 does not speak it here."""
    chosen: list[str | None] = []
    for offered in (["h2", "http/1.1"], ["h2"]):
        theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(theirs)  # pyright: ignore[reportUnknownMemberType]
        theirs.set_alpn_protocols(offered)
        chosen.append(agreed(TLSConfig(ca=ca_file).context(), theirs))
    assert chosen == ["http/1.1", None]


def agreed(client: ssl.SSLContext, server: ssl.SSLContext) -> str | None:
    """Return the protocol that both agree on, in a handshake through memory."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [ours, theirs, ours, theirs, ours]
    for end in waiting:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:  # noqa: PERF203 - it is the other's turn
            continue
    return ours.selected_alpn_protocol()


def test_a_given_context_is_used_as_it_is(tls_server: TLSServer, ca_file: Path) -> None:
    mine = ssl.create_default_context(cafile=str(ca_file))
    config = TLSConfig(ssl_context=mine)
    config.check()
    assert config.context() is mine
    assert tls_server.greet(config.context()) == "stranger"


# Client certificates


@pytest.fixture
def strict_server(tls_server: TLSServer, authority: trustme.CA) -> TLSServer:
    """A server that refuses strangers."""
    tls_server.clients = (authority,)
    return tls_server


def test_a_server_that_requires_a_certificate_sees_the_clients(
    strict_server: TLSServer, ca_file: Path, client: Identity
) -> None:
    config = TLSConfig(ca=ca_file, cert=client.cert, key=client.key)
    assert strict_server.greet(config.context()) == "client"
    with pytest.raises(ssl.SSLError, match="certificate required"):
        strict_server.greet(TLSConfig(ca=ca_file).context())


def test_the_key_may_be_in_the_certificates_file(strict_server: TLSServer, ca_file: Path, client: Identity) -> None:
    client.cert.write_bytes(key_of(client.leaf) + client.cert.read_bytes())
    assert strict_server.greet(TLSConfig(ca=ca_file, cert=client.cert).context()) == "client"


def test_one_file_may_be_certificate_key_and_authority(authority: trustme.CA, client: Identity) -> None:
    client.cert.write_bytes(authority.cert_pem.bytes() + client.cert.read_bytes())
    client.cert.write_bytes(pem(client.leaf) + key_of(client.leaf) + authority.cert_pem.bytes())
    TLSConfig(ca=client.cert, cert=client.cert).check()


@pytest.mark.parametrize("traditional", [False, True])
@pytest.mark.parametrize(
    "password",
    [RIGHT, RIGHT.encode(), SecretStr(RIGHT), lambda: RIGHT, lambda: RIGHT.encode(), lambda: SecretStr(RIGHT)],
)
def test_an_encrypted_key_is_opened_with_its_password(
    strict_server: TLSServer, ca_file: Path, client: Identity, password: Any, traditional: bool
) -> None:
    client.key.write_bytes(encrypted(key_of(client.leaf), RIGHT.encode(), traditional))
    config = TLSConfig(ca=ca_file, cert=client.cert, key=client.key, key_password=password)
    assert strict_server.greet(config.context()) == "client"


def test_a_password_is_not_asked_for_where_the_key_needs_none(client: Identity) -> None:
    def password() -> str:
        raise AssertionError("not to be called")

    TLSConfig(cert=client.cert, key=client.key, key_password=password).check()


def failing() -> str:
    raise RuntimeError(WRONG)


async def coroutine() -> str:
    return WRONG


@pytest.mark.parametrize("traditional", [False, True])
@pytest.mark.parametrize(
    ("password", "message"),
    [
        (None, "is encrypted; give its password with key_password"),
        (WRONG, "cannot be decrypted: key_password is wrong"),
        ("", "cannot be decrypted: key_password is wrong"),
        (WRONG * 1000, "cannot be decrypted: password cannot be longer than 1024 bytes"),
        (lambda: WRONG, "cannot be decrypted: key_password is wrong"),
        (lambda: 5, "The callable key_password must return a string, bytes or a SecretStr, not int"),
        (lambda: None, "The callable key_password must return .* not NoneType"),
        (failing, "The callable key_password failed: RuntimeError"),
        (coroutine, "The callable key_password must return .* not coroutine"),
    ],
)
def test_a_password_that_does_not_do_is_an_error_that_does_not_show_it(
    client: Identity, password: Any, message: str, traditional: bool
) -> None:
    client.key.write_bytes(encrypted(key_of(client.leaf), RIGHT.encode(), traditional))
    with pytest.raises(ConfigurationError, match=message) as caught:
        TLSConfig(cert=client.cert, key=client.key, key_password=password).check()
    assert WRONG not in str(caught.value)
    if "callable" not in message:
        assert str(client.key) in str(caught.value)


_AT_A_TERMINAL = """
import fcntl, sys, termios, time
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that /dev/tty, where OpenSSL asks, is this one
from langcache import TLSConfig, errors

cert, key = sys.argv[1:]
for password in (None, "wrong"):
    begun = time.monotonic()
    try:
        TLSConfig(cert=cert, key=key, key_password=password).check()
    except errors.ConfigurationError as error:
        print(time.monotonic() - begun < 1, "key_password" in str(error))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_a_password_is_never_asked_for_on_the_terminal(client: Identity) -> None:
    """A missing or wrong one fails within a second, also where there is somebody to ask."""
    client.key.write_bytes(encrypted(key_of(client.leaf), RIGHT.encode()))
    terminal, theirs = os.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", _AT_A_TERMINAL, str(client.cert), str(client.key)],
            stdin=theirs,
            capture_output=True,
            text=True,
            start_new_session=True,
            timeout=60,
            check=False,
        )
        assert (done.stdout, done.stderr) == ("True True\n" * 2, "")
        os.set_blocking(terminal, False)
        with pytest.raises(BlockingIOError):  # nothing was written there
            os.read(terminal, 1)
    finally:
        os.close(terminal)
        os.close(theirs)


def test_a_key_of_another_certificate_is_an_error(
    client: Identity, other_authority: trustme.CA, tmp_path: Path
) -> None:
    for number, kind in enumerate(trustme.KeyType):
        other = tmp_path / f"other{number}.key"
        other.write_bytes(key_of(other_authority.issue_cert("x", key_type=kind)))
        with pytest.raises(ConfigurationError, match="does not match the client certificate") as caught:
            TLSConfig(cert=client.cert, key=other).check()
        assert str(other) in str(caught.value)
        assert str(client.cert) in str(caught.value)


def test_a_certificate_that_has_expired_or_is_not_valid_yet_is_an_error(
    authority: trustme.CA, client: Identity
) -> None:
    now = datetime.now(timezone.utc)
    day = timedelta(days=1)
    for begin, end, message in (
        (now - 2 * day, now - day, "has expired: it was valid until"),
        (now + day, now + 2 * day, "is not valid yet, but from"),
    ):
        leaf = authority.issue_cert("x", not_before=begin, not_after=end)
        client.cert.write_bytes(pem(leaf))
        client.key.write_bytes(key_of(leaf))
        with pytest.raises(ConfigurationError, match=rf"client\.pem {message} {now.year // 100}\d\d-\d\d-\d\d .* UTC"):
            TLSConfig(cert=client.cert, key=client.key).check()


def truncated(content: bytes) -> bytes:
    return content[:200]


def damaged(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join([*lines[:2], b"AAAA" * 16 + b"\n", *lines[3:]])


def emptied(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize(
    ("change", "which", "message"),
    [
        (Path.unlink, "cert", "The file .*client.pem cannot be read: No such file or directory"),
        (Path.unlink, "key", "The file .*client.key cannot be read: No such file or directory"),
        (Path.unlink, "ca", "The CA file .*ca.pem cannot be read: No such file or directory"),
        (emptied, "cert", "client.pem is no certificate"),
        (emptied, "key", "There is no private key .PEM. in .*client.key"),
        (emptied, "ca", "The CA file .*ca.pem holds no certificate"),
        (truncated, "cert", "client.pem ends within a certificate"),
        (truncated, "key", "client.key ends within the private key"),
        (truncated, "ca", "ca.pem ends within a certificate"),
        (damaged, "key", "client.key cannot be loaded"),
        (damaged, "ca", "ca.pem is a certificate that is damaged"),
        (lambda content: content[:27] + b"MAAA" + b"\n-----END CERTIFICATE-----", "cert", "client.pem is damaged: "),  # pyright: ignore
        (lambda content: content + truncated(content), "cert", "client.pem ends within a certificate"),  # pyright: ignore
        (lambda content: content + truncated(content), "ca", "ca.pem ends within a certificate"),  # pyright: ignore
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    client: Identity, ca_file: Path, change: Callable[[Any], Any], which: str, message: str
) -> None:
    path = {"cert": client.cert, "key": client.key, "ca": ca_file}[which]
    if change is Path.unlink:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ConfigurationError, match=message) as caught:
        TLSConfig(ca=ca_file, cert=client.cert, key=client.key).check()
    assert "MII" not in str(caught.value)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("folder", "The CA directory .*folder holds no certificate .PEM. under a hashed name"),
        ("folder/none", "The CA file .*none cannot be read: No such file"),
        ("client.key", "The CA file .*client.key holds no certificate"),
        ("client.pem/x", "The CA file .*x cannot be read: Not a directory"),
    ],
)
def test_a_ca_without_certificates_is_an_error(client: Identity, tmp_path: Path, place: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    shutil.copy(client.cert, tmp_path / "folder" / "ca.crt")
    (tmp_path / "folder" / "0a1b2c3d.0").write_text("nothing")
    with pytest.raises(ConfigurationError, match=message):
        TLSConfig(ca=tmp_path / place).check()


@pytest.mark.parametrize(
    "text", ["-----BEGIN CERTIFICATE-----\ns3cret", "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END"]
)
def test_pem_without_a_certificate_is_an_error_that_does_not_show_it(text: str) -> None:
    with pytest.raises(ConfigurationError, match="PEM text in ca") as caught:
        TLSConfig(ca=text).check()
    assert "s3cret" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this operating system has no named pipes")
def test_a_directory_or_a_pipe_is_no_certificate(client: Identity, tmp_path: Path) -> None:
    """A pipe could keep the program waiting for ever."""
    with pytest.raises(ConfigurationError, match="is a directory"):
        TLSConfig(cert=tmp_path, key=client.key).check()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="pipe is no regular file"):
        TLSConfig(cert=client.cert, key=tmp_path / "pipe").check()


def test_a_certificate_without_a_key_says_where_to_name_it(client: Identity) -> None:
    with pytest.raises(ConfigurationError, match=r"no private key \(PEM\) in .*client.pem; name the file .* with key"):
        TLSConfig(cert=client.cert).check()
