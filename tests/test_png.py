"""The chunks of a PNG."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest

from bgrd.errors import Fault, IncompleteFault, InputFault
from bgrd.imaging import png
from tests.pictures.making import (
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


class _Counting:
    """Stands for zlib: counts the bytes that a decompressor takes in, and those that it copies for the next call."""

    error = zlib.error

    def __init__(self) -> None:
        self.moved = 0

    def decompressobj(self) -> _Counting:
        self._real = zlib.decompressobj()
        return self

    def decompress(self, packed: bytes, most: int) -> bytes:
        unpacked = self._real.decompress(packed, most)
        self.moved += len(packed) + len(self.unconsumed_tail) + len(self._real.unused_data)
        return unpacked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def _rows(height: int, *, packed: bool) -> bytes:
    """Make the rows of a picture of 1000 columns: noise, or blank ones which pack a thousandfold."""
    return b"".join(b"\0" + (bytes(3000) if packed else random.Random(row).randbytes(3000)) for row in range(height))


@pytest.mark.parametrize("packed", [False, True])
def test_rows_are_counted_in_linear_time(packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    """A picture in one chunk is handed to the decompressor once, however large it is."""
    for height in (500, 3000):
        data = png_of_size(1000, height, rows=_rows(height, packed=packed))
        counting = _Counting()
        with monkeypatch.context() as patch:
            patch.setattr(png, "zlib", counting)
            assert not png.lacks_rows(data)
        assert counting.moved < 2 * 3001 * height
        assert png.lacks_rows(png_of_size(1000, height, rows=_rows(height, packed=packed)[:-1]))


def test_what_follows_the_rows_is_not_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes after an early end of the packed rows are not copied again and again."""
    data = png_of_size(1000, 9, rows=bytes(3001))
    rest = data.index(b"IDAT") - 4
    length = int.from_bytes(data[rest : rest + 4], "big")
    body = data[rest + 8 : rest + 8 + length] + b"x" * 5 * MILLION
    counting = _Counting()
    monkeypatch.setattr(png, "zlib", counting)
    assert png.lacks_rows(data[:rest] + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b""))
    assert counting.moved < MILLION
