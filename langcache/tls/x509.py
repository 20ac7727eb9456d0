"""When a certificate is valid: just enough of X.509 (RFC 5280) and of its encoding, DER (ITU-T X.690), to read that."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Final, NamedTuple

_INTEGER: Final = 0x02
_SEQUENCE: Final = 0x30
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_VERSION: Final = 0xA0  # [0] EXPLICIT

_LONG_FORM: Final = 0x80
_PIVOT: Final = 50  # RFC 5280, section 4.1.2.5.1: a year of two digits is 1950 to 2049
_FORMS: Final = {_UTC_TIME: re.compile(rb"[0-9]{12}Z"), _GENERALIZED_TIME: re.compile(rb"[0-9]{14}Z")}


class Validity(NamedTuple):
    """The first and the last second of a certificate, in UTC (RFC 5280, section 4.1.2.5: both are within it)."""

    not_before: datetime
    not_after: datetime


class _Element(NamedTuple):
    """One element of DER: its tag, its content, and what follows it."""

    tag: int
    content: bytes
    rest: bytes


def validity(certificate: bytes) -> Validity:
    """Return when a certificate in DER is valid; raises ValueError where it is no certificate."""
    to_be_signed = _take(_take(certificate, _SEQUENCE).content, _SEQUENCE).content
    # RFC 5280, section 4.1: version (not in version 1), serialNumber, signature, issuer, validity, ...
    if _element(to_be_signed).tag == _VERSION:
        to_be_signed = _element(to_be_signed).rest
    for tag in (_INTEGER, _SEQUENCE, _SEQUENCE):
        to_be_signed = _take(to_be_signed, tag).rest
    not_before = _element(_take(to_be_signed, _SEQUENCE).content)
    not_after = _element(not_before.rest)
    return Validity(_time(not_before), _time(not_after))


def _take(data: bytes, tag: int) -> _Element:
    element = _element(data)
    if element.tag != tag:
        raise ValueError(f"the element 0x{element.tag:02x} stands where 0x{tag:02x} belongs")
    return element


def _element(data: bytes) -> _Element:
    """Read the element that `data` begins with."""
    if len(data) < 2:  # a tag and a length
        raise ValueError("the data end where an element belongs")
    length, start = data[1], 2
    if length & _LONG_FORM:  # X.690, section 8.1.3.5: the low bits count the bytes that hold the length
        start += length & ~_LONG_FORM
        length = int.from_bytes(data[2:start], "big")
        if start == 2 or len(data) < start:  # X.690, section 10.1: never indefinite in DER
            raise ValueError("an element has no valid length")
    end = start + length
    if len(data) < end:
        raise ValueError("the data end within an element")
    return _Element(data[0], data[start:end], data[end:])


def _time(element: _Element) -> datetime:
    """Read a time; RFC 5280, sections 4.1.2.5.1 and 4.1.2.5.2, allow one form of each kind: to the second, in UTC."""
    form = _FORMS.get(element.tag)
    if form is None or not form.fullmatch(element.content):
        raise ValueError("a time is not of the form that certificates have")
    digits = element.content[:-1].decode("ascii")
    if element.tag == _UTC_TIME:
        digits = ("19" if int(digits[:2]) >= _PIVOT else "20") + digits
    month, day, hour, minute, second = (int(digits[start : start + 2]) for start in range(4, 14, 2))
    return datetime(int(digits[:4]), month, day, hour, minute, second, tzinfo=timezone.utc)
