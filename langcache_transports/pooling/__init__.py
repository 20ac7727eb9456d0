"""Pools of urllib3's connections: what the transports "urllib3" and "requests" send with.

urllib3 makes the connections - addresses, TLS, proxies - and http.client reads the answers. What is here keeps the
promises that neither of them makes:

1. An attempt's timeout is a total. Every operation on the socket has what is left of it, so that an answer which
   drips is cut off (`connection`).
2. One call, one answer. A connection is used again only where its last exchange was complete, nothing came on it
   unasked, and it was not idle for too long (`connection`, `pool`).
3. An exchange that failed on a used connection before the answer began is done once more, on a new one, where doing
   it twice is the same as doing it once; and never otherwise (`pool`).
4. An answer is read no further than the cap, decoded (`langcache.content`).
5. What goes wrong is one of our errors, from the original (`failures`).
"""

from __future__ import annotations

from .answer import Answer
from .pools import Pools

__all__ = ["Answer", "Pools"]
