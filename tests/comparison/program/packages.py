"""The package under comparison and the names of the specification, which both packages have."""

from __future__ import annotations

import importlib
from typing import Any

langcache: Any = importlib.import_module("langcache")
errors: Any = importlib.import_module("langcache.errors")
models: Any = importlib.import_module("langcache.models")
utils: Any = importlib.import_module("langcache.utils")
types: Any = importlib.import_module("langcache.types")
httpclient: Any = importlib.import_module("langcache.httpclient")
httpx: Any = importlib.import_module("httpx")

STATUS_ERRORS = {
    400: "BadRequest",
    401: "Authentication",
    403: "Forbidden",
    404: "NotFound",
    413: "PayloadTooLarge",
    424: "FailedDependency",
    429: "TooManyRequests",
    500: "Unexpected",
}
"""What the names of a status's classes begin with."""

ERRORS = (
    "LangCacheError",
    "APIError",
    "NoResponseError",
    "ResponseValidationError",
    *(f"{name}ErrorResponseContent" for name in STATUS_ERRORS.values()),
)
"""The specification's names of exceptions."""

ERROR_DATA = tuple(f"{name}ErrorResponseContentData" for name in STATUS_ERRORS.values())
"""The specification's names of what their `data` is."""

PLAIN_MODELS = (
    "CacheEntry",
    "ConversationalSearchBody",
    "ConversationalSearchResponseContent",
    "DeleteByIDRequest",
    "DeleteQueryRequest",
    "DeleteQueryResponse",
    "FieldError",
    "FlushRequest",
    "SearchRequest",
    "SearchResponse",
    "Security",
    "SetRequest",
    "SetResponse",
)
"""The specification's names of models; each has a ``...TypedDict``."""

ENUMS = ("SearchStrategy", *(f"{name}ErrorType" for name in STATUS_ERRORS.values()))
"""The specification's names of enums."""

OPERATIONS = ("set", "search", "conversational_search", "delete_by_id", "delete_query", "flush")
