"""HTTP as this package sees it: frozen requests and responses that know no HTTP library.

`Request` and `Response` are the whole seam between the client and a transport. Their ``repr`` never shows
a credential or a body, so they are safe in logs, assertions and tracebacks.
"""

from __future__ import annotations

import json
import re
from collections.abc import ItemsView, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar, cast, overload

T = TypeVar("T")

_SECRET_NAME = re.compile(
    "auth|bearer|cookie|credential|jwt|key|pass|pwd|salt|secret|session|signature|token", re.IGNORECASE
)
_SECRET_WORD = re.compile("(?<![A-Za-z])(pin|PIN|pw|PW)(?![a-z])|(?<![A-Z])P(in|IN|w|W)(?![a-z])")  # but no "mapping"
_QUERY = re.compile("[?#].*", re.DOTALL)
_SCHEME = re.compile("([A-Za-z][A-Za-z0-9+.-]*:)?//")
# RFC 3986, section 3.2.2 and 3.2.3: what is before a colon that no port follows may be a user's name.
_HOST = re.compile(r"([^:]*|\[.*\])(:[0-9]*)?")
_PASSWORD = re.compile(":[^/:]*@")  # behind one slash too many, user information looks like a path
# The encodings of text; Python's own ones besides, such as unicode_escape, are not for strangers to choose.
_TEXT = re.compile("(utf|iso|latin|ascii|us-ascii|windows|cp|shift|sjis|euc|gb|big5|koi8|mac)", re.IGNORECASE)
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s;\"]+)", re.IGNORECASE)
# RFC 9110, section 5.6.2 (token) and section 5.5 (field-value, without the obsolete folding).
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding"})
"""The headers, in lower case, that say where a body ends: the transport's to set (RFC 9112, section 6)."""


def status_phrase(status: int) -> str:
    """Return the phrase of an HTTP status ("Not Found"), or "" where it has none."""
    from http import HTTPStatus  # on first use: most programs see no error

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def is_secret_name(name: str) -> bool:
    """Say whether what is called `name` may be a credential, and so is not to be shown."""
    return _SECRET_NAME.search(name) is not None or _SECRET_WORD.search(name) is not None


def header_value_problem(value: object) -> str | None:
    """Say why `value` cannot be sent as a header's value (RFC 9110, section 5.5), or None where it can.

    The sentence never contains the value, so it can be shown for a credential too.
    """
    if not isinstance(value, str):
        return f"must be a string, not {type(value).__name__}"
    if value != value.strip(" \t"):
        return "begins or ends with white space, which is not part of a header; strip it"
    if _HEADER_VALUE.fullmatch(value):
        return None
    for position, character in enumerate(value):
        if character in "\r\n":
            return f"contains a line break at position {position} of {len(value)}; strip it"
        if not _HEADER_VALUE.fullmatch(character):
            return f"contains U+{ord(character):04X} at position {position}, which HTTP headers cannot carry"
    raise AssertionError("unreachable: a value that does not match has a character that does not match")


def header_name_problem(name: object) -> str | None:
    """Say why `name` is not a header's name (RFC 9110, section 5.1), or None where it is one."""
    if not isinstance(name, str):
        return f"must be a string, not {type(name).__name__}"
    if _HEADER_NAME.fullmatch(name):
        return None
    return "must be one or more letters, digits or any of !#$%&'*+-.^_`|~"


def headers_problem(headers: Mapping[str, str]) -> str | None:
    """Name the first of `headers` that cannot be sent and say why, without its value, or None where all can."""
    for name, value in headers.items():
        problem = header_name_problem(name)
        if problem is not None:
            return f"the header name {name!r} {problem}"
        problem = header_value_problem(value)
        if problem is not None:
            return f"the value of the header {name!r} {problem}"
    return None


class Headers(Mapping[str, str]):
    """A frozen, case-insensitive mapping of header names to values.

    Values that share a name are joined by a comma and a space (RFC 9110, section 5.3). ``repr`` hides the
    values of credentials and cookies.
    """

    __slots__ = ("_items",)

    def __init__(self, headers: HeadersLike = ()) -> None:
        self._items: dict[str, tuple[str, str]] = {}
        if isinstance(headers, Headers):
            self._items.update(headers._items)
        elif isinstance(headers, Mapping):
            self._add(cast("Mapping[str, str]", headers).items())
        else:
            self._add(headers)

    def _add(self, pairs: Iterable[tuple[str, str]]) -> None:
        for name, value in pairs:
            key = name.lower()
            if key in self._items:
                first_name, first_value = self._items[key]
                self._items[key] = (first_name, f"{first_value}, {value}")
            else:
                self._items[key] = (name, value)

    def merged(self, headers: Mapping[str, str]) -> Headers:
        """Return a copy in which `headers` replace those of the same name, whatever their case."""
        copy = Headers.__new__(Headers)
        copy._items = dict(self._items)
        if type(headers) is Headers:
            copy._items.update(headers._items)
        else:
            for name, value in headers.items():
                copy._items[name.lower()] = (name, value)
        return copy

    def lowered(self) -> Headers:
        """Return a copy whose names are in lower case."""
        copy = Headers.__new__(Headers)
        copy._items = {key: (key, value) for key, (_, value) in self._items.items()}
        return copy

    def as_dict(self) -> dict[str, str]:
        """Return a new plain dict of the names, as they were given, to the values."""
        return dict(self._items.values())

    def items(self) -> ItemsView[str, str]:
        """Return the names, as they were given, with the values."""
        return self.as_dict().items()

    def pairs(self) -> Iterable[tuple[str, str]]:
        """Return the same as `items`, in no copy, for those who only go through them."""
        return self._items.values()

    def folded(self) -> Iterable[str]:
        """Return the names in lower case; this is not copied."""
        return self._items.keys()

    def __getitem__(self, name: str) -> str:
        if name not in self:
            raise KeyError(name)
        return self._items[name.lower()][1]

    @overload
    def get(self, key: str, /) -> str | None: ...
    @overload
    def get(self, key: str, /, default: str | T) -> str | T: ...
    def get(self, key: str, /, default: Any = None) -> Any:
        """Return the value of that name, or `default`; unlike the inherited one, it raises and catches nothing."""
        item = self._items.get(key.lower())
        return default if item is None else item[1]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._items

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        given = cast("Mapping[object, object]", other).items()
        return self._folded() == {name.lower() if isinstance(name, str) else name: value for name, value in given}

    def __hash__(self) -> int:
        return hash(frozenset(self._folded().items()))

    def _folded(self) -> dict[object, object]:
        """Give the items with lower-case names, for comparing."""
        return {key: value for key, (_, value) in self._items.items()}

    def shown(self) -> dict[str, str]:
        """Return a new plain dict in which the values of credentials and cookies are hidden."""
        return {name: "***" if is_secret_name(key) else value for key, (name, value) in self._items.items()}

    def __repr__(self) -> str:
        return f"Headers({self.shown()!r})"


def _lowered(headers: HeadersLike) -> Headers:
    """Return `headers` with their names in lower case; those that transports hand in, which are a list, in one go."""
    if type(headers) is not list:
        return Headers(headers).lowered()
    lowered = Headers.__new__(Headers)
    items: dict[str, tuple[str, str]] = {}
    for name, value in cast("list[tuple[str, str]]", headers):
        key = name.lower()
        items[key] = (key, f"{items[key][1]}, {value}" if key in items else value)
    lowered._items = items  # pyright: ignore[reportPrivateUsage]
    return lowered


_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-amzn-requestid", "x-correlation-id")


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """Return the service's id for an exchange, from the `headers` of its answer; None where it sent none."""
    return next((headers[name] for name in _REQUEST_ID_HEADERS if name in headers), None)


NO_HEADERS = Headers()
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})

HeadersLike = Mapping[str, str] | Iterable[tuple[str, str]]
"""What headers may be given as; values that share a name are joined."""


@dataclass(frozen=True, init=False, repr=False)
class Request:
    """One HTTP request, ready for a transport. It is frozen: a change returns a copy.

    `content` is the body in bytes, or None for no body. `timeout` is the number of seconds that this attempt
    may take, or None for no limit. `operation` names what is being done (``"search"``), and `idempotent`
    says whether doing it twice has the effect of doing it once. `options` carries what the caller set for
    this call alone (``retries`` and the like) to the middleware that reads it; it is never sent.
    """

    method: str
    url: str
    headers: Headers
    content: bytes | None
    timeout: float | None
    operation: str
    idempotent: bool
    options: Mapping[str, Any] = field(hash=False)

    def __init__(
        self,
        method: str,
        url: str,
        headers: HeadersLike = NO_HEADERS,
        content: bytes | None = None,
        timeout: float | None = None,
        operation: str = "",
        idempotent: bool = False,
        options: Mapping[str, Any] = NO_OPTIONS,
    ) -> None:
        # Written out, as in Response, because it takes headers in any form and keeps `Headers`.
        self.__dict__.update(
            method=method,
            url=url,
            headers=headers if type(headers) is Headers else Headers(headers),
            content=content,
            timeout=timeout,
            operation=operation,
            idempotent=idempotent,
            options=options,
        )

    def replace(self, **changes: Any) -> Request:
        """Return a copy with these attributes instead, which must be of the types that they have."""
        return _copied(self, changes)

    def with_headers(self, headers: Mapping[str, str]) -> Request:
        """Return a copy that also carries `headers`; they replace those of the same name."""
        return _copied(self, {"headers": self.headers.merged(headers)})

    def with_url(self, url: str) -> Request:
        """Return a copy that goes to `url`."""
        return _copied(self, {"url": url})

    def with_timeout(self, seconds: float | None) -> Request:
        """Return a copy that may take `seconds` for this attempt, or any time for None."""
        return _copied(self, {"timeout": seconds})

    def with_options(self, **options: Any) -> Request:
        """Return a copy that also has these `options`; they replace those of the same name."""
        return _copied(self, {"options": {**self.options, **options}})

    def json(self) -> Any:
        """Return the body parsed as JSON; raises ValueError where it is none."""
        return json.loads(self.content or b"")

    def with_json(self, value: Any) -> Request:
        """Return a copy whose body is `value` in JSON."""
        return _copied(self, {"content": json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()})

    def __reduce__(self) -> tuple[Any, ...]:
        # The options are this call's alone, and may hold what cannot be pickled.
        return Request, (
            self.method, self.url, self.headers, self.content, self.timeout, self.operation, self.idempotent,
        )  # fmt: skip

    def __repr__(self) -> str:
        content = None if self.content is None else f"<{len(self.content)} bytes>"
        return (
            f"Request({self.method!r}, {display_url(self.url)!r}, headers={self.headers!r}, content={content}, "
            f"timeout={self.timeout!r}, operation={self.operation!r})"
        )


@dataclass(frozen=True, init=False, repr=False)
class Response:
    """One complete HTTP response: the status, the headers and the decoded body in bytes.

    The names of the headers are in lower case: programs make dicts of them. `native` is the HTTP library's own
    response object where there is one. `extensions` is what middleware tells of how the response came about: how
    many ``attempts`` it took, the ``request_id`` that was sent, and under ``degraded`` the error in whose place it
    stands, where the service gave none. Both are left out of comparisons, copies and pickles.
    """

    status_code: int
    headers: Headers
    content: bytes
    native: Any = field(compare=False)
    extensions: Mapping[str, Any] = field(compare=False)

    def __init__(
        self,
        status_code: int,
        headers: HeadersLike = NO_HEADERS,
        content: bytes = b"",
        native: Any = None,
        extensions: Mapping[str, Any] = NO_OPTIONS,
    ) -> None:
        self.__dict__.update(
            status_code=status_code,
            headers=_lowered(headers),
            content=content,
            native=native,
            extensions=extensions,
        )

    def with_extensions(self, **extensions: Any) -> Response:
        """Return a copy that also has these `extensions`; they replace those of the same name."""
        return _copied(self, {"extensions": {**self.extensions, **extensions}})

    @property
    def text(self) -> str:
        """The body as text, in the charset of its content type or else UTF-8; undecodable bytes are replaced."""
        named = _CHARSET.search(self.headers.get("content-type", ""))
        charset = named.group(1) if named and _TEXT.match(named.group(1)) else "utf-8"
        try:
            return self.content.decode(charset, "replace")
        except (LookupError, ValueError):  # a charset that Python does not know, or that is no text encoding
            return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the body parsed as JSON; raises ValueError where it is none, or is nested too deeply."""
        try:
            return json.loads(self.content)
        except RecursionError:
            raise ValueError("the body is nested too deeply to be read as JSON") from None

    def __reduce__(self) -> tuple[Any, ...]:
        return Response, (self.status_code, self.headers, self.content)

    def __repr__(self) -> str:
        return f"<Response [{self.status_code}], {len(self.content)} bytes>"


FrozenT = TypeVar("FrozenT", Request, Response)


def _copied(value: FrozenT, changes: Mapping[str, Any]) -> FrozenT:
    """Return a copy with `changes`; unlike dataclasses.replace it does nothing else, which is several times faster."""
    copy = object.__new__(type(value))
    members = copy.__dict__
    members.update(value.__dict__)
    members.update(changes)
    return copy


def display_url(url: str) -> str:
    """Return `url` as it may be shown: without user information and query, which can carry credentials.

    It errs on the safe side: of a malformed URL, nothing is shown that could be part of a password.
    """
    start = _SCHEME.match(url)
    scheme = start.group() if start else ""
    authority, slash, path = _QUERY.sub("", url[len(scheme) :]).partition("/")
    host = authority.rpartition("@")[2]
    return scheme + (host + slash + path if _HOST.fullmatch(host) and not _PASSWORD.search(path) else "...")
