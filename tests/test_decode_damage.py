"""Bytes that are no picture, damaged, cut short or never written: each a fault a user understands."""

from __future__ import annotations

import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bgrd.errors import IncompleteFault, InputFault, MemoryFault, SparseFault
from bgrd.imaging.decode import decode
from tests.pictures.making import (
    UNHURRIED,
    encoded,
    noise,
    taken,
)

MILLION = 1_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")


@pytest.mark.parametrize("data", [b"hello, this is text", b"\x89PNG but not", b"GIF", b"<html>", b"BM is not enough"])
def test_no_picture(data: bytes) -> None:
    """Text named .jpg is told apart in a user's words."""
    with pytest.raises(InputFault, match="is not a picture"):
        taken(data)


@pytest.mark.parametrize("data", [b"", bytes(64), bytes(100_000)])
def test_nothing_there_yet(data: bytes) -> None:
    """An empty file and one that begins with zeros may still arrive."""
    with pytest.raises(IncompleteFault):
        taken(data)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_truncated(name: str, share: float) -> None:
    """Every format cut short is incomplete, wherever it is cut."""
    whole = encoded(noise(128, 128), name)
    with pytest.raises(IncompleteFault):
        taken(whole[: int(len(whole) * share)])


def test_a_hole_in_a_baseline_jpeg() -> None:
    """A JPEG with 64 KiB of zeros decodes without a word; it is incomplete, and taken on request with a note."""
    whole = encoded(noise(512, 512), "JPEG", quality=95)
    holed = whole[:100_000] + bytes(65_536) + whole[165_536:]
    Image.open(io.BytesIO(holed)).load()
    with pytest.raises(IncompleteFault, match="holes"):
        taken(holed)
    picture = taken(holed, accept_holes=True)
    assert picture.image.size == (512, 512)
    assert "holes" in picture.notes[0]


@pytest.mark.parametrize("name", ["PNG", "AVIF", "GIF", "WEBP"])
def test_a_hole_elsewhere_is_incomplete(name: str) -> None:
    """Pages of zeros in any format that notices are a file still arriving, not a damaged one."""
    whole = encoded(noise(512, 512), name)
    middle = len(whole) // 2
    holed = whole[:middle] + bytes(40_000) + whole[middle + 40_000 :]
    assert len(holed) == len(whole)
    with pytest.raises(IncompleteFault):
        taken(holed)


@pytest.mark.parametrize("name", FORMATS)
@given(data=st.data())
@UNHURRIED
def test_any_damage_is_a_picture_or_a_fault(name: str, data: st.DataObject) -> None:
    """Bytes changed anywhere end in a picture or in one of our faults, never in another exception or a warning."""
    broken = bytearray(_SMALL[name])
    for _ in range(data.draw(st.integers(1, 6))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(InputFault, IncompleteFault, MemoryFault):
        taken(bytes(broken))


_SMALL = {name: encoded(noise(24, 16), name) for name in FORMATS}


@pytest.mark.parametrize("name", FORMATS)
def test_a_part_never_written_is_no_picture_yet(name: str) -> None:
    """A hole the file system tells of is incomplete whatever decodes; accepted it is noted, and behind the end none."""
    whole = encoded(noise(24, 16), name)
    for at in (0, len(whole) // 2, len(whole) - 1):
        with pytest.raises(IncompleteFault, match="arrive"):
            decode(whole, max_pixels=MILLION, hole_at=at)
        notes = decode(whole, max_pixels=MILLION, hole_at=at, accept_holes=True).notes
        assert sum("holes" in note or "never written" in note for note in notes) == 1
    if name not in {"TIFF", "BMP", "GIF"}:
        padded = decode(whole + bytes(100), max_pixels=MILLION, hole_at=len(whole))
        assert not [note for note in padded.notes if "holes" in note]


def test_zeros_of_a_plain_format_are_no_damage() -> None:
    """What was never written of a bitmap or a TIFF without compression may be meant; of a compressed one it may not."""
    plain = [encoded(noise(24, 16, mode=mode), "BMP") for mode in ("RGB", "L")] + [encoded(noise(24, 16), "TIFF")]
    for whole in plain:
        with pytest.raises(SparseFault, match="may still arrive"):
            decode(whole, max_pixels=MILLION, hole_at=100)
        notes = decode(whole, max_pixels=MILLION, hole_at=100, accept_holes=True).notes
        assert notes == ("Parts of the file were never written: they count as zeros.",)
    packed = encoded(noise(24, 16), "TIFF", compression="tiff_lzw")
    run_lengths = bytearray(plain[1])
    run_lengths[30] = 1
    for data in (packed, bytes(run_lengths), encoded(noise(24, 16), "PNG")):
        with pytest.raises(IncompleteFault) as caught:
            decode(data, max_pixels=MILLION, hole_at=100)
        assert caught.type is IncompleteFault
