"""Means over small windows, for the filters that need many of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["means"]


def means(planes: NDArray[np.float32], radii: tuple[int, int]) -> NDArray[np.float32]:
    """Give the mean of every window of (2 rx + 1) x (2 ry + 1) pixels of planes (n, h, w), cut off at the border.

    `radii` are (rx, ry). A plane lies as one long row with zeros between its rows, so that each addition runs through
    all of it: for a few pixels that takes less than half the time of row by row.
    """
    across, down = radii
    height, width = planes.shape[1:]
    stride = width + across
    room = np.zeros((height + 2 * down) * stride + 2 * across, np.float32)
    inner = room[across + down * stride :][: height * stride].reshape(height, stride)[:, :width]
    share = np.float32(1.0) / (_counts(height, down)[:, None] * _counts(width, across))
    found = np.empty_like(planes)
    for plane, place in zip(planes, found, strict=True):  # one by one: less memory, and it stays in the cache
        inner[...] = plane
        sums = _summed(_summed(room, 2 * across + 1, step=1), 2 * down + 1, step=stride)
        np.multiply(sums.reshape(height, stride)[:, :width], share, out=place)
    return found


def _summed(values: NDArray[np.float32], count: int, *, step: int) -> NDArray[np.float32]:
    """Give each value and those behind it that are `step` apart, `count` in all, added; `count` is odd.

    By sums of 2, 4, 8 of them. What has not so many behind it is left out.
    """
    wanted = values.size - (count - 1) * step
    found, sums, length, behind = values[:wanted], values, 1, 1
    while behind < count:
        sums = sums[: -length * step] + sums[length * step :]
        length *= 2
        if count & length:
            found = found + sums[behind * step :][:wanted]
            behind += length
    return found


def _counts(length: int, radius: int) -> NDArray[np.float32]:
    """Give how many pixels of a side each window holds."""
    places = np.arange(length)
    return (np.minimum(places + radius, length - 1) - np.maximum(places - radius, 0) + 1).astype(np.float32)
