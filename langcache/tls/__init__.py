"""TLS: whom to trust and what to show, as one neutral configuration that every transport honours alike.

Importing this imports no `ssl`; that is left to the first context.
"""

from .config import AUTHORITY_VARIABLES, TLSConfig
from .explanation import explain_tls_error

__all__ = ["AUTHORITY_VARIABLES", "TLSConfig", "explain_tls_error"]
