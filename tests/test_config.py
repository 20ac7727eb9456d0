"""Settings: what the arguments and the environment say, checked in words that never show a secret."""

from __future__ import annotations

import copy
import dataclasses
import functools
import logging
import pickle
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from langcache import LangCache, TLSConfig, TransportOptions
from langcache.config import (
    DEFAULT_TIMEOUT_MS,
    UNSET,
    Settings,
    Unset,
    api_key_from_environment,
    checked_base_url,
    checked_cache_id,
    checked_headers,
    checked_retries,
    read_settings,
    read_transport_options,
    scheme_of,
    seconds,
)
from langcache.errors import ConfigurationError
from langcache.policies import LONGEST_MS, BackoffStrategy, RetryConfig
from langcache.secret import Secret
from langcache_transports.embedded import EmbeddedTransport

HIDDEN = "sk-5ecret"
RETRIES = RetryConfig("backoff", BackoffStrategy(1, 50, 1.1, 100), False)


def settings(**arguments: Any) -> Settings:
    """Read the settings of a client that is given `arguments`, and None or UNSET for the others."""
    values: dict[str, Any] = dict.fromkeys(("server_url", "api_key", "cache_id", "timeout_ms", "debug_logger"))
    values |= {"retry_config": UNSET, **arguments}
    return read_settings(**values)


def refusal(check: Callable[[], object]) -> str:
    """Return in which words `check` refuses."""
    with pytest.raises(ConfigurationError) as caught:
        check()
    assert isinstance(caught.value, ValueError)
    assert caught.value.retryable is False
    return str(caught.value)


# Arguments and environment


def test_without_arguments_and_environment_the_defaults_apply() -> None:
    read = settings()
    assert read == Settings()
    assert (read.server_url, read.cache_id) == (None, None)
    assert read.api_key is api_key_from_environment
    assert read.timeout == DEFAULT_TIMEOUT_MS / 1000 == 10.0
    assert read.retry_config is None
    assert read.debug_logger is None
    assert read.debug is False


def test_arguments_are_kept() -> None:
    logger = logging.getLogger("test")
    read = settings(
        server_url="https://cache.example",
        api_key="k1",
        cache_id="c1",
        retry_config=RETRIES,
        timeout_ms=2500,
        debug_logger=logger,
    )
    assert (read.server_url, read.cache_id, read.timeout) == ("https://cache.example", "c1", 2.5)
    assert read.api_key == Secret("k1")
    assert read.retry_config is RETRIES
    assert read.debug_logger is logger


def test_the_environment_fills_in_what_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGCACHE_SERVER_URL", "https://cache.example")
    monkeypatch.setenv("LANGCACHE_CACHE_ID", "c1")
    read = settings()
    assert (read.server_url, read.cache_id) == ("https://cache.example", "c1")


@pytest.mark.parametrize("value", ["given", ""])
def test_an_argument_comes_before_the_environment_even_when_empty(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for name in ("SERVER_URL", "CACHE_ID", "API_KEY"):
        monkeypatch.setenv(f"LANGCACHE_{name}", "from the environment")
    read = settings(server_url=value, cache_id=value, api_key=value)
    assert (read.server_url, read.cache_id, read.api_key) == (value, value, Secret(value))


def test_the_key_of_the_environment_is_read_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    key: Any = settings().api_key
    assert key() is None
    monkeypatch.setenv("LANGCACHE_API_KEY", "k1")
    assert key() == "k1"
    monkeypatch.setenv("LANGCACHE_API_KEY", "k2")
    assert key() == "k2"


def test_a_key_may_be_secret_or_come_from_a_callable() -> None:
    for secret in (SecretStr("k1"), Secret("k1")):
        assert settings(api_key=secret).api_key == Secret("k1")
    assert settings(api_key=api_key_from_environment).api_key is api_key_from_environment


@pytest.mark.parametrize("key", [HIDDEN.encode(), 1, [HIDDEN], {"key": HIDDEN}])
def test_a_key_of_another_type_is_refused_without_being_shown(key: object) -> None:
    assert refusal(lambda: settings(api_key=key)) == (
        f"api_key must be a string, a SecretStr or a callable that returns one, not {type(key).__name__}"
    )


@pytest.mark.parametrize("value", ["1", "true", "yes", "on", "TRUE", "anything"])
def test_the_environment_turns_the_debug_log_on(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LANGCACHE_DEBUG", value)
    assert settings().debug is True


@pytest.mark.parametrize("value", ["", "0", "false", "no", "off", "False", "OFF"])
def test_the_environment_can_say_that_the_debug_log_is_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("LANGCACHE_DEBUG", value)
    assert settings().debug is False


@pytest.mark.parametrize("absent", [None, UNSET, Unset()])
def test_no_retry_config_means_none(absent: object) -> None:
    assert settings(retry_config=absent).retry_config is None


@pytest.mark.parametrize(
    "arguments", [{"server_url": "localhost:8080"}, {"server_url": 1}, {"cache_id": ""}, {"api_key": ""}]
)
def test_the_url_the_cache_id_and_the_key_are_left_to_the_first_call(arguments: Mapping[str, Any]) -> None:
    read = settings(**arguments)
    assert read == dataclasses.replace(settings(), **{name: getattr(read, name) for name in arguments})


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Settings)])
def test_settings_are_frozen(name: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(settings(), name, None)


@pytest.mark.parametrize("key", [HIDDEN, SecretStr(HIDDEN), functools.partial(str, HIDDEN)])
def test_the_repr_of_settings_shows_no_key(key: Any) -> None:
    read = settings(server_url="https://cache.example", api_key=key)
    assert HIDDEN not in repr(read)
    assert HIDDEN not in str(read)


def test_the_repr_of_settings_shows_no_credentials_of_an_unchecked_url() -> None:
    assert HIDDEN not in repr(settings(server_url=f"https://user:{HIDDEN}@cache.example?key={HIDDEN}"))


# Which transport, and whether a key


@pytest.mark.parametrize(
    ("url", "scheme"),
    [
        ("https://cache.example", "https"),
        ("HTTP://cache.example", "http"),
        ("Embedded://", "embedded"),
        ("localhost:8080", ""),
        ("", ""),
        (None, ""),
        (1, ""),
    ],
)
def test_the_scheme_of_a_url_is_what_stands_before_the_slashes(url: object, scheme: str) -> None:
    assert scheme_of(url) == scheme


@pytest.mark.parametrize(
    ("url", "name", "is_http"),
    [
        ("https://cache.example", "urllib3", True),
        ("http://cache.example", "urllib3", True),
        ("HTTPS://cache.example", "urllib3", True),
        ("localhost:8080", "urllib3", True),
        (None, "urllib3", True),
        ("embedded://", "embedded", False),
        ("Embedded://", "embedded", False),
        ("memory://x", "memory", False),
    ],
)
def test_the_scheme_chooses_the_transport_and_http_needs_a_key(url: str | None, name: str, is_http: bool) -> None:
    read = Settings(server_url=url)
    assert read.transport_name == name
    assert read.is_http is is_http


# Timeouts


@pytest.mark.parametrize(("timeout_ms", "timeout"), [(2500, 2.5), (1, 0.001), (0.5, 0.0005), (0, None), (0.0, None)])
def test_a_timeout_is_given_in_milliseconds_and_0_is_no_limit(timeout_ms: float, timeout: float | None) -> None:
    assert seconds(timeout_ms) == timeout
    assert settings(timeout_ms=timeout_ms).timeout == timeout


@given(st.integers(1, LONGEST_MS) | st.floats(0.001, LONGEST_MS))
def test_every_positive_timeout_is_a_limit(timeout_ms: float) -> None:
    timeout = seconds(timeout_ms)
    assert timeout is not None
    assert timeout > 0
    assert timeout * 1000 == pytest.approx(timeout_ms)  # pyright: ignore[reportUnknownMemberType]


@pytest.mark.parametrize("timeout_ms", [-1, -0.001, float("nan"), float("inf"), float("-inf"), LONGEST_MS + 1, 10**400])
def test_a_timeout_that_is_no_time_is_refused(timeout_ms: float) -> None:
    words = f"timeout_ms must be 0 (no limit) to 2147483000 milliseconds, not {timeout_ms}"
    assert refusal(lambda: seconds(timeout_ms)) == words
    assert refusal(lambda: settings(timeout_ms=timeout_ms)) == words


@pytest.mark.parametrize("timeout_ms", [True, False, "1000", b"1", [1], 1j])
def test_a_timeout_that_is_no_number_is_refused(timeout_ms: Any) -> None:
    words = f"timeout_ms must be a number of milliseconds, not {type(timeout_ms).__name__}"
    assert refusal(lambda: seconds(timeout_ms)) == words


# Server URLs


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://cache.example", "https://cache.example"),
        ("https://cache.example/", "https://cache.example"),
        ("https://cache.example//", "https://cache.example"),
        ("HTTPS://Cache.Example", "HTTPS://Cache.Example"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        ("https://gateway.example/team/langcache", "https://gateway.example/team/langcache"),
        ("https://gateway.example/team/langcache/", "https://gateway.example/team/langcache"),
        ("https://gateway.example/a%2Fb/@c", "https://gateway.example/a%2Fb/@c"),
        ("https://b\xfccher.example", "https://b\xfccher.example"),
        ("embedded://", "embedded://"),
        ("embedded:///", "embedded://"),
        ("embedded:///data/cache.db/", "embedded:///data/cache.db"),
    ],
)
def test_a_base_url_loses_the_slash_at_its_end_and_nothing_else(url: str, base: str) -> None:
    assert checked_base_url(url) == base


@given(st.lists(st.sampled_from("ab1-_~%"), min_size=1), st.integers(0, 3))
def test_a_base_url_keeps_its_path_prefix(prefix: list[str], slashes: int) -> None:
    base = f"https://gateway.example/{'/'.join(prefix)}"
    assert checked_base_url(base + "/" * slashes) == base
    assert checked_base_url(checked_base_url(base)) == base


@pytest.mark.parametrize("url", [None, ""])
def test_a_missing_url_is_refused_with_what_to_do(url: object) -> None:
    assert refusal(lambda: checked_base_url(url)) == (
        "No server URL: give LangCache(server_url=...) or set LANGCACHE_SERVER_URL"
    )


@pytest.mark.parametrize("url", [1, b"https://cache.example", ["https://cache.example"]])
def test_a_url_that_is_no_string_is_refused(url: object) -> None:
    assert refusal(lambda: checked_base_url(url)) == f"server_url must be a string, not {type(url).__name__}"


@pytest.mark.parametrize(
    ("url", "proposal"),
    [
        ("cache.example", "https://cache.example"),
        ("localhost:8080", "https://localhost:8080"),
        ("//cache.example/prefix", "https://cache.example/prefix"),
        ("://cache.example", "https://cache.example"),
    ],
)
def test_a_url_without_a_scheme_is_refused_with_a_proposal(url: str, proposal: str) -> None:
    message = refusal(lambda: checked_base_url(url))
    assert message.startswith("The server URL ")
    assert message.endswith(f" has no scheme; write for example {proposal!r}")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://", "'https://' names no host"),
        ("https:///prefix", "'https:///prefix' names no host"),
        ("http://:8080", "'http://:8080' names no host"),
        ("https://cache.example:99999", "'https://cache.example:99999' has a host or a port that is not valid"),
        ("https://cache.example/?a=1", "'https://cache.example/' has a query or a fragment"),
        ("https://cache.example?", "'https://cache.example' has a query or a fragment"),
        ("https://cache.example/#a", "'https://cache.example/' has a query or a fragment"),
        ("https://cache.example#", "'https://cache.example' has a query or a fragment"),
        ("https://user@cache.example", "'https://cache.example' carries user information"),
        ("embedded://user:x@data", "'embedded://data' carries user information"),
    ],
)
def test_a_url_that_requests_cannot_go_to_is_refused_in_words(url: str, problem: str) -> None:
    assert refusal(lambda: checked_base_url(url)).startswith(f"The server URL {problem}")


@pytest.mark.parametrize("url", ["https://cache.example:port", "https://cache.example:-1", "https://[::1", "http://a]"])
def test_a_url_whose_host_or_port_cannot_be_read_is_refused(url: str) -> None:
    message = refusal(lambda: checked_base_url(url))
    assert message.endswith(" has a host or a port that is not valid")


@pytest.mark.parametrize("character", [" ", "\n", "\r", "\t", "\0", "\x1f", "\x7f", "\x85", "\xa0", "\u2028", "\ud800"])
@pytest.mark.parametrize("place", ["https://cache{}.example", "https://cache.example/{}", "https://cache.example{}"])
def test_a_url_with_white_space_or_a_control_character_is_refused(place: str, character: str) -> None:
    message = refusal(lambda: checked_base_url(place.format(character)))
    assert message.endswith("contains white space or a control character")


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{HIDDEN}@cache.example",
        f"https://{HIDDEN}@cache.example/prefix",
        f"https://user:{HIDDEN}@cache.example:99999",
        f"https://user:{HIDDEN}@cache.example\n",
        f"https://user:{HIDDEN}@",
        f"https://user:{HIDDEN}[@cache.example",
        f"https://user:{HIDDEN}/x@cache.example",
        f"https://user:{HIDDEN}?x@cache.example",
        f"https://user:{HIDDEN}#x@cache.example",
        f"https://user:{HIDDEN}\uff20cache.example",
        f"https:///user:{HIDDEN}@cache.example",
        f"https:user:{HIDDEN}@cache.example",
        f"user:{HIDDEN}@cache.example",
        f"user:{HIDDEN}@cache.example/prefix",
        f"user:{HIDDEN}?x@cache.example",
        f"//user:{HIDDEN}@cache.example",
        f"https://cache.example/?key={HIDDEN}",
        f"https://cache.example/#{HIDDEN}",
    ],
)
def test_a_refused_url_shows_no_credential(url: str) -> None:
    assert HIDDEN not in refusal(lambda: checked_base_url(url))


@given(st.text() | st.text("ab:/?#@[]1", max_size=12).map("https://".__add__))
def test_a_url_is_taken_or_refused_whatever_it_is(url: str) -> None:
    try:
        base = checked_base_url(url)
    except ConfigurationError:
        return
    assert "?" not in base
    assert "#" not in base
    assert checked_base_url(base) == base


# Cache ids


@pytest.mark.parametrize("cache_id", ["c1", "a/b", "..", " ", "\xfc"])
def test_every_string_that_is_not_empty_is_a_cache_id(cache_id: str) -> None:
    assert checked_cache_id(cache_id) == cache_id


@pytest.mark.parametrize("cache_id", [None, ""])
def test_a_missing_cache_id_is_refused_with_what_to_do(cache_id: object) -> None:
    assert refusal(lambda: checked_cache_id(cache_id)) == (
        "No cache id: give LangCache(cache_id=...) or set LANGCACHE_CACHE_ID"
    )


@pytest.mark.parametrize("cache_id", [1, b"c1", ["c1"]])
def test_a_cache_id_that_is_no_string_is_refused(cache_id: object) -> None:
    assert refusal(lambda: checked_cache_id(cache_id)) == f"cache_id must be a string, not {type(cache_id).__name__}"


# Headers


def test_good_headers_are_returned_as_they_are() -> None:
    headers = {"X-One": "1", "Authorization": f"Bearer {HIDDEN}", "x-two": "caf\xe9"}
    assert checked_headers(headers) is headers


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        (
            {"X-One": f"{HIDDEN}\n"},
            "the value of the header 'X-One' contains a line break at position 9 of 10; strip it",
        ),
        (
            {"X-One": f"{HIDDEN}\r\nX-Evil: 1"},
            "the value of the header 'X-One' contains a line break at position 9 of 20",
        ),
        ({"X-One": f"{HIDDEN}\u20ac"}, "the value of the header 'X-One' contains U+20AC at position 9, which"),
        ({"X-One": f"{HIDDEN}\0"}, "the value of the header 'X-One' contains U+0000 at position 9, which"),
        ({"X-One": None}, "the value of the header 'X-One' must be a string, not NoneType"),
        ({"X-One": HIDDEN.encode()}, "the value of the header 'X-One' must be a string, not bytes"),
        ({"X-One": 1}, "the value of the header 'X-One' must be a string, not int"),
        ({"": "1"}, "the header name '' must be one or more letters, digits or any of"),
        ({"X One": "1"}, "the header name 'X One' must be one or more letters, digits or any of"),
        ({"X\r\nEvil": "1"}, "the header name 'X\\r\\nEvil' must be one or more letters, digits or any of"),
        ({"caf\xe9": "1"}, "the header name 'caf\xe9' must be one or more letters, digits or any of"),
        ({1: "1"}, "the header name 1 must be a string, not int"),
        ({"Content-Length": "1"}, "the header 'Content-Length' is set by the transport and cannot be given"),
        ({"transfer-encoding": "x"}, "the header 'transfer-encoding' is set by the transport and cannot be given"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused_without_its_value(headers: Any, words: str) -> None:
    message = refusal(lambda: checked_headers({"Accept": "*/*", **headers}))
    assert message.startswith(f"http_headers: {words}")
    assert HIDDEN not in message


# Retries


def test_a_backoff_strategy_and_a_retry_config_take_their_parts_by_position() -> None:
    backoff = BackoffStrategy(1, 50, 1.1, 100)
    assert backoff == BackoffStrategy(
        initial_interval=1, max_interval=50, exponent=1.1, max_elapsed_time=100, jitter_ms=None
    )
    assert BackoffStrategy(1, 50, 1.1, 100, 7).jitter_ms == 7
    config = RetryConfig("backoff", backoff, False)
    assert config == RetryConfig(
        strategy="backoff", backoff=backoff, retry_connection_errors=False, status_codes_override=None
    )
    assert RetryConfig("none", backoff, True, ["5XX"]).status_codes_override == ["5XX"]


@pytest.mark.parametrize("name", ["initial_interval", "max_interval", "exponent", "max_elapsed_time", "jitter_ms"])
@pytest.mark.parametrize("number", [-1, -0.5, float("nan"), float("inf"), "1", True])
def test_a_backoff_that_cannot_be_is_refused_before_any_failure(name: str, number: Any) -> None:
    good: dict[str, Any] = {"initial_interval": 1, "max_interval": 50, "exponent": 1.1, "max_elapsed_time": 100}
    assert BackoffStrategy(**good, jitter_ms=0).jitter_ms == 0
    with pytest.raises(ValueError, match=f"{name} must be a number of 0 or more, not "):
        BackoffStrategy(**{**good, name: number})


@pytest.mark.parametrize("headers", [[("X-A", "a")], "X-A: a", 5])
def test_headers_that_are_no_mapping_are_refused(headers: Any) -> None:
    with pytest.raises(ConfigurationError, match="http_headers must be a mapping of names to values, not"):
        checked_headers(headers)


@pytest.mark.parametrize("url", [" https://cache.example", "1http://x", "-://x", "://x"])
def test_what_is_no_scheme_is_left_to_the_first_call(url: str) -> None:
    assert scheme_of(url) == ""


@pytest.mark.parametrize("value", [None, UNSET, Unset(), RETRIES])
def test_what_may_stand_for_retries_is_returned_as_it_is(value: Any) -> None:
    assert checked_retries("retries", value) is value


@pytest.mark.parametrize("value", [3, True, "backoff", {"strategy": "backoff"}, BackoffStrategy(1, 50, 1.1, 100)])
@pytest.mark.parametrize("name", ["retries", "retry_config"])
def test_what_is_no_retry_config_is_refused_with_an_example(name: str, value: Any) -> None:
    assert refusal(lambda: checked_retries(name, value)) == (
        f"{name} must be a RetryPolicy or a RetryConfig, or None for no repetition, not {type(value).__name__}; "
        "for example RetryPolicy(max_attempts=3), or "
        'RetryConfig("backoff", BackoffStrategy(500, 60000, 1.5, 3600000), True)'
    )


def test_a_client_is_refused_what_is_no_retry_config() -> None:
    assert refusal(lambda: settings(retry_config=3)).startswith("retry_config must be a RetryPolicy or a RetryConfig")


# UNSET


def test_unset_is_false_and_names_itself() -> None:
    assert not UNSET
    assert bool(UNSET) is False
    assert repr(UNSET) == "Unset()"
    assert UNSET is not None


@pytest.mark.parametrize("value", [copy.copy(UNSET), copy.deepcopy(UNSET), pickle.loads(pickle.dumps(UNSET))])  # noqa: S301
def test_a_copy_of_unset_still_says_unset(value: Unset) -> None:
    assert settings(retry_config=value).retry_config is None
    assert not value


def test_retry_configurations_are_values() -> None:
    """Equal where their numbers are, and keys of dicts and caches."""
    again = RetryConfig("backoff", BackoffStrategy(1, 50, 1.1, 100), False, ["503"])
    same = RetryConfig("backoff", BackoffStrategy(1, 50, 1.1, 100), False, ["503"])
    assert again == same
    assert len({again, same}) == 1


# What transports are told


def options(**told: Any) -> TransportOptions:
    """Return the options of a client with these arguments."""
    arguments: dict[str, Any] = dict.fromkeys(
        ("client", "async_client", "tls", "proxy", "no_proxy", "connect_timeout_ms", "idle_timeout_ms")
    )
    arguments |= {"max_response_bytes": None, "pool_size": 32, "trust_env": False, **told}
    return read_transport_options(**arguments)


def test_without_arguments_the_defaults_hold() -> None:
    assert options() == TransportOptions()


def test_milliseconds_become_seconds() -> None:
    told = options(connect_timeout_ms=250, idle_timeout_ms=1500, max_response_bytes=1000)
    assert (told.connect_timeout, told.idle_timeout, told.max_response_bytes) == (0.25, 1.5, 1000)
    assert set(told.given) == {"connect_timeout_ms", "idle_timeout_ms", "max_response_bytes"}
    assert (options(connect_timeout_ms=0).connect_timeout, options(idle_timeout_ms=0).idle_timeout) == (None, 0.0)


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"connect_timeout_ms": -1}, "connect_timeout_ms must be 0 (no limit) to"),
        ({"connect_timeout_ms": "1"}, "connect_timeout_ms must be a number of milliseconds, not str"),
        ({"idle_timeout_ms": float("nan")}, "idle_timeout_ms must be 0 (connections are not used again) to"),
        ({"idle_timeout_ms": True}, "idle_timeout_ms must be a number of milliseconds, not bool"),
        ({"max_response_bytes": 0}, "max_response_bytes must be a whole number of 1 or more, not 0"),
        ({"max_response_bytes": 1.5}, "max_response_bytes must be a whole number of 1 or more, not 1.5"),
        ({"proxy": 1}, "proxy must be a URL, not int"),
        ({"proxy": "ftp://proxy.example"}, "A proxy's URL is not valid"),
        ({"no_proxy": [1]}, "no_proxy must be hosts"),
        ({"tls": "ca.pem"}, "tls must be a TLSConfig, not str"),
    ],
)
def test_options_that_cannot_work_are_refused_in_words(told: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(problem)):
        options(**told)


def test_an_argument_stands_before_the_environments_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://env.example:3128")
    monkeypatch.setenv("http_proxy", "http://env.example:3128")
    monkeypatch.setenv("no_proxy", "direct.example")
    told = options(trust_env=True)
    assert told.proxy_for("http://cache.example/") == "http://env.example:3128"
    assert told.proxy_for("http://direct.example/") is None
    told = options(trust_env=True, proxy="http://user:pw@own.example:3128")
    assert told.proxy_for("https://cache.example/") == "http://user:pw@own.example:3128"
    assert told.proxy_for("http://direct.example/") is None
    told = options(trust_env=True, no_proxy=["cache.example", "other.example"])
    assert told.proxy_for("http://cache.example/") is None
    assert told.proxy_for("http://direct.example/") == "http://env.example:3128"
    assert options(trust_env=False).proxy_for("http://cache.example/") is None
    assert "pw" not in repr(told)


@pytest.mark.parametrize(
    ("where", "of_what"),
    [({"server_url": "embedded://"}, "embedded data plane"), ({"transport": EmbeddedTransport()}, "is there already")],
)
@pytest.mark.parametrize("told", [{"proxy": "http://proxy.example"}, {"tls": TLSConfig()}, {"idle_timeout_ms": 1}])
def test_an_option_that_nothing_would_look_at_is_refused(
    where: dict[str, Any], of_what: str, told: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError, match=of_what) as caught:
        LangCache(cache_id="c", **where, **told)
    assert next(iter(told)) in str(caught.value)


@pytest.mark.parametrize(
    ("given_url", "url"),
    [
        ("https://x/a/../b", "https://x/b"),
        ("https://x/a/./b/..", "https://x/a"),
        ("https://x/../..", "https://x"),
        ("https://x/{name}", "https://x/%7Bname%7D"),
        ("https://x/pr\u00e4fix", "https://x/pr%C3%A4fix"),
        ("https://x/a%2Fb/%7e;v=1,2@:$&'()*+!~", "https://x/a%2Fb/%7e;v=1,2@:$&'()*+!~"),
        ("https://x//a//b//", "https://x//a//b"),
        ("embedded://", "embedded://"),
        ("embedded:///x", "embedded:///x"),
    ],
)
def test_the_path_of_a_url_is_sent_as_a_path_can_be(given_url: str, url: str) -> None:
    """RFC 3986, sections 2.4 and 5.2.4."""
    assert checked_base_url(given_url) == url
