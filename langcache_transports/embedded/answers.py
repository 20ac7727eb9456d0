"""The data plane's answers, as responses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from langcache.http import Headers, Response

_JSON = Headers({"Content-Type": "application/json"})


def json_answer(status: int, body: Mapping[str, Any]) -> Response:
    """Return an answer whose body is `body` in JSON."""
    return Response(int(status), _JSON, json.dumps(body).encode())


def empty_answer() -> Response:
    """Return an answer that says nothing but that it was done (RFC 9110, section 15.3.5)."""
    return Response(204)
