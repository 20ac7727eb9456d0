"""TLS: whom to trust and what to show, as one neutral configuration that every transport honours alike.

Importing this imports no `ssl`; that is left to the first context.
"""

from .config import TLSConfig

__all__ = ["TLSConfig"]
