"""When a certificate is valid."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta, timezone

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from langcache.tls.x509 import Validity, validity

KEY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a name that makes the issuer's field long")])
CERTIFICATE = ssl.PEM_cert_to_DER_cert(trustme.CA().cert_pem.bytes().decode())

moments = st.datetimes(datetime(1950, 1, 1), datetime(9999, 12, 31, 23, 59, 58)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=timezone.utc)
)


def certificate(not_before: datetime, not_after: datetime) -> bytes:
    builder = x509.CertificateBuilder().subject_name(NAME).issuer_name(NAME).public_key(KEY.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    signed = builder.not_valid_before(not_before).not_valid_after(not_after).sign(KEY, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


@given(moments, moments)
def test_the_validity_is_read_to_the_second(one: datetime, other: datetime) -> None:
    """From 1950 to 9999, and so in both forms of time that RFC 5280 has."""
    not_before, not_after = sorted((one, other))
    assert validity(certificate(not_before, not_after)) == Validity(not_before, not_after)


@pytest.mark.parametrize("year", [1950, 1999, 2000, 2049, 2050, 9999])
def test_the_years_at_which_the_form_of_a_time_changes(year: int) -> None:
    """RFC 5280, section 4.1.2.5: two digits of the year until 2049, four from 2050 on."""
    moment = datetime(year, 12, 31, 23, 59, 59, tzinfo=timezone.utc)
    assert validity(certificate(moment, moment)) == Validity(moment, moment)


def element(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    assert len(content) < 0x80
    return bytes([tag, len(content)]) + content


def with_times(*times: bytes, version: bytes = b"") -> bytes:
    """Return the beginning of a certificate, as far as it matters here."""
    parts = (version, element(0x02, b"\1"), element(0x30), element(0x30), element(0x30, *times))
    return element(0x30, element(0x30, *parts))


GOOD = element(0x17, b"260101000000Z")


def test_a_certificate_of_version_1_has_no_version_in_it() -> None:
    begin = datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert validity(with_times(GOOD, GOOD)) == Validity(begin, begin)
    assert validity(with_times(GOOD, GOOD, version=element(0xA0, element(2, b"\2")))) == Validity(begin, begin)


@pytest.mark.parametrize(
    "time",
    [
        element(0x17, b"2601010000Z"),  # RFC 5280, section 4.1.2.5.1: with seconds
        element(0x17, b"260101000000+0100"),  # ... and in UTC
        element(0x17, b"260101000000"),
        element(0x17, b"20260101000000Z"),
        element(0x18, b"260101000000Z"),
        element(0x18, b"20500101000000.5Z"),  # section 4.1.2.5.2: without fractions
        element(0x17, b"261301000000Z"),
        element(0x17, b"260230000000Z"),
        element(0x18, b"00000101000000Z"),
        element(0x17, "26010100000\N{ARABIC-INDIC DIGIT ZERO}Z".encode()),
        element(0x16, b"260101000000Z"),
        b"",
    ],
)
def test_a_time_of_another_form_is_an_error(time: bytes) -> None:
    for times in ((time, GOOD), (GOOD, time)):
        with pytest.raises(ValueError, match=r"."):
            validity(with_times(*times))


@pytest.mark.parametrize("length", [b"\x80", b"\x84\0\0", b"\xff", b""])
def test_a_length_that_is_none_is_an_error(length: bytes) -> None:
    with pytest.raises(ValueError, match=r"length|where an element belongs"):
        validity(b"\x30" + length)


def test_a_certificate_that_is_cut_off_is_an_error() -> None:
    now = datetime.now(timezone.utc)
    read = validity(CERTIFICATE)
    assert read.not_before < now < read.not_after + timedelta(1)
    for end in range(len(CERTIFICATE)):
        with pytest.raises(ValueError, match=r"end|length"):
            validity(CERTIFICATE[:end])


@given(st.binary(), st.integers(0, 200))
def test_other_bytes_are_a_value_error_and_nothing_else(noise: bytes, position: int) -> None:
    """Also in the middle of a certificate."""
    assert is_validity_or_error(noise)
    assert is_validity_or_error(CERTIFICATE[:position] + noise + CERTIFICATE[position + len(noise) :])


def is_validity_or_error(data: bytes) -> bool:
    try:
        return isinstance(validity(data), Validity)
    except ValueError:
        return True
