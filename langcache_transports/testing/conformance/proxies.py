"""HTTP proxies: the whole URL for http, a tunnel for https, and to each its own credentials."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from langcache import errors
from langcache.http import Request
from langcache.tls import TLSConfig
from langcache.transport import Transport

from .. import faults
from ..certificates import Certificates
from ..proxy import ForwardProxy
from ..server import Conversation
from .base import SECRET_HEADER, Build, Promises, Start, asking, content_of, failure

_PASSWORD = "in the proxy's url"  # noqa: S105 - it protects nothing
_QUOTED = "in%20the%20proxy's%20url"


def nobody() -> str:
    """Return an address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"127.0.0.1:{closed.getsockname()[1]}"


class Proxies(Promises):
    """What a transport does with a proxy; these need the option "proxy"."""

    @pytest.fixture
    def proxy(self) -> Iterator[ForwardProxy]:
        """A proxy that serves everybody."""
        with ForwardProxy() as started:
            yield started

    @pytest.fixture
    def guarded(self) -> Iterator[ForwardProxy]:
        """A proxy that serves the user "user" alone."""
        with ForwardProxy("user", _PASSWORD) as started:
            yield started

    def through(self, build: Build, url: str, tls: TLSConfig | None = None, no: str = "") -> Transport:
        """Make a transport that uses the proxy at `url`."""
        self.needs("proxy", *(["tls"] if tls else []), *(["no_proxy"] if no else []))
        given = ["proxy", *(["tls"] if tls else []), *(["no_proxy"] if no else [])]
        options = {"tls": tls} if tls else {}
        return build(*given, proxies={"all": url, "no": no}, **options)

    def test_a_plain_request_goes_through_the_proxy(self, build: Build, start: Start, proxy: ForwardProxy) -> None:
        """RFC 9112, section 3.2.2."""
        transport, server = self.through(build, proxy.url), start(faults.OK)
        for method in ("GET", "POST"):
            request = asking(server, method)
            assert content_of(transport.send(request)) == (200, b"{}")
            assert proxy.requests[-1].url == request.url
            assert server.requests[-1].content == request.content
            assert server.requests[-1].headers["authorization"] == f"Bearer {SECRET_HEADER}"

    def test_an_encrypted_request_goes_through_a_tunnel(
        self, build: Build, start: Start, proxy: ForwardProxy, certificates: Certificates
    ) -> None:
        """The proxy sees neither the request nor its credentials."""
        transport = self.through(build, proxy.url, TLSConfig(ca=certificates.ca))
        server = start(faults.OK, ssl_context=certificates.server_context())
        for _ in range(2):
            assert content_of(transport.send(asking(server, "POST"))) == (200, b"{}")
        assert {(seen.method, seen.url) for seen in proxy.requests} == {("CONNECT", f"127.0.0.1:{server.port}")}
        assert all("authorization" not in seen.headers for seen in proxy.requests)
        assert len(server.requests) == 2

    def test_the_proxy_is_shown_its_credentials_and_the_server_is_not(
        self, build: Build, start: Start, guarded: ForwardProxy, certificates: Certificates
    ) -> None:
        url = guarded.url.replace("//", f"//user:{_QUOTED}@")
        plain, encrypted = start(faults.OK), start(faults.OK, ssl_context=certificates.server_context())
        self.through(build, url).send(asking(plain))
        self.through(build, url, TLSConfig(ca=certificates.ca)).send(asking(encrypted))
        assert len(guarded.requests) == 2
        for server in (plain, encrypted):
            assert "proxy-authorization" not in server.requests[0].headers

    @pytest.mark.parametrize("credentials", ["", f"user:wrong-{_QUOTED}@"], ids=["none", "wrong"])
    def test_a_proxy_that_refuses_a_tunnel_is_a_proxy_error(
        self, build: Build, start: Start, guarded: ForwardProxy, certificates: Certificates, credentials: str
    ) -> None:
        transport = self.through(build, guarded.url.replace("//", f"//{credentials}"), TLSConfig(ca=certificates.ca))
        server = start(faults.OK, ssl_context=certificates.server_context())
        error = failure(transport, asking(server, "POST"), errors.ProxyError)
        message = str(error)
        assert "407" in message
        assert error.retryable is False
        assert _PASSWORD not in message
        assert _QUOTED not in message
        assert server.connections == 0

    def test_a_proxy_that_refuses_a_plain_request_is_seen(
        self, build: Build, start: Start, guarded: ForwardProxy
    ) -> None:
        """As its answer, or as an error: HTTP does not tell whose answer it is."""
        transport, server = self.through(build, guarded.url), start(faults.OK)
        try:
            seen = str(transport.send(asking(server, "POST")).status_code)
        except errors.ProxyError as error:
            seen = str(error)
        assert "407" in seen
        assert server.connections == 0

    def test_a_proxy_that_is_not_there_is_an_error_without_its_password(self, build: Build, start: Start) -> None:
        transport, server = self.through(build, f"http://user:{_QUOTED}@{nobody()}"), start(faults.OK)
        message = str(failure(transport, asking(server, "POST"), errors.ProxyError, errors.ConnectError))
        assert _QUOTED not in message
        assert server.connections == 0

    @pytest.mark.parametrize(
        "fault",
        [faults.close_before_answer, faults.reset_before_answer, faults.close_within_body],
        ids=["closes", "resets", "closes within the body"],
    )
    def test_a_proxy_that_breaks_off_may_have_passed_the_request_on(
        self, build: Build, start: Start, fault: Conversation
    ) -> None:
        """It has read a plain request, so that this is a read error, as from any server."""
        proxy = start(fault)
        request = Request("POST", "http://cache.invalid/", content=b"{}", timeout=10)
        error = failure(self.through(build, proxy.url), request, errors.ReadError)
        assert error.nothing_sent is False
        assert len(proxy.requests) == 1

    def test_a_host_that_needs_no_proxy_is_asked_directly(self, build: Build, start: Start) -> None:
        transport, server = self.through(build, f"http://{nobody()}", no="cache.example,127.0.0.1"), start(faults.OK)
        assert content_of(transport.send(asking(server))) == (200, b"{}")

    def test_a_tunnel_to_nowhere_is_an_error(
        self, build: Build, proxy: ForwardProxy, certificates: Certificates
    ) -> None:
        transport = self.through(build, proxy.url, TLSConfig(ca=certificates.ca))
        request = Request("GET", f"https://{nobody()}/", timeout=10)
        failure(transport, request, errors.ProxyError, errors.ConnectError)

    def test_the_environments_proxies_are_for_the_client_to_read(
        self, build: Build, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A transport uses those of its options, where the client has put the environment's, or not."""
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{nobody()}")
        assert content_of(build().send(asking(start(faults.OK)))) == (200, b"{}")
