"""What a client was told: frozen settings, checked in words; the environment is read here and nowhere else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Final, TypeVar, Union
from urllib.parse import SplitResult, quote, urlsplit

from .credentials import ApiKey, KeyProvider
from .errors import ConfigurationError
from .http import FRAMING_HEADERS, display_url, header_name_problem, headers_problem
from .logs import WARN
from .logs import Logger as Logger
from .policies import (
    KNOWN_STRATEGIES,
    LONGEST_MS,
    BreakerPolicy,
    HitSavings,
    OnFailure,
    RetryConfig,
    RetryPolicy,
    retry_config_problem,
)
from .secret import Secret, SecretText, hidden, wrong_type
from .tls import AUTHORITY_VARIABLES, TLSConfig
from .transport import (
    DEFAULT_IDLE_TIMEOUT,
    DEFAULT_MAX_RESPONSE_BYTES,
    Proxies,
    TransportOptions,
    checked_proxy,
)

DEFAULT_TIMEOUT_MS: Final = 10_000
"""How long an attempt may take, in milliseconds, where nothing else is said."""

DEFAULT_REQUEST_ID_HEADER: Final = "X-Request-ID"
"""The header that carries a call's id where nothing else is said."""

DEFAULT_TRANSPORT: Final = "urllib3"
"""The transport for HTTP where nothing else is said."""

_SCHEME = re.compile("([A-Za-z][A-Za-z0-9+.-]*)://")  # RFC 3986, section 3.1
_HTTP_SCHEMES = ("http", "https")
_PATH_CHARACTERS = "/%:@!$&'()*+,;=~"  # beside letters, digits and "-._"
_OFF = ("", "0", "false", "no", "off")
# What servers, proxies and HTTP libraries act on; an id there would change what becomes of the request.
_RESERVED_HEADERS = (
    "accept", "accept-encoding", "authorization", "connection", "content-encoding", "content-type", "cookie", "expect",
    "host", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "keep-alive",
    "max-forwards", "proxy-authorization", "proxy-connection", "range", "te", "trailer", "upgrade", "user-agent",
)  # fmt: skip

T = TypeVar("T")


class Unset:
    """The type of `UNSET`."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "Unset()"


UNSET: Final = Unset()
"""Says that an argument was not given, where None has a meaning of its own."""

OptionalNullable = Union[T, None, Unset]
"""An argument for which None and "not given" differ."""

Retries = OptionalNullable[Union[RetryConfig, RetryPolicy]]
"""How failed calls are repeated: None for not at all."""


@dataclass(frozen=True)
class Settings:
    """Everything that a client was told; plugins are given it when the client is built."""

    # Neither is shown: until the first call checks it, the URL can carry credentials too.
    server_url: str | None = field(default=None, repr=False)
    cache_id: str | None = None
    api_key: Secret | KeyProvider = field(default_factory=lambda: api_key_from_environment, repr=False)
    timeout: float | None = DEFAULT_TIMEOUT_MS / 1000
    """How long an attempt may take, in seconds; None for no limit."""
    timeout_ms: float | None = None
    """The same in milliseconds as the caller gave it; None where it is the default."""
    deadline: float | None = None
    """How long a call may take, in seconds, with everything that it does; None for no limit."""
    retry_config: RetryConfig | RetryPolicy | None = None
    breaker: BreakerPolicy | None = None
    on_failure: OnFailure = "raise"
    request_id_header: str | None = DEFAULT_REQUEST_ID_HEADER
    """The header that carries a call's id, or None where it is not sent."""
    hit_saves: HitSavings | None = None
    """What a hit saves, for the estimate in the statistics."""
    debug_logger: Logger | None = None
    debug: bool = False
    """Whether the environment asks for the debug log on standard error."""
    own_client: bool = False
    """Whether sync calls are sent with an HTTP client of the caller's, which may bring the authentication."""
    own_async_client: bool = False
    """The same for async calls."""

    @property
    def is_http(self) -> bool:
        """Whether calls go over HTTP, and so need a key, as they do where the URL names no other scheme."""
        return scheme_of(self.server_url) in ("", *_HTTP_SCHEMES)

    @property
    def transport_name(self) -> str:
        """The name of the transport to use where the caller chooses none: the URL's scheme stands for one."""
        return DEFAULT_TRANSPORT if self.is_http else scheme_of(self.server_url)


def scheme_of(server_url: object) -> str:
    """Return a URL's scheme in lower case, or "" where it has none."""
    start = _SCHEME.match(server_url) if isinstance(server_url, str) else None
    return start.group(1).lower() if start else ""


def read_settings(
    server_url: str | None = None,
    api_key: ApiKey | KeyProvider | None = None,
    cache_id: str | None = None,
    retry_config: Retries = UNSET,
    timeout_ms: float | None = None,
    debug_logger: Logger | None = None,
    *,
    deadline_ms: float | None = None,
    breaker: OptionalNullable[BreakerPolicy] = UNSET,
    on_failure: OnFailure = "raise",
    request_id_header: str | None = DEFAULT_REQUEST_ID_HEADER,
    hit_saves: HitSavings | None = None,
    own_client: bool = False,
    own_async_client: bool = False,
) -> Settings:
    """Combine a client's arguments with the environment.

    The URL, the key and the cache id are checked by the first call, as programs rely on; the rest is checked here.
    """
    api_key = hidden(api_key)
    checked_retries("retry_config", retry_config)
    checked_breaker(breaker)
    return Settings(
        server_url=os.environ.get("LANGCACHE_SERVER_URL") if server_url is None else server_url,
        cache_id=os.environ.get("LANGCACHE_CACHE_ID") if cache_id is None else cache_id,
        api_key=_key_source(api_key),
        timeout=seconds(DEFAULT_TIMEOUT_MS if timeout_ms is None else timeout_ms),
        timeout_ms=timeout_ms,
        deadline=None if deadline_ms is None else deadline(deadline_ms),
        retry_config=None if isinstance(retry_config, Unset) else retry_config,
        breaker=None if isinstance(breaker, Unset) else breaker,
        on_failure=checked_on_failure(on_failure),
        request_id_header=_checked_request_id_header(request_id_header),
        hit_saves=_checked_hit_saves(hit_saves),
        debug_logger=debug_logger,
        debug=_is_on("LANGCACHE_DEBUG"),
        own_client=own_client,
        own_async_client=own_async_client,
    )


def environment_plugins() -> list[str]:
    """Return the names of plugins that LANGCACHE_PLUGINS lists, separated by commas."""
    listed = (name.strip() for name in os.environ.get("LANGCACHE_PLUGINS", "").split(","))
    return [name for name in listed if name]


def plugins_are_disabled() -> bool:
    """Say whether LANGCACHE_DISABLE_PLUGINS turns all plugins off that are not built in."""
    return _is_on("LANGCACHE_DISABLE_PLUGINS")


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() not in _OFF


def api_key_from_environment() -> str | None:
    """Return the API key that LANGCACHE_API_KEY holds now, or None."""
    return os.environ.get("LANGCACHE_API_KEY")


def _key_source(api_key: Secret | KeyProvider | None) -> Secret | KeyProvider:
    """Return what gives the key: None is the environment."""
    if api_key is None:
        return api_key_from_environment
    wrong = None if callable(api_key) else wrong_type(api_key)
    if wrong is not None:
        raise ConfigurationError(f"api_key must be a string, a SecretStr or a callable that returns one, not {wrong}")
    return api_key


def checked_retries(name: str, value: Retries) -> Retries:
    """Return the argument `name`; raises ConfigurationError where it is no retry configuration, or cannot work."""
    if value is None or isinstance(value, (RetryPolicy, Unset)):
        return value
    if isinstance(value, RetryConfig):
        problem = retry_config_problem(value)
        if problem is not None:
            raise ConfigurationError(f"{name}: {problem}")
        if value.strategy not in KNOWN_STRATEGIES:
            _warn_of_strategy(name, str(value.strategy))
        return value
    raise ConfigurationError(
        f"{name} must be a RetryPolicy or a RetryConfig, or None for no repetition, not {type(value).__name__}; "
        'for example RetryPolicy(max_attempts=3), or RetryConfig("backoff", BackoffStrategy(500, 60000, 1.5, 3600000), '
        "True)"
    )


@cache
def _warn_of_strategy(name: str, strategy: str) -> None:
    """Tell, once in a process, that nothing is repeated; programs for the official SDK go on, as they do there."""
    line = '%s: nothing is repeated, because the strategy %r of the RetryConfig is not known; "backoff" repeats'
    WARN(line, name, strategy, event="unknown_strategy", strategy=strategy)


def checked_breaker(value: OptionalNullable[BreakerPolicy]) -> OptionalNullable[BreakerPolicy]:
    """Return the argument `breaker`; raises ConfigurationError where it is no such policy."""
    if value is None or isinstance(value, (BreakerPolicy, Unset)):
        return value
    raise ConfigurationError(
        f"breaker must be a BreakerPolicy, or None for none, not {type(value).__name__}; for example "
        "BreakerPolicy(consecutive_failures=5, open_ms=5000)"
    )


def checked_on_failure(value: OnFailure) -> OnFailure:
    """Return the argument `on_failure`; raises ConfigurationError where it is none."""
    if value not in ("raise", "miss"):
        raise ConfigurationError(f'on_failure must be "raise" or "miss", not {value!r}')
    return value


def _checked_hit_saves(value: HitSavings | None) -> HitSavings | None:
    if value is None or isinstance(value, HitSavings):
        return value
    raise ConfigurationError(
        f"hit_saves must be a HitSavings, not {type(value).__name__}; for example "
        'HitSavings(milliseconds=900, cost=0.002, currency="USD")'
    )


def _checked_request_id_header(name: str | None) -> str | None:
    if name is None:
        return None
    problem = header_name_problem(name)
    if problem is None and name.lower() in (*FRAMING_HEADERS, *_RESERVED_HEADERS):
        problem = "has a meaning of its own; give another one, or None for none"
    if problem is not None:
        raise ConfigurationError(f"request_id_header: the header name {name!r} {problem}")
    return name


def seconds(timeout_ms: float) -> float | None:
    """Return a timeout in seconds; 0 milliseconds mean None: no limit."""
    return _in_seconds("timeout_ms", timeout_ms, "no limit") or None


def deadline(deadline_ms: float) -> float | None:
    """Return how many seconds a call may take; 0 milliseconds mean None: no limit."""
    return _in_seconds("deadline_ms", deadline_ms, "no limit") or None


def _in_seconds(name: str, milliseconds: float, zero: str) -> float:
    """Return the argument `name` in seconds; `zero` says what 0 means."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, (int, float)):
        raise ConfigurationError(f"{name} must be a number of milliseconds, not {type(milliseconds).__name__}")
    if not 0 <= milliseconds <= LONGEST_MS:
        raise ConfigurationError(f"{name} must be 0 ({zero}) to {LONGEST_MS} milliseconds, not {milliseconds}")
    return milliseconds / 1000


def read_transport_options(
    *,
    pool_size: int,
    client: object | None,
    async_client: object | None,
    tls: TLSConfig | None,
    proxy: str | SecretText | None,
    no_proxy: str | Iterable[str] | None,
    trust_env: bool,
    connect_timeout_ms: float | None,
    idle_timeout_ms: float | None,
    max_response_bytes: int | None,
) -> TransportOptions:
    """Combine a client's arguments for its transports with the environment, unless that is not to be trusted."""
    proxy = hidden(proxy)
    if tls is not None and not isinstance(tls, TLSConfig):
        raise ConfigurationError(f"tls must be a TLSConfig, not {type(tls).__name__}")
    if tls is not None:
        tls.check()  # a certificate that cannot be used is told now, and not by the first call
    given = {
        "tls": tls,
        "proxy": proxy,
        "no_proxy": no_proxy,
        "connect_timeout_ms": connect_timeout_ms,
        "idle_timeout_ms": idle_timeout_ms,
        "max_response_bytes": max_response_bytes,
    }
    connect = 0.0 if connect_timeout_ms is None else _in_seconds("connect_timeout_ms", connect_timeout_ms, "no limit")
    idle = DEFAULT_IDLE_TIMEOUT
    if idle_timeout_ms is not None:
        idle = _in_seconds("idle_timeout_ms", idle_timeout_ms, "connections are not used again")
    chosen = TLSConfig() if tls is None else tls
    return TransportOptions(
        pool_size=pool_size,
        client=client,
        async_client=async_client,
        proxies=_proxies(proxy, no_proxy, trust_env),
        tls=chosen.with_environment(_environment_authorities()) if trust_env else chosen,
        connect_timeout=connect or None,
        idle_timeout=idle,
        max_response_bytes=DEFAULT_MAX_RESPONSE_BYTES if max_response_bytes is None else max_response_bytes,
        given=frozenset(name for name, value in given.items() if value is not None),
    )


def _proxies(proxy: Secret | None, no_proxy: str | Iterable[str] | None, trust_env: bool) -> Proxies:
    """Return the proxies by scheme, and under "no" the hosts without one; an argument replaces the environment's."""
    proxies = environment_proxies() if trust_env else Proxies()
    if proxy is not None:
        wrong = wrong_type(proxy)
        if wrong is not None:
            raise ConfigurationError(f"proxy must be a URL, not {wrong}")
        proxies = Proxies(all=checked_proxy(proxy.get_secret_value()), no=proxies.get("no", ""))
    if no_proxy is not None:
        hosts = no_proxy.split(",") if isinstance(no_proxy, str) else list(no_proxy)
        if not all(isinstance(host, str) for host in hosts):
            raise ConfigurationError("no_proxy must be hosts, as one string with commas or as several strings")
        proxies["no"] = ",".join(hosts)
    return proxies


def environment_proxies() -> Proxies:
    """Return the proxies that the environment or the system sets, by scheme, and under "no" the hosts without one."""
    from urllib.request import getproxies  # on first use: the module is large

    return Proxies(getproxies())


def _environment_authorities() -> Mapping[str, str]:
    """Return what of the environment names authorities: a traceback that held all of it would show the key."""
    return {name: os.environ[name] for name in AUTHORITY_VARIABLES if name in os.environ}


def checked_base_url(server_url: object) -> str:
    """Return `server_url` without the slash at its end; raises ConfigurationError where requests cannot go there."""
    if server_url is None or server_url == "":
        raise ConfigurationError("No server URL: give LangCache(server_url=...) or set LANGCACHE_SERVER_URL")
    if not isinstance(server_url, str):
        raise ConfigurationError(f"server_url must be a string, not {type(server_url).__name__}")
    problem = _url_problem(server_url)
    if problem is not None:
        raise ConfigurationError(f"The server URL {display_url(server_url)!r} {problem}")
    scheme, separator, rest = server_url.partition("://")
    host, slash, path = rest.partition("/")
    if slash:
        path = _normal_path(slash + path)
    # A slash at the end would be doubled by the path; those of a bare "embedded://" are its own.
    return scheme + separator + (host + path).rstrip("/")


def _normal_path(path: str) -> str:
    """Percent-encode what a path cannot hold, and resolve its dots (RFC 3986, sections 2.4 and 5.2.4)."""
    kept: list[str] = []
    for segment in quote(path, safe=_PATH_CHARACTERS).split("/"):
        if segment == "..":
            del kept[max(1, len(kept) - 1) :]  # the first is the empty one before the slash
        elif segment != ".":
            kept.append(segment)
    return "/".join(kept)


def _url_problem(url: str) -> str | None:
    scheme, separator, _ = url.partition("://")
    if not separator or not scheme:
        return f"has no scheme; write for example {display_url('https://' + url.lstrip('/:'))!r}"
    if any(character.isspace() or not character.isprintable() for character in url):
        return "contains white space or a control character"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where the port is none
    except ValueError:  # its text is not passed on: it can quote a piece of a password
        return "has a host or a port that is not valid"
    if "?" in url or "#" in url:
        return "has a query or a fragment, which a base URL cannot have"
    return _parts_problem(parts)


def _parts_problem(parts: SplitResult) -> str | None:
    if "@" in parts.netloc:
        return "carries user information, which is not sent; give credentials with api_key or http_headers"
    if parts.scheme.lower() in _HTTP_SCHEMES and not parts.hostname:
        return "names no host"
    return None


def checked_cache_id(cache_id: object) -> str:
    """Return `cache_id`; raises ConfigurationError where it is none."""
    if cache_id is None or cache_id == "":
        raise ConfigurationError("No cache id: give LangCache(cache_id=...) or set LANGCACHE_CACHE_ID")
    if not isinstance(cache_id, str):
        raise ConfigurationError(f"cache_id must be a string, not {type(cache_id).__name__}")
    return cache_id


def checked_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return the caller's `headers`; raises ConfigurationError where one of them cannot be sent."""
    problem = _headers_problem(headers)
    if problem is not None:
        del headers  # the traceback holds this frame, and the headers may hold credentials
        raise ConfigurationError(problem)
    return headers


def _headers_problem(headers: Mapping[str, str]) -> str | None:
    if not isinstance(headers, Mapping):
        return f"http_headers must be a mapping of names to values, not {type(headers).__name__}"
    problem = headers_problem(headers)
    if problem is not None:
        return f"http_headers: {problem}"
    for name in headers:
        if name.lower() in FRAMING_HEADERS:
            return f"http_headers: the header {name!r} is set by the transport and cannot be given"
    return None
