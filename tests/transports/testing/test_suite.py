"""The suite for transports finds what it is there to find: each careless transport fails the test of its promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.documentation import ROOT, files

_CARELESS = """
import urllib.parse

from langcache import Response, TransportOptions, errors
from langcache.http import Request
from langcache_transports.testing import TransportConformance
from plain_transport import PlainTransport


class Base(TransportConformance):
    unsupported = {"proxy", "no_proxy", "keep_alive", "interim_answers", "strict_framing"}

    def make_transport(self, options):
        return self.Transport(options)


class TestIgnoring(Base):
    class Transport(PlainTransport):
        def __init__(self, options):
            super().__init__(TransportOptions())


class TestRepeating(Base):
    class Transport(PlainTransport):
        def send(self, request):
            try:
                return super().send(request)
            except errors.ReadError:
                return super().send(request)


class TestTelling(Base):
    class Transport(PlainTransport):
        def send(self, request):
            try:
                return super().send(request)
            except errors.RequestError as error:
                raise type(error)(f"{error} {request!r} {request.url}") from error.__cause__


class TestGuessing(Base):
    class Transport(PlainTransport):
        def send(self, request):
            try:
                return super().send(request)
            except errors.ReadError:
                return Response(200)


class TestTidying(Base):
    class Transport(PlainTransport):
        def send(self, request):
            return super().send(Request(request.method, urllib.parse.unquote(request.url), timeout=5))


class TestForgetting(Base):
    class Transport(PlainTransport):
        def send(self, request):
            return super().send(request.with_timeout(None))


class TestMistaken(Base):
    unsupported = {"proxies"}
    Transport = PlainTransport
"""


FOUND = [
    "TestIgnoring::test_an_option_is_honoured_or_refused[proxy]",
    "TestIgnoring::test_a_larger_body_is_refused[length]",
    "TestRepeating::test_a_new_connection_that_breaks_is_a_read_error[reset before answer-POST]",
    "TestTelling::test_what_is_not_http_is_a_protocol_error[bad status]",
    "TestGuessing::test_a_new_connection_that_breaks_is_a_read_error[close within body-GET]",
    "TestTidying::test_the_target_is_not_tidied_up",
    "TestForgetting::test_the_timeout_is_the_whole_attempts[body]",
    "TestMistaken::test_what_is_declared_as_unsupported_is_known",
]
"""What is wrong with each, as the tests that must find it."""


def test_every_careless_transport_fails_the_test_of_its_promise(tmp_path: Path) -> None:
    plain = files(ROOT / "docs" / "writing-a-transport.md")["plain_transport.py"]
    (tmp_path / "plain_transport.py").write_text(plain, encoding="utf-8")
    (tmp_path / "test_careless.py").write_text(_CARELESS, encoding="utf-8")
    chosen = [f"test_careless.py::{name}" for name in FOUND]
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", *chosen]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert re.findall(r"^FAILED test_careless.py::(.*?)(?: - .*)?$", said, re.MULTILINE) == FOUND, said
