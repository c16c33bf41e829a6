"""Memory that two processes share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

from bgrd.engine.region import Region


@pytest.fixture
def made() -> Iterator[tuple[Region, int]]:
    """Give one for a small tensor."""
    region, descriptor = Region.made(3 * 64 * 64 * 4)
    yield region, descriptor
    os.close(descriptor)


def test_both_ends_see_the_same(made: tuple[Region, int]) -> None:
    """What one writes the other reads, in either type that models have."""
    here, descriptor = made
    there = Region(descriptor, here.size)
    here.array((1, 3, 64, 64), "float32")[...] = 0.5
    assert np.all(there.array((1, 3, 64, 64), "float32") == np.float32(0.5))
    there.array((1, 2), "float16")[...] = 2.0
    assert np.all(here.array((1, 2), "float16") == np.float16(2.0))


@pytest.mark.parametrize("size", [0, 1, 2**20])
def test_its_size_is_sealed(made: tuple[Region, int], size: int) -> None:
    """Nobody who has the descriptor can shrink it, and so end the other by a bus error, or make it larger."""
    with pytest.raises(PermissionError):
        os.ftruncate(made[1], size)


@pytest.mark.parametrize(
    ("shape", "element_type"),
    [
        ((1, 3, 640, 640), "float32"),
        ((1, 3, 2**40, 2**40), "float32"),
        ((1, -3, -64, 64), "float32"),
        ((1, 3, 0, 64), "float32"),
        ((1, 3, 4, 4), "float64"),
        ((1, 3, 4, 4), "O"),
    ],
)
def test_what_does_not_fit_is_refused(made: tuple[Region, int], shape: tuple[int, ...], element_type: str) -> None:
    """Too large, of no size, less than nothing, or of another type: a ValueError, whoever said so."""
    with pytest.raises(ValueError, match=r"no tensor|more than"):
        made[0].array(shape, element_type)


def test_it_stays_as_long_as_an_array_lies_in_it() -> None:
    """An array may be worked on when the region was given up already."""
    region, descriptor = Region.made(16)
    os.close(descriptor)
    array = region.array((4,), "float32")
    array[...] = 1.0
    del region
    assert array.sum() == 4.0
