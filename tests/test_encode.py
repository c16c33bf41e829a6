"""A composed picture to a file's bytes."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bgrd.errors import InputFault, MemoryFault, UnknownFault
from bgrd.imaging.encode import encode, missing_encoder
from bgrd.product import Format, Product
from tests.pictures.making import UNHURRIED, exif_with, noise, profile

WEBP = Product(format="webp", level=0)
EXIF = exif_with({271: "maker"}, exif={36867: "2024:01:02 03:04:05"}, gps={1: "N", 2: (52.0, 30.0, 0.0)})
TIFFS = [Product(format="tiff", level=level) for level in (0, 1, 9)]
LOSSY = [
    Product(format="webp", quality=80),
    Product(format="avif", level=0),
    Product(format="avif", level=2, quality=95),
    Product(format="jpeg"),
    Product(format="jpeg", level=9, quality=95),
]
EVERY = [Product(), Product(level=6), WEBP, *TIFFS, *LOSSY]


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


@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    mode=st.sampled_from(["RGBA", "RGB", "L"]),
    level=st.integers(0, 4),
    flat=st.booleans(),
    band_bytes=st.sampled_from([1, 400, 2**18]),
)
@UNHURRIED
def test_any_png_is_whole_by_its_specification(
    size: tuple[int, int], mode: str, level: int, band_bytes: int, *, flat: bool
) -> None:
    """At any size and level, in any bands: checksums and length are right, and each pixel comes back."""
    image = Image.new(mode, size, 7) if flat else noise(*size, mode=mode)
    stream = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bgrd.imaging.encode._BAND_BYTES", band_bytes)
        encode(image.copy(), stream, Product(level=level))
    chunks = list(chunks_of(stream.getvalue()))
    rows = zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT"))
    assert len(rows) == size[1] * (1 + size[0] * len(mode))
    assert [chunks[0][0], chunks[-1]] == [b"IHDR", (b"IEND", b"")]
    stream.seek(0)
    assert Image.open(stream).tobytes() == image.tobytes()


def chunks_of(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and body of each part of a PNG; each has the checksum it should have."""
    at = 8
    while at < len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        assert zlib.crc32(data[at + 4 : end]) == int.from_bytes(data[end : end + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : end]
        at = end + 4


@pytest.mark.parametrize("level", range(7))
def test_lossless_webp_is_exact(level: int) -> None:
    """WebP without a quality is lossless, and nothing is smeared over what is transparent."""
    radial, linear = Image.radial_gradient("L"), Image.linear_gradient("L")
    opacity = radial.point(lambda value: 255 - value if value < 150 else 0)
    image = hidden_zeroed(Image.merge("RGBA", (radial, linear, radial, opacity)))
    found = written(image.copy(), Product(format="webp", level=level))
    assert (found.format, found.mode, found.tobytes()) == ("WEBP", "RGBA", image.tobytes())


def test_lossy_webp_is_smaller() -> None:
    """WebP with a quality gives up exactness for size."""
    image, sizes = noise(64, 64), []
    for quality in (90, 10, None):
        stream = io.BytesIO()
        encode(image.copy(), stream, Product(format="webp", quality=quality, level=4))
        sizes.append(len(stream.getvalue()))
    assert sizes[1] < sizes[0] < sizes[2]


@pytest.mark.parametrize("product", EVERY)
@pytest.mark.parametrize("metadata", ["keep", "no-location", "none"])
def test_metadata(product: Product, metadata: str) -> None:
    """The profile stays always; EXIF by the setting, without a place for "no-location", not at all for "none"."""
    mode = "RGB" if product.format == "jpeg" else "RGBA"
    found = written(noise(mode=mode), product, icc=profile(), exif=EXIF, dpi=(300.0, 300.0), metadata=metadata)
    assert found.info["icc_profile"] == profile()
    exif = found.getexif()
    assert (271 in exif) == (metadata != "none")
    assert (0x8825 in exif) == (metadata == "keep")
    if metadata != "none":
        assert exif.get_ifd(0x8769) == {36867: "2024:01:02 03:04:05"}
    if metadata == "keep":
        assert exif.get_ifd(0x8825) == {1: "N", 2: (52.0, 30.0, 0.0)}
    if product.format in {"png", "tiff", "jpeg"}:
        dpi = found.info.get("dpi", (1, 1)) if product.format != "tiff" or metadata != "none" else (1, 1)
        assert (round(dpi[0]) == 300) == (metadata != "none")


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


@pytest.mark.parametrize("product", TIFFS)
@pytest.mark.parametrize("mode", ["RGBA", "RGB", "L"])
@pytest.mark.parametrize("size", [(1, 1), (33, 21), (1, 3000), (20_000, 40), (700, 1100)])
def test_tiff_is_exact(product: Product, mode: str, size: tuple[int, int]) -> None:
    """With and without compression every pixel comes back, whatever the size; opacity is no part of the colours."""
    image = noise(*size, mode=mode)
    found = written(image.copy(), product)
    assert (found.format, found.mode, found.tobytes()) == ("TIFF", mode, image.tobytes())


def test_a_tiff_begins_where_its_file_does() -> None:
    """What is written is the whole stream, and the stream stands at its end."""
    stream = io.BytesIO()
    encode(noise(2000, 700), stream, TIFFS[1], icc=profile(), exif=EXIF)
    assert stream.tell() == len(stream.getvalue())
    assert len(stream.getvalue()) > 3_000_000


@pytest.mark.parametrize("product", LOSSY)
def test_lossy_formats_come_close(product: Product) -> None:
    """A smooth picture comes back nearly as it was, in its mode, and its opacity with it."""
    mode = "RGB" if product.format == "jpeg" else "RGBA"
    image = noise(8, 8, mode=mode).resize((160, 120), Image.Resampling.BICUBIC)
    found = written(image.copy(), product)
    assert (found.mode, found.size) == (mode, image.size)
    seen = np.asarray(image)[:, :, -1] > 100
    off = np.abs(np.asarray(found, float) - np.asarray(image, float))[seen]
    assert off.mean() < 8


@pytest.mark.parametrize("product", [product for product in EVERY if product.format != "jpeg"])
def test_nothing_shines_through_where_nothing_is(product: Product) -> None:
    """Under opacity 0 no format brings colour back; lossy ones blur the edge's own into it, and no more."""
    image = hidden_zeroed(noise(64, 64, mode="RGBA"))
    image.paste((0, 0, 0, 0), (0, 0, 32, 64))
    found = np.asarray(written(image.copy(), product))
    exact = product.format in {"png", "tiff"} or (product.quality is None and product.format == "webp")
    assert found[:, :24, 3].max() <= (0 if exact else 8)
    assert found[:, :24, :3][found[:, :24, 3] == 0].mean() <= (0 if exact else 24)


@pytest.mark.parametrize(("format_", "side"), [("webp", 16_384), ("jpeg", 65_501), ("avif", 32_769)])
def test_a_format_has_a_longest_side(format_: Format, side: int) -> None:
    """What it cannot hold is told in a sentence with both sizes; one pixel less can be written."""
    product = Product(format=format_, level=0)
    with pytest.raises(InputFault, match=f"at most {side - 1} pixels a side; this result is {side} x 1"):
        written(Image.new("RGB", (side, 1)), product)
    assert written(Image.new("RGB", (side - 1, 1)), product).size == (side - 1, 1)


def test_exif_that_no_jpeg_holds_is_left_out() -> None:
    """A segment of a JPEG ends at 64 KB: the picture is written without it."""
    long = exif_with({271: "maker", 315: "x" * 65_000, 33432: "y" * 1000})
    assert not dict(written(noise(), Product(format="jpeg"), exif=long).getexif())
    assert dict(written(noise(), Product(format="tiff"), exif=long).getexif())[271] == "maker"


def test_a_format_pillow_cannot_write_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Pillow built without a library is told by name, not by a traceback."""
    monkeypatch.setattr("bgrd.imaging.encode.features.check", lambda name: False)
    assert not missing_encoder("png")
    with pytest.raises(UnknownFault, match="AVIF cannot be written by the Pillow installed here"):
        written(noise(), Product(format="avif"))


class _Full(io.BytesIO):
    def write(self, body: object) -> int:
        raise OSError(28, "No space left on device")


class _Starved(io.BytesIO):
    def write(self, body: object) -> int:
        raise MemoryError


@pytest.mark.parametrize("product", EVERY)
def test_what_the_stream_says_is_passed_on(product: Product) -> None:
    """A full disk stays an OSError with its number; missing memory becomes a memory fault."""
    with pytest.raises(OSError, match="No space") as caught:
        encode(noise(mode="RGB"), _Full(), product)
    assert caught.value.errno == 28
    with pytest.raises(MemoryFault):
        encode(noise(mode="RGB"), _Starved(), product)
