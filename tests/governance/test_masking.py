"""What is shown of strangers' options and errors has no secret in it, and stays in its line."""

from __future__ import annotations

import logging
import time
from collections import namedtuple
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from langcache import LangCache, Middleware, hookimpl
from langcache.errors import PluginError
from langcache.governance.masking import masked, said, shown
from langcache.http import is_secret_name
from langcache_transports.testing import FakeTransport
from tests.conftest import Installed
from tests.explained import section
from tests.governance.stand_ins import OnlyAttempts, made, offer

CANARY = "canary-7b1e"


class Login(NamedTuple):
    user: str
    password: str


Old = namedtuple("Old", ["pwd", "limit"])  # pyright: ignore[reportUntypedNamedTuple]


@dataclass
class Vault:
    place: str
    logins: list[Login]


@pytest.mark.parametrize(
    "name",
    [
        *("api_key", "Authorization", "Set-Cookie", "password", "client_secret", "X-Signature", "access-token"),
        *("pwd", "credentials", "JWT", "bearer", "pin", "PIN", "user_pin", "userPin", "pinCode", "card-pin", "salt"),
        *("privateKey", "pw", "PW", "db_pw", "dbPw", "session", "X-Session"),
    ],
)
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["mapping", "ping", "spinning", "Spinner", "pinned", "pwm", "limit", "X-Tenant", "Accept", ""]
)
def test_other_names_are_not_taken_for_them(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Login("ada", CANARY), "Login(user='ada', password=***)"),
        (Old(CANARY, 5), "Old(pwd=***, limit=5)"),
        (Vault("x", [Login("ada", CANARY)]), "Vault(place='x', logins=[Login(user='ada', password=***)])"),
        ({"pin": 1234, "of": {"jwt": CANARY}}, "{pin: ***, of: {jwt: ***}}"),
        ([("Authorization", f"Bearer {CANARY}"), ("Accept", "*")], "[['Authorization', ***], ['Accept', '*']]"),
        (("password", CANARY), "['password', ***]"),
        (["Authorization", f"Bearer {CANARY}", "Accept"], "['Authorization', ***, ***]"),
        (["serve", "--token", CANARY, "-v"], "['serve', '--token', ***, '-v']"),
        (("password", CANARY, "x"), "['password', ***, 'x']"),
        ([b"password", CANARY], "[builtins.bytes, ***]"),
        (f"host=db password=p@{CANARY}", "'host=db password=***'"),
        (f"ada:{CANARY}@db password=p@{CANARY}", "'***@db password=***'"),
        (f"the password '{CANARY}' is wrong", "'the password ***'"),
        (f'no such token "{CANARY}"', "'no such token ***'"),
        (f"serve --password {CANARY}", "'serve --password ***'"),
        (f"['--password', '{CANARY}']", "\"['--password', ***\""),
        (f"a/password={CANARY}", "'a/password=***'"),
        (f"//password={CANARY}", "'//password=***'"),
        (f"http://p.example/x/password={CANARY}", "'http://p.example/x/password=***'"),
        (f"x@password={CANARY}", "'***@password=***'"),
        (f"pw={CANARY}", "'pw=***'"),
        (f"ada:{CANARY}@proxy:3128", "'***@proxy:3128'"),
        (f"//ada:{CANARY}@x", "'***@x'"),
        (f"mailto:ada:{CANARY}@x", "'***@x'"),
        (f"ada:{CANARY} {CANARY}@a b@x", "'***@x'"),
        (f"http://p.example,http://{CANARY}@q.example", "'http://p.example,http://q.example'"),
        (f"https://a.example/x?t={CANARY} https://b.example?{CANARY}", "'https://a.example/x https://b.example'"),
        (f"http://ada:{CANARY},{CANARY}@x", "'***@x'"),
        (f"host=db password={CANARY}", "'host=db password=***'"),
        (f"host=db;Pwd = {CANARY};timeout=5", "'host=db;Pwd =***'"),
        (f'{{"limit": 5, "api_key": "{CANARY}"}}', """'{"limit": 5, "api_key":***'"""),
        (f"Authorization: Basic {CANARY}", "'Authorization:***'"),
        (f"with basic {CANARY.replace('-', '')}==", "'with basic ***'"),
        ({f"ada:{CANARY}@x": 1, Login("ada", CANARY): 2}, "{***@x: 1, Login(user='ada', password=***): ***}"),
        ("https://keys.example:8443/v1, at 12:30", "'https://keys.example:8443/v1, at 12:30'"),
        ("limit=5 path=/a:b", "'limit=5 path=/a:b'"),
    ],
)
def test_no_secret_is_shown_of_an_option(value: object, told: str) -> None:
    assert shown(value) == told
    assert CANARY not in shown([value])


class Settings(BaseModel):
    url: int
    logins: list[int] = []


def refused(value: Any, kind: Any = Settings) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    return caught.value


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError(CANARY)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (refused({"url": CANARY, "logins": [1, CANARY]}), "ValidationError: url (int_parsing), logins.1 (int_parsing)"),
        (refused(CANARY, int), "ValidationError: it (int_parsing)"),
        (
            RuntimeError(str(refused({"url": CANARY}))),
            "RuntimeError: 1 validation error for Settings url Input should be",
        ),
        (OSError(f"no answer of redis://ada:{CANARY}@db:6379"), "OSError: no answer of redis://db:6379"),
        (RuntimeError(f"login failed\npassword: {CANARY}"), "RuntimeError: login failed password:***"),
        (ValueError(f"bad token {CANARY!r}, want 32 digits"), "ValueError: bad token ***"),
        (KeyError("ACME_TOKEN"), "KeyError: 'ACME_TOKEN'"),
        (ModuleNotFoundError("No module named 'acme'"), "ModuleNotFoundError: No module named 'acme'"),
        (Mute(), "Mute"),
    ],
)
def test_no_secret_is_told_of_an_error(error: Exception, told: str) -> None:
    """pydantic's say where it was, and not what was there."""
    assert said(error).startswith(told)
    assert CANARY not in said(error)


def test_what_is_left_out_is_told_without_secrets(
    installed: Installed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """In the log, in explain() and in the error; the original is the error's cause."""

    class Reading(OnlyAttempts):
        @hookimpl
        def langcache_call_middleware(self) -> Middleware:
            raise refused({"url": CANARY})

        @hookimpl
        def langcache_composed(self) -> None:
            raise RuntimeError(f"password={CANARY}")

    offer(installed, monkeypatch, reading=Reading())
    client = made("reading")
    why = "it fails in langcache_call_middleware: ValidationError: url (int_parsing)"
    assert section(client, "Left out") == [f"reading: {why}"]
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        f"The plugin 'reading' is left out: {why}"
    ]
    with pytest.raises(PluginError, match="url") as caught:
        made("reading", required=True)
    assert CANARY not in str(caught.value)
    assert CANARY in str(caught.value.__cause__)
    caplog.clear()
    LangCache(
        "http://c.example", "k", "c", transport=FakeTransport(), plugins=["reading"],
        without=["reading.langcache_call_middleware"],
    )  # fmt: skip
    assert caplog.messages == [
        "The plugin 'reading' fails in langcache_composed, and goes on without: RuntimeError: password=***"
    ]


@pytest.mark.parametrize(
    "part",
    ["a", "a ", "a.", "a@", "a:", "a:/", "://", "-a ", "--", "' ", "basic ", "bearer", "http://a", "http://:", "a '"],
)
def test_masking_takes_time_in_proportion_to_the_text(part: str) -> None:
    """As a ratio of CPU times: 16 times the text, which is 256 times the work where it is done for each pair."""

    def seconds(text: str) -> float:
        def once() -> float:
            begun = time.process_time()
            masked(text)
            masked(f"http://c.example/{text}")
            return time.process_time() - begun

        return min(once() for _ in range(3))

    assert seconds(part * 16_000) < 80 * max(seconds(part * 1_000), 0.0005)


def test_a_text_that_has_nothing_to_hide_stays_as_it_is() -> None:
    for text in ("", "plain", "a: b", "sha256", "https://audit.example/x", "tests.module.<lambda>"):
        assert masked(text) == text
