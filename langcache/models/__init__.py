"""Requests and results as pydantic models, each with a ``...TypedDict`` of the same members."""

from __future__ import annotations

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
    BadRequestErrorType,
    FailedDependencyErrorType,
    ForbiddenErrorType,
    NotFoundErrorType,
    PayloadTooLargeErrorType,
    TooManyRequestsErrorType,
    UnexpectedErrorType,
)
from .searchrequest import SearchRequest, SearchRequestTypedDict
from .searchresponse import SearchResponse, SearchResponseTypedDict
from .searchstrategy import SearchStrategy
from .security import Security, SecurityTypedDict
from .setrequest import SetRequest, SetRequestTypedDict
from .setresponse import SetResponse, SetResponseTypedDict

# The names that the specification's older line has for the same enums.
AuthenticationErrorURI = AuthenticationErrorType
BadRequestErrorURI = BadRequestErrorType
ForbiddenErrorURI = ForbiddenErrorType
NotFoundErrorURI = NotFoundErrorType
PayloadTooLargeErrorURI = PayloadTooLargeErrorType
ResourceUnavailableErrorURI = FailedDependencyErrorType
TooManyRequestsErrorURI = TooManyRequestsErrorType
UnexpectedErrorURI = UnexpectedErrorType

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
    "TooManyRequestsErrorType",
    "TooManyRequestsErrorURI",
    "UnexpectedErrorType",
    "UnexpectedErrorURI",
]
