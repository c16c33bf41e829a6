"""The segments of a JPEG."""

from __future__ import annotations

import pytest

from bgrd.errors import IncompleteFault, InputFault
from bgrd.imaging.jpeg import lean, segments
from tests.pictures.bombs import jpeg_with, many_scans, marked_jpeg, segmented_jpeg
from tests.pictures.making import corners, encoded, exif_with, shows_corners, taken

LEAST = 1000


def test_the_end_is_found() -> None:
    """What follows the end marker is not the picture's; without it the file is cut."""
    data = encoded(corners(), "JPEG")
    assert segments(data + b"more", least_bytes=LEAST).end == len(data)
    with pytest.raises(IncompleteFault):
        segments(data[:-2], least_bytes=LEAST)


def test_short_parts_are_not_listed() -> None:
    """Only parts long enough to hold a hole are kept, however many parts there are."""
    assert not segments(segmented_jpeg(50_000), least_bytes=LEAST).dense


@pytest.mark.parametrize("data", [segmented_jpeg(200_000), marked_jpeg(200_000), many_scans(600, width=64, height=64)])
def test_too_many_parts(data: bytes) -> None:
    """A file made of segments, of markers or of passes over its pixels is no picture."""
    with pytest.raises(InputFault, match="more parts"):
        segments(data, least_bytes=LEAST)


def test_much_exif_costs_nothing() -> None:
    """Of many EXIF segments the first are read; the picture stays upright and whole."""
    turned = encoded(corners(), "JPEG", exif=exif_with({0x0112: 3}))
    bomb = jpeg_with(0xE1, b"Exif\0\0", 5 * 2**20)
    found = segments(bomb, least_bytes=LEAST)
    slim = lean(bomb, found.surplus)
    assert len(slim) < 2 * 2**20
    assert shows_corners(taken(bomb).image)
    assert shows_corners(taken(turned[:-2] + bomb[2:]).image.rotate(180))


def test_an_ordinary_file_is_left_alone() -> None:
    """Nothing is copied where nothing is surplus."""
    data = encoded(corners(), "JPEG", exif=exif_with({0x0112: 3}))
    assert lean(data, segments(data, least_bytes=LEAST).surplus) is data
