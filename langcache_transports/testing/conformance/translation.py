"""A request reaches the server as it is, and an answer comes back as it is."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest

from langcache import errors
from langcache.http import Headers, Request
from langcache.transport import Transport

from .. import faults
from ..server import Conversation
from .base import Promises, Start, asking, content_of

_EXPECTED_HEADERS = {"host", "accept", "accept-encoding", "authorization", "connection", "content-length", "user-agent"}


class Translation(Promises):
    """What a transport does where nothing goes wrong."""

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    def test_method_and_body_arrive_as_they_are(self, transport: Transport, start: Start, method: str) -> None:
        server = start(faults.OK)
        content = '{"prompt":"grün \\u0000"}'.encode()
        assert content_of(transport.send(asking(server, method, content=content))) == (200, b"{}")
        [seen] = server.requests
        assert (seen.method, seen.content) == (method, content)
        assert seen.headers["content-length"] == str(len(content))

    @pytest.mark.parametrize(
        "target",
        [
            "/",
            "/v1/caches/%2E%2E/entries/..%2Fx%3Fy%23z",
            "/v1//caches/%7Euser/a%20b/%C3%A4/",
            "/x?key=a%20b+c&empty=&=&q=%26",
            "/:@!$&'()*+,;=-._~",
        ],
    )
    def test_the_target_arrives_as_it_is(self, transport: Transport, start: Start, target: str) -> None:
        """No library may tidy up what it finds unnecessary: ``%2E%2E`` would become another path."""
        server = start(faults.OK)
        transport.send(Request("GET", server.url + target, timeout=10))
        assert [seen.url for seen in server.requests] == [target]

    def test_the_target_is_not_tidied_up(self, transport: Transport, start: Start) -> None:
        self.needs("exact_target")
        server, target = start(faults.OK), "/a/%2e%2E/./../b/%c3%a4"
        transport.send(Request("GET", server.url + target, timeout=10))
        assert [seen.url for seen in server.requests] == [target]

    def test_headers_arrive_as_they_are(self, transport: Transport, start: Start) -> None:
        server = start(faults.OK)
        headers = {"X-CaSe": "x", "x-empty": "", "X-Long": "x" * 4000, "User-Agent": "mine", "Accept": "a/b"}
        transport.send(asking(server, headers=headers))
        seen = server.requests[0].headers
        assert {name: seen[name] for name in headers} == headers
        assert seen["host"] == server.url.partition("//")[2]

    def test_headers_beyond_ascii_arrive_as_they_are(self, transport: Transport, start: Start) -> None:
        """Their characters are those of ISO 8859-1, which is what Python's own HTTP client sends."""
        self.needs("latin_headers")
        server = start(faults.OK)
        transport.send(asking(server, headers={"X-Latin": "\xe4\xff"}))
        assert server.requests[0].headers["x-latin"] == "\xe4\xff"

    @pytest.mark.parametrize("value", ["\u2603", "two\r\nX-Lines: yes"], ids=["a snowman", "a line break"])
    def test_a_header_that_http_cannot_carry_is_a_configuration_error(
        self, transport: Transport, start: Start, value: str
    ) -> None:
        """The client refuses it before a transport gets it; what adds headers to a library's requests may not."""
        server = start(faults.OK)
        if not value.isascii():
            self.needs("latin_headers")
        request = asking(server, headers={"X-Name": f"\xe4{value}"})
        with pytest.raises(errors.ConfigurationError):
            transport.send(request)
        assert server.requests == []

    def test_nothing_is_added_that_tells_more_than_is_needed(self, transport: Transport, start: Start) -> None:
        server = start(faults.OK)
        transport.send(asking(server, "POST", headers={"Content-Type": "application/json"}))
        assert {name.lower() for name in server.requests[0].headers} - _EXPECTED_HEADERS <= {"content-type"}

    def test_a_post_without_a_body_says_so(self, transport: Transport, start: Start) -> None:
        """RFC 9110, section 8.6: some servers answer 411 without."""
        server = start(faults.OK)
        transport.send(asking(server, "POST", content=None))
        assert server.requests[0].headers["content-length"] == "0"

    def test_a_get_without_a_body_has_none(self, transport: Transport, start: Start) -> None:
        server = start(faults.OK)
        transport.send(asking(server))
        assert "content-length" not in server.requests[0].headers
        assert "transfer-encoding" not in server.requests[0].headers

    def test_a_large_body_arrives_whole(self, transport: Transport, start: Start) -> None:
        server = start(faults.OK)
        content = bytes(range(256)) * 4096
        transport.send(asking(server, "POST", content=content))
        assert server.requests[0].content == content

    @pytest.mark.parametrize("status", [200, 201, 202, 206, 299, 300, 304, 400, 401, 404, 418, 429, 500, 503, 599])
    def test_every_answer_is_returned_whatever_its_status(
        self, transport: Transport, start: Start, status: int
    ) -> None:
        body = b"" if status == 304 else b'{"status":"text"}'
        server = start(faults.response(body, status=f"{status} A Phrase", headers=[("Retry-After", "0")]))
        assert content_of(transport.send(asking(server))) == (status, body)
        assert len(server.requests) == 1

    def test_an_answer_without_content_has_an_empty_body(self, transport: Transport, start: Start) -> None:
        """RFC 9112, section 6.3: a 204 has none, whatever else it says."""
        server = start(b"HTTP/1.1 204 No Content\r\n\r\n")
        for _ in range(2):
            assert content_of(transport.send(asking(server, "DELETE"))) == (204, b"")

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_redirects_are_returned_and_not_followed(self, transport: Transport, start: Start, status: int) -> None:
        server = start(faults.response(status=f"{status} Elsewhere", headers=[("Location", "/elsewhere")]))
        answer = transport.send(asking(server))
        assert (answer.status_code, answer.headers["location"]) == (status, "/elsewhere")
        assert len(server.requests) == 1

    def test_headers_of_the_answer_are_there_in_any_case(self, transport: Transport, start: Start) -> None:
        headers = [("X-Request-ID", "r1"), ("x-latin", "\xe4"), ("Vary", "a"), ("vary", "b")]
        answer = transport.send(asking(start(faults.response(headers=headers))))
        assert isinstance(answer.headers, Headers)
        assert answer.headers["X-REQUEST-ID"] == "r1"
        assert answer.headers["X-Latin"] == "\xe4"
        assert answer.headers["vary"] == "a, b"
        assert all(name == name.lower() for name in answer.headers)

    def test_a_long_header_of_the_answer_is_read(self, transport: Transport, start: Start) -> None:
        """6,000 bytes: some gateways send as much for tracing."""
        server = start(faults.response(headers=[("X-Long", "x" * 6000)]))
        assert transport.send(asking(server)).headers["x-long"] == "x" * 6000

    def test_a_chunked_body_is_put_together(self, transport: Transport, start: Start) -> None:
        """RFC 9112, section 7.1: with extensions and trailers, which say nothing here."""
        server = start(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b'8;a=b\r\n{"data":\r\n3\r\n[]}\r\n0\r\nX-Trailer: t\r\n\r\n'
        )
        for _ in range(2):
            assert content_of(transport.send(asking(server))) == (200, b'{"data":[]}')

    @pytest.mark.parametrize("conversation", [faults.http_1_0, faults.without_length])
    def test_a_body_without_a_length_ends_with_the_connection(
        self, transport: Transport, start: Start, conversation: Conversation
    ) -> None:
        server = start(conversation)
        for _ in range(2):
            assert content_of(transport.send(asking(server, "POST"))) == (200, b"{}")
        assert (server.connections, len(server.requests)) == (2, 2)

    @pytest.mark.parametrize("statuses", [("100 Continue",), ("103 Early Hints",), ("100 Continue", "103 Early Hints")])
    def test_interim_answers_are_passed_over(
        self, transport: Transport, start: Start, statuses: tuple[str, ...]
    ) -> None:
        """RFC 9110, section 15.2: a caller must be able to read them, and may ignore them."""
        self.needs("interim_answers")
        server = start(faults.interim(*statuses))
        for _ in range(2):
            answer = transport.send(asking(server, "POST"))
            assert content_of(answer) == (200, b"{}")
            assert "x-interim" not in answer.headers

    @pytest.mark.parametrize("coding", ["gzip", "deflate", "raw deflate", "GZip"])
    def test_a_compressed_body_is_decoded(self, transport: Transport, start: Start, coding: str) -> None:
        """RFC 9110, section 8.4.1; "deflate" is sent with and without zlib's own head."""
        self.needs("content_coding")
        body = b'{"data":[]}' * 100
        raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        packed = {
            "gzip": gzip.compress(body),
            "deflate": zlib.compress(body),
            "raw deflate": raw.compress(body) + raw.flush(),
            "GZip": gzip.compress(body),
        }[coding]
        server = start(faults.response(packed, headers=[("Content-Encoding", coding.rpartition(" ")[2])]))
        assert transport.send(asking(server)).content == body
        asked = server.requests[0].headers["accept-encoding"]
        assert {part.strip() for part in asked.split(",")} == {"gzip", "deflate"}

    def test_cookies_are_not_kept(self, transport: Transport, start: Start) -> None:
        server = start(faults.response(headers=[("Set-Cookie", "session=1; Path=/")]))
        for _ in range(2):
            transport.send(asking(server))
        assert "cookie" not in server.requests[1].headers

    def test_netrc_is_never_applied(
        self, transport: Transport, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path / ".netrc"
        netrc.write_text("machine 127.0.0.1 login somebody password else\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        monkeypatch.setenv("HOME", str(tmp_path))
        server = start(faults.OK)
        request = asking(server)
        transport.send(request)
        transport.send(Request("GET", server.url + "/", timeout=10))
        assert server.requests[0].headers["authorization"] == request.headers["authorization"]
        assert "authorization" not in server.requests[1].headers
