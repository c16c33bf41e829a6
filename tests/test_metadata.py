"""What of a picture's EXIF and resolution goes into its result."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bgrd.imaging.decode import from_image
from tests.pictures.making import (
    UNHURRIED,
    corners,
    encoded,
    exif_with,
    taken,
)

MILLION = 1_000_000


def test_resolution_turns_with_the_picture() -> None:
    """The resolution across becomes the one down when the picture is turned."""
    picture = taken(encoded(corners(), "JPEG", dpi=(300, 150), exif=exif_with({274: 6})))
    assert picture.dpi == (150.0, 300.0)


@pytest.mark.parametrize("dpi", ["text", (0, 0), (float("nan"), 1), (1e9, 1e9), (72,), None])
def test_nonsense_resolution_is_dropped(dpi: object) -> None:
    """Only two sensible numbers are a resolution."""
    image = corners()
    image.info["dpi"] = dpi
    assert from_image(image, max_pixels=MILLION).dpi is None


@given(block=st.binary(min_size=1, max_size=200))
@UNHURRIED
def test_garbage_exif_never_costs_the_picture(block: bytes) -> None:
    """Whatever stands in the EXIF block, the picture comes out."""
    for head in (b"Exif\0\0", b"Exif\0\0II*\0\x08\0\0\0"):
        assert taken(encoded(corners(), "JPEG", exif=head + block)).image.size in {(48, 32), (32, 48)}


def test_exif_keeps_no_picture_of_the_background() -> None:
    """Thumbnail, maker note and private blocks are not kept: they show or tell what was cut away."""
    block = exif_with(
        {271: "maker", 700: b"<xmp>", 34377: b"8BIM"}, exif={37500: b"preview", 36867: "2024:01:02 03:04:05"}
    )
    picture = taken(encoded(corners(), "JPEG", exif=block))
    assert picture.exif is not None
    left = Image.Exif()
    left.load(picture.exif)
    assert set(left) == {271, 0x8769}
    assert dict(left.get_ifd(0x8769)) == {36867: "2024:01:02 03:04:05"}
