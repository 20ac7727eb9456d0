"""TLS: whom to trust and what to show, as one neutral configuration that every transport honours alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl


@dataclass(frozen=True)
class TLSConfig:
    """How TLS connections are made."""

    ca: str | None = None

    def with_environment(self, environment: Mapping[str, str]) -> TLSConfig:
        """Return this with the certificate authorities that `environment` names, where this names none."""
        return self

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection."""
        import ssl

        import certifi

        return ssl.create_default_context(cafile=self.ca or certifi.where())
