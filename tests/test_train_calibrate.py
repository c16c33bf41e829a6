"""Which pictures an int8 file's ranges are taken from."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrd.train.calibrate import chosen
from bgrd.train.entry import Entry


@pytest.mark.parametrize(("sources", "pictures"), [(1, 500), (3, 100), (16, 10), (200, 4)])
def test_as_many_pictures_as_were_promised(sources: int, pictures: int) -> None:
    """48 are shown and 16 measured on at the most, however many sources there are: some methods keep each in memory."""
    entries = [
        Entry(
            kind="pair",
            image=Path(f"/{source}/{number}.jpg"),
            mask=Path(f"/{source}/{number}.png"),
            category="all",
            source=f"{source}",
            licence="mine",
            split="train",
        )
        for source in range(sources)
        for number in range(pictures)
    ]
    photos = chosen(entries, where=Path("/set"))
    assert (len(photos.shown), len(photos.held_back)) in {(48, 16), (47, 16)}
    assert len({path.parent for path in photos.shown + photos.held_back}) == min(sources, len(photos.shown) + 16)
