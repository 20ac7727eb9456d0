"""Redaction: what may be shown of bodies, which are prompts, answers and attributes, and of headers.

What is known to say nothing that is to be kept is shown, and whatever else there is, is not.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, cast

from .http import Headers, display_url

_PLAIN: Final = frozenset({"entryId", "id", "searchStrategies", "searchStrategy", "status", "type"})
"""Members that say nothing of what is cached: ids, strategies, and which kind of problem there is."""

_TOKEN: Final = re.compile(r"[\w.:/#%-]{1,200}", re.ASCII)
"""What such a member's string looks like; what somebody wrote has spaces in it."""

_PLAIN_HEADERS: Final = frozenset(
    {
        "accept", "accept-encoding", "age", "allow", "cache-control", "connection", "content-encoding",
        "content-length", "content-type", "date", "host", "keep-alive", "location", "request-id", "retry-after",
        "server", "traceparent", "transfer-encoding", "user-agent", "vary", "via", "x-amzn-requestid",
        "x-correlation-id", "x-request-id",
    }
)  # fmt: skip
"""Headers whose values are no credentials, and tell nothing of a user; of a URL, `display_url` leaves the rest out."""

MOST_BYTES: Final = 1_000_000
"""How large a body is at the most that is looked into."""


def redacted(body: bytes) -> str:
    """Return JSON with every string replaced by its length, but for those that say nothing of what is cached.

    Numbers and the names of members stay. Of what is no JSON, or large, only the size is said.
    """
    if not body:
        return "no body"
    if len(body) > MOST_BYTES:
        return f"<{len(body)} bytes>"
    try:
        return json.dumps(_redacted(json.loads(body)), separators=(",", ":"))
    except (ValueError, RecursionError):
        return f"<{len(body)} bytes, no JSON>"


def _redacted(value: Any, name: str = "", is_attribute: bool = False) -> Any:
    if isinstance(value, str):
        is_plain = name in _PLAIN and not is_attribute and _TOKEN.fullmatch(value)
        return value if is_plain else f"<{len(value)} characters>"
    if isinstance(value, list):
        return [_redacted(item, name, is_attribute) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        # An attribute may have any name, "type" and "id" too.
        is_attribute = is_attribute or name == "attributes"
        members = cast("dict[str, Any]", value).items()
        return {name: _redacted(member, name, is_attribute) for name, member in members}
    return value


def shown_headers(headers: Headers) -> dict[str, str]:
    """Return headers with the values of those that are known to be harmless; of the others only the names."""
    return {name: _shown(name.lower(), value) for name, value in headers.items()}


def _shown(name: str, value: str) -> str:
    if name not in _PLAIN_HEADERS:
        return "***"
    return display_url(value) if name == "location" else value


def plain(body: bytes) -> str:
    """Return the text of a body as it is, on one line."""
    return repr(body.decode("utf-8", "replace")) if body else "no body"


def shortened(text: str, limit: int) -> str:
    """Return at most `limit` characters of `text`, and how many more there are."""
    left_out = len(text) - limit
    return text if left_out <= 0 else f"{text[:limit]}... ({left_out} more characters)"
