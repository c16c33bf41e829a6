"""The separate parts of a mask."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from numpy.typing import NDArray

from bgrd.imaging.parts import parts_of, tidied
from tests.pictures.making import UNHURRIED

Mask = NDArray[np.bool_]
Values = NDArray[np.float32]
MASKS = st_numpy.arrays(np.bool_, st_numpy.array_shapes(min_dims=2, max_dims=2, max_side=12))
VALUES = st_numpy.arrays(np.float32, (11, 13), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]).map(np.float32))
STRAIGHT = [(0, 1), (1, 0), (0, -1), (-1, 0)]
AROUND = [*STRAIGHT, (1, 1), (1, -1), (-1, 1), (-1, -1)]


def flooded(mask: Mask, *, corners: bool) -> list[Mask]:
    """Give each part as a mask, in reading order, by filling from each pixel that is left."""
    left, parts = mask.copy(), []
    while left.any():
        part = np.zeros_like(mask)
        y, x = divmod(int(np.argmax(left)), mask.shape[1])
        waiting = deque([(y, x)])
        left[y, x] = False
        while waiting:
            y, x = waiting.popleft()
            part[y, x] = True
            for dy, dx in AROUND if corners else STRAIGHT:
                place = (y + dy, x + dx)
                if 0 <= place[0] < mask.shape[0] and 0 <= place[1] < mask.shape[1] and left[place]:
                    left[place] = False
                    waiting.append(place)
        parts.append(part)
    return parts


@given(mask=MASKS, corners=st.booleans())
@UNHURRIED
def test_parts_are_those_of_a_flood(mask: Mask, *, corners: bool) -> None:
    """Numbers and order are those of filling each part pixel by pixel."""
    labels, count = parts_of(mask, corners=corners)
    expected = np.full(mask.shape, -1)
    parts = flooded(mask, corners=corners)
    for number, part in enumerate(parts):
        expected[part] = number
    assert count == len(parts)
    assert np.array_equal(labels, expected)


def test_a_spiral_is_one_part() -> None:
    """A part however wound is one."""
    side = 41
    mask = np.zeros((side, side), np.bool_)
    for ring in range(0, side // 2, 2):
        mask[ring, ring : side - ring] = mask[side - 1 - ring, ring : side - ring] = True
        mask[ring : side - ring, ring] = mask[ring : side - ring, side - 1 - ring] = True
    joined = mask.copy()
    joined[side // 2, :] = True
    assert parts_of(mask, corners=False)[1] == len(flooded(mask, corners=False)) > 5
    assert parts_of(joined, corners=False)[1] == 1


def steps_to(mask: Mask) -> NDArray[np.float64]:
    """Give each pixel's distance to a mask, diagonals counting one; infinite where the mask is empty."""
    places = np.argwhere(mask)
    rows, columns = np.meshgrid(*(np.arange(side) for side in mask.shape), indexing="ij")
    if not len(places):
        return np.full(mask.shape, np.inf)
    away = np.maximum(np.abs(rows[..., None] - places[:, 0]), np.abs(columns[..., None] - places[:, 1]))
    return np.asarray(away.min(axis=-1), dtype=np.float64)


def replaced(values: Values, gone: Mask, kept: Mask, value: float) -> Values:
    """Replace what goes and what lies within one step of it and nearer to it than to what stays."""
    lost, stayed = steps_to(gone), steps_to(kept)
    return np.where((lost <= 1) & (lost < stayed), np.float32(value), values) if gone.any() else values


def by_hand(values: Values, *, threshold: float, specks: float, holes: float, largest: bool) -> Values:
    """Do what `tidied` promises, part by part."""
    parts = flooded(values > threshold, corners=True)
    if parts and (specks > 0 or largest):
        areas = [int(part.sum()) for part in parts]
        biggest = areas.index(max(areas))
        gone = np.zeros(values.shape, np.bool_)
        for number, part in enumerate(parts):
            if number != biggest and (largest or areas[number] < specks * sum(areas)):
                gone |= part
        values = replaced(values, gone, (values > threshold) & ~gone, 0.0)
    ground = values <= threshold
    filled = np.zeros(values.shape, np.bool_)
    for hole in flooded(ground, corners=False):
        outside = hole[0].any() or hole[-1].any() or hole[:, 0].any() or hole[:, -1].any()
        if not outside and hole.sum() < holes * (~ground).sum():
            filled |= hole
    return replaced(values, filled, ground & ~filled, 1.0)


@given(
    values=VALUES,
    threshold=st.sampled_from([0.2, 0.5, 0.9]),
    specks=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    holes=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    largest=st.booleans(),
)
@UNHURRIED
def test_specks_and_holes_are_those_found_by_hand(
    values: Values, threshold: float, specks: float, holes: float, *, largest: bool
) -> None:
    """What goes and what is filled is what a flood fill and measured distances say."""
    before = values.copy()
    found = tidied(values, threshold=threshold, specks=specks, holes=holes, largest=largest)
    assert np.array_equal(found, by_hand(values, threshold=threshold, specks=specks, holes=holes, largest=largest))
    assert np.array_equal(values, before)
    assert found.dtype == np.float32


@given(values=VALUES)
@UNHURRIED
def test_off_is_off(values: Values) -> None:
    """With everything off the very values come back."""
    assert tidied(values, threshold=0.5, specks=0.0, holes=0.0, largest=False) is values


def scene() -> Values:
    """Make a subject with a soft border and a hole, and a soft speck beside it."""
    values = np.zeros((64, 64), np.float32)
    values[10:50, 10:40] = 0.4
    values[11:49, 11:39] = 1.0
    values[20:23, 20:23] = 0.1
    values[30:34, 50:54] = 0.3
    values[31:33, 51:53] = 0.9
    return values


def test_a_speck_goes_with_its_soft_border() -> None:
    """Nothing of a speck is left, and the subject's own border is untouched."""
    found = tidied(scene(), threshold=0.5, specks=0.01, holes=0.0, largest=False)
    assert not found[:, 45:].any()
    assert np.array_equal(found[:, :45], scene()[:, :45])


def test_a_hole_is_filled_and_the_outside_is_not() -> None:
    """A small hole becomes solid; what is outside the subject stays so."""
    found = tidied(scene(), threshold=0.5, specks=0.0, holes=0.02, largest=False)
    assert found[18:25, 18:25].min() == 1.0
    assert found[0, 0] == 0.0
    assert np.array_equal(found[:, 45:], scene()[:, 45:])


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1)])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_flat_masks(shape: tuple[int, int], value: float) -> None:
    """A mask all subject or all background stays, in any shape."""
    flat = np.full(shape, value, np.float32)
    assert np.array_equal(tidied(flat, threshold=0.5, specks=1.0, holes=1.0, largest=True), flat)
