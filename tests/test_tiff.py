"""The first directory of a TIFF."""

from __future__ import annotations

import struct

import pytest

from bgrd.errors import IncompleteFault, InputFault
from bgrd.imaging.decode import decode
from bgrd.imaging.tiff import first_page
from tests.pictures.making import (
    encoded,
    noise,
    taken,
)
from tests.pictures.sixteen import noisy, tiff16

MILLION = 1_000_000


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_deflate", "jpeg", "packbits"])
def test_truncated_tiff_of_every_compression(compression: str) -> None:
    """A TIFF cut short is incomplete for every compression."""
    whole = encoded(noise(128, 128), "TIFF", compression=compression)
    for share in (0.2, 0.5, 0.8, 0.97):
        with pytest.raises(IncompleteFault):
            taken(whole[: int(len(whole) * share)])


@pytest.mark.parametrize("data", [b"II*\0", b"II*\0\xff\xff\xff\x7f", b"MM\0+\0\x08\0\0" + b"\xff" * 8])
def test_no_directory(data: bytes) -> None:
    """A directory beyond the end of the file has not arrived yet."""
    with pytest.raises(IncompleteFault):
        first_page(data)


def _big_tiff(order: str, *, offset: int, size: int) -> bytes:
    """Make a BigTIFF directory of one strip. Source: BigTIFF design, "header"."""
    head = (b"II+\0" if order == "<" else b"MM\0+") + struct.pack(order + "HHQ", 8, 0, 16)
    entries = struct.pack(order + "HHQHHHH", 258, 3, 3, 8, 8, 16, 0)
    entries += struct.pack(order + "HHQQ", 273, 16, 1, offset) + struct.pack(order + "HHQQ", 279, 16, 1, size)
    return head + struct.pack(order + "Q", 3) + entries + struct.pack(order + "Q", 0) + b"pixels"


@pytest.mark.parametrize("order", ["<", ">"])
def test_big_tiff(order: str) -> None:
    """BigTIFF is read in both byte orders: depth, and whether its strip is there."""
    end = len(_big_tiff(order, offset=0, size=0))
    page = first_page(_big_tiff(order, offset=end - 6, size=6))
    assert (page.bits, page.several) == (16, False)
    with pytest.raises(IncompleteFault):
        first_page(_big_tiff(order, offset=end - 6, size=7))


@pytest.mark.parametrize("channels", [3, 4])
def test_separate_planes_of_16_bits(channels: int) -> None:
    """Uncompressed they would be read wrongly, and are refused with a sentence; compressed they are read."""
    rows = noisy(6, 5, channels)
    with pytest.raises(InputFault, match="16 bits whose colours lie in separate planes, uncompressed"):
        decode(tiff16(rows, planar=True), max_pixels=100)
    packed = decode(tiff16(rows, planar=True, compression=8), max_pixels=100)
    assert packed.image.tobytes() == bytes(part >> 8 for row in rows for pixel in row for part in pixel[:3])


def test_white_may_be_zero() -> None:
    """A grey picture of 16 bits whose zero is white is turned, not shown as its negative; big-endian it is refused."""
    rows = noisy(6, 5, 1)
    with pytest.raises(InputFault):
        decode(tiff16(rows, order=">", tags=[(262, 0)]), max_pixels=100)
    found = decode(tiff16(rows, tags=[(262, 0)]), max_pixels=100).image
    assert found.convert("L").tobytes() == bytes(255 - (part >> 8) for row in rows for (part,) in row)
