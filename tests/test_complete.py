"""Whether a file holds its whole first image."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from bgrd.errors import IncompleteFault
from bgrd.imaging.complete import HOLE_BYTES, Extent, extent, has_gap, has_hole, sniff
from tests.pictures.making import UNHURRIED, corners, encoded, noise

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
WALKED = ("JPEG", "WEBP", "GIF", "AVIF")


@pytest.mark.parametrize("name", FORMATS)
def test_content_tells_the_format(name: str) -> None:
    """Every format is known by its first 64 bytes."""
    assert sniff(encoded(corners(), name)[:64]) == name


def test_heif_brands() -> None:
    """HEIC and AVIF share a container and are told apart by their brands; a film is neither."""
    assert sniff(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic") == "HEIF"
    assert sniff(b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif") == "AVIF"
    assert sniff(b"\0\0\0\x18ftypisom\0\0\0\0mp41isom") is None


@pytest.mark.parametrize(
    "head", [b"", b"BM and other words of a text", b"%PDF-1.7", b"<svg xmlns=", b"RIFF1234WAVEfmt "]
)
def test_other_content_is_no_format(head: bytes) -> None:
    """Text, documents, sound and emptiness are no picture, whatever their first letters."""
    assert sniff(head) is None


@given(st.binary(max_size=64))
@UNHURRIED
def test_sniff_takes_any_bytes(head: bytes) -> None:
    """No bytes make it raise."""
    sniff(head)


@pytest.mark.parametrize("name", WALKED)
@given(data=st.data())
@UNHURRIED
def test_every_cut_is_incomplete(name: str, data: st.DataObject) -> None:
    """A file cut anywhere after its magic is incomplete, and never anything worse."""
    whole = _WHOLE[name]
    cut = data.draw(st.integers(16, len(whole) - (2 if name != "GIF" else 3)))
    with pytest.raises(IncompleteFault):
        extent(whole[:cut], name)


_WHOLE = {name: encoded(noise(48, 40), name) for name in WALKED}


@pytest.mark.parametrize("name", WALKED)
@given(data=st.data())
@UNHURRIED
def test_damage_never_crashes_the_walk(name: str, data: st.DataObject) -> None:
    """Any byte changed anywhere ends in an extent or in IncompleteFault."""
    broken = bytearray(_WHOLE[name])
    for _ in range(data.draw(st.integers(1, 8))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = extent(bytes(broken), name)
    except IncompleteFault:
        return
    has_hole(bytes(broken), found)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_rows": 1}])
def test_the_end_of_a_jpeg_is_found(options: dict[str, object]) -> None:
    """EOI is found behind every scan, whatever follows it."""
    whole = encoded(noise(), "JPEG", **options)
    assert extent(whole + b"\xff\xd8 a film \xff\xd9", "JPEG").end == len(whole)


def test_a_thumbnail_is_not_the_end() -> None:
    """An end marker inside a segment is not the picture's."""
    whole = encoded(noise(), "JPEG")
    thumbnail = encoded(noise(8, 8), "JPEG")
    segment = b"\xff\xe5" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    assert extent(whole[:2] + segment + whole[2:], "JPEG").end == len(whole) + len(segment)


@pytest.mark.parametrize("offset", [0, 1, 511, 4096])
def test_a_hole_in_a_scan_is_seen_anywhere(offset: int) -> None:
    """32 KiB of zeros inside a JPEG scan are a hole; a byte less is not."""
    whole = encoded(noise(512, 512), "JPEG", quality=95)
    assert not has_hole(whole, extent(whole, "JPEG"))
    at = 100_000 + offset
    holed = whole[:at] + bytes(HOLE_BYTES) + whole[at + HOLE_BYTES :]
    assert has_hole(holed, extent(holed, "JPEG"))
    nearly = whole[:at] + b"\1" + bytes(HOLE_BYTES - 2) + b"\1" + whole[at + HOLE_BYTES :]
    assert not has_hole(nearly, extent(nearly, "JPEG"))


def test_zeros_in_a_header_are_no_hole() -> None:
    """Padding inside a segment is allowed: cameras reserve space."""
    whole = encoded(noise(), "JPEG")
    segment = b"\xff\xe5\xff\xff" + bytes(0xFFFD)
    padded = whole[:2] + segment + whole[2:]
    assert not has_hole(padded, extent(padded, "JPEG"))


def test_a_blank_ground_is_no_hole_but_pages_of_it_are() -> None:
    """An optimised photo on white has long runs of zero bits; only those that begin or end with a page count."""
    image = Image.new("RGB", (4096, 3200), "white")
    image.paste(noise(600, 300).filter(ImageFilter.GaussianBlur(2)), (900, 2800))
    whole = encoded(image, "JPEG", optimize=True)
    found = extent(whole, "JPEG")
    assert found.flat_zeros
    assert bytes(HOLE_BYTES) in whole
    assert not has_hole(whole, found)
    far = encoded(noise(1500, 300), "JPEG")
    joined = whole[: len(whole) - 2] + far[-200_000:]
    at = len(whole) + 4096 - len(whole) % 4096
    holed = joined[:at] + bytes(2 * HOLE_BYTES) + joined[at + 2 * HOLE_BYTES :]
    assert has_hole(holed, Extent(end=len(holed), dense=((at - 100, len(holed)),), flat_zeros=True))


def test_a_hole_in_a_lossy_webp_is_seen() -> None:
    """Zeros inside VP8 data are a hole; inside a lossless picture nobody can say."""
    whole = encoded(noise(512, 512), "WEBP", quality=95)
    holed = whole[:50_000] + bytes(HOLE_BYTES) + whole[50_000 + HOLE_BYTES :]
    assert has_hole(holed, extent(holed, "WEBP"))
    lossless = encoded(noise(64, 64), "WEBP", lossless=True)
    assert extent(lossless, "WEBP").dense == ()


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}])
def test_a_webp_says_its_size(options: dict[str, object]) -> None:
    """The canvas size is read from each of the three kinds of WebP header."""
    assert extent(encoded(noise(45, 31), "WEBP", **options), "WEBP").size == (45, 31)


def test_an_animated_webp_ends_dense_parts_at_its_first_frame() -> None:
    """Only the first frame of an animation is looked at."""
    whole = encoded(noise(), "WEBP", save_all=True, append_images=[noise(seed=2)])
    assert len(extent(whole, "WEBP").dense) == 1


def test_a_gif_says_whether_more_frames_follow() -> None:
    """An animation is known without decoding it."""
    single = encoded(noise(mode="L"), "GIF")
    several = encoded(noise(mode="L"), "GIF", save_all=True, append_images=[noise(mode="L", seed=2)])
    assert not extent(single, "GIF").animated
    assert extent(several, "GIF").animated


def test_phones_append_to_heic() -> None:
    """What follows the known boxes is not the picture's: no fault, and the end is told."""
    whole = encoded(noise(), "AVIF")
    assert extent(whole + b"\x7f\xff\xff\xffmpvd and a film", "AVIF").end == len(whole)


def test_a_page_of_zeros_is_a_gap() -> None:
    """A page of zeros makes a decoding error a sign of an unfinished copy."""
    assert has_gap(b"a" + bytes(4096))
    assert not has_gap(b"a" + bytes(4095))
