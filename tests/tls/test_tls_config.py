"""The configuration of TLS as a value."""

from __future__ import annotations

import copy
import math
import os
import pickle
import ssl
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from langcache import TLSConfig
from langcache.errors import ConfigurationError

PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
PRIVATE = "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ca": 1}, "ca must be the path of a file or directory, or PEM text, not int"),
        ({"ca": ""}, "ca must be .* and is empty"),
        ({"ca": b"\x30\x82s3cret"}, "ca has bytes that are no PEM"),
        ({"ca": "s3cret\ns3cret"}, "something else, of several lines"),
        ({"cert": b"/c.pem"}, "cert must be the path of a PEM file, not bytes"),
        ({"cert": PEM}, "cert must be the path of a PEM file; it was given something else"),
        ({"cert": "c", "key": PRIVATE}, "key must be the path of a PEM file; it was given something else"),
        ({"cert": "c", "key": ""}, "key must be .* and is empty"),
        ({"cert": "c", "key": "a\0s3cret"}, "key must be the path"),
        (
            {"cert": "c", "key_password": 5},
            "key_password must be a string, bytes, a SecretStr or a callable .* not int",
        ),
        ({"key": "k"}, "key and key_password need cert"),
        ({"key_password": "s3cret"}, "key and key_password need cert"),
        ({"trust": "mozilla"}, 'trust must be "certifi" or "system", not \'mozilla\''),
        ({"trust": True}, "trust must be .* not True"),
        ({"trust": PRIVATE}, "trust must be .* not str"),
        ({"verify_hostname": "no"}, "verify_hostname must be True or False, not 'no'"),
        ({"verify_hostname": 0}, "verify_hostname must be True or False, not 0"),
        ({"minimum_version": "TLSv1.1"}, 'minimum_version must be "TLSv1.2" or "TLSv1.3", not \'TLSv1.1\''),
        ({"minimum_version": 1.2}, "minimum_version must be .* not 1.2"),
        ({"reload_interval": -1}, "reload_interval must be a number of seconds of 0 or more.* not -1"),
        ({"reload_interval": math.nan}, "reload_interval must be .* not nan"),
        ({"reload_interval": math.inf}, "reload_interval must be .* not inf"),
        ({"reload_interval": True}, "reload_interval must be .* not True"),
        ({"reload_interval": "10"}, "reload_interval must be .* not '10'"),
        ({"ca": "a", "trust": "system"}, "ca and trust exclude one another"),
        ({"ssl_context": "TLS"}, "ssl_context must be an ssl.SSLContext or a callable that returns one, not 'TLS'"),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_words(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        TLSConfig(**fields)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"ca": "a"},
        {"cert": "a", "key": "b", "key_password": "c"},
        {"trust": "certifi"},
        {"verify_hostname": False},
        {"minimum_version": "TLSv1.3"},
    ],
)
def test_a_context_excludes_all_that_it_says_itself(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"it excludes {', '.join(sorted(fields))}; set that in the context"):
        TLSConfig(ssl_context=ssl.create_default_context, **fields)


def test_a_path_may_be_of_any_type_and_is_absolute_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it leads to the same file wherever the program goes; links in it are not followed once for all."""
    monkeypatch.chdir(tmp_path)
    config = TLSConfig(ca="ca.pem", cert=Path("link/../c.pem"))
    monkeypatch.chdir("/")
    assert config.ca == str(tmp_path / "ca.pem")
    assert config.cert == f"{tmp_path}/link/../c.pem".replace("/", os.sep)
    assert config == TLSConfig(ca=tmp_path / "ca.pem", cert=f"{tmp_path}/link/../c.pem")


def test_pem_may_be_text_or_bytes() -> None:
    assert TLSConfig(ca=PEM) == TLSConfig(ca=PEM.encode())
    assert TLSConfig(ca=PEM).places == []


def password() -> str:
    """Return the password."""
    return "s3cret"


@pytest.mark.parametrize("given", ["s3cret", b"s3cret", SecretStr("s3cret"), password])
def test_nothing_shows_the_password(given: Any) -> None:
    config = TLSConfig(cert="/c", key_password=given)
    assert repr(config) == "TLSConfig(cert='/c', key_password=***)"
    assert "s3cret" not in f"{config} {vars(config)}"


def test_the_repr_shows_what_was_given_but_no_contents() -> None:
    assert repr(TLSConfig()) == "TLSConfig()"
    assert repr(TLSConfig(ca=PEM + PRIVATE, reload_interval=None)) == "TLSConfig(ca=<PEM text>, reload_interval=None)"
    assert repr(TLSConfig(trust="system", verify_hostname=False)) == "TLSConfig(trust='system', verify_hostname=False)"


def test_equal_values_are_equal_and_have_the_same_hash() -> None:
    one, other = (TLSConfig(cert="/c", key_password=given) for given in ("s3cret", b"s3cret"))
    assert one == other
    assert hash(one) == hash(other)
    assert one != TLSConfig(cert="/c", key_password=SecretStr("another"))
    assert TLSConfig().with_environment({"SSL_CERT_FILE": "/ca"}) != TLSConfig(ca="/ca")


class Unhashable:
    """A callable as a dataclass makes it: equal by value, and without a hash."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unhashable)

    def __call__(self) -> Any:
        raise AssertionError("not to be called")


def test_a_callable_need_not_be_hashable() -> None:
    assert hash(TLSConfig(cert="/c", key_password=Unhashable())) == hash(TLSConfig(cert="/c"))
    assert TLSConfig(ssl_context=Unhashable()) == TLSConfig(ssl_context=Unhashable())


def test_copies_are_equal_also_where_a_context_was_made(ca_file: Path) -> None:
    config = TLSConfig(ca=ca_file, reload_interval=3)
    context = config.context()
    for twin in (copy.copy(config), copy.deepcopy(config), replace(config), pickle.loads(pickle.dumps(config))):  # noqa: S301
        assert twin == config
        assert twin.context() is context
    assert replace(config, verify_hostname=False).context() is not context


def test_what_python_cannot_pickle_it_refuses() -> None:
    with pytest.raises(TypeError, match="SSLContext"):
        pickle.dumps(TLSConfig(ssl_context=ssl.create_default_context()))


@pytest.mark.parametrize(
    ("environment", "ca"),
    [
        ({}, None),
        ({"REQUESTS_CA_BUNDLE": "/r", "SSL_CERT_FILE": "/f", "SSL_CERT_DIR": "/d"}, "/r"),
        ({"SSL_CERT_FILE": "/f", "SSL_CERT_DIR": "/d"}, "/f"),
        ({"SSL_CERT_DIR": "/d"}, "/d"),
        ({"REQUESTS_CA_BUNDLE": "", "SSL_CERT_FILE": "", "SSL_CERT_DIR": ""}, None),
        ({"REQUESTS_CA_BUNDLE": "", "SSL_CERT_FILE": "/f"}, "/f"),
        ({"SSL_CERT_DIR": os.pathsep}, None),
        ({"CURL_CA_BUNDLE": "/c"}, None),
    ],
)
def test_the_environment_names_the_authorities_where_nothing_else_does(
    environment: dict[str, str], ca: str | None
) -> None:
    assert TLSConfig().with_environment(environment).ca == ca


@pytest.mark.parametrize(
    "config",
    [
        TLSConfig(ca="/mine"),
        TLSConfig(trust="certifi"),
        TLSConfig(trust="system"),
        TLSConfig(ssl_context=ssl.create_default_context),
    ],
)
def test_what_is_given_wins_over_the_environment(config: TLSConfig) -> None:
    assert (
        config.with_environment(dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"), "/e")) is config
    )


def test_the_environment_leaves_everything_else_as_it_is() -> None:
    config = TLSConfig(cert="/c", verify_hostname=False, reload_interval=1).with_environment({"SSL_CERT_FILE": "/f"})
    assert config == replace(
        TLSConfig().with_environment({"SSL_CERT_FILE": "/f"}),
        cert="/c",
        verify_hostname=False,
        reload_interval=1,
    )
    assert config.with_environment({"SSL_CERT_FILE": "/g"}) is config


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_an_error_says_which_variable_named_the_path(variable: str, tmp_path: Path) -> None:
    config = TLSConfig().with_environment({variable: str(tmp_path / "none.pem")})
    with pytest.raises(ConfigurationError, match=rf"none.pem \(named by {variable}\) cannot be read: No such file"):
        config.check()
    with pytest.raises(ConfigurationError, match=f"^The environment variable {variable}: .*several lines"):
        TLSConfig().with_environment({variable: "a\nb"})
    with pytest.raises(ConfigurationError, match=r"none2.pem cannot be read"):
        replace(config, ca=tmp_path / "none2.pem").check()


def test_who_is_trusted_is_said_in_words() -> None:
    assert TLSConfig().trusted == "the authorities of certifi"
    assert TLSConfig(trust="system").trusted == "the authorities of the system"
    assert TLSConfig(ca="/ca.pem").trusted == "the authorities in /ca.pem"
    assert TLSConfig(ca=PEM).trusted == "the authorities given as PEM text in ca"
    assert TLSConfig(ssl_context=ssl.create_default_context).trusted == "the authorities of the given ssl_context"
    named = TLSConfig().with_environment({"SSL_CERT_FILE": "/ca.pem"})
    assert named.trusted == "the authorities in /ca.pem (named by SSL_CERT_FILE)"


def test_the_import_is_cheap() -> None:
    """Neither `ssl` nor certifi is loaded before the first context."""
    program = (
        "import sys; from langcache import TLSConfig; TLSConfig(ca='/x', key_password='p', cert='/c')"
        ".with_environment({}); print({'ssl', 'certifi', 'langcache.tls.context'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
