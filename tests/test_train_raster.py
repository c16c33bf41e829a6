"""Arithmetic on pixels: coverage, warps, blurs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgrd.train.raster import (
    affine,
    blur,
    cells,
    decode,
    drag,
    fill,
    mixed,
    perspective,
    remap,
    resize,
    rims,
    scattered,
    slopes,
    squeeze,
    strokes,
    thrice,
    warp,
)
from bgrd.train.scenes.outlines import box, ellipse


def test_coverage_is_the_part_of_each_pixel() -> None:
    """Inside whole, outside nothing, between in part; a circle's area is that of one a third of a pixel wider."""
    plane = fill([ellipse(20, 20, across=12, down=12)], width=41, height=41)
    assert plane[20, 20] == 1
    assert plane[20, 6] == 0
    assert ((plane > 0.05) & (plane < 0.95)).sum() > 40
    assert plane.sum() == pytest.approx(np.pi * 12.33**2, rel=0.03)


def test_an_outline_within_another_is_a_hole_unless_they_melt() -> None:
    """Even-odd by default; with `union` both count."""
    both = [box(1, 1, 18, 18), box(6, 6, 12, 12)]
    assert fill(both, width=20, height=20)[9, 9] == 0
    assert fill(both, width=20, height=20, union=True)[9, 9] == 1


def test_outlines_may_leave_the_picture_far_behind() -> None:
    """Points a thousand sides away neither wrap round nor fail."""
    plane = fill([box(-1e6, -1e6, 1e6, 1e6)], width=8, height=8)
    assert (plane == 1).all()


def test_a_line_too_thin_for_a_pixel_fades() -> None:
    """Half the thickness is about half the coverage, and no gaps."""
    line = [np.array([[2, 10], [17, 10]], np.float32)]
    thick, thin = (strokes(line, thickness=each, width=20, height=20) for each in (0.5, 0.25))
    assert thin.sum() == pytest.approx(thick.sum() / 2, rel=0.1)
    assert (thin[9:12, 3:16].max(0) > 0).all()


def test_a_matrix_sets_its_source_on_its_target() -> None:
    """The point turned about ends where it was asked to."""
    source, target = np.array([3, 5], np.float32), np.array([20, 30], np.float32)
    matrix = affine(angle=0.7, scale=(2.0, 0.5), source=source, target=target)
    assert matrix @ [3, 5, 1] == pytest.approx([20, 30, 1])


def test_four_corners_go_to_four_corners() -> None:
    """The perspective's matrix sends each corner where it was asked to."""
    source = np.array([[0, 0], [9, 0], [9, 9], [0, 9]], np.float32)
    target = np.array([[1, 2], [8, 0], [9, 9], [0, 7]], np.float32)
    matrix = perspective(source, target)
    for one, other in zip(source, target, strict=True):
        found = matrix @ [*one, 1]
        assert found[:2] / found[2] == pytest.approx(other, abs=1e-4)


def test_the_identity_warps_nothing() -> None:
    """A picture through the unit matrix is itself."""
    picture = np.random.default_rng(0).random((9, 7, 3), np.float32)
    assert warp(picture, np.eye(3), side=(7, 9)) == pytest.approx(picture, abs=1e-3)


@given(factor=st.floats(0.05, 0.6), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_what_shrinks_is_averaged(factor: float, seed: int) -> None:
    """Fine noise shrunk keeps its mean and loses its spread: nothing flickers."""
    noise = np.random.default_rng(seed).random((96, 96)).astype(np.float32)
    size = max(int(96 * factor), 3)
    found = warp(noise, np.diag([factor, factor, 1.0]), side=(size, size), mirror=True)
    assert found.mean() == pytest.approx(0.5, abs=0.12)
    assert found.std() < noise.std()


@given(sigma=st.floats(0, 30))
@settings(max_examples=30, deadline=None)
def test_blurs_keep_a_plain_picture(sigma: float) -> None:
    """Whatever its width and the shortcut it takes, a blur changes no even plane and no size."""
    plane = np.full((37, 53), 0.25, np.float32)
    found = blur(plane, sigma)
    assert found.shape == plane.shape
    assert found == pytest.approx(plane, abs=1e-5)


@given(length=st.integers(2, 21), angle=st.floats(-7, 7))
@settings(max_examples=40, deadline=None)
def test_dragging_keeps_a_plain_picture(length: int, angle: float) -> None:
    """The line's weights come to 1, whichever way it runs."""
    plane = np.full((24, 24), 0.5, np.float32)
    assert drag(plane, length=length, angle=angle) == pytest.approx(plane, abs=1e-5)


@given(length=st.integers(2, 21), angle=st.floats(-7, 7))
@settings(max_examples=40, deadline=None)
def test_dragging_moves_nothing(length: int, angle: float) -> None:
    """A dot becomes a line with the dot in its middle, so that a blurred picture still fits its alpha."""
    plane = np.zeros((49, 49), np.float32)
    plane[24, 24] = 1
    found = drag(plane, length=length, angle=angle)
    row, column = np.mgrid[0:49, 0:49]
    assert (found * column).sum() == pytest.approx(24, abs=1e-3)
    assert (found * row).sum() == pytest.approx(24, abs=1e-3)


@pytest.mark.parametrize("length", [2, 3, 4, 8, 15])
def test_dragging_is_as_long_as_asked(length: int) -> None:
    """Across, a dot becomes a line of its length, rounded up to an odd one."""
    plane = np.zeros((33, 33), np.float32)
    plane[16, 16] = 1
    assert (drag(plane, length=length, angle=0.0) > 1e-6).sum() in (length, length + 1)


def test_every_pixel_knows_its_nearest_point() -> None:
    """Two points share the plane between them."""
    far, label = cells(np.array([[2, 5], [17, 5]], np.float32), width=20, height=10)
    assert far[5, 2] == 0
    assert label[5, 0] == label[9, 4] != label[5, 19]


def test_slopes_are_those_of_a_plane() -> None:
    """A plane that rises 2 to the right and 3 downwards says so."""
    row, column = np.mgrid[0:8, 0:8].astype(np.float32)
    across, down = slopes(2 * column + 3 * row)
    assert across[4, 4] == pytest.approx(2)
    assert down[4, 4] == pytest.approx(3)


def test_channels_mix_by_a_matrix() -> None:
    """A matrix that swaps red and blue swaps red and blue."""
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    swap = np.eye(3, dtype=np.float32)[::-1].copy()
    assert (mixed(picture, swap) == picture[..., ::-1]).all()


def test_three_planes_of_one() -> None:
    """A plane for each channel is the plane three times."""
    plane = np.random.default_rng(1).random((4, 5), np.float32)
    assert (thrice(plane) == plane[..., None]).all()


def test_reading_beyond_the_border_reads_its_mirror() -> None:
    """One pixel outside is the border's own pixel again."""
    plane = np.arange(5, dtype=np.float32)[None].repeat(2, 0)
    found = remap(plane, x=np.array([[-1.0]], np.float32), y=np.array([[0.0]], np.float32))
    assert found[0, 0] == 0


def test_jpeg_keeps_the_colours_in_their_order() -> None:
    """A red picture comes back red, and of the same size."""
    red = np.zeros((16, 24, 3), np.uint8)
    red[..., 0] = 200
    found = squeeze(red, quality=90)
    assert found.shape == red.shape
    assert int(found[8, 8, 0]) > 150
    assert int(found[8, 8, 2]) < 60


def test_what_is_no_picture_is_none() -> None:
    """Nothing, rubbish, and a picture without alpha where alpha is asked: None, never an exception."""
    assert decode(b"", channels=3) is None
    assert decode(b"not a picture at all", channels=1) is None


def test_outlines_are_filled_one_over_the_other() -> None:
    """The last one wins, and the picture given stays as it was."""
    ground = np.zeros((10, 10, 3), np.float32)
    colours = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    found = scattered(ground, [box(1, 1, 8, 8), box(4, 4, 8, 8)], colours=colours)
    assert found[2, 2].tolist() == [1, 0, 0]
    assert found[6, 6].tolist() == [0, 1, 0]
    assert not ground.any()


def test_rims_go_round_what_is_inside() -> None:
    """Each piece has one rim, on its own pixels."""
    plane = np.zeros((20, 20), np.float32)
    plane[2:6, 2:6] = plane[10:15, 10:18] = 1
    found = rims(plane)
    assert len(found) == 2
    assert all(plane[int(y), int(x)] == 1 for rim in found for x, y in rim)


@pytest.mark.parametrize("size", [(3, 50), (50, 3), (1, 1), (64, 64)])
def test_resizing_gives_the_size_asked(size: tuple[int, int]) -> None:
    """Narrow, flat, tiny or larger."""
    found = resize(np.zeros((20, 30, 3), np.float32), width=size[0], height=size[1])
    assert found.shape == (size[1], size[0], 3)
