"""A big picture in pieces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from bgrd.imaging.tiles import enlarged, tiles
from tests.pictures.making import UNHURRIED

SIDES = st.integers(1, 700)


@given(size=st.tuples(SIDES, SIDES), cells=st.tuples(st.integers(1, 40), st.integers(1, 40)), seed=st.integers(0, 99))
@UNHURRIED
def test_tiles_hold_all_that_is_wanted(size: tuple[int, int], cells: tuple[int, int], seed: int) -> None:
    """Every pixel that a wanted cell is mixed into lies in exactly one tile, and no tile lies outside."""
    rng = np.random.default_rng(seed)
    wanted = rng.uniform(0, 1, (min(cells[1], size[1]), min(cells[0], size[0]))) > 0.9
    covered = np.zeros((size[1], size[0]), np.intp)
    for left, top, right, bottom in tiles(wanted, size):
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
        covered[top:bottom, left:right] += 1
    assert covered.max() <= 1
    touched = np.asarray(Image.fromarray(wanted.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)) > 0.0
    assert covered[touched].all()


def test_nothing_wanted_is_no_tile() -> None:
    """Where nothing is wanted there is no tile."""
    assert not list(tiles(np.zeros((8, 8), np.bool_), (1000, 1000)))


@pytest.mark.parametrize("mode", ["F", "RGB"])
@pytest.mark.parametrize("size", [(500, 300), (137, 260), (3000, 7)])
def test_tiles_meet_without_a_seam(mode: str, size: tuple[int, int]) -> None:
    """A map brought up tile by tile is the map brought up whole."""
    shape = (5, 9) if mode == "F" else (5, 9, 3)
    values: NDArray[np.float64] = np.random.default_rng(2).uniform(0, 255, shape)
    plane = Image.fromarray(values.astype(np.float32 if mode == "F" else np.uint8))
    whole = np.asarray(plane.resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
    for box in tiles(np.ones((1, 1), np.bool_), size):
        left, top, right, bottom = box
        part = enlarged(plane, box, size).astype(np.float32)
        assert np.abs(part - whole[top:bottom, left:right]).max() <= (1e-3 if mode == "F" else 1)
