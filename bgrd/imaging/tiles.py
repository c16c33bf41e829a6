"""A big picture in pieces: which of them matter, and a small map brought to the size of one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Box", "enlarged", "tiles"]

Box = tuple[int, int, int, int]
"""Left, top, right, bottom; the last two are no longer inside."""

_SIDE = 128
"""Small enough to hug an edge, large enough that the calls cost little beside the pixels (measured 96 to 512)."""


def tiles(wanted: NDArray[np.bool_], size: tuple[int, int]) -> Iterator[Box]:
    """Yield the tiles of a picture of `size` that hold anything `wanted`, row by row; together they hold all of it.

    `wanted` is a map (h, w) of the whole picture in any size; each of its cells stands for the pixels below it and for
    those that `enlarged` mixes from it, up to one cell away.
    """
    width, height = size
    for top in range(0, height, _SIDE):
        bottom = min(height, top + _SIDE)
        rows = wanted[_cells(top, bottom, height, wanted.shape[0])]
        for left in range(0, width, _SIDE):
            right = min(width, left + _SIDE)
            if rows[:, _cells(left, right, width, wanted.shape[1])].any():
                yield left, top, right, bottom


def _cells(start: int, stop: int, length: int, count: int) -> slice:
    """Give the cells of a map that reach into some pixels of a side."""
    if count == length:
        return slice(start, stop)
    return slice(max(0, math.floor(start * count / length) - 1), math.ceil(stop * count / length) + 1)


def enlarged(plane: Image.Image, box: Box, size: tuple[int, int]) -> NDArray[Any]:
    """Give the part `box` of what `plane` (F, L or RGB) is at `size`, bilinear: an array of its mode.

    Tiles meet without a seam.
    """
    left, top, right, bottom = box
    across, down = plane.width / size[0], plane.height / size[1]
    source = (left * across, top * down, min(right * across, plane.width), min(bottom * down, plane.height))
    return np.asarray(plane.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box=source))
