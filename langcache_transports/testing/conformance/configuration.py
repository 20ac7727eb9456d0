"""Options are honoured, or refused when the transport is built; none is ignored."""

from __future__ import annotations

from typing import Any

import pytest

from langcache import errors
from langcache.tls import TLSConfig
from langcache.transport import TransportOptions

from ..certificates import Certificates
from .base import CAPABILITIES, OPTIONS, Build, Promises


class Configuration(Promises):
    """What a transport does with its options."""

    def test_what_is_declared_as_unsupported_is_known(self) -> None:
        unknown = set(self.unsupported) - OPTIONS - set(CAPABILITIES)
        assert not unknown, f"known are {', '.join(sorted(OPTIONS | set(CAPABILITIES)))}"

    @pytest.mark.parametrize("name", sorted(OPTIONS))
    def test_an_option_is_honoured_or_refused(self, build: Build, certificates: Certificates, name: str) -> None:
        """The error names the option, so that the caller knows what to leave out."""
        value: dict[str, dict[str, Any]] = {
            "tls": {"tls": TLSConfig(ca=certificates.ca)},
            "proxy": {"proxies": {"all": "http://proxy.example:3128"}},
            "no_proxy": {"proxies": {"no": "cache.example"}},
            "connect_timeout_ms": {"connect_timeout": 1.0},
            "idle_timeout_ms": {"idle_timeout": 1.0},
            "max_response_bytes": {"max_response_bytes": 1000},
        }
        if name not in self.unsupported:
            build(name, **value[name])
            return
        with pytest.raises(errors.ConfigurationError, match=name):
            self._made(TransportOptions(given=frozenset({name}), **value[name]))

    def test_every_option_that_is_honoured_can_be_given_at_once(self, build: Build) -> None:
        build(*(OPTIONS - set(self.unsupported)), pool_size=1)
