"""The client for Redis LangCache, the semantic cache for LLM answers.

The public names load on first use, so that importing the package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lazy import loader

__version__ = "1.0.0"

if TYPE_CHECKING:
    from . import errors, httpclient, models, types, utils
    from .client import LangCache
    from .config import UNSET
    from .credentials import Credential, KeyFile
    from .functions import FunctionPlugin
    from .hookspecs import hookimpl
    from .http import Headers, Request, Response
    from .middleware.wire_log import WireLog
    from .models.statistics import Statistics
    from .policies import BackoffStrategy, BreakerPolicy, HitSavings, RetryConfig, RetryPolicy
    from .steps import Middleware, Next, Steps
    from .steps import resolve as resolve
    from .steps import send as send
    from .steps import sleep as sleep
    from .steps import wait as wait
    from .tls import TLSConfig
    from .transport import AsyncTransport, Transport, TransportOptions

__all__ = [
    "UNSET",
    "AsyncTransport",
    "BackoffStrategy",
    "BreakerPolicy",
    "Credential",
    "FunctionPlugin",
    "Headers",
    "HitSavings",
    "KeyFile",
    "LangCache",
    "Middleware",
    "Next",
    "Request",
    "Response",
    "RetryConfig",
    "RetryPolicy",
    "Statistics",
    "Steps",
    "TLSConfig",
    "Transport",
    "TransportOptions",
    "WireLog",
    "errors",
    "hookimpl",
    "httpclient",
    "models",
    "types",
    "utils",
]

# What a middleware uses is not among them: `from langcache import *` must not replace a program's own `sleep`.
_MODULES = {
    ".client": ["LangCache"],
    ".config": ["UNSET"],
    ".credentials": ["Credential", "KeyFile"],
    ".functions": ["FunctionPlugin"],
    ".hookspecs": ["hookimpl"],
    ".http": ["Headers", "Request", "Response"],
    ".middleware.wire_log": ["WireLog"],
    ".models.statistics": ["Statistics"],
    ".policies": ["BackoffStrategy", "BreakerPolicy", "HitSavings", "RetryConfig", "RetryPolicy"],
    ".steps": ["Middleware", "Next", "Steps", "resolve", "send", "sleep", "wait"],
    ".tls": ["TLSConfig"],
    ".transport": ["AsyncTransport", "Transport", "TransportOptions"],
}

if not TYPE_CHECKING:  # a type checker would take every name for one of ours
    __getattr__ = loader(
        __name__,
        _MODULES,
        modules=["errors", "httpclient", "models", "types", "utils"],
    )

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
