"""Requests and results as pydantic models, each with a ``...TypedDict`` of the same members.

They load on first use: pydantic takes most of the time that importing a client would take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import loader

if TYPE_CHECKING:
    from . import metadata as metadata
    from . import problems as problems
    from .base import BaseModel as BaseModel
    from .cacheentry import CacheEntry, CacheEntryTypedDict
    from .conversationalsearchbody import ConversationalSearchBody, ConversationalSearchBodyTypedDict
    from .conversationalsearchresponsecontent import (
        ConversationalSearchResponseContent,
        ConversationalSearchResponseContentTypedDict,
    )
    from .deletebyidop import DeleteByIDRequest, DeleteByIDRequestTypedDict
    from .deletequeryrequest import DeleteQueryRequest, DeleteQueryRequestTypedDict
    from .deletequeryresponse import DeleteQueryResponse, DeleteQueryResponseTypedDict
    from .fielderror import FieldError, FieldErrorTypedDict
    from .flushop import FlushRequest, FlushRequestTypedDict
    from .healthresponse import HealthResponse
    from .metadata import ResponseMetadata
    from .problemtypes import (
        AuthenticationErrorType,
        AuthenticationErrorURI,
        BadRequestErrorType,
        BadRequestErrorURI,
        FailedDependencyErrorType,
        ForbiddenErrorType,
        ForbiddenErrorURI,
        NotFoundErrorType,
        NotFoundErrorURI,
        PayloadTooLargeErrorType,
        PayloadTooLargeErrorURI,
        ResourceUnavailableErrorURI,
        TooManyRequestsErrorType,
        TooManyRequestsErrorURI,
        UnexpectedErrorType,
        UnexpectedErrorURI,
    )
    from .searchrequest import SearchRequest, SearchRequestTypedDict
    from .searchresponse import SearchResponse, SearchResponseTypedDict
    from .searchstrategy import SearchStrategy
    from .security import Security, SecurityTypedDict
    from .setrequest import SetRequest, SetRequestTypedDict
    from .setresponse import SetResponse, SetResponseTypedDict
    from .statistics import Statistics

__all__ = [
    "AuthenticationErrorType",
    "AuthenticationErrorURI",
    "BadRequestErrorType",
    "BadRequestErrorURI",
    "CacheEntry",
    "CacheEntryTypedDict",
    "ConversationalSearchBody",
    "ConversationalSearchBodyTypedDict",
    "ConversationalSearchResponseContent",
    "ConversationalSearchResponseContentTypedDict",
    "DeleteByIDRequest",
    "DeleteByIDRequestTypedDict",
    "DeleteQueryRequest",
    "DeleteQueryRequestTypedDict",
    "DeleteQueryResponse",
    "DeleteQueryResponseTypedDict",
    "FailedDependencyErrorType",
    "FieldError",
    "FieldErrorTypedDict",
    "FlushRequest",
    "FlushRequestTypedDict",
    "ForbiddenErrorType",
    "ForbiddenErrorURI",
    "HealthResponse",
    "NotFoundErrorType",
    "NotFoundErrorURI",
    "PayloadTooLargeErrorType",
    "PayloadTooLargeErrorURI",
    "ResourceUnavailableErrorURI",
    "ResponseMetadata",
    "SearchRequest",
    "SearchRequestTypedDict",
    "SearchResponse",
    "SearchResponseTypedDict",
    "SearchStrategy",
    "Security",
    "SecurityTypedDict",
    "SetRequest",
    "SetRequestTypedDict",
    "SetResponse",
    "SetResponseTypedDict",
    "Statistics",
    "TooManyRequestsErrorType",
    "TooManyRequestsErrorURI",
    "UnexpectedErrorType",
    "UnexpectedErrorURI",
]

_MODULES = {
    ".base": ["BaseModel"],
    ".cacheentry": ["CacheEntry", "CacheEntryTypedDict"],
    ".conversationalsearchbody": ["ConversationalSearchBody", "ConversationalSearchBodyTypedDict"],
    ".conversationalsearchresponsecontent": [
        "ConversationalSearchResponseContent",
        "ConversationalSearchResponseContentTypedDict",
    ],
    ".deletebyidop": ["DeleteByIDRequest", "DeleteByIDRequestTypedDict"],
    ".deletequeryrequest": ["DeleteQueryRequest", "DeleteQueryRequestTypedDict"],
    ".deletequeryresponse": ["DeleteQueryResponse", "DeleteQueryResponseTypedDict"],
    ".fielderror": ["FieldError", "FieldErrorTypedDict"],
    ".flushop": ["FlushRequest", "FlushRequestTypedDict"],
    ".healthresponse": ["HealthResponse"],
    ".metadata": ["ResponseMetadata"],
    ".problemtypes": [
        "AuthenticationErrorType",
        "BadRequestErrorType",
        "FailedDependencyErrorType",
        "ForbiddenErrorType",
        "NotFoundErrorType",
        "PayloadTooLargeErrorType",
        "TooManyRequestsErrorType",
        "UnexpectedErrorType",
        "AuthenticationErrorURI",
        "BadRequestErrorURI",
        "ForbiddenErrorURI",
        "NotFoundErrorURI",
        "PayloadTooLargeErrorURI",
        "ResourceUnavailableErrorURI",
        "TooManyRequestsErrorURI",
        "UnexpectedErrorURI",
    ],
    ".searchrequest": ["SearchRequest", "SearchRequestTypedDict"],
    ".searchresponse": ["SearchResponse", "SearchResponseTypedDict"],
    ".searchstrategy": ["SearchStrategy"],
    ".security": ["Security", "SecurityTypedDict"],
    ".setrequest": ["SetRequest", "SetRequestTypedDict"],
    ".setresponse": ["SetResponse", "SetResponseTypedDict"],
    ".statistics": ["Statistics"],
}

if not TYPE_CHECKING:  # a type checker would take every name for one of ours
    __getattr__ = loader(
        __name__,
        _MODULES,
        modules=["metadata", "problems"],
    )

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
