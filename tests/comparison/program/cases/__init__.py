"""The cases, by subject."""

from __future__ import annotations

from ..stage import CASES
from . import addresses, answers, arguments, clients, credentials, failures, headers, lifetime, models, names, retries

__all__ = [
    "CASES",
    "addresses",
    "answers",
    "arguments",
    "clients",
    "credentials",
    "failures",
    "headers",
    "lifetime",
    "models",
    "names",
    "retries",
]
