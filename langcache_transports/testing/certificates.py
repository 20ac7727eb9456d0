"""Certificates for tests: an authority of its own, made in memory, and the files that options name."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Certificates:
    """A certificate authority that nobody else knows; its files are written into `directory`, which is made."""

    def __init__(self, directory: Path) -> None:
        self._authority = trustme.CA()
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.ca = str(directory / "ca.pem")
        """The file of the authority's certificate."""
        self._authority.cert_pem.write_to_path(self.ca)

    def server_context(self, *hosts: str, clients: Certificates | None = None) -> ssl.SSLContext:
        """Return a server's context for `hosts`; it refuses callers that do not show a certificate of `clients`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued = self._authority.issue_cert(*(hosts or ("127.0.0.1", "localhost")))
        with issued.private_key_and_cert_chain_pem.tempfile(str(self._directory)) as file:
            context.load_cert_chain(file)
        if clients is not None:
            context.load_verify_locations(clients.ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def client_files(self, name: str = "client@example.org") -> tuple[str, str]:
        """Write a certificate for a caller and its key; return the two files."""
        issued = self._authority.issue_cert(name)
        certificate, key = self._directory / "client.pem", self._directory / "client.key"
        certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return str(certificate), str(key)
