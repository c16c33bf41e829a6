"""A big picture in pieces."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from bgrd.imaging.tiles import Enlarged, tiles
from tests.pictures.making import UNHURRIED

Floats = NDArray[np.float32]
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


def test_neighbours_come_as_one() -> None:
    """A row that is wanted all along comes in few pieces, each a bounded one."""
    boxes = list(tiles(np.ones((8, 8), np.bool_), (5000, 100)))
    assert len(boxes) <= 2 * math.ceil(5000 / 512)
    assert max(right - left for left, _top, right, _bottom in boxes) <= 512


def pillows(values: Floats, size: tuple[int, int]) -> Floats:
    """Enlarge a map by Pillow."""
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BILINEAR))


@given(
    cells=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    more=st.tuples(st.integers(0, 400), st.integers(0, 400)),
    count=st.integers(1, 3),
    seed=st.integers(0, 99),
)
@UNHURRIED
def test_maps_are_enlarged_as_by_pillow(cells: tuple[int, int], more: tuple[int, int], count: int, seed: int) -> None:
    """Maps of any size brought up tile by tile are Pillow's brought up whole, one pixel wide or as large as it is."""
    size = (cells[0] + more[0], cells[1] + more[1])
    maps = np.random.default_rng(seed).uniform(-255, 255, (count, cells[1], cells[0])).astype(np.float32)
    before, found = maps.copy(), Enlarged(maps, size)
    whole = np.stack([pillows(each, size) for each in maps])
    for box in tiles(np.ones((1, 1), np.bool_), size):
        left, top, right, bottom = box
        assert np.abs(found.part(box) - whole[:, top:bottom, left:right]).max() <= 1e-3
    assert np.array_equal(maps, before)


def test_parts_are_ones_own() -> None:
    """What is done to a part shows in no other, nor in the same one made again."""
    found = Enlarged(np.ones((2, 3, 3), np.float32), (90, 90))
    found.part((0, 0, 64, 64))[:] = 7
    assert found.part((0, 0, 64, 64)).max() == found.part((10, 10, 80, 80)).max() == 1
