"""Redirects, stepped by hand: within the origin and for the same request alone."""

from __future__ import annotations

import contextlib

import pytest

from langcache import LangCache, Request, Response, errors, send
from langcache.middleware.redirects import MOST_STEPS, FollowRedirects
from langcache.steps import Command, Send
from tests.local_server import LocalServer

POST = Request("POST", "https://cache.example/v1/a", {"Authorization": "Bearer k"}, b"{}", 10.0, "search")
GET = Request("GET", "https://cache.example/v1/a", {}, None, None, "health")


def followed(request: Request, status: int, location: str) -> str | None:
    """Return the URL that is asked after such an answer, or None where the answer is returned."""
    steps = FollowRedirects()(request, send)
    assert next(steps) == Send(request)
    answer = Response(status, {"Location": location} if location else {})
    with contextlib.suppress(StopIteration):
        return asked_next(request, steps.send(answer))
    return None


def asked_next(request: Request, command: Command) -> str:
    assert isinstance(command, Send)
    assert (command.request.method, command.request.content) == (request.method, request.content)
    assert command.request.headers == request.headers
    return command.request.url


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("request_", [POST, GET])
@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/v2/a", "https://cache.example/v2/a"),
        ("b?x=1#top", "https://cache.example/v1/b?x=1"),
        ("https://cache.example:443/c", "https://cache.example:443/c"),
        ("//CACHE.example/c", "https://CACHE.example/c"),
    ],
)
def test_the_same_request_is_made_again_within_the_origin(
    request_: Request, status: int, location: str, url: str
) -> None:
    assert followed(request_, status, location) == url


@pytest.mark.parametrize("request_", [POST, GET])
@pytest.mark.parametrize(
    "location",
    [
        "https://other.example/v1/a",
        "http://cache.example/v1/a",
        "https://cache.example:8443/v1/a",
        "https://user:pw@cache.example/v1/a",
        "https://cache.example@other.example/",
        "//other.example/",
        "https://[::1/",
        "https://cache.example:port/",
        "javascript:alert(1)",
        "/a b",
        "/\u00e4",
        "/a\u2028b",
        "",
    ],
)
def test_nothing_leaves_the_origin(request_: Request, location: str) -> None:
    """Neither the key nor a prompt."""
    assert followed(request_, 307, location) is None


@pytest.mark.parametrize("status", [301, 302, 303])
def test_what_would_turn_a_post_into_a_get_is_not_followed(status: int) -> None:
    assert followed(POST, status, "/b") is None
    assert followed(GET, status, "/b") == "https://cache.example/b"


@pytest.mark.parametrize("status", [200, 204, 300, 304, 305, 404, 503])
def test_other_answers_are_returned(status: int) -> None:
    assert followed(GET, status, "/b") is None


def test_with_a_client_of_the_callers_redirects_are_its_matter() -> None:
    own = Request("POST", "https://cache.example/a", options={"own_client": True})
    assert followed(own, 307, "/b") is None


def test_a_circle_ends() -> None:
    steps = FollowRedirects()(POST, send)
    next(steps)
    circle = Response(307, {"Location": "/v1/a"})
    for _ in range(MOST_STEPS):
        assert isinstance(steps.send(circle), Send)
    with pytest.raises(StopIteration) as stop:
        steps.send(circle)
    assert stop.value.value is circle


def test_the_steps_share_the_attempts_timeout() -> None:
    """With the first of them, from the beginning."""
    now = [100.0]
    steps = FollowRedirects(lambda: now[0])(POST, send)
    next(steps)
    left: list[float | None] = []
    for moment in (103.0, 106.5, 120.0):
        now[0] = moment
        command = steps.send(Response(307, {"Location": "/b"}))
        assert isinstance(command, Send)
        left.append(command.request.timeout)
    assert left == [7.0, 3.5, 0.001]


def test_a_client_follows_within_its_service(server: LocalServer) -> None:
    def answer(request: Request) -> Response:
        if request.url.startswith("/new"):
            return Response(200, {"Content-Type": "application/json"}, b'{"data":[]}')
        return Response(308, {"Location": "/new" + request.url})

    server.answer = answer
    with LangCache(server.url, "k", "c") as client:
        assert client.search(prompt="p").data == []
    old, new = server.requests
    assert (new.method, new.content) == (old.method, old.content)
    assert new.headers["authorization"] == old.headers["authorization"] == "Bearer k"


def test_a_client_asks_no_other_service(server: LocalServer) -> None:
    server.answer = lambda request: Response(307, {"Location": f"http://localhost:{server.url.rpartition(':')[2]}/x"})
    with LangCache(server.url, "k", "c") as client, pytest.raises(errors.APIError, match="which was not followed"):
        client.search(prompt="p")
    assert len(server.requests) == 1


def test_each_redirect_that_is_followed_is_told_to_who_asks_for_it() -> None:
    """In the order of the steps, and before the next one; the last answer is the one that is returned."""
    told: list[Response] = []
    moved, away = Response(307, {"Location": "/b"}), Response(307, {"Location": "https://other.example/"})
    steps = FollowRedirects()(POST.with_options(on_redirect=told.append), send)
    next(steps)
    steps.send(moved)
    assert told == [moved]
    with pytest.raises(StopIteration) as ended:
        steps.send(away)
    assert ended.value.value is away
    assert told == [moved]
