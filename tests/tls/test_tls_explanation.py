"""Why TLS failed, in words, with real handshakes."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import trustme
import urllib3

from langcache import TLSConfig
from langcache.tls import explain_tls_error
from tests.tls.peers import Identity, TLSServer

Failure = Callable[[TLSConfig], "str | None"]


@pytest.fixture
def explained(tls_server: TLSServer) -> Failure:
    """Connect, and say why that failed; None where it says nothing."""

    def explain(config: TLSConfig) -> str | None:
        with pytest.raises(OSError, match=r".") as caught:
            tls_server.greet(config.context())
        return explain_tls_error(caught.value, config)

    return explain


def test_an_unknown_issuer_is_said_with_who_is_trusted(explained: Failure, client: Identity, tmp_path: Path) -> None:
    said = explained(TLSConfig())
    assert said is not None
    assert said.startswith("the server's certificate is of an unknown issuer (")
    assert said.endswith("): trusted are the authorities of certifi; name its authority with TLSConfig(ca=...)")
    named = TLSConfig().with_environment({"SSL_CERT_FILE": str(client.cert)})
    assert f"trusted are the authorities in {client.cert} (named by SSL_CERT_FILE);" in str(explained(named))
    given = TLSConfig(ssl_context=ssl.create_default_context())
    assert str(explained(given)).endswith("trusted are the authorities of the given ssl_context")


def test_a_server_that_signs_for_itself_is_of_an_unknown_issuer(tls_server: TLSServer, explained: Failure) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    leaf.cert_chain_pems.append(authority.cert_pem)
    tls_server.identity = leaf
    assert "of an unknown issuer" in str(explained(TLSConfig()))


def test_times_are_said(tls_server: TLSServer, explained: Failure, authority: trustme.CA, ca_file: Path) -> None:
    now, day = datetime.now(timezone.utc), timedelta(days=1)
    trusted = f"(trusted are the authorities in {ca_file})"
    tls_server.identity = authority.issue_cert("localhost", not_before=now - 2 * day, not_after=now - day)
    assert explained(TLSConfig(ca=ca_file)) == f"the server's certificate has expired {trusted}"
    tls_server.identity = authority.issue_cert("localhost", not_before=now + day, not_after=now + 2 * day)
    assert explained(TLSConfig(ca=ca_file)) == f"the server's certificate is not valid yet {trusted}"


def test_a_wrong_host_is_said(tls_server: TLSServer, explained: Failure, authority: trustme.CA, ca_file: Path) -> None:
    tls_server.identity = authority.issue_cert("elsewhere.example")
    said = "the server's certificate cannot be verified: Hostname mismatch, certificate is not valid for 'localhost'"
    assert explained(TLSConfig(ca=ca_file)) == f"{said} (trusted are the authorities in {ca_file})"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_the_server_says_of_the_clients_certificate(
    tls_server: TLSServer,
    explained: Failure,
    authority: trustme.CA,
    other_authority: trustme.CA,
    ca_file: Path,
    client: Identity,
    version: ssl.TLSVersion,
) -> None:
    tls_server.clients, tls_server.version = (other_authority,), version
    assert explained(TLSConfig(ca=ca_file)) in {
        f"the server refused a client without certificate: {it}; give TLSConfig(cert=..., key=...)"
        for it in ("it requires one", "it may require one, or share no cipher")
    }
    said = f"the server refused the client certificate {client.cert}: it does not know the issuer"
    assert explained(TLSConfig(ca=ca_file, cert=client.cert, key=client.key)) == said


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "a client without certificate: it requires one; give TLSConfig(cert"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "a client without certificate: it may require one, or share no cipher; give"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "it has expired"),
        ("TLSV1_ALERT_UNKNOWN_CA", "it does not know the issuer"),
    ],
)
def test_each_alert_has_its_words(reason: str, said: str) -> None:
    error = ssl.SSLError(1, "alert")
    error.reason = reason
    assert said in str(explain_tls_error(error, TLSConfig()))
    of_certificate = explain_tls_error(error, TLSConfig(cert="/c.pem"))
    assert of_certificate is not None
    assert of_certificate.startswith("the server refused the client certificate /c.pem: it ")
    given = explain_tls_error(error, TLSConfig(ssl_context=ssl.create_default_context))
    assert str(given).startswith("the server refused the client certificate, or that there is none: it ")


def test_versions_that_do_not_meet_are_said(tls_server: TLSServer, explained: Failure, ca_file: Path) -> None:
    tls_server.version = ssl.TLSVersion.TLSv1_2
    assert explained(TLSConfig(ca=ca_file, minimum_version="TLSv1.3")) == (
        "the server and this client have no version of TLS in common; asked for is TLSv1.3 or newer"
    )


def test_a_server_without_tls_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(10_000)

        thread = threading.Thread(target=serve)
        thread.start()
        with (
            socket.create_connection(listener.getsockname()) as plain,
            pytest.raises(ssl.SSLError) as caught,
        ):
            TLSConfig().context().wrap_socket(plain, server_hostname="localhost")
        thread.join()
    assert explain_tls_error(caught.value, TLSConfig()) == "the server does not speak TLS on this port"


def test_the_reason_is_found_within_an_http_librarys_errors(tls_server: TLSServer) -> None:
    config = TLSConfig()
    host, port = tls_server.address[:2]
    with urllib3.PoolManager(ssl_context=config.context(), retries=1) as pool:
        with pytest.raises(urllib3.exceptions.MaxRetryError) as caught:
            pool.request("GET", f"https://{host!s}:{port}/")
        pool.clear()
    assert "of an unknown issuer" in str(explain_tls_error(caught.value, config))


def test_other_errors_say_nothing() -> None:
    circle = ValueError("a", "TLSV1_ALERT_UNKNOWN_CA")
    circle.__cause__ = OSError(circle)
    other = ssl.SSLError(1, "x")
    other.reason = "TLSV1_ALERT_INTERNAL_ERROR"
    for error in (circle, other, UnicodeDecodeError("ascii", b"\xff", 0, 1, "WRONG")):
        assert explain_tls_error(error, TLSConfig()) is None
