"""Pictures that are nearly the same: told by two hashes of 64 bits, both of which have to be close.

The average hash says which of 8 x 8 fields are brighter than the mean, the gradient hash which are brighter than
their left neighbour. A picture saved anew, scaled or brightened a little changes a few bits of either; pictures of one
kind that are different ones are often close in one, seldom in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["KIN", "SAME", "Hash", "components", "firsts", "hash_of", "near"]

Hash = tuple[int, int]
"""Average and gradient hash."""

SAME = (3, 5)
"""Bits two hashes may differ in where pictures count as the same."""

KIN = (5, 9)
"""Bits for those that must not be trained on and validated with, since one says too much of the other."""

_FIELDS = 8
_GREY = (127, 127, 127)
_BLOCK = 1024


def hash_of(image: Image.Image) -> Hash:
    """Give the hashes of a picture of any size; what is transparent counts as grey."""
    if image.mode == "RGBA":
        ground = Image.new("RGB", image.size, _GREY)
        ground.paste(image, mask=image.getchannel("A"))
        image = ground
    grey = image.convert("L")
    fields = np.asarray(grey.resize((_FIELDS, _FIELDS), Image.Resampling.BOX), dtype=np.int16)
    wider = np.asarray(grey.resize((_FIELDS + 1, _FIELDS), Image.Resampling.BOX), dtype=np.int16)
    return _packed(fields > fields.mean()), _packed(wider[:, 1:] > wider[:, :-1])


def _packed(bits: NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near(hashes: Sequence[Hash], bits: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of places (lower, higher) whose hashes differ by at most so many bits each, in order.

    Time grows with the square: 20,000 pictures take about 2 seconds; memory stays at some megabytes.
    """
    table = np.array(hashes, dtype=np.uint64).reshape(-1, 2)
    average, gradient = np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])
    for top in range(0, len(table), _BLOCK):
        rows = slice(top, top + _BLOCK)
        # What stands above the block has been compared with it from the other side.
        close = np.bitwise_count(average[rows, None] ^ average[None, top:]) <= bits[0]
        close &= np.bitwise_count(gradient[rows, None] ^ gradient[None, top:]) <= bits[1]
        for lower, higher in np.argwhere(np.triu(close, 1)):
            yield top + int(lower), top + int(higher)


def firsts(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Give for each place the one that stands for it: itself, or the first kept place that it is near.

    Nothing that is kept is near anything else that is kept. `pairs` come in the order of `near`.
    """
    kept = list(range(count))
    for lower, higher in pairs:
        if kept[lower] == lower and kept[higher] == higher:
            kept[higher] = lower
    return kept


def components(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Give for each place the lowest one it is connected with, over any number of steps."""
    root = list(range(count))

    def top(place: int) -> int:
        while root[place] != place:
            root[place] = root[root[place]]
            place = root[place]
        return place

    for one, other in pairs:
        first, second = top(one), top(other)
        if first != second:
            root[max(first, second)] = min(first, second)
    return [top(place) for place in range(count)]
