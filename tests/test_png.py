"""The chunks of a PNG."""

from __future__ import annotations

import zlib

import pytest

from bgrd.errors import Fault, IncompleteFault, InputFault
from tests.making import (
    corners,
    encoded,
    noise,
    png_chunk,
    png_of_size,
    png_with,
    shows_corners,
    taken,
)

MILLION = 1_000_000


def test_damage_without_zeros_is_final() -> None:
    """A broken checksum or header without holes will not mend: the file is damaged."""
    whole = bytearray(encoded(noise(), "PNG"))
    whole[len(whole) // 2] ^= 0xFF
    with pytest.raises(InputFault, match="damaged"):
        taken(bytes(whole))
    no_header = whole[:8] + png_chunk(b"IDAT", b"x") + png_chunk(b"IEND", b"")
    with pytest.raises(InputFault, match="damaged"):
        taken(bytes(no_header))


def test_text_bombs_cost_nothing() -> None:
    """Huge, compressed, damaged and misleading PNG text never reaches the decoder."""
    bomb = b"Comment\0\0" + zlib.compress(bytes(50 * MILLION))
    lies = ((b"tEXt", b"dpi\0hello"), (b"tEXt", b"transparency\0x"), (b"tEXt", b"icc_profile\0y"))
    data = png_with(encoded(corners(), "PNG"), (b"zTXt", bomb), (b"iTXt", b"broken"), (b"gAMA", b""), *lies)
    picture = taken(data)
    assert (picture.notes, picture.alpha, picture.dpi, picture.icc) == ((), None, None, None)
    assert shows_corners(picture.image)


def test_a_profile_bomb_is_no_profile() -> None:
    """A compressed profile that unpacks to megabytes, and one that does not unpack, are left out."""
    for packed in (zlib.compress(bytes(50 * MILLION)), b"broken"):
        assert taken(png_with(encoded(corners(), "PNG"), (b"iCCP", b"icc\0\0" + packed))).icc is None


def test_too_many_rows_in_a_png() -> None:
    """Pixel data that goes on beyond the picture is bounded by the picture's size."""
    data = png_of_size(4, 4, rows=b"\0" * 30 * MILLION)
    try:
        assert taken(data).image.size == (4, 4)
    except Fault as fault:
        assert isinstance(fault, InputFault | IncompleteFault)  # noqa: PT017 - either answer is fine, a crash is not
