"""Bodies: decoded piece by piece as their headers say, and stopped at the cap."""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langcache.content import BodyDecoder
from langcache.errors import DecodingError, ResponseTooLargeError

LIMIT = 1_000_000


def raw_deflate(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


Encode = Callable[[bytes], bytes]

ENCODINGS: dict[str, Encode] = {
    "": lambda body: body,
    "identity": lambda body: body,
    "gzip": lambda body: gzip.compress(body),
    "x-gzip": lambda body: gzip.compress(body),
    "GZip": lambda body: gzip.compress(body),
    "deflate": lambda body: zlib.compress(body),
    "deflate ": raw_deflate,
}


def decoded(coding: str, pieces: list[bytes], limit: int = LIMIT) -> bytes:
    decoder = BodyDecoder({"content-encoding": coding} if coding else {}, limit)
    for piece in pieces:
        decoder.feed(piece)
    return decoder.finish()


@pytest.mark.parametrize("coding", ENCODINGS)
@given(body=st.binary(max_size=2000), cuts=st.lists(st.integers(0, 2000), max_size=5))
def test_a_body_is_the_same_however_it_is_cut(coding: str, body: bytes, cuts: list[int]) -> None:
    """ "deflate" is understood with zlib's head, as RFC 9110 has it, and without, as some servers send it."""
    packed = ENCODINGS[coding](body)
    bounds = [0, *sorted(cuts), len(packed)]
    pieces = [packed[start:end] for start, end in itertools.pairwise(bounds)]
    assert decoded(coding, pieces) == body


def test_a_gzip_body_may_have_several_members_and_padding() -> None:
    """RFC 1952, section 2.2."""
    first, second = gzip.compress(b"one "), gzip.compress(b"two")
    assert decoded("gzip", [first + second + b"\0" * 100]) == b"one two"
    assert decoded("gzip", [first, second, b"\0"]) == b"one two"
    assert decoded("gzip", [first + second[:1], second[1:]]) == b"one two"


@pytest.mark.parametrize("coding", ["gzip", "deflate", ""])
def test_no_bytes_at_all_are_an_empty_body(coding: str) -> None:
    """As the answer to a 204 that names a coding."""
    assert decoded(coding, []) == b""


@pytest.mark.parametrize("coding", ["gzip", "deflate", "deflate "])
def test_compressed_data_without_their_end_are_an_error(coding: str) -> None:
    packed = ENCODINGS[coding](b"a body of some length")
    for end in range(1, len(packed)):
        if coding != "gzip" or end < len(packed) - 8:  # the last 8 bytes are the checksum and the length
            with pytest.raises(DecodingError):
                decoded(coding, [packed[:end]])


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_data_that_are_not_what_the_headers_say_are_an_error(coding: str) -> None:
    with pytest.raises(DecodingError, match=f"is not {coding}, as its headers say"):
        decoded(coding, [b"\xff plain text"])


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br", "gzip, gzip", "compress"])
def test_a_coding_that_is_not_understood_is_named(coding: str) -> None:
    with pytest.raises(DecodingError, match=f"content coding '{coding}'; understood are gzip, deflate"):
        BodyDecoder({"content-encoding": coding}, LIMIT)


@pytest.mark.parametrize("coding", ENCODINGS)
def test_the_cap_is_exact(coding: str) -> None:
    body = bytes(1000)
    assert decoded(coding, [ENCODINGS[coding](body)], 1000) == body
    with pytest.raises(ResponseTooLargeError, match="larger than 999 bytes"):
        decoded(coding, [ENCODINGS[coding](body)], 999)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_is_stopped_at_the_cap(coding: str) -> None:
    """100 MB in a few KB: no more of it is ever unpacked than the cap and a byte."""
    bomb = ENCODINGS[coding](bytes(100_000_000))
    decoder = BodyDecoder({"content-encoding": coding}, 1000)
    with pytest.raises(ResponseTooLargeError):
        decoder.feed(bomb)
    assert decoder.size == 1001
