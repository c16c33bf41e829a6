"""Every colour mode and depth of a file, brought to RGB and an opacity of its own."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from PIL import Image

from tests.pictures.making import (
    cmyk_profile,
    corners,
    encoded,
    grey_profile,
    noise,
    png_of_size,
    png_with,
    profile,
    taken,
)

MILLION = 1_000_000


MODES = ("1", "L", "P", "RGB", "RGBA", "LA", "I;16")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (33, 17)])
def test_every_png_mode_at_every_size(mode: str, size: tuple[int, int]) -> None:
    """Bitmap, grey, palette, colour, opacity, deep grey; from one pixel on."""
    image = Image.new("I;16", size, 40_000) if mode == "I;16" else noise(*size).convert(mode)
    picture = taken(encoded(image, "PNG"))
    assert picture.image.size == size


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "LAB", "YCbCr", "I;16", "F", "I"])
def test_every_tiff_mode(mode: str) -> None:
    """TIFF holds more modes than anything else; all come out as RGB."""
    image = corners().convert("L").convert(mode) if mode in {"F", "I"} else None
    if mode == "I;16":
        image = Image.fromarray(np.full((8, 8), 0x8000, np.uint16))
    image = image or (Image.new("LAB", (8, 8), (128, 128, 128)) if mode == "LAB" else corners().convert(mode))
    assert taken(encoded(image, "TIFF")).image.size == image.size


def test_opacity_stands_apart() -> None:
    """A picture with opacity gives its colours and its opacity separately, exactly."""
    image = noise(mode="RGBA")
    picture = taken(encoded(image, "PNG"))
    assert picture.alpha is not None
    assert picture.alpha.tobytes() == image.getchannel("A").tobytes()
    assert picture.image.tobytes() == image.convert("RGB").tobytes()


def test_full_opacity_is_none() -> None:
    """An opacity channel that hides nothing is not kept: screenshots often have one."""
    assert taken(encoded(corners().convert("RGBA"), "PNG")).alpha is None


@pytest.mark.parametrize("name", ["PNG", "GIF"])
def test_palette_transparency(name: str) -> None:
    """A palette's transparent entry becomes opacity."""
    image = Image.new("P", (4, 2))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 1), 1)
    picture = taken(encoded(image, name, transparency=1))
    assert picture.alpha is not None
    assert picture.alpha.getpixel((1, 1)) == 0
    assert picture.alpha.getpixel((0, 0)) == 255
    assert picture.image.getpixel((0, 0)) == (255, 0, 0)


def test_palette_with_shares_of_opacity() -> None:
    """A palette with an opacity per entry keeps each of them."""
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putpixel((1, 0), 1)
    picture = taken(encoded(image, "PNG", transparency=bytes([200, 17])))
    assert picture.alpha is not None
    assert [picture.alpha.getpixel((x, 0)) for x in (0, 1)] == [200, 17]


@pytest.mark.parametrize(("mode", "key"), [("RGB", (255, 0, 0)), ("L", 76), ("1", 0)])
def test_one_transparent_colour(mode: str, key: int | tuple[int, ...]) -> None:
    """A single colour declared transparent becomes opacity."""
    picture = taken(encoded(corners().convert(mode), "PNG", transparency=key))
    assert picture.alpha is not None
    assert picture.alpha.getextrema() == (0, 255)


def _png16(colour_type: int, values: list[int], *, chunks: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    row = b"\0" + struct.pack(f">{len(values)}H", *values)
    return png_with(png_of_size(len(values) // samples, 1, bits=16, colour_type=colour_type, rows=row), *chunks)


@pytest.mark.parametrize(("colour_type", "values", "expected"), [
    (0, [0, 0x8000, 0xFFFF], [(0,) * 3, (128,) * 3, (255,) * 3]),
    (2, [0x1200, 0x8000, 0xFFFF], [(0x12, 0x80, 0xFF)]),
    (4, [0x4000, 0x8000], [(64,) * 3]),
    (6, [0x1200, 0x8000, 0xFFFF, 0x8000], [(0x12, 0x80, 0xFF)]),
])  # fmt: skip
def test_16_bits_are_reduced_and_said(
    colour_type: int,
    values: list[int],
    expected: list[tuple[int, ...]],
) -> None:
    """Deep PNGs of every colour type are scaled to 8 bits, never clipped, and the note says so."""
    picture = taken(_png16(colour_type, values))
    assert [picture.image.getpixel((x, 0)) for x in range(len(expected))] == expected
    assert picture.notes == ("Reduced from 16 to 8 bits.",)
    assert (picture.alpha is not None) == (colour_type in {4, 6})


@pytest.mark.parametrize(("colour_type", "values", "key"), [
    (0, [0, 0x8000], struct.pack(">H", 0x8000)),
    (2, [0, 0, 0, 0x1234, 0x5678, 0x9ABC], struct.pack(">HHH", 0x1234, 0x5678, 0x9ABC)),
])  # fmt: skip
def test_16_bit_transparent_colour(colour_type: int, values: list[int], key: bytes) -> None:
    """A transparent colour given in 16 bits still hides its pixels."""
    picture = taken(_png16(colour_type, values, chunks=((b"tRNS", key),)))
    assert picture.alpha is not None
    assert [picture.alpha.getpixel((x, 0)) for x in (0, 1)] == [255, 0]


@pytest.mark.parametrize(("values", "expected"), [
    (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
    (np.array([[-10.0, 0.0, 10.0]], np.float32), [0, 128, 255]),
    (np.array([[7.0, 7.0, 7.0]], np.float32), [0, 0, 0]),
    (np.array([[0, 30_000, 65_535]], np.int32), [0, 117, 255]),
    (np.array([[0, 100, 255]], np.int32), [0, 100, 255]),
    (np.array([[-5, 0, 5]], np.int32), [0, 128, 255]),
    (np.array([[0, 1000, 2**31 - 1]], np.int32), [0, 0, 127]),
])  # fmt: skip
def test_numbers_as_pixels_are_scaled(
    values: np.ndarray[tuple[int, int], np.dtype[np.generic]], expected: list[int]
) -> None:
    """Float and integer TIFFs are scaled into 8 bits by their range."""
    picture = taken(encoded(Image.fromarray(values), "TIFF"))
    assert [picture.image.getpixel((x, 0)) for x in range(3)] == [(value,) * 3 for value in expected]


def test_float_that_is_no_number() -> None:
    """NaN in a float TIFF is black, not a crash."""
    values = np.array([[np.nan, 0.5, 1.0]], np.float32)
    assert taken(encoded(Image.fromarray(values), "TIFF")).image.getpixel((2, 0)) == (255, 255, 255)


def test_an_rgb_profile_is_kept() -> None:
    """An RGB profile goes through unchanged, for colour and for grey pictures."""
    for mode in ("RGB", "L"):
        picture = taken(encoded(corners().convert(mode), "JPEG", icc_profile=profile()))
        assert picture.icc == profile()
        assert picture.notes == ()


@pytest.mark.parametrize("name", ["JPEG", "TIFF"])
def test_cmyk_is_converted_by_its_profile(name: str) -> None:
    """CMYK with a profile becomes sRGB by it, and the profile goes."""
    ink = Image.new("CMYK", (8, 8), (0, 0, 0, 255))
    picture = taken(encoded(ink, name, icc_profile=cmyk_profile()))
    assert picture.icc is None
    assert picture.notes == ("Converted from CMYK to sRGB by its profile.",)
    assert np.asarray(picture.image).max() < 20


def test_cmyk_without_a_profile() -> None:
    """CMYK without a profile is converted plainly, with a note."""
    picture = taken(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100))
    red, green, blue = picture.image.getpixel((4, 4))  # type: ignore[misc]
    assert red > 240
    assert max(green, blue) < 15
    assert "approximate" in picture.notes[0]


def test_grey_is_converted_by_its_profile() -> None:
    """A linear grey profile brightens: the numbers mean light, and sRGB numbers do not."""
    picture = taken(encoded(Image.new("L", (8, 8), 64), "PNG", icc_profile=grey_profile(gamma=1.0)))
    red, green, blue = picture.image.getpixel((4, 4))  # type: ignore[misc]
    assert red == green == blue
    assert 130 < red < 145
    assert picture.icc is None
    assert picture.notes == ("Converted from GRAY to sRGB by its profile.",)


def test_grey_with_opacity_and_profile() -> None:
    """Opacity survives the conversion by a grey profile."""
    image = Image.merge("LA", (Image.new("L", (4, 4), 64), Image.new("L", (4, 4), 99)))
    picture = taken(encoded(image, "PNG", icc_profile=grey_profile()))
    assert picture.alpha is not None
    assert picture.alpha.getextrema() == (99, 99)


def test_lab_is_converted() -> None:
    """Lab becomes sRGB: middle lightness without colour is a grey."""
    picture = taken(encoded(Image.new("LAB", (8, 8), (128, 128, 128)), "TIFF"))
    red, green, blue = picture.image.getpixel((4, 4))  # type: ignore[misc]
    assert max(red, green, blue) - min(red, green, blue) <= 6
    assert 100 < red < 140


@pytest.mark.parametrize("icc", [b"garbage", bytes(500), profile()[:200], b"x" * 36 + b"acsp" + b"y" * 400])
def test_a_garbage_profile_is_ignored(icc: bytes) -> None:
    """A damaged profile costs a note, not the picture."""
    for name in ("JPEG", "PNG", "WEBP"):
        picture = taken(encoded(corners(), name, icc_profile=icc))
        assert picture.icc is None
        assert any("profile" in note for note in picture.notes)


def test_a_profile_for_another_kind_of_picture_is_ignored() -> None:
    """A CMYK profile in an RGB picture is said and dropped."""
    picture = taken(encoded(corners(), "JPEG", icc_profile=cmyk_profile()))
    assert picture.icc is None
    assert "CMYK" in picture.notes[0]


def test_a_damaged_cmyk_profile() -> None:
    """CMYK with garbage for a profile is converted plainly."""
    picture = taken(encoded(Image.new("CMYK", (8, 8)), "JPEG", icc_profile=cmyk_profile()[:140] + bytes(50)))
    assert picture.image.size == (8, 8)
    assert "approximate" in " ".join(picture.notes)
