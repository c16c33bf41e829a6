"""Packing and checksums."""

from __future__ import annotations

import itertools
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrd.imaging.deflate import Unpacker, crc32, packed, packer
from tests.pictures.making import UNHURRIED

LEVELS = range(10)
BODIES = st.one_of(
    st.binary(max_size=5000),
    st.builds(lambda part, times: part * times, st.binary(min_size=1, max_size=50), st.integers(1, 5000)),
)


def wordy(count: int = 40_000) -> bytes:
    """Make bytes in which longer and shorter parts come again."""
    rng = np.random.default_rng(3)
    words = [rng.bytes(length) for length in rng.integers(1, 24, 500)]
    return b"".join(words[number] for number in rng.zipf(1.4, count) % 500)


def telling(stretches: int = 1024) -> bytes:
    """Make bytes that ISA-L packs otherwise for every eighth wrong hash, if ever it notes its third byte under one.

    Where nothing was noted under a hash it looks at the start of the stretch of 32 KiB, where the third byte was, two
    bytes further. In each stretch four bytes lie there that come again; they have not been noted, as two known runs
    meet in them.
    """
    rng = np.random.default_rng(7)
    runs = rng.integers(1, 256, (64, 12), np.uint8)
    body = np.zeros((stretches + 1, 2**15), np.uint8)
    for before, after, number in zip(body, body[1:], itertools.count()):
        one, other = runs[number // len(runs)], runs[number % len(runs)]
        before[20_000:20_012], before[20_100:20_112] = one, other
        before[-9:], after[:3], after[3:15] = one[:9], one[9:], other
        after[1000:1006] = [1, one[-1], *other[:3], 2]
    return body.tobytes()


@given(pieces=st.lists(BODIES, max_size=6), level=st.sampled_from(LEVELS))
@UNHURRIED
def test_any_pieces_come_back(pieces: list[bytes], level: int) -> None:
    """What was handed over piece by piece, at any level, zlib unpacks to all of it, checksum and end included."""
    made = packer(level)
    stream = b"".join([made.compress(memoryview(piece)) for piece in pieces]) + made.flush()
    reader = zlib.decompressobj()
    assert reader.decompress(stream) == b"".join(pieces)
    assert reader.eof
    assert not reader.unused_data


@pytest.mark.parametrize("level", LEVELS)
def test_the_same_bytes_each_time(level: int) -> None:
    """The same pieces give the same stream, whatever was packed before."""
    body = wordy()
    first = packed(body, level)
    packed(bytes(100_000), level)
    assert packed(body, level) == first


@pytest.mark.parametrize("level", [1, 2])
def test_the_same_bytes_wherever_the_packer_lies(level: int) -> None:
    """Packers elsewhere in memory give the same stream: ISA-L's would take a hash of its own address for one."""
    body = telling()
    made = [packer(level) for _ in range(200)]
    assert len({each.compress(body) + each.flush() for each in made}) == 1


def test_a_higher_level_is_no_larger() -> None:
    """Level 0 packs nothing, and each level above is as small as the one before or smaller."""
    sizes = [len(packed(wordy(), level)) for level in LEVELS]
    assert sizes[0] > len(wordy())
    assert all(after <= before * 1.001 for before, after in itertools.pairwise(sizes)), sizes


@given(body=BODIES, cut=st.integers(0, 5000))
@UNHURRIED
def test_the_checksum_is_pngs(body: bytes, cut: int) -> None:
    """Whole or in two parts it is the one that zlib gives."""
    assert crc32(body) == crc32(body[cut:], crc32(body[:cut])) == zlib.crc32(body)


@given(body=BODIES, cut=st.integers(1, 5000), level=st.sampled_from(LEVELS))
@UNHURRIED
def test_unpacking_gives_it_back(body: bytes, cut: int, level: int) -> None:
    """In pieces of any length, a stream gives what was packed; so does one of zlib's."""
    for stream in (packed(body, level), zlib.compress(body, level)):
        made = Unpacker(len(body))
        assert b"".join(made.take(stream[at : at + cut]) for at in range(0, len(stream), cut)) == body
        made.end()


@given(body=st.binary(min_size=1, max_size=3000), place=st.integers(0, 10**6), off=st.sampled_from([-1, 0, 1]))
@UNHURRIED
def test_unpacking_refuses_what_is_not_whole(body: bytes, place: int, off: int) -> None:
    """A stream cut short, one of another length, one that goes on, and one with another last byte are refused."""
    stream = packed(body, 1)
    wrong = {-1: stream[: place % len(stream)], 0: stream[:-1] + bytes([stream[-1] ^ 1]), 1: stream + b"x"}[off]
    for length, body_of in ((len(body), wrong), (len(body) + 1, stream), (len(body) - 1, stream)):
        with pytest.raises(ValueError, match=r"."):
            unpack(body_of, length)


def unpack(stream: bytes, length: int) -> None:
    """Unpack a stream to its end."""
    made = Unpacker(length)
    made.take(stream)
    made.end()
