"""HTTP as the package sees it: headers, requests and responses that are frozen and keep secrets."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import re
from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache import Headers, Request, Response
from langcache.http import (
    HeadersLike,
    display_url,
    header_name_problem,
    header_value_problem,
    headers_problem,
    status_phrase,
)

HIDDEN = "sk-5ecret"
NAMES = st.text("abcXYZ-", min_size=1, max_size=4)
PAIRS = st.lists(st.tuples(NAMES, st.text(max_size=5)), max_size=8)
COPIES: tuple[Callable[[Any], Any], ...] = (
    copy.copy,
    copy.deepcopy,
    *(lambda value, protocol=protocol: pickle.loads(pickle.dumps(value, protocol)) for protocol in range(2, 6)),  # noqa: S301
)


# Headers


@pytest.mark.parametrize("name", ["content-type", "Content-Type", "CONTENT-TYPE"])
def test_a_header_is_found_whatever_the_case_of_its_name(name: str) -> None:
    headers = Headers({"Content-type": "text/plain"})
    assert headers[name] == "text/plain"
    assert headers.get(name) == "text/plain"
    assert name in headers


def test_a_missing_header_is_a_missing_key() -> None:
    headers = Headers({"a": "1"})
    with pytest.raises(KeyError):
        headers["b"]
    assert headers.get("b") is None
    assert "b" not in headers
    other: object = 1
    assert other not in headers


@pytest.mark.parametrize("given_as", [{"A": "1", "b": "2"}, [("A", "1"), ("b", "2")], Headers({"A": "1", "b": "2"})])
def test_headers_are_given_as_a_mapping_or_as_pairs(given_as: HeadersLike) -> None:
    assert Headers(given_as).as_dict() == {"A": "1", "b": "2"}


def test_headers_are_read_from_pairs_that_can_be_read_once() -> None:
    assert Headers(pair for pair in [("a", "1"), ("b", "2")]) == {"a": "1", "b": "2"}


def test_values_of_one_name_are_joined_under_the_name_that_came_first() -> None:
    headers = Headers([("Via", "a"), ("X-One", "1"), ("VIA", "b"), ("via", "c")])
    assert headers.as_dict() == {"Via": "a, b, c", "X-One": "1"}
    assert list(headers) == ["Via", "X-One"]
    assert len(headers) == 2


@given(PAIRS)
def test_every_value_is_kept_in_its_order(pairs: list[tuple[str, str]]) -> None:
    headers = Headers(pairs)
    for name, _ in pairs:
        assert headers[name.swapcase()] == ", ".join(value for other, value in pairs if other.lower() == name.lower())
    assert {name.lower() for name in headers} == {name.lower() for name, _ in pairs}
    assert len(headers) == len({name.lower() for name, _ in pairs})


def test_headers_iterate_like_a_dict_with_the_names_as_they_were_given() -> None:
    headers = Headers({"X-One": "1", "x-two": "2"})
    assert list(headers) == list(headers.keys()) == ["X-One", "x-two"]
    assert list(headers.values()) == ["1", "2"]
    assert list(headers.items()) == [("X-One", "1"), ("x-two", "2")]
    assert dict(headers) == headers.as_dict() == {"X-One": "1", "x-two": "2"}


def test_merged_headers_replace_whatever_their_case_and_leave_the_original_alone() -> None:
    original = Headers({"Accept": "text/plain", "X-One": "1"})
    merged = original.merged({"ACCEPT": "application/json", "X-Two": "2"})
    assert merged.as_dict() == {"ACCEPT": "application/json", "X-One": "1", "X-Two": "2"}
    assert original.as_dict() == {"Accept": "text/plain", "X-One": "1"}


def test_a_plain_dict_of_headers_is_a_copy() -> None:
    headers = Headers({"a": "1"})
    headers.as_dict()["a"] = "changed"
    assert headers["a"] == "1"


def test_headers_do_not_change_with_what_they_were_made_of() -> None:
    source = {"a": "1"}
    headers = Headers(source)
    source["a"] = "changed"
    assert headers["a"] == "1"


def test_headers_refuse_assignment() -> None:
    headers: Any = Headers({"a": "1"})
    with pytest.raises(TypeError):
        headers["a"] = "2"
    with pytest.raises(TypeError):
        del headers["a"]
    with pytest.raises(AttributeError):
        headers.a = "2"


def test_headers_equal_any_mapping_with_the_same_names_in_any_case() -> None:
    headers = Headers({"Content-Type": "text/plain"})
    plain = {"content-TYPE": "text/plain"}
    assert headers == plain
    assert plain == headers
    assert headers == Headers([("CONTENT-TYPE", "text/plain")])
    assert headers != {"content-type": "TEXT/PLAIN"}
    assert headers != {"content-type": "text/plain", "a": "1"}
    assert headers != {1: "text/plain"}
    assert headers != [("Content-Type", "text/plain")]
    assert headers != "Content-Type"
    assert headers == ANY  # what is no mapping decides itself


@given(PAIRS)
def test_equal_headers_have_equal_hashes(pairs: list[tuple[str, str]]) -> None:
    headers, other = Headers(pairs), Headers([(name.swapcase(), value) for name, value in pairs])
    assert headers == other
    assert hash(headers) == hash(other)
    assert len({headers, other}) == 1


def test_the_order_of_headers_matters_neither_for_equality_nor_for_the_hash() -> None:
    headers, other = Headers({"a": "1", "b": "2"}), Headers({"b": "2", "a": "1"})
    assert headers == other
    assert hash(headers) == hash(other)


@pytest.mark.parametrize("duplicate", COPIES)
def test_headers_survive_copies_and_pickles(duplicate: Callable[[Headers], Headers]) -> None:
    headers = Headers([("Via", "a"), ("via", "b"), ("Authorization", HIDDEN)])
    other = duplicate(headers)
    assert type(other) is Headers
    assert other.as_dict() == headers.as_dict()
    assert other["VIA"] == "a, b"


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "authorization",
        "Proxy-Authorization",
        "WWW-Authenticate",
        "Cookie",
        "Set-Cookie",
        "X-Api-Key",
        "X-Auth-Token",
        "X-Amz-Security-Token",
        "X-Client-Secret",
        "X-Password",
        "X-Hub-Signature-256",
    ],
)
def test_the_repr_of_headers_hides_credentials(name: str) -> None:
    shown = repr(Headers({name: f"Bearer {HIDDEN}", "Accept": "application/json"}))
    assert shown == f"Headers({{{name!r}: '***', 'Accept': 'application/json'}})"
    assert HIDDEN not in str(Headers({name: HIDDEN}))


def test_the_repr_of_headers_hides_every_value_of_a_repeated_name() -> None:
    assert HIDDEN not in repr(Headers([("Set-Cookie", "a=1"), ("set-cookie", HIDDEN)]))


@pytest.mark.parametrize("name", ["Accept", "Content-Type", "User-Agent", "X-Request-Id", "Retry-After"])
def test_the_repr_of_headers_shows_what_is_no_credential(name: str) -> None:
    assert repr(Headers({name: "value"})) == f"Headers({{{name!r}: 'value'}})"


# What headers may be


@pytest.mark.parametrize("value", ["", "a", "a b\tc", "Bearer abc.def-123", "caf\xe9", "\x80\xff"])
def test_a_value_that_http_can_carry_has_no_problem(value: str) -> None:
    assert header_value_problem(value) is None


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (f"{HIDDEN}\n", "contains a line break at position 9 of 10; strip it"),
        (f"{HIDDEN}\r\nX-Evil: 1", "contains a line break at position 9 of 20; strip it"),
        (f"{HIDDEN}\x00", "contains U+0000 at position 9, which HTTP headers cannot carry"),
        (f"{HIDDEN}\x7f", "contains U+007F at position 9, which HTTP headers cannot carry"),
        (f"\u20ac{HIDDEN}", "contains U+20AC at position 0, which HTTP headers cannot carry"),
        (f"\U0001f511{HIDDEN}", "contains U+1F511 at position 0, which HTTP headers cannot carry"),
        (f"\ud800{HIDDEN}", "contains U+D800 at position 0, which HTTP headers cannot carry"),
        (HIDDEN.encode(), "must be a string, not bytes"),
        (None, "must be a string, not NoneType"),
    ],
)
def test_the_problem_of_a_header_value_is_said_without_the_value(value: object, problem: str) -> None:
    assert header_value_problem(value) == problem


@given(st.text())
def test_a_header_value_is_good_exactly_where_latin_1_carries_it_without_controls(value: str) -> None:
    """And where it has no white space around it, which would not be part of it (RFC 9110, section 5.5)."""
    good = all(character == "\t" or (" " <= character <= "\xff" and character != "\x7f") for character in value)
    assert (header_value_problem(value) is None) is (good and value == value.strip(" \t"))


@pytest.mark.parametrize("name", ["a", "X-Request-Id", "!#$%&'*+-.^_`|~09AZaz"])
def test_a_token_is_a_header_name(name: str) -> None:
    assert header_name_problem(name) is None


@pytest.mark.parametrize("name", ["", " ", "a b", "a:", "a\n", "a\r\nX-Evil", "caf\xe9", "(a)", 'a"'])
def test_what_is_no_token_is_no_header_name(name: str) -> None:
    assert header_name_problem(name) == "must be one or more letters, digits or any of !#$%&'*+-.^_`|~"


@pytest.mark.parametrize(("name", "kind"), [(b"a", "bytes"), (None, "NoneType"), (1, "int")])
def test_what_is_no_string_is_no_header_name(name: object, kind: str) -> None:
    assert header_name_problem(name) == f"must be a string, not {kind}"


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({}, None),
        ({"X-A": "a", "X-B": "\xe4"}, None),
        ({"X-A": "a", "X-B": "key\u2603"}, "the value of the header 'X-B' contains U+2603 at position 3, which"),
        ({"X A": "key"}, "the header name 'X A' must be"),
    ],
)
def test_the_header_that_cannot_be_sent_is_named_without_its_value(
    headers: dict[str, str], problem: str | None
) -> None:
    said = headers_problem(headers)
    assert said is None if problem is None else str(said).startswith(problem)
    assert "key" not in str(said)


# Request


def test_a_request_has_defaults_for_all_but_the_method_and_the_url() -> None:
    request = Request("GET", "https://cache.example/")
    assert (request.method, request.url) == ("GET", "https://cache.example/")
    assert request.headers == {}
    assert isinstance(request.headers, Headers)
    assert request.content is None
    assert request.timeout is None
    assert request.operation == ""
    assert request.idempotent is False
    assert request.options == {}


@pytest.mark.parametrize("given_as", [{"A": "1"}, [("a", "1")], Headers({"a": "1"})])
def test_a_request_keeps_headers_in_whatever_form_they_are_given(given_as: HeadersLike) -> None:
    headers = Request("GET", "u", given_as).headers
    assert isinstance(headers, Headers)
    assert headers == {"a": "1"}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Request)])
def test_a_request_is_frozen(name: str) -> None:
    request = Request("GET", "u")
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(request, name, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        delattr(request, name)


def test_the_options_of_a_request_without_any_cannot_be_changed() -> None:
    options: Any = Request("GET", "u").options
    with pytest.raises(TypeError):
        options["retries"] = None


@pytest.mark.parametrize("request_", [Request("GET", "u"), Request("POST", "u", {"A": "1"}, b"{}", 2.5, "set", True)])
def test_a_request_can_be_copied_and_pickled(request_: Request) -> None:
    assert copy.copy(request_) == copy.deepcopy(request_) == request_
    assert pickle.loads(pickle.dumps(request_)) == request_  # noqa: S301 - of our own making


def full_request() -> Request:
    return Request("POST", "https://cache.example/", {"A": "1"}, b"{}", 2.5, "set", True, {"retries": None})


def test_with_headers_returns_a_copy_that_differs_in_the_headers_alone() -> None:
    request = full_request()
    other = request.with_headers({"a": "2", "B": "3"})
    assert other.headers == {"a": "2", "b": "3"}
    assert dataclasses.replace(other, headers=request.headers) == request
    assert request == full_request()


@pytest.mark.parametrize("timeout", [None, 0.5])
def test_with_timeout_returns_a_copy_that_differs_in_the_timeout_alone(timeout: float | None) -> None:
    request = full_request()
    other = request.with_timeout(timeout)
    assert other.timeout == timeout
    assert dataclasses.replace(other, timeout=request.timeout) == request
    assert request == full_request()


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("method", "PUT"),
        ("url", "https://other.example/"),
        ("headers", Headers({"A": "2"})),
        ("content", b"[]"),
        ("timeout", 1.0),
        ("operation", "search"),
        ("idempotent", False),
        ("options", {}),
    ],
)
def test_requests_are_equal_exactly_where_all_their_parts_are(name: str, other: Any) -> None:
    assert full_request() == full_request()
    changes: dict[str, Any] = {name: other}
    assert dataclasses.replace(full_request(), **changes) != full_request()


def test_the_repr_of_a_request_shows_neither_credentials_nor_body_nor_options() -> None:
    request = Request(
        "POST",
        f"https://user:{HIDDEN}@cache.example:8443/v1?token={HIDDEN}#{HIDDEN}",
        {"Authorization": f"Bearer {HIDDEN}", "Cookie": HIDDEN, "Accept": "application/json"},
        HIDDEN.encode(),
        2.5,
        "set",
        options={"key": HIDDEN},
    )
    assert (
        repr(request)
        == str(request)
        == (
            "Request('POST', 'https://cache.example:8443/v1', "
            "headers=Headers({'Authorization': '***', 'Cookie': '***', 'Accept': 'application/json'}), "
            "content=<9 bytes>, timeout=2.5, operation='set')"
        )
    )


def test_the_repr_of_a_request_tells_no_body_from_an_empty_one() -> None:
    assert "content=None" in repr(Request("GET", "u"))
    assert "content=<0 bytes>" in repr(Request("GET", "u", content=b""))


# Response


def test_a_response_has_defaults_for_all_but_the_status() -> None:
    response = Response(204)
    assert response.status_code == 204
    assert isinstance(response.headers, Headers)
    assert response.headers == {}
    assert response.content == b""
    assert response.text == ""
    assert response.native is None


@pytest.mark.parametrize("given_as", [{"A": "1"}, [("a", "1")], Headers({"a": "1"})])
def test_a_response_keeps_headers_in_whatever_form_they_are_given(given_as: HeadersLike) -> None:
    headers = Response(200, given_as).headers
    assert isinstance(headers, Headers)
    assert headers == {"a": "1"}


def test_a_response_joins_headers_of_one_name() -> None:
    assert Response(200, [("Via", "a"), ("via", "b")]).headers["via"] == "a, b"


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Response)])
def test_a_response_is_frozen(name: str) -> None:
    response = Response(200)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(response, name, None)


@pytest.mark.parametrize(
    ("content_type", "content", "text"),
    [
        (None, "h\xe9".encode(), "h\xe9"),
        ("application/json", "h\xe9".encode(), "h\xe9"),
        ("text/plain; charset=latin-1", b"h\xe9", "h\xe9"),
        ("text/plain; charset=ISO-8859-1; x=y", b"h\xe9", "h\xe9"),
        ('text/plain; Charset="utf-16-le"', "h\xe9".encode("utf-16-le"), "h\xe9"),
        ("text/plain; charset = utf-16-le", "h\xe9".encode("utf-16-le"), "h\xe9"),
        ("text/plain; charset=cp1252", b"\x80", "\u20ac"),
    ],
)
def test_text_is_decoded_by_the_charset_or_else_as_utf_8(content_type: str | None, content: bytes, text: str) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    assert Response(200, headers, content).text == text


@pytest.mark.parametrize(
    "charset", ["klingon", "rot13", "base64", "hex", "zlib", "bz2", "uu", "undefined", "idna", "\0"]
)
def test_text_in_a_charset_that_is_unknown_or_no_text_encoding_is_read_as_utf_8(charset: str) -> None:
    response = Response(200, {"Content-Type": f"text/plain; charset={charset}"}, "h\xe9 &c".encode())
    assert response.text == "h\xe9 &c"


def test_undecodable_bytes_are_replaced_in_the_charset_that_is_named() -> None:
    assert Response(200, {"Content-Type": "text/plain; charset=utf-16-le"}, b"a\0\xff").text == "a\ufffd"


@pytest.mark.parametrize("content_type", [None, "text/plain; charset=utf-8", "text/plain; charset=klingon"])
def test_undecodable_bytes_are_replaced_in_text(content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    assert Response(200, headers, b"a\xffb").text == "a\ufffdb"


@given(st.binary(), st.text(st.characters(max_codepoint=255), max_size=12))
def test_text_never_fails(content: bytes, charset: str) -> None:
    assert isinstance(Response(200, {"Content-Type": f"text/plain; charset={charset}"}, content).text, str)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_is_parsed_in_every_encoding_that_json_may_have(encoding: str) -> None:
    assert Response(200, {}, '{"a": ["h\xe9", 1, null]}'.encode(encoding)).json() == {"a": ["h\xe9", 1, None]}


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"{", b"{'a': 1}", b'"\xff"', b"[1] [2]", b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000],
)
def test_json_of_what_is_none_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Response(200, {}, content).json()


class Native:
    """An HTTP library's response, which cannot be copied or pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("has an open connection")


@pytest.mark.parametrize("duplicate", COPIES)
def test_copies_and_pickles_of_a_response_leave_its_native_one_out(duplicate: Callable[[Response], Response]) -> None:
    response = Response(503, [("Via", "a"), ("via", "b")], b"busy", Native())
    other = duplicate(response)
    assert type(other) is Response
    assert other == response
    assert (other.status_code, other.headers.as_dict(), other.content) == (503, {"via": "a, b"}, b"busy")
    assert other.native is None
    assert isinstance(response.native, Native)


def test_dataclass_replace_changes_one_part_of_a_response() -> None:
    native = Native()
    response = Response(200, {"A": "1"}, b"{}", native)
    other = dataclasses.replace(response, content=b"[]")
    assert other == Response(200, {"A": "1"}, b"[]")
    assert other.native is native
    assert response.content == b"{}"


def test_responses_are_equal_whatever_their_native_ones_are() -> None:
    response = Response(200, {"A": "1"}, b"{}", Native())
    assert response == Response(200, {"a": "1"}, b"{}")
    assert hash(response) == hash(Response(200, {"a": "1"}, b"{}"))
    assert response != Response(201, {"a": "1"}, b"{}")
    assert response != Response(200, {"a": "2"}, b"{}")
    assert response != Response(200, {"a": "1"}, b"[]")


def test_the_repr_of_a_response_shows_neither_headers_nor_body() -> None:
    response = Response(200, {"Set-Cookie": HIDDEN}, HIDDEN.encode(), HIDDEN)
    assert repr(response) == "<Response [200], 9 bytes>"


# display_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://cache.example/v1/caches/c", "https://cache.example/v1/caches/c"),
        ("https://cache.example:8443/a%2Fb", "https://cache.example:8443/a%2Fb"),
        (f"https://user:{HIDDEN}@cache.example/v1", "https://cache.example/v1"),
        (f"https://user:{HIDDEN}@[::1]:80/v1", "https://[::1]:80/v1"),
        (f"https://user:p@{HIDDEN}@cache.example:443/v1", "https://cache.example:443/v1"),
        (f"https://cache.example/v1?key={HIDDEN}", "https://cache.example/v1"),
        (f"https://cache.example/v1?user=a@{HIDDEN}", "https://cache.example/v1"),
        (f"https://cache.example/v1#{HIDDEN}", "https://cache.example/v1"),
        (f"https://user:{HIDDEN}@cache.example?key={HIDDEN}", "https://cache.example"),
        (f"//user:{HIDDEN}@cache.example/v1", "//cache.example/v1"),
        ("https://gateway.example/@team/langcache", "https://gateway.example/@team/langcache"),
        ("localhost:8080", "localhost:8080"),
        ("", ""),
    ],
)
def test_a_url_is_shown_without_user_information_and_query(url: str, shown: str) -> None:
    assert display_url(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{HIDDEN}[@cache.example/",
        f"https://user:{HIDDEN}@cache.example:99999/",
        f"https://user:{HIDDEN}@",
        f"https://user:{HIDDEN}/x@cache.example/",
        f"https://user:{HIDDEN}#x@cache.example/",
        f"https://user:{HIDDEN}?x@cache.example/",
        f"https:///user:{HIDDEN}@cache.example/",
        f"https:/user:{HIDDEN}@cache.example/",
        f"https:user:{HIDDEN}@cache.example/",
        f"user:{HIDDEN}@cache.example/v1",
        f"user:{HIDDEN}@cache.example:8080?x",
        f"https://user:{HIDDEN}\uff20cache.example/",
    ],
)
def test_a_malformed_url_shows_no_user_information(url: str) -> None:
    shown = display_url(url)
    assert HIDDEN not in shown
    assert "user:" not in shown


HOSTS: Mapping[str, str] = {"name": "cache.example", "port": "cache.example:8443", "address": "[::1]"}


@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS.keys())
@given(user=st.text(st.characters(codec="ascii", exclude_characters="/?#[]", exclude_categories=["C"])))
def test_no_user_information_is_ever_shown(host: str, user: str) -> None:
    assert display_url(f"https://{user}@{host}/v1") == f"https://{host}/v1"


@given(st.text())
def test_a_url_can_be_shown_whatever_it_is(url: str) -> None:
    shown = display_url(url)
    assert "?" not in shown
    assert re.fullmatch("<invalid URL>|[^#]*", shown)


def test_the_header_names_of_a_response_are_in_lower_case() -> None:
    """Programs make dicts of an error's headers, and look them up by these names."""
    response = Response(200, {"Retry-After": "1", "X-Request-ID": "r"})
    assert dict(response.headers) == {"retry-after": "1", "x-request-id": "r"}
    assert list(response.headers) == ["retry-after", "x-request-id"]
    assert response.headers["Retry-After"] == "1"


def test_a_requests_body_is_read_and_replaced_as_json() -> None:
    """As plugins do that change what is sent."""
    request = Request("POST", "http://cache.example/", content=b'{"prompt":"my number is 5"}')
    changed = request.with_json({**request.json(), "prompt": "gr\u00fcn"})
    assert changed.content == '{"prompt":"gr\u00fcn"}'.encode()
    assert request.json() == {"prompt": "my number is 5"}


@pytest.mark.parametrize("content", [None, b"", b"{"])
def test_a_body_that_is_no_json_is_a_value_error(content: bytes | None) -> None:
    with pytest.raises(ValueError, match="Expecting"):
        Request("POST", "http://cache.example/", content=content).json()


def test_copies_of_requests_and_responses_leave_the_original_alone() -> None:
    request, response = Request("GET", "http://cache.example/"), Response(200)
    assert request.with_options(a=1).with_options(b=2).options == {"a": 1, "b": 2}
    assert response.with_extensions(a=1).with_extensions(b=2).extensions == {"a": 1, "b": 2}
    assert (request.options, response.extensions) == ({}, {})
    assert response.with_extensions(a=1) == response, "they are left out of comparisons"


@pytest.mark.parametrize(("status", "words"), [(404, "Not Found"), (503, "Service Unavailable"), (599, ""), (0, "")])
def test_a_phrase_is_that_of_the_status(status: int, words: str) -> None:
    assert status_phrase(status) == words
