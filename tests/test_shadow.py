"""The soft shadow a subject throws."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bgrd.imaging.shadow import shadow_of
from bgrd.product import Shadow


def square(side: int = 100) -> Image.Image:
    """Make the opacity of a full square."""
    return Image.new("L", (side, side), 255)


@pytest.mark.parametrize("canvas", [(100, 100), (399, 301), (1000, 37)])
def test_a_shadow_has_the_size_of_the_canvas(canvas: tuple[int, int]) -> None:
    """Whatever it is reduced by in between."""
    for size in (0.0, 0.003, 0.03, 0.2):
        found = shadow_of(square(20), Shadow(opacity=0.5, size=size), at=(0, 0), canvas=canvas)
        assert (found.mode, found.size) == ("L", canvas)


def test_a_hard_shadow_is_the_subject_moved() -> None:
    """Without softness: its opacity is the share, and it lies right and down by shares of the longer side."""
    found = shadow_of(square(), Shadow(opacity=0.4, size=0.0, offset=(0.1, 0.05)), at=(50, 60), canvas=(400, 300))
    assert found.getbbox() == (90, 80, 190, 180)
    assert found.getextrema() == (0, 102)


def test_a_soft_shadow_spreads() -> None:
    """It is darkest in the middle, thins out around, lies where it is thrown, and weighs as much as the hard one."""
    soft = shadow_of(square(), Shadow(opacity=1.0, size=0.03, offset=(0.0, 0.1)), at=(150, 100), canvas=(400, 400))
    values = np.asarray(soft, float)
    rows, columns = np.nonzero(values > 127)
    assert abs(rows.mean() - 189.5) < 2
    assert abs(columns.mean() - 199.5) < 2
    assert 0 < values[190, 245] < values[190, 200]
    assert abs(values.sum() / (255 * 100 * 100) - 1) < 0.02


def test_what_falls_outside_is_lost() -> None:
    """A shadow thrown out of the canvas is none."""
    found = shadow_of(square(), Shadow(opacity=1.0, size=0.0, offset=(0.5, 0.5)), at=(250, 250), canvas=(400, 400))
    assert found.getbbox() is None


def test_softness_is_a_share_of_the_longer_side() -> None:
    """A flat canvas has the same shadow of the same edge as a square one."""
    wall, shadow = Image.new("L", (100, 400), 255), Shadow(opacity=1.0, size=0.03, offset=(0.0, 0.0))
    tall, flat = (np.asarray(shadow_of(wall, shadow, at=(0, 0), canvas=(400, side))) for side in (400, 100))
    assert np.array_equal(tall[50], flat[50])


def test_a_soft_shadow_lies_where_the_hard_one_does_to_the_last_column() -> None:
    """Whatever it is reduced by in between, also where the canvas is no multiple of that: one half is at the edge."""
    for width in range(393, 401):
        wall = Image.new("L", (width, 60), 255)
        soft = shadow_of(
            wall, Shadow(opacity=1.0, size=0.05, offset=(0.0, 0.0)), at=(width - 60, 0), canvas=(width, 60)
        )
        values = np.asarray(soft, float)[30]
        assert abs(np.interp(127.5, values[:width], np.arange(width)) - (width - 60.5)) < 0.7
