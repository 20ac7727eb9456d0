"""The look-up of host names, in the time that there is: the system's own cannot be interrupted."""

from __future__ import annotations

import socket
from contextlib import suppress
from functools import partial
from typing import Any

from langcache.workers import bounded


def addresses_of(host: str, port: int, family: int, seconds: float | None) -> list[tuple[Any, ...]]:
    """Return what `socket.getaddrinfo` says of a host; raises TimeoutError after that many seconds, None is no limit.

    With a limit another thread asks, and is left alone where the answer does not come in time.
    """
    look_up = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
    if seconds is None or is_address(host):
        return look_up()
    return bounded(look_up, seconds)


def is_address(host: str) -> bool:
    """Say whether `host` is an address, which needs no look-up."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError, ValueError):
            socket.inet_pton(family, host.partition("%")[0])  # RFC 4007, section 11: a zone may follow
            return True
    return False
