"""Authorities for the tests of TLS; making one takes time, and none of them changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.tls.peers import Identity, TLSServer


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """The authority that the test's server is of."""
    return trustme.CA()


@pytest.fixture(scope="session")
def other_authority() -> trustme.CA:
    """One that has nothing to do with it."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """The authority's certificate."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def client(authority: trustme.CA, tmp_path: Path) -> Identity:
    """A client's certificate and key."""
    return Identity(tmp_path, authority)


@pytest.fixture
def tls_server(authority: trustme.CA) -> Iterator[TLSServer]:
    """A server that calls itself localhost; a test can have it ask for certificates."""
    with TLSServer(authority.issue_cert("localhost")) as server:
        yield server
