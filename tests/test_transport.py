"""The neutral options of transports."""

from __future__ import annotations

import pytest

from langcache import TransportOptions
from langcache.errors import ConfigurationError

PROXIES = {"http": "http://plain.example:3128", "https": "http://secure.example:3128"}


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://cache.example/v1", "http://plain.example:3128"),
        ("https://cache.example:8443/v1", "http://secure.example:3128"),
        ("embedded:///v1", None),
    ],
)
def test_the_proxy_is_the_one_of_the_urls_scheme(url: str, proxy: str | None) -> None:
    assert TransportOptions(proxies=PROXIES).proxy_for(url) == proxy
    assert TransportOptions().proxy_for(url) is None


def test_a_proxy_for_all_serves_the_schemes_that_have_none_of_their_own() -> None:
    options = TransportOptions(proxies={"all": "http://any.example", "http": "http://plain.example"})
    assert options.proxy_for("http://x/") == "http://plain.example"
    assert options.proxy_for("https://x/") == "http://any.example"


@pytest.mark.parametrize(
    ("exceptions", "host", "direct"),
    [
        ("cache.example", "cache.example", True),
        ("CACHE.example", "Cache.Example", True),
        ("example", "cache.example", True),
        (".example", "cache.example", True),
        ("ample", "cache.example", False),
        ("other.example, cache.example", "cache.example", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("*", "cache.example", True),
        ("cache.example:8443", "cache.example", True),
        ("cache.example:443", "cache.example", False),
        ("https://cache.example", "cache.example", True),
        ("http://cache.example", "cache.example", False),
        ("all://cache.example:8443", "cache.example", True),
        ("*.example", "cache.example", True),
        ("[::1]", "[::1]", True),
        ("::1", "[::1]", True),
        ("cache.example:port", "cache.example", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "cache.example", False),
        ("fd00::/8", "[fd00::1]", True),
        ("10.0.0.0/99", "10.1.2.3", False),
        ("", "cache.example", False),
        (",", "cache.example", False),
    ],
)
def test_hosts_that_need_no_proxy(exceptions: str, host: str, direct: bool) -> None:
    options = TransportOptions(proxies={**PROXIES, "no": exceptions})
    assert (options.proxy_for(f"https://{host}:8443/v1") is None) is direct


@pytest.mark.parametrize("proxy", ["http://user:s3cret@", "http://user:s3c/ret@host", "http://host:port", "s3cret:pw@"])
def test_a_proxy_that_cannot_be_is_refused_and_not_shown(proxy: str) -> None:
    with pytest.raises(ConfigurationError, match="A proxy's URL is not valid") as caught:
        TransportOptions(proxies={"http": proxy}).proxy_for("http://cache.example/")
    assert "s3c" not in str(caught.value)


def test_the_repr_shows_no_credentials_of_a_proxy() -> None:
    assert "secret" not in repr(TransportOptions(proxies={"http": "http://user:secret@proxy.example"}))
