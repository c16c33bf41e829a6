"""Bytes of every format to an upright RGB picture, or to a fault a user understands."""

from __future__ import annotations

import importlib.util
import io
import struct
import threading
import tracemalloc
import warnings

import numpy as np
import pytest
from PIL import Image, ImageDraw

from bgrd.errors import Fault, IncompleteFault, InputFault, MemoryFault
from bgrd.imaging import decode as module
from bgrd.imaging.decode import decode, from_image
from tests.pictures.making import (
    corners,
    encoded,
    exif_with,
    noise,
    png_of_size,
    profile,
    shows_corners,
    taken,
)

MILLION = 1_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_decodes(name: str) -> None:
    """Each listed format gives the right pixels, its name and no notes."""
    picture = taken(encoded(corners(), name))
    assert shows_corners(picture.image)
    assert (picture.format, picture.alpha, picture.notes) == (name, None, ())


def test_heic_decodes() -> None:
    """HEIC is read by its extra, with its EXIF and turned once."""
    pillow_heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    turned = corners().transpose(Image.Transpose.ROTATE_90)
    pillow_heif.from_pillow(turned).save(stream, quality=95, exif=exif_with({274: 6, 271: "maker"}))
    picture = taken(stream.getvalue())
    assert picture.format == "HEIF"
    assert shows_corners(picture.image)
    assert picture.image.size == (48, 32)
    with pytest.raises(IncompleteFault):
        taken(stream.getvalue()[:-100])


def test_heic_named_png_is_told_by_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, a HEIC says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    boxes = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x08meta" + b"\0\0\0\x08mdat"
    with pytest.raises(InputFault, match=r"pip install 'bgrd\[heif\]'"):
        taken(boxes)


def test_avif_without_support(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Pillow built without AVIF is said, not crashed over."""
    monkeypatch.setattr("bgrd.imaging.decode.features.check", lambda name: False)
    with pytest.raises(InputFault, match="AVIF"):
        taken(encoded(corners(), "AVIF"))


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(name: str, orientation: int) -> None:
    """All eight orientations come out upright, and none is left in the EXIF block."""
    undo = {5: 5, 6: 8, 7: 7, 8: 6}.get(orientation, orientation)
    stored = corners() if undo == 1 else corners().transpose(module._UPRIGHT[undo])
    options: dict[str, object] = {"exif": exif_with({274: orientation, 271: "maker"})}
    picture = taken(encoded(stored, name, **options))
    assert picture.image.size == (48, 32)
    assert shows_corners(picture.image)
    assert picture.exif is not None
    left = Image.Exif()
    left.load(picture.exif)
    assert dict(left) == {271: "maker"}


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_nonsense_orientation_is_upright(value: int) -> None:
    """An orientation that does not exist changes nothing."""
    assert shows_corners(taken(encoded(corners(), "JPEG", exif=exif_with({274: value}))).image)


def test_an_extreme_strip() -> None:
    """20000 x 40 is a picture like any other."""
    assert taken(encoded(Image.new("RGB", (20_000, 40)), "PNG")).image.size == (20_000, 40)


def test_first_frame_of_animations() -> None:
    """GIF, WebP, APNG and paged TIFF give their first picture and a note."""
    for name, word in (("GIF", "animation"), ("WEBP", "animation"), ("PNG", "animation"), ("TIFF", "pages")):
        red, blue = Image.new("RGB", (16, 16), (255, 0, 0)), Image.new("RGB", (16, 16), (0, 0, 255))
        picture = taken(encoded(red, name, save_all=True, append_images=[blue]))
        assert np.abs(np.asarray(picture.image, int)[8, 8] - (255, 0, 0)).max() <= 2
        assert any(word in note for note in picture.notes), name


def test_motion_photo() -> None:
    """What a phone appends behind the picture is ignored with a note."""
    picture = taken(encoded(corners(), "JPEG") + b"ftypmp42" * 1000)
    assert picture.notes == ("8000 bytes after the end of the picture were ignored.",)


def test_several_pictures_in_one_jpeg() -> None:
    """A multi-picture JPEG gives its first one and does not warn."""
    data = encoded(corners(), "MPO", save_all=True, append_images=[noise(48, 32)])
    assert shows_corners(taken(data).image)


def test_the_limit_is_held_before_decoding() -> None:
    """A PNG of a few bytes that claims 10^9 pixels costs nothing and says its size."""
    bomb = png_of_size(40_000, 25_000)
    tracemalloc.start()
    with pytest.raises(InputFault, match="40000 x 25000 is 1000 million pixels"):
        taken(bomb)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MILLION


@pytest.mark.parametrize("name", [*FORMATS])
def test_the_limit_is_exact(name: str) -> None:
    """A picture of exactly max_pixels passes, one more pixel does not, in every format."""
    data = encoded(corners(40, 30), name)
    assert decode(data, max_pixels=1200).image.size == (40, 30)
    with pytest.raises(InputFault, match="too large"):
        decode(data, max_pixels=1199)


def test_a_gif_whose_frame_is_larger_than_its_screen() -> None:
    """The limit counts what a frame would make of the canvas."""
    data = bytearray(encoded(Image.new("L", (8, 8)), "GIF"))
    at = data.index(b"\x2c\0\0\0\0")
    data[at + 1 : at + 9] = struct.pack("<HHHH", 60_000, 60_000, 8, 8)
    with pytest.raises(InputFault, match="too large"):
        taken(bytes(data))


@pytest.mark.parametrize("name", FORMATS)
def test_pillows_own_limit_does_not_interfere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only our limit counts: no warning and no error of Pillow's, and its limit is as before afterwards."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert taken(encoded(corners(), name)).image.size == (48, 32)
    assert Image.MAX_IMAGE_PIXELS == 10


def test_warnings_never_leak() -> None:
    """Damaged metadata makes Pillow warn; the filters are as before afterwards."""
    data = encoded(corners(), "TIFF")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        for at in range(8, len(data), 7):
            broken = data[:at] + b"\xff\xff" + data[at + 2 :]
            try:
                decode(broken, max_pixels=MILLION)
            except Fault:
                continue
        assert list(warnings.filters) == before


def test_overlapping_decodes_restore_the_filters() -> None:
    """Two threads that decode at once leave the warning filters as they were."""
    before, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    data = encoded(noise(256, 256), "PNG")
    threads = [threading.Thread(target=lambda: [taken(data) for _ in range(5)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
    assert limit == Image.MAX_IMAGE_PIXELS


def test_memory_that_runs_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A MemoryError while decoding is a memory fault."""

    def starved(self: object) -> None:
        raise MemoryError

    monkeypatch.setattr("bgrd.imaging.decode.JpegImageFile.load", starved)
    with pytest.raises(MemoryFault):
        taken(encoded(corners(), "JPEG"))


def test_an_image_in_memory_is_treated_alike() -> None:
    """A Pillow image gets the same conversion, and is not changed itself."""
    image = noise(mode="RGBA")
    image.info["icc_profile"] = profile()
    before = image.tobytes()
    picture = from_image(image, max_pixels=MILLION)
    ImageDraw.Draw(picture.image).rectangle((0, 0, 9, 9), fill="red")
    assert picture.icc == profile()
    assert picture.alpha is not None
    assert image.tobytes() == before
    with pytest.raises(InputFault, match="too large"):
        from_image(image, max_pixels=10)
    with pytest.raises(IncompleteFault):
        from_image(Image.open(io.BytesIO(encoded(noise(), "BMP")[:-99])), max_pixels=MILLION)
    with pytest.raises(InputFault, match="no pixels"):
        from_image(Image.new("RGB", (0, 5)), max_pixels=10)
