"""Means over small windows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bgrd.imaging.means import means
from tests.pictures.making import UNHURRIED


@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    radii=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    seed=st.integers(0, 99),
)
@UNHURRIED
def test_each_pixel_gets_the_mean_of_its_window(shape: tuple[int, int, int], radii: tuple[int, int], seed: int) -> None:
    """Whatever the size and the window, each mean is that of the pixels counted one by one."""
    planes = np.random.default_rng(seed).uniform(0, 1, shape).astype(np.float32)
    before = planes.copy()
    found = means(planes, radii)
    for y in range(shape[1]):
        for x in range(shape[2]):
            rows = slice(max(0, y - radii[1]), y + radii[1] + 1)
            columns = slice(max(0, x - radii[0]), x + radii[0] + 1)
            assert np.allclose(found[:, y, x], planes[:, rows, columns].mean(axis=(1, 2)), atol=1e-6)
    assert np.array_equal(planes, before)
    assert found.dtype == np.float32
