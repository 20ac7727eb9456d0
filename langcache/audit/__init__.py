"""Audit: who did what with the cache, and what became of it, one record a call.

    LangCache(plugins=[Audit(JsonLinesFile("audit.jsonl"), actor="billing", attempts=True)])

`Audit` is the plugin. What it writes to is a sink: `JsonLinesFile`, `LoggerSink`, a callable, or any `Sink`.
`acting_as` says who calls; `verify` reads chained files.
"""

from __future__ import annotations

from .chain import Chain, Head
from .entries import AuditStats
from .files import JsonLinesFile
from .plugin import Audit
from .records import AuditRecord, HashedPrompts, Prompt, RedactedPrompts, acting_as, actor
from .sinks import LoggerSink, Sink
from .verification import Finding, Verification, verify

__all__ = [
    "Audit",
    "AuditRecord",
    "AuditStats",
    "Chain",
    "Finding",
    "HashedPrompts",
    "Head",
    "JsonLinesFile",
    "LoggerSink",
    "Prompt",
    "RedactedPrompts",
    "Sink",
    "Verification",
    "acting_as",
    "actor",
    "verify",
]
