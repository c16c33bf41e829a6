"""Whether a written PNG is whole."""

from __future__ import annotations

import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bgrd.errors import UnknownFault
from bgrd.imaging.encode import encode
from bgrd.imaging.sound import sound_png
from bgrd.imaging.verify import verify
from bgrd.product import Product
from tests.pictures.making import UNHURRIED, encoded, exif_with, noise, png_chunk, profile

SIZE = (40, 30)
SIZES = st.tuples(st.integers(1, 60), st.integers(1, 60))
MODES = st.sampled_from(["RGBA", "RGB", "L"])


def written(size: tuple[int, int] = SIZE, mode: str = "RGBA", level: int = 1) -> bytes:
    """Write noise with all that may stand in a result."""
    stream = io.BytesIO()
    icc, exif = (profile(), exif_with({271: "maker"})) if mode != "L" else (None, None)
    encode(noise(*size, mode=mode), stream, Product(level=level), icc=icc, exif=exif, dpi=(300.0, 300.0))
    return stream.getvalue()


def png(rows: bytes, *, header: bytes | None = None, between: bytes = b"", pieces: int = 1) -> bytes:
    """Put a PNG of mode L together from filtered rows, packed by zlib and cut into parts."""
    packed = zlib.compress(rows)
    step = -(-len(packed) // pieces)
    parts = [png_chunk(b"IDAT", packed[at : at + step]) for at in range(0, len(packed), step)]
    head = header or (4).to_bytes(4, "big") + (3).to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + between.join(parts) + png_chunk(b"IEND", b"")


def refused(data: bytes) -> str:
    """Give why a file is refused."""
    with pytest.raises(ValueError, match=r".") as caught:
        sound_png(io.BytesIO(data))
    return str(caught.value)


@given(size=SIZES, mode=MODES, level=st.sampled_from([0, 1, 2, 3, 4]))
@UNHURRIED
def test_what_is_written_is_sound(size: tuple[int, int], mode: str, level: int) -> None:
    """Every size and level, by either writer, is taken for what it is."""
    found = sound_png(io.BytesIO(written(size, mode, level)))
    assert (found.size, found.mode, found.bits) == (size, mode, 8)


@given(place=st.integers(0, 10**6), change=st.integers(1, 255), level=st.sampled_from([0, 1, 4]))
@UNHURRIED
def test_no_changed_byte_goes_unseen(place: int, change: int, level: int) -> None:
    """Whichever byte of a result is another, it is refused."""
    data = bytearray(written(level=level))
    data[place % len(data)] ^= change
    with pytest.raises(UnknownFault):
        verify(io.BytesIO(data), Product(), size=SIZE)


@given(length=st.integers(0, 10**6))
@UNHURRIED
def test_no_shorter_file_is_taken(length: int) -> None:
    """Wherever a result is cut off, it is refused; so is one that goes on."""
    data = written()
    refused(data[: length % len(data)])
    assert "goes on" in refused(data + b"\0")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (bytes(3 * 5 - 1), "less than it should"),
        (bytes(3 * 5 + 1), "more than it should"),
        (bytes(10**7), "more than it should"),
        (bytes(10) + b"\5" + bytes(4), "a filter that there is not"),
    ],
)
def test_rows_are_as_they_should_be(rows: bytes, reason: str) -> None:
    """With right checksums, too few or too many bytes and an unknown filter are refused all the same."""
    for pieces in (1, 3, 100):
        assert reason in refused(png(rows, pieces=pieces))


@pytest.mark.parametrize("number", range(5))
def test_every_filter_is_known(number: int) -> None:
    """The five filters are taken in any row, however the parts are cut."""
    rows = b"".join(bytes([(number + row) % 5, 1, 2, 3, 4]) for row in range(3))
    for pieces in (1, 2, 100):
        data = png(rows, pieces=pieces)
        assert sound_png(io.BytesIO(data)).size == Image.open(io.BytesIO(data)).size == (4, 3)


def test_only_bgrds_own_kinds() -> None:
    """Palettes, interlaced files, other depths, rows that lie apart, no header and no rows are none of bgrd's."""
    whole = bytes(15)
    for place, value in ((8, 4), (9, 3), (10, 1), (11, 1), (12, 1)):
        header = bytearray((4).to_bytes(4, "big") + (3).to_bytes(4, "big") + bytes([8, 0, 0, 0, 0]))
        header[place] = value
        assert "header" in refused(png(whole, header=bytes(header)))
    assert "header" in refused(encoded(noise().convert("P"), "PNG"))
    assert "apart" in refused(png(whole, between=png_chunk(b"pHYs", bytes(9)), pieces=2))
    assert "PLTE" in refused(png(whole, between=png_chunk(b"PLTE", bytes(3)), pieces=2))
    assert "header" in refused(b"\x89PNG\r\n\x1a\n" + png_chunk(b"IEND", b""))
    assert "no PNG" in refused(encoded(noise(), "JPEG"))


def test_pillow_would_not_see_this() -> None:
    """A wrong checksum of a part of rows, which Pillow passes over, is refused: this check is the stronger one."""
    data = bytearray(written())
    at = data.index(b"IDAT")
    data[at + 4 + int.from_bytes(data[at - 4 : at], "big")] ^= 1
    Image.open(io.BytesIO(data)).load()
    assert "checksum" in refused(bytes(data))
