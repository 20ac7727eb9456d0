"""Which part of the data plane answers a request: its method and the segments of its path decide."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from langcache.http import Request, Response
from langcache.lazy import CachedProperty

from .problems import method_not_allowed, not_found

Parameters = Mapping[str, str]
"""The parts of a path that name something, decoded, by their names in the route's path."""

Handler = Callable[[Parameters, bytes], Response]
"""Answers a request, given the path's parameters and the body."""

_ORIGIN = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*")


@dataclass(frozen=True)
class Route:
    """A method and a path, in which a segment in braces stands for any that is not empty, and who answers."""

    method: str
    path: str
    handler: Handler

    @CachedProperty
    def segments(self) -> Sequence[str]:
        """The segments of the route's own path."""
        return self.path.strip("/").split("/")

    def parameters(self, segments: Sequence[str]) -> Parameters | None:
        """Return the parameters where a path with these `segments` is the route's, after any prefix; else None."""
        tail = segments[-len(self.segments) :]
        if len(tail) < len(self.segments):
            return None
        pairs = list(zip(self.segments, tail, strict=True))
        if not all(actual if _is_parameter(own) else own == actual for own, actual in pairs):
            return None
        return {own[1:-1]: actual for own, actual in pairs if _is_parameter(own)}


def dispatch(routes: Sequence[Route], request: Request) -> Response:
    """Return the answer of the first of `routes` that `request` fits.

    Raises ProblemError: 405 where only the method does not fit, 404 where there is no such path.
    """
    segments = path_segments(request.url)
    allowed: set[str] = set()
    for route in routes:
        parameters = route.parameters(segments)
        if parameters is None:
            continue
        if route.method == request.method:
            return route.handler(parameters, request.content or b"")
        allowed.add(route.method)
    raise method_not_allowed(allowed) if allowed else not_found("There is no such path")


def path_segments(url: str) -> list[str]:
    """Return the segments of a URL's path, or of a path alone, each decoded by itself.

    RFC 3986, section 2.4: they are separated first, so that an encoded slash does not divide one. Dots are a segment
    like any other. Bytes that are not UTF-8 are kept apart, so that two ids never become one.
    """
    path = re.split("[?#]", _ORIGIN.sub("", url), maxsplit=1)[0]
    return [unquote(segment, errors="surrogateescape") for segment in path.split("/")]


def _is_parameter(segment: str) -> bool:
    return segment.startswith("{")
