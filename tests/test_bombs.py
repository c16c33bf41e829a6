"""Small files that ask for much and large ones that hold little: each costs itself, in time and memory."""

from __future__ import annotations

import io
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from bgrd.errors import Fault, InputFault
from bgrd.imaging.decode import decode
from bgrd.imaging.encode import encode
from bgrd.imaging.picture import Picture
from bgrd.imaging.verify import verify
from bgrd.product import Ground, Product
from tests.pictures import bombs
from tests.pictures.making import corners, encoded, png_of_size, profile, shows_corners, taken
from tests.pictures.seeds import interlaced, tiff

MEBIBYTE = 2**20
MOST_CARRIED = 600 * 1024
"""More than any picture of this module has in colours, profile and EXIF together."""

METADATA = dict(bombs.metadata_bombs(3 * MEBIBYTE))


def written(picture: Picture) -> bytes:
    """Write a picture with all its metadata, and read it back as a lane does."""
    stream, product = io.BytesIO(), Product(ground=Ground(kind="colour", colour=(0, 0, 0)))
    encode(picture.image, stream, product, icc=picture.icc, exif=picture.exif, dpi=picture.dpi, metadata="keep")
    verify(stream, product, size=picture.image.size)
    return stream.getvalue()


@pytest.mark.parametrize("name", METADATA)
def test_metadata_is_carried_within_reason(name: str) -> None:
    """Megabytes beside the pixels cost neither the picture nor its result, which does not take them along."""
    picture = taken(METADATA[name]())
    assert shows_corners(picture.image)
    assert len(written(picture)) < MOST_CARRIED


@pytest.mark.parametrize("name", ["PNG EXIF", "WEBP EXIF", "AVIF EXIF"])
def test_left_out_metadata_is_told(name: str) -> None:
    """A note says that the EXIF block stayed behind."""
    assert any("EXIF" in note for note in taken(METADATA[name]()).notes)


@pytest.mark.parametrize("name", ["TIFF ICC", "WEBP ICC", "AVIF ICC", "JPEG ICC", "PNG ICC"])
def test_a_profile_no_reader_of_png_would_take_is_applied(name: str) -> None:
    """The colours are converted by it and need it no more, and a note says so."""
    picture = taken(METADATA[name]())
    assert picture.icc is None
    assert any("Converted from RGB to sRGB" in note for note in picture.notes)


def test_an_ordinary_profile_is_kept() -> None:
    """Whoever has a profile of ordinary size keeps it to the byte."""
    assert taken(encoded(corners(), "JPEG", icc_profile=profile())).icc == profile()


@contextmanager
def at_most(byte_count: int) -> Iterator[None]:
    """Let the block take no more memory than so many bytes."""
    now = int(Path("/proc/self/status").read_text().partition("VmData:")[2].split()[0]) * 1024
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (now + byte_count, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)


STRUCTURES = {
    "frames of a PNG": lambda: bombs.animated_png(300_000),
    "chunks of a PNG": lambda: bombs.chunked_png(300_000),
    "blocks of a GIF": lambda: bombs.talking_gif(300_000),
    "segments of a JPEG": lambda: bombs.segmented_jpeg(200_000),
    "markers of a JPEG": lambda: bombs.marked_jpeg(2_000_000),
    "passes of a JPEG": lambda: bombs.many_scans(5_000, width=64, height=48),
    "values of a TIFF": lambda: bombs.repeating_tiff(60_000, 500_000),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_too_many_parts_are_refused(name: str) -> None:
    """A file of hundreds of thousands of parts is refused with that word, in little memory."""
    data = STRUCTURES[name]()
    with pytest.raises(InputFault, match="more parts than any picture"), at_most(2 * len(data) + 20 * MEBIBYTE):
        decode(data, max_pixels=MEBIBYTE)


ANIMATIONS = {
    "PNG": lambda: bombs.animated_png(20_000),
    "GIF": lambda: bombs.animated_gif(1_000_000),
    "TIFF": lambda: bombs.paged_tiff(100_000),
}


@pytest.mark.parametrize("name", ANIMATIONS)
def test_of_many_frames_the_first_is_taken(name: str) -> None:
    """A hundred thousand frames cost no more than one, and a note says which was taken."""
    picture = taken(ANIMATIONS[name]())
    assert shows_corners(picture.image)
    assert "The first" in picture.notes[0]


def test_unpacking_is_bounded() -> None:
    """Text and a profile of 64 MiB each, packed in a PNG, are never unpacked."""
    picture = taken(bombs.text_png(64))
    assert shows_corners(picture.image)
    assert picture.icc is None


def test_a_blank_picture_of_absurd_size_is_refused_unread() -> None:
    """The pixels are counted in the header."""
    with pytest.raises(InputFault, match="40000 x 40000"):
        decode(png_of_size(40_000, 40_000), max_pixels=250_000_000)


@pytest.mark.parametrize(
    "data",
    [
        png_of_size(100, 100, rows=bytes(301) * 50),
        png_of_size(100, 100, rows=bytes(301) * 99 + bytes(300)),
        tiff(corners(), extra=[(278, 4, [8])]),
        tiff(corners(), tile=16, extra=[(257, 4, [400])]),
        tiff(corners(), extra=[(284, 3, [2])]),
    ],
)
def test_rows_that_are_not_there(data: bytes) -> None:
    """A picture with fewer rows than its size says is damaged; its decoder would leave them black without a word."""
    with pytest.raises(Fault, match=r"fewer rows|truncated"):
        taken(data)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_a_black_ground_is_no_damage(mode: str) -> None:
    """A picture whose last rows are empty is whole; so is one of interlaced rows."""
    blank = Image.new("RGB", (33, 17)).convert(mode)
    assert taken(encoded(blank, "PNG")).image.size == (33, 17)
    assert taken(interlaced(Image.new("RGB", (33, 17)))).image.size == (33, 17)
    assert taken(interlaced(corners(3, 3))).image.size == (3, 3)
