"""What all parts of the suite share: how transports are made, and what can be declared as unsupported."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Final

import pytest

from langcache import errors
from langcache.http import Request, Response, display_url
from langcache.transport import Transport, TransportOptions

from ..certificates import Certificates
from ..server import Conversation, FaultServer
from .facade import AsyncFacade

OPTIONS: Final = frozenset({"tls", "proxy", "no_proxy", "connect_timeout_ms", "idle_timeout_ms", "max_response_bytes"})
"""The client's arguments that a transport either honours or refuses when it is built."""

CAPABILITIES: Final = {
    "total_timeout": "the timeout covers the whole attempt, however slowly the bytes come",
    "keep_alive": "connections are used again",
    "repeats_stale": "an idempotent request that meets the end of a kept connection is repeated once on a new one",
    "repeats_nothing_else": "a request that fails on a new connection is not repeated",
    "unasked_bytes": "bytes that come unasked on an idle connection are nobody's answer, and end it",
    "surplus_bytes": "bytes that come behind an answer are nobody's answer",
    "strict_framing": "headers that end with the connection, and lengths that are none, are no answer",
    "exact_target": "dot segments and the case of escapes in the URL's path stay as they are",
    "interim_answers": "answers of the statuses 1xx are passed over",
    "several_loops": "an async transport serves one event loop after another",
    "latin_headers": "characters of ISO 8859-1 in headers are sent as one byte each",
    "content_coding": "gzip and deflate are asked for and decoded",
    "strict_coding": "a compressed body that is cut off, and one of an unknown coding, is an error",
}
"""What a transport may lack besides; each is a promise, in words."""

PATIENCE: Final = 0.25
"""How many seconds after its timeout an attempt may end."""

SECRET_QUERY: Final = "in-the-query"  # noqa: S105 - it protects nothing
SECRET_HEADER: Final = "in-a-header"  # noqa: S105 - the same
SECRETS: Final = (SECRET_QUERY, SECRET_HEADER)

Build = Callable[..., Transport]
Start = Callable[..., FaultServer]


def asking(server: FaultServer, method: str = "GET", scheme: str | None = None, **fields: Any) -> Request:
    """Return a request with secrets that no message may show; a GET counts as idempotent, and a POST does not.

    `scheme` is for the URL, where it is not the server's.
    """
    url = server.url if scheme is None else f"{scheme}:{server.url.partition(':')[2]}"
    headers = {"Authorization": f"Bearer {SECRET_HEADER}", **fields.pop("headers", {})}
    fields.setdefault("timeout", 10.0)
    fields.setdefault("idempotent", method == "GET")
    if method == "POST":
        fields.setdefault("content", b'{"prompt":"p"}')
    return Request(method, f"{url}/v1/caches/c?key={SECRET_QUERY}", headers, **fields)


class Promises:
    """The base of the suite's parts."""

    unsupported: ClassVar[Collection[str]] = frozenset()
    """What the transport cannot do: names of `OPTIONS`, which it must refuse, and of `CAPABILITIES`."""

    def _made(self, options: TransportOptions) -> Transport:
        raise NotImplementedError

    def needs(self, *capabilities: str) -> None:
        """Skip the test where the transport is declared not to have one of these."""
        for name in capabilities:
            if name in self.unsupported:
                pytest.skip(f"{type(self).__name__} declares {name} as unsupported")

    @pytest.fixture
    def build(self) -> Iterator[Build]:
        """Make a transport with these options; it is closed after the test."""
        with ExitStack() as stack:

            def made(*given: str, **options: Any) -> Transport:
                transport = self._made(TransportOptions(given=frozenset(given), **options))
                if isinstance(transport, AsyncFacade):
                    stack.callback(transport.stop)
                stack.callback(transport.close)
                return transport

            yield made

    @pytest.fixture
    def transport(self, build: Build) -> Transport:
        """A transport with the default options."""
        return build()

    @pytest.fixture
    def start(self) -> Iterator[Start]:
        """Start a server with these conversations; it is stopped after the test."""
        with ExitStack() as stack:

            def started(*conversations: Conversation | bytes, **options: Any) -> FaultServer:
                return stack.enter_context(FaultServer(*conversations, **options))

            yield started

    @pytest.fixture
    def certificates(self, tmp_path: Path) -> Certificates:
        """The authority that the test trusts."""
        return Certificates(tmp_path / "trusted")

    @pytest.fixture
    def strangers(self, tmp_path: Path) -> Certificates:
        """Another authority."""
        return Certificates(tmp_path / "strangers")


def failure(
    transport: Transport, request: Request, *kinds: type[errors.RequestError], cause: bool = True
) -> errors.RequestError:
    """Return the error of one of these kinds that `request` ends with, and check what is true of every one."""
    with pytest.raises(kinds) as caught:
        transport.send(request)
    error = caught.value
    message = str(error)
    assert message.startswith(f"{request.method} {display_url(request.url)}"), "the message names the request"
    assert len(message) > len(f"{request.method} {display_url(request.url)}: "), "the message says what happened"
    for secret in SECRETS:
        assert secret not in message, "no secret is shown"
    if cause and not isinstance(error, errors.TimeoutException):  # which may be a limit of the transport's own
        assert error.__cause__ is not None, "the library's own exception is the cause"
        assert not isinstance(error.__cause__, errors.RequestError)
    assert (error.status_code, error.raw_response) == (0, None)
    return error


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


def content_of(response: Response) -> tuple[int, bytes]:
    """Return what an answer says."""
    return response.status_code, response.content
