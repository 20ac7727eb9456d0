"""TLS: who is trusted, and what is shown."""

from __future__ import annotations

import ssl

import pytest

from langcache import errors
from langcache.http import Request
from langcache.tls import TLSConfig

from .. import faults
from ..broken_tls import breaking_tls
from ..certificates import Certificates
from ..server import Connection
from .base import Build, Promises, Start, asking, content_of, failure


class Encryption(Promises):
    """What a transport does with TLS; these need the option "tls", but for the refusals by default."""

    def test_a_server_of_a_trusted_authority_is_spoken_to(
        self, build: Build, start: Start, certificates: Certificates
    ) -> None:
        self.needs("tls")
        server = start(faults.OK, ssl_context=certificates.server_context())
        transport = build("tls", tls=TLSConfig(ca=certificates.ca))
        for _ in range(3):
            assert content_of(transport.send(asking(server, "POST"))) == (200, b"{}")
        if "keep_alive" not in self.unsupported:
            assert server.connections == 1

    def test_a_server_of_an_unknown_authority_is_refused(
        self, build: Build, start: Start, certificates: Certificates, strangers: Certificates
    ) -> None:
        self.needs("tls")
        server = start(faults.OK, ssl_context=strangers.server_context())
        transport = build("tls", tls=TLSConfig(ca=certificates.ca))
        error = failure(transport, asking(server, "POST"), errors.ConnectError)
        assert "certificate" in str(error).lower()
        assert server.requests == []

    def test_by_default_no_authority_of_ones_own_is_trusted(
        self, build: Build, start: Start, certificates: Certificates
    ) -> None:
        server = start(faults.OK, ssl_context=certificates.server_context())
        failure(build(), asking(server, "POST"), errors.ConnectError)
        assert server.requests == []

    def test_a_certificate_for_another_host_is_refused(
        self, build: Build, start: Start, certificates: Certificates
    ) -> None:
        self.needs("tls")
        server = start(faults.OK, ssl_context=certificates.server_context("other.example"))
        transport = build("tls", tls=TLSConfig(ca=certificates.ca))
        failure(transport, asking(server, "POST"), errors.ConnectError)
        assert server.requests == []

    def test_a_server_that_does_not_speak_tls_is_a_connect_error(self, build: Build, start: Start) -> None:
        def plain(connection: Connection) -> None:
            connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            connection.hold()

        server = start(plain)
        request = Request("GET", server.url.replace("http:", "https:") + "/", timeout=10)
        failure(build(), request, errors.ConnectError)

    def test_a_connection_that_breaks_under_tls_is_a_read_error(
        self, build: Build, start: Start, certificates: Certificates
    ) -> None:
        self.needs("tls")
        server = start(faults.close_within_body, ssl_context=certificates.server_context())
        transport = build("tls", tls=TLSConfig(ca=certificates.ca))
        failure(transport, asking(server, "POST"), errors.ReadError)
        assert len(server.requests) == 1

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
    @pytest.mark.parametrize("alert", [False, True], ids=["a broken record", "an alert"])
    def test_tls_that_breaks_in_the_place_of_the_answer_is_a_read_error(
        self, build: Build, start: Start, certificates: Certificates, version: ssl.TLSVersion, alert: bool
    ) -> None:
        """The server has read the request, and may have done what it asks for."""
        self.needs("tls")
        context = certificates.server_context()
        context.maximum_version = version
        server = start(breaking_tls(context, alert=alert))
        transport = build("tls", tls=TLSConfig(ca=certificates.ca))
        error = failure(transport, asking(server, "POST", scheme="https"), errors.ReadError)
        assert error.nothing_sent is False
        assert len(server.requests) == 1

    def test_the_timeout_is_the_whole_attempts_under_tls(
        self, build: Build, start: Start, certificates: Certificates
    ) -> None:
        self.needs("tls", "total_timeout")
        server = start(faults.dripping_body, ssl_context=certificates.server_context())
        transport = build("tls", tls=TLSConfig(ca=certificates.ca))
        failure(transport, asking(server, timeout=0.5), errors.ReadTimeout)

    def test_a_server_that_asks_for_a_certificate_is_shown_it(
        self, build: Build, start: Start, certificates: Certificates
    ) -> None:
        self.needs("tls")
        server = start(faults.OK, ssl_context=certificates.server_context(clients=certificates))
        cert, key = certificates.client_files()
        transport = build("tls", tls=TLSConfig(ca=certificates.ca, cert=cert, key=key))
        assert content_of(transport.send(asking(server, "POST"))) == (200, b"{}")

    @pytest.mark.parametrize("shown", ["nothing", "a stranger's"])
    def test_a_server_that_asks_for_a_certificate_refuses_strangers(
        self, build: Build, start: Start, certificates: Certificates, strangers: Certificates, shown: str
    ) -> None:
        """In TLS 1.3 the refusal comes after the handshake, in the place of the answer."""
        self.needs("tls")
        server = start(faults.OK, ssl_context=certificates.server_context(clients=certificates))
        tls = TLSConfig(ca=certificates.ca)
        if shown != "nothing":
            cert, key = strangers.client_files()
            tls = TLSConfig(ca=certificates.ca, cert=cert, key=key)
        failure(build("tls", tls=tls), asking(server, "POST"), errors.NetworkError)
        assert server.requests == []
