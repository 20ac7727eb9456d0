"""The operations of the service, each one declaration; pure code turns them into requests and answers back.

Source: the service's HTTP API, version 1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

from . import models
from .errors import ConfigurationError, ResponseValidationError
from .http import NO_HEADERS, NO_OPTIONS, Headers, Request, Response
from .lazy import CachedProperty

if TYPE_CHECKING:
    from pydantic import BaseModel

Result = TypeVar("Result")
ModelT = TypeVar("ModelT", bound="BaseModel")


@dataclass(frozen=True)
class Target:
    """Which cache requests go to, and the headers that all of them carry."""

    base_url: str
    cache_id: str
    headers: Headers = NO_HEADERS

    @CachedProperty
    def prepared(self) -> dict[str, tuple[object, str, Headers]]:
        """What operations prepared for all of their requests, by the operation's name."""
        return {}


@dataclass(frozen=True)
class Operation(Generic[Result]):
    """One endpoint: how its arguments become a request, and an answer its result.

    `path` names the arguments that are part of it in braces; all others go into the JSON body. `status` is the
    documented status of success, but every 2xx is taken for one. `idempotent` says whether doing it twice has the
    effect of doing it once, whatever the HTTP method.
    """

    name: str
    method: str
    path: str
    arguments: Callable[[], type[BaseModel]]
    status: int
    read: Callable[[Response], Result]
    idempotent: bool
    substitute: Callable[[Request], bytes] | None = None
    """Makes the body of the answer that stands for none, where a program is to go on without the service."""

    @CachedProperty
    def model(self) -> type[BaseModel]:
        """The model of the arguments; it loads on first use, as all models do."""
        return self.arguments()

    @property
    def is_loaded(self) -> bool:
        """Whether the model of the arguments is loaded, and pydantic with it."""
        return "model" in vars(self)

    @CachedProperty
    def path_arguments(self) -> frozenset[str]:
        """The names of the arguments that are part of the path."""
        return frozenset(name for _, name, _, _ in Formatter().parse(self.path) if name) - {"cache_id"}

    @CachedProperty
    def _not_in_body(self) -> set[str] | None:
        return set(self.path_arguments) or None

    @CachedProperty
    def has_body(self) -> bool:
        """Whether the request has a JSON body."""
        return not self.model.model_fields.keys() <= self.path_arguments

    @CachedProperty
    def headers(self) -> Mapping[str, str]:
        """The headers that the operation's own form asks for."""
        sends = {"Content-Type": "application/json"} if self.has_body else {}
        return sends | ({"Accept": "application/json"} if self.read is not _nothing else {})

    def request(
        self,
        target: Target,
        arguments: Mapping[str, Any],
        *,
        headers: Mapping[str, str] = NO_HEADERS,
        timeout: float | None = None,
        options: Mapping[str, Any] = NO_OPTIONS,
    ) -> Request:
        """Return the request that does this with `arguments`, by their Python names; `headers` replace others.

        Raises pydantic's ValidationError, a ValueError, where an argument is of the wrong type, and
        ConfigurationError where one cannot be part of the path.
        """
        valid = self.model.__pydantic_validator__.validate_python(arguments)
        path, common = self._prepared(target)
        return Request(
            method=self.method,
            url=target.base_url + (self._filled(path, valid) if self.path_arguments else path),
            headers=common.merged(headers) if headers else common,
            content=self._content(valid) if self.has_body else None,
            timeout=timeout,
            operation=self.name,
            idempotent=self.idempotent,
            options=options,
        )

    def _prepared(self, target: Target) -> tuple[str, Headers]:
        """Return the path, in which only arguments are missing, and the headers of all requests to `target`."""
        prepared = target.prepared.get(self.name)
        if prepared is None or prepared[0] is not self:
            path = self.path.replace("{cache_id}", _segment("cache_id", target.cache_id))
            prepared = target.prepared[self.name] = self, path, target.headers.merged(self.headers)
        return prepared[1], prepared[2]

    def _filled(self, path: str, arguments: BaseModel) -> str:
        return path.format(**{name: _segment(name, getattr(arguments, name)) for name in self.path_arguments})

    def _content(self, arguments: BaseModel) -> bytes:
        # As model_dump_json does it, without the detour by a string. exclude_none leaves an optional argument off the
        # wire; an empty dict stays.
        return self.model.__pydantic_serializer__.to_json(
            arguments, by_alias=True, exclude_none=True, exclude=self._not_in_body
        )

    def parse(self, response: Response) -> Result:
        """Return what a successful `response` says; raises ResponseValidationError where its form is another."""
        return self.read(response)


def _segment(name: str, value: str) -> str:
    """Percent-encode a path argument, so that it is one segment whatever it contains (RFC 3986, section 3.3)."""
    if not value:
        raise ConfigurationError(f"{name} must not be empty")
    try:
        segment = quote(value, safe="")
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"{name} contains a lone surrogate at position {error.start}, which UTF-8 cannot carry"
        ) from None
    # Section 5.2.4: "." and ".." alone would be taken for steps in the path.
    return segment.replace(".", "%2E") if segment in (".", "..") else segment


def _json(load: Callable[[], type[ModelT]]) -> Callable[[Response], ModelT]:
    """Make the reader of answers whose body is the model that `load` returns, in JSON."""

    def read(response: Response) -> ModelT:
        model = load()
        try:
            result: ModelT = model.__pydantic_validator__.validate_json(response.content)
        except ValueError as error:  # pydantic's ValidationError is one
            problem = error
        else:
            return result
        try:
            # Not UTF-8, or with a byte order mark: no JSON (RFC 8259, section 8.1), but no reason to lose an answer.
            return model.model_validate(json.loads(response.text.removeprefix("\ufeff")))
        except (ValueError, RecursionError):
            raise ResponseValidationError(
                "The answer does not have the documented form", response, problem
            ) from problem

    return read


def _nothing(response: Response) -> None:
    """Read an answer that says nothing but that it was done."""


def _health(response: Response) -> models.HealthResponse:
    if not response.content:
        return models.HealthResponse()
    try:
        return models.HealthResponse(details=json.loads(response.content))
    except (ValueError, RecursionError):
        return models.HealthResponse(details=response.text)


def _always(body: bytes) -> Callable[[Request], bytes]:
    return lambda _: body


def _prompt_alone(request: Request) -> bytes:
    """Return the answer to a conversational search that found nothing: the prompt with no context worked in."""
    prompt = json.loads(request.content or b"{}").get("prompt", "")
    return json.dumps({"actualPrompt": prompt, "data": []}).encode()


_CACHE = "/v1/caches/{cache_id}"

SET = Operation(
    name="set",
    method="POST",
    path=f"{_CACHE}/entries",
    arguments=lambda: models.SetRequest,
    status=201,
    read=_json(lambda: models.SetResponse),
    idempotent=False,
    substitute=_always(b'{"entryId":""}'),
)
SEARCH = Operation(
    name="search",
    method="POST",
    path=f"{_CACHE}/entries/search",
    arguments=lambda: models.SearchRequest,
    status=200,
    read=_json(lambda: models.SearchResponse),
    idempotent=True,
    substitute=_always(b'{"data":[]}'),
)
CONVERSATIONAL_SEARCH = Operation(
    name="conversational_search",
    method="POST",
    path=f"{_CACHE}/conversations/search",
    arguments=lambda: models.ConversationalSearchBody,
    status=200,
    read=_json(lambda: models.ConversationalSearchResponseContent),
    idempotent=True,
    substitute=_prompt_alone,
)
DELETE_BY_ID = Operation(
    name="delete_by_id",
    method="DELETE",
    path=f"{_CACHE}/entries/{{entry_id}}",
    arguments=lambda: models.DeleteByIDRequest,
    status=204,
    read=_nothing,
    idempotent=True,
    substitute=_always(b""),
)
DELETE_QUERY = Operation(
    name="delete_query",
    method="DELETE",
    path=f"{_CACHE}/entries",
    arguments=lambda: models.DeleteQueryRequest,
    status=200,
    read=_json(lambda: models.DeleteQueryResponse),
    idempotent=True,
    substitute=_always(b'{"deletedEntriesCount":0}'),
)
FLUSH = Operation(
    name="flush",
    method="POST",
    path=f"{_CACHE}/flush",
    arguments=lambda: models.FlushRequest,
    status=204,
    read=_nothing,
    idempotent=True,
    substitute=_always(b""),
)
HEALTH = Operation(
    name="health",
    method="GET",
    path=f"{_CACHE}/health",
    arguments=lambda: models.FlushRequest,
    status=200,
    read=_health,
    idempotent=True,
)

OPERATIONS = (SET, SEARCH, CONVERSATIONAL_SEARCH, DELETE_BY_ID, DELETE_QUERY, FLUSH, HEALTH)
"""All of them."""
