"""How the tests speak with a data plane: by the client's own operations, or by bodies that no client would send."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from hypothesis import settings

from langcache import Request, Response
from langcache.operations import Operation, Target
from langcache_transports.embedded import DataPlane

Result = TypeVar("Result")

unhurried = settings(deadline=None)
"""A property holds on a busy machine too."""

TARGET = Target("embedded://", "c")
ENTRIES = "embedded:///v1/caches/c/entries"
SEARCH_ENTRIES = f"{ENTRIES}/search"
CONVERSATIONS = "embedded:///v1/caches/c/conversations/search"


class Clock:
    """A clock that stands still until a test sets it."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def perform(plane: DataPlane, operation: Operation[Result], target: Target = TARGET, **arguments: Any) -> Result:
    """Do what a client does: make the request, check that it succeeded as documented, and read the answer."""
    response = plane.handle(operation.request(target, arguments))
    assert response.status_code == operation.status, response.text
    return operation.parse(response)


def ask(plane: DataPlane, method: str, url: str, body: object = None) -> Response:
    """Send `body`, as JSON where it is not bytes or None."""
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    return plane.handle(Request(method, url, content=content))


def refusal(response: Response, status: int = 400) -> dict[str, Any]:
    """Return the problem document of a refusal with `status`, after checking its form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert {type(problem[name]) for name in ("title", "type", "detail")} == {str}
    return problem


def rules(response: Response) -> list[tuple[str, str]]:
    """Return the field and the rule of each thing that a refusal with 400 complains of."""
    problem = refusal(response)
    assert problem["type"] == "/errors/invalid-data"
    assert all(field["message"] for field in problem["fields"])
    return [(field["field"], field["rule"]) for field in problem["fields"]]
