"""The types of problem that each status comes with: old services' and new ones', under one enum a status.

The specification knows each enum under two names, ``...ErrorType`` (new) and ``...ErrorURI`` (old). A type that
only the old dialect has keeps the old dialect's member name.
"""

from __future__ import annotations

from enum import Enum

from .base import OpenEnumMeta


class BadRequestErrorType(str, Enum, metaclass=OpenEnumMeta):
    """Why a request was refused with 400."""

    ROOT_ERRORS_INVALID_DATA = "/errors/invalid-data"


class AuthenticationErrorType(str, Enum, metaclass=OpenEnumMeta):
    """Why a request was refused with 401."""

    ROOT_ERRORS_AUTHENTICATION_FAILED = "/errors/authentication-failed"


class ForbiddenErrorType(str, Enum, metaclass=OpenEnumMeta):
    """Why a request was refused with 403."""

    ROOT_ERRORS_INSUFFICIENT_PERMISSIONS = "/errors/insufficient-permissions"


class NotFoundErrorType(str, Enum, metaclass=OpenEnumMeta):
    """What was not found, with 404.

    The member that both dialects have has the new dialect's value; the old one's is the member with OLD in its name.
    """

    ROOT_ERRORS_RESOURCE_NOT_FOUND = "/errors/resource-not-found"
    ROOT_ERRORS_RESOURCE_NOT_FOUND_OLD = "/errors/resource/not-found"
    ROOT_ERRORS_CACHE_NOT_FOUND = "/errors/cache/not-found"
    ROOT_ERRORS_CACHE_ENTRY_NOT_FOUND = "/errors/cache/entry/not-found"
    ROOT_ERRORS_TOKEN_NOT_FOUND = "/errors/token/not-found"  # noqa: S105 - no password


class PayloadTooLargeErrorType(str, Enum, metaclass=OpenEnumMeta):
    """Why a request was refused with 413."""

    ROOT_ERRORS_PAYLOAD_TOO_LARGE = "/errors/payload-too-large"


class FailedDependencyErrorType(str, Enum, metaclass=OpenEnumMeta):
    """Which part that the service depends on was not available, with 424."""

    ROOT_ERRORS_RESOURCE_UNAVAILABLE = "/errors/resource-unavailable"
    ROOT_ERRORS_DATABASE_OUT_OF_MEMORY = "/errors/database-out-of-memory"
    ROOT_ERRORS_DATABASE_OUT_OF_MEMORY_OLD = "/errors/database/out-of-memory"
    ROOT_ERRORS_DATABASE_RESOURCE_DATABASE_UNAVAILABLE = "/errors/database/resource-database-unavailable"
    ROOT_ERRORS_EMBEDDINGS_UNAUTHORIZED = "/errors/embeddings/unauthorized"
    ROOT_ERRORS_EMBEDDINGS_TOO_MANY_REQUESTS = "/errors/embeddings/too-many-requests"
    ROOT_ERRORS_CACHE_INDEX_NOT_FOUND = "/errors/cache/index-not-found"


class TooManyRequestsErrorType(str, Enum, metaclass=OpenEnumMeta):
    """Why a request was refused with 429."""

    ROOT_ERRORS_TOO_MANY_REQUESTS = "/errors/too-many-requests"


class UnexpectedErrorType(str, Enum, metaclass=OpenEnumMeta):
    """What went wrong in the service, with 500."""

    ROOT_ERRORS_UNEXPECTED_ERROR = "/errors/unexpected-error"
    ROOT_ERRORS_CACHE_AUTHENTICATION = "/errors/cache/authentication"
    ROOT_ERRORS_CACHE_UNEXPECTED_ERROR = "/errors/cache/unexpected-error"
    ROOT_ERRORS_EMBEDDINGS_UNEXPECTED_ERROR = "/errors/embeddings/unexpected-error"


# The names that the specification's older line has for the same enums.
AuthenticationErrorURI = AuthenticationErrorType
BadRequestErrorURI = BadRequestErrorType
ForbiddenErrorURI = ForbiddenErrorType
NotFoundErrorURI = NotFoundErrorType
PayloadTooLargeErrorURI = PayloadTooLargeErrorType
ResourceUnavailableErrorURI = FailedDependencyErrorType
TooManyRequestsErrorURI = TooManyRequestsErrorType
UnexpectedErrorURI = UnexpectedErrorType
