"""A composed picture to a file's bytes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bgrd.errors import InputFault, MemoryFault
from bgrd.imaging.encode import encode
from bgrd.job import Product
from tests.making import exif_with, noise, profile

WEBP = Product(format="webp", level=0)
EXIF = exif_with({271: "maker"}, exif={36867: "2024:01:02 03:04:05"}, gps={1: "N", 2: (52.0, 30.0, 0.0)})


def written(image: Image.Image, product: Product | None = None, **options: Any) -> Image.Image:
    """Encode and read back."""
    stream = io.BytesIO()
    encode(image, stream, product or Product(), **options)
    stream.seek(0)
    found = Image.open(stream)
    found.load()
    return found


def hidden_zeroed(image: Image.Image) -> Image.Image:
    """Zero the colour under opacity 0, as composing does."""
    values = np.asarray(image).copy()
    values[values[:, :, 3] == 0] = 0
    return Image.fromarray(values)


@pytest.mark.parametrize("level", range(10))
@pytest.mark.parametrize("mode", ["RGBA", "RGB", "L"])
def test_png_is_exact(level: int, mode: str) -> None:
    """Every level gives the same pixels back, for cut-out, colour ground and mask."""
    image = noise(33, 21, mode=mode)
    found = written(image.copy(), Product(level=level))
    assert (found.format, found.mode, found.tobytes()) == ("PNG", mode, image.tobytes())


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (20_000, 40), (700, 1100)])
def test_png_of_every_size(size: tuple[int, int]) -> None:
    """Bands of rows join without a seam, whatever the size."""
    image = noise(*size, mode="RGBA")
    assert written(image.copy()).tobytes() == image.tobytes()


def test_lossless_webp_is_exact() -> None:
    """WebP without a quality is lossless."""
    image = hidden_zeroed(noise(33, 21, mode="RGBA"))
    found = written(image.copy(), WEBP)
    assert (found.format, found.tobytes()) == ("WEBP", image.tobytes())


def test_lossy_webp_is_smaller() -> None:
    """WebP with a quality gives up exactness for size."""
    image, sizes = noise(64, 64), []
    for quality in (90, 10, None):
        stream = io.BytesIO()
        encode(image.copy(), stream, Product(format="webp", quality=quality, level=4))
        sizes.append(len(stream.getvalue()))
    assert sizes[1] < sizes[0] < sizes[2]


def test_webp_has_a_longest_side() -> None:
    """WebP cannot hold a side of 16384; the message says so."""
    with pytest.raises(InputFault, match="16383"):
        written(Image.new("RGBA", (16_384, 1)), WEBP)


@pytest.mark.parametrize("product", [Product(), Product(level=6), WEBP])
@pytest.mark.parametrize("metadata", ["keep", "no-location", "none"])
def test_metadata(product: Product, metadata: str) -> None:
    """The profile stays always; EXIF by the setting, without a place for "no-location", not at all for "none"."""
    found = written(noise(mode="RGBA"), product, icc=profile(), exif=EXIF, dpi=(300.0, 300.0), metadata=metadata)
    assert found.info["icc_profile"] == profile()
    exif = found.getexif()
    assert (271 in exif) == (metadata != "none")
    assert (0x8825 in exif) == (metadata == "keep")
    if metadata != "none":
        assert exif.get_ifd(0x8769) == {36867: "2024:01:02 03:04:05"}
    if metadata == "keep":
        assert exif.get_ifd(0x8825) == {1: "N", 2: (52.0, 30.0, 0.0)}
    if product.format == "png":
        assert ("dpi" in found.info) == (metadata != "none")


def test_no_place_is_left_in_the_bytes() -> None:
    """The bytes of the GPS directory are gone, not only its entry."""
    stream = io.BytesIO()
    encode(noise(mode="RGBA"), stream, Product(), exif=exif_with({271: "maker"}, gps={29: "2031:12:24"}))
    assert b"2031:12:24" not in stream.getvalue()
    assert b"maker" in stream.getvalue()


def test_only_a_place_leaves_nothing() -> None:
    """An EXIF block that held a place alone is left out."""
    assert not dict(written(noise(mode="RGBA"), exif=exif_with({}, gps={1: "N"})).getexif())


def test_garbage_exif_is_left_out() -> None:
    """A block nobody can read cannot be cleared of its place, so it is not written."""
    assert not dict(written(noise(mode="RGBA"), exif=b"Exif\0\0garbage").getexif())


def test_what_the_image_remembers_is_not_written() -> None:
    """Only what is passed is written, not what the picture carries along from its file."""
    image = noise(mode="RGBA")
    image.info |= {"exif": EXIF, "icc_profile": b"old", "comment": "secret", "xmp": b"<x/>", "dpi": (1, 1)}
    assert not {"exif", "icc_profile", "comment", "xmp", "dpi"} & set(written(image).info)


def test_a_mask_has_no_colours_to_profile() -> None:
    """An RGB profile does not belong to a grey mask."""
    assert "icc_profile" not in written(noise(mode="L"), Product(kind="mask"), icc=profile()).info


class _Full(io.BytesIO):
    def write(self, body: object) -> int:
        raise OSError(28, "No space left on device")


class _Starved(io.BytesIO):
    def write(self, body: object) -> int:
        raise MemoryError


@pytest.mark.parametrize("product", [Product(), Product(level=6), WEBP])
def test_what_the_stream_says_is_passed_on(product: Product) -> None:
    """A full disk stays an OSError with its number; missing memory becomes a memory fault."""
    with pytest.raises(OSError, match="No space") as caught:
        encode(noise(mode="RGBA"), _Full(), product)
    assert caught.value.errno == 28
    with pytest.raises(MemoryFault):
        encode(noise(mode="RGBA"), _Starved(), product)
