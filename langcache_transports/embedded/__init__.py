"""The transport "embedded": the data plane in this process, with no service, no network and no API key.

``LangCache("embedded://", cache_id="any")`` has entries of its own, which end with the client. To keep them for
longer, or to share them between clients, hand one `EmbeddedTransport` to each as its ``transport``. How alike prompts
are is measured by their words alone, for development, tests and small programs; the module `embedding` says what that
cannot tell.
"""

from __future__ import annotations

from langcache.hookspecs import hookimpl
from langcache.transport import TransportOptions

from .embedding import DEFAULT_THRESHOLD, embed, similarity
from .plane import DataPlane
from .transport import EmbeddedTransport

__all__ = ["DEFAULT_THRESHOLD", "DataPlane", "EmbeddedTransport", "embed", "langcache_transport", "similarity"]


@hookimpl
def langcache_transport(name: str, options: TransportOptions) -> EmbeddedTransport | None:
    """Answer to "embedded" with a data plane that is empty."""
    if name != "embedded":
        return None
    options.refuse_all_but((), "The embedded data plane, which makes no connections,")
    return EmbeddedTransport()
