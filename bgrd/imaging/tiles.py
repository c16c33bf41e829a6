"""A big picture in pieces: which of them matter, and small maps brought to the size of one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Box", "Enlarged", "tiles"]

Box = tuple[int, int, int, int]
"""Left, top, right, bottom; the last two are no longer inside."""

_SIDE = 64
"""Of a photo's pixels 38 % lie in tiles of this side that hold an edge, 51 % in tiles of 128, 30 % in those of 32."""

_MOST_ACROSS = 8
"""So many in a row are worked on as one: there the calls cost little beside the pixels, and it stays in the cache."""


def tiles(wanted: NDArray[np.bool_], size: tuple[int, int]) -> Iterator[Box]:
    """Yield the tiles of a picture of `size` that hold anything `wanted`, row by row; together they hold all of it.

    Neighbours in a row come as one. `wanted` is a map (h, w) of the whole picture in any size; each of its cells
    stands for the pixels below it and for those that `Enlarged` mixes from it, up to one cell away.
    """
    width, height = size
    held = _held(wanted, size)
    for row, top in enumerate(range(0, height, _SIDE)):
        for first, last in _runs(held[row]):
            yield first * _SIDE, top, min(width, last * _SIDE), min(height, top + _SIDE)


def _held(wanted: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Say of each tile whether any of its cells is wanted."""
    across, down = (_cells(*pair) for pair in zip(size, reversed(wanted.shape), strict=True))
    rows = np.stack([wanted[cells].any(axis=0) for cells in down])
    return np.stack([rows[:, cells].any(axis=1) for cells in across], axis=1)


def _cells(length: int, count: int) -> list[slice]:
    """Give for each tile along a side the cells of a map that reach into it."""
    tiled = [(start, min(start + _SIDE, length)) for start in range(0, length, _SIDE)]
    if count == length:
        return [slice(start, stop) for start, stop in tiled]
    return [slice(max(0, start * count // length - 1), -(-stop * count // length) + 1) for start, stop in tiled]


def _runs(held: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield first and end of each run of tiles, in pieces of so many as are worked on as one."""
    turns = np.flatnonzero(np.diff(held, prepend=False, append=False))
    for start, stop in turns.reshape(-1, 2).tolist():
        for first in range(start, stop, _MOST_ACROSS):
            yield first, min(stop, first + _MOST_ACROSS)


class Enlarged:
    """Small maps as they are at a picture's size, bilinear as Pillow has it, of which parts are made when asked for.

    Parts meet without a seam. Rows are mixed last, as they lie in memory one after the other: of a tile of 128 this
    takes a third of the time that Pillow's resizing of floats does.
    """

    def __init__(self, maps: NDArray[np.float32], size: tuple[int, int]) -> None:
        """Take maps (n, h, w), no larger than the picture's `size`."""
        self._columns = np.ascontiguousarray(maps.transpose(2, 0, 1))
        self._across = _places(size[0], maps.shape[2])
        self._down = _places(size[1], maps.shape[1])

    def part(self, box: Box) -> NDArray[np.float32]:
        """Give the part `box` of all maps: an array (n, rows, columns) of one's own."""
        left, top, right, bottom = box
        across, down = self._across.between(left, right), self._down.between(top, bottom)
        columns = across.mixed(self._columns[across.cells, :, down.cells], axis=0)
        return down.mixed(np.ascontiguousarray(columns.transpose(1, 2, 0)), axis=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Where pixels along a side lie among a map's cells: each behind its `first` cell, by a `share` of the step.

    `start` is the cell that `first` counts from.
    """

    first: NDArray[np.intp]
    share: NDArray[np.float32]
    start: int = 0

    @property
    def cells(self) -> slice:
        """The cells that these pixels are mixed from."""
        return slice(self.start, self.start + int(self.first[-1]) + 2)

    def between(self, start: int, stop: int) -> _Places:
        """Give those of some pixels alone."""
        first = int(self.first[start])
        return _Places(first=self.first[start:stop] - first, share=self.share[start:stop], start=first)

    def mixed(self, values: NDArray[np.float32], *, axis: int) -> NDArray[np.float32]:
        """Give these pixels' values along an axis, of three, from those of their cells."""
        one, next_one = (values[:-1], values[1:]) if axis == 0 else (values[:, :-1], values[:, 1:])
        steps = np.zeros_like(values)
        np.subtract(next_one, one, out=steps[:-1] if axis == 0 else steps[:, :-1])
        found = steps.take(self.first, axis=axis)
        found *= self.share[:, None, None] if axis == 0 else self.share[:, None]
        found += values.take(self.first, axis=axis)
        return found


def _places(length: int, count: int) -> _Places:
    """Place `length` pixels among `count` cells: centres lie at halves, and what lies outside is the edge's."""
    places = ((np.arange(length) + 0.5) * (count / length) - 0.5).clip(0.0, count - 1.0)
    first = np.minimum(places.astype(np.intp), max(0, count - 2))
    return _Places(first=first, share=(places - first).astype(np.float32))
