"""Headers that the caller gives a call, also such as the client sends itself."""

from __future__ import annotations

from ..stage import call_case
from ..wire import DONE, MISSED

for _label, _headers in {
    "own": {"X-Own": "own"},
    "several": {"X-One": "1", "x-two": "2"},
    "empty": {},
    "empty value": {"X-Own": ""},
    "Accept": {"Accept": "text/plain"},
    "accept": {"accept": "text/plain"},
    "User-Agent": {"User-Agent": "program/1"},
    "user-agent": {"user-agent": "program/1"},
    "Authorization": {"Authorization": "Bearer other"},
    "authorization": {"authorization": "Bearer other"},
    "AUTHORIZATION": {"AUTHORIZATION": "Basic other"},
    "Content-Type": {"Content-Type": "application/json; charset=utf-8"},
    "content-type": {"content-type": "application/json; charset=utf-8"},
    "Accept-Encoding": {"Accept-Encoding": "identity"},
    "Connection": {"Connection": "close"},
    "Host": {"Host": "other.example"},
    "Cookie": {"Cookie": "a=b"},
    "Content-Length": {"Content-Length": "5"},
    "umlaut": {"X-Own": "\u00fc"},
    "beyond Latin": {"X-Own": "\u2603"},
    "line break": {"X-Own": "a\r\nX-Other: b"},
    "int value": {"X-Own": 1},
    "None value": {"X-Own": None},
    "bytes value": {"X-Own": b"own"},
    "space in the name": {"X Own": "own"},
    "same name twice": {"X-Own": "1", "x-own": "2"},
}.items():
    call_case(f"headers/{_label}", "search", {"prompt": "p", "http_headers": _headers}, MISSED)

call_case("headers/list of pairs", "search", {"prompt": "p", "http_headers": [("X-Own", "own")]}, MISSED)
call_case(
    "headers/delete_by_id Accept", "delete_by_id", {"entry_id": "e", "http_headers": {"Accept": "text/plain"}}, DONE
)
call_case(
    "headers/Authorization without a key",
    "search",
    {"prompt": "p", "http_headers": {"Authorization": "Bearer other"}},
    MISSED,
    client={"api_key": None},
)
