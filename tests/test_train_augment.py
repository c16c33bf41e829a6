"""What part of a picture is taken, and what happens to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgrd.train.augment import bounds, cropped, finished, tint, touched
from bgrd.train.raster import warp


def test_bounds_are_the_subjects() -> None:
    """Left, top, right, bottom, the last two outside; None for an empty mask."""
    mask = np.zeros((10, 20), np.uint8)
    assert bounds(mask) is None
    mask[2:5, 7:19] = 255
    assert bounds(mask) == (7, 2, 19, 5)


def test_borders_that_cut_a_subject_are_known() -> None:
    """A subject that runs out at the bottom and one corner pixel at the left: the bottom alone counts."""
    mask = np.zeros((100, 100), np.uint8)
    mask[50:, 40:60] = 255
    mask[0, 0] = 255
    assert touched(mask) == (False, False, False, True)


@given(
    seed=st.integers(0, 2**32),
    size=st.tuples(st.integers(8, 90), st.integers(8, 90)),
    spot=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    part=st.floats(0.15, 1),
)
@settings(max_examples=150, deadline=None)
def test_every_part_taken_has_some_of_the_subject(
    seed: int, size: tuple[int, int], spot: tuple[float, float], part: float
) -> None:
    """Whatever the picture's size and wherever its subject lies, some of it is in the part taken."""
    width, height = size
    mask = np.zeros((height, width), np.uint8)
    extent = max(int(width * part), 2), max(int(height * part), 2)
    left, top = int((width - extent[0]) * spot[0]), int((height - extent[1]) * spot[1])
    mask[top : top + extent[1], left : left + extent[0]] = 255
    matrix = cropped(np.random.default_rng(seed), mask, side=48)
    assert np.isfinite(matrix).all()
    assert warp(mask, matrix, side=(48, 48)).max() > 127


@given(seed=st.integers(0, 2**32), side=st.sampled_from([16, 33, 64]))
@settings(max_examples=120, deadline=None)
def test_nothing_that_happens_to_a_picture_touches_its_alpha(seed: int, side: int) -> None:
    """The alpha comes out as it went in, to the byte; the picture has its size and is bytes."""
    rng = np.random.default_rng(seed)
    alpha = rng.random((side, side), np.float32)
    picture, found = finished(rng, rng.random((side, side, 3), np.float32), alpha)
    assert picture.shape == (side, side, 3)
    assert picture.dtype == np.uint8
    assert (found == (alpha * np.float32(255) + np.float32(0.5)).astype(np.uint8)).all()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_tints_leave_grey_grey_or_brown(seed: int) -> None:
    """A mix of channels changes a grey's lightness by a fifth at most, never its channels far apart."""
    found = tint(np.random.default_rng(seed)) @ np.full(3, 0.5, np.float32)
    assert found == pytest.approx(np.full(3, 0.5), abs=0.11)
