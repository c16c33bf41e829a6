"""Pictures brought to another size by products of matrices: Pillow's pixels, in a third of its time.

A row of the result is a weighted sum of the source's rows around its place, so a few of them together are a small
matrix times a band of the source, which processors are quickest at. Of both passes the one along the rows comes first,
and its sums are rounded to bytes, as in Pillow: what differs is where a sum falls between two bytes.

The weights are whole multiples of 2^-15, and 255 times the sum of their sizes stays below 2^9. Every product and every
partial sum is then such a multiple with at most 24 bits, which a float32 holds exactly: the result is the same bit for
bit whatever library multiplies, in whatever order, with however many threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["FILTERS", "enlarged", "preload", "shrunk"]

FILTERS = {
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""What Pillow calls them."""

Bytes = NDArray[np.uint8]
Values = NDArray[np.float32]

_UNIT = 2**15
"""Parts of one that weights are made of: 2^16 would leave no room for Lanczos, whose sizes sum to 1.3."""

_EXACT = 2**24
"""Whole numbers up to here are float32s."""

_HALF = np.float32(0.5)

_SHRINKING = 4
"""Results in one product. Each further one widens the band that all are multiplied with, and most of it is zeros.

12 million pixels to 320 x 320: 40 ms with 2, 31 with 4, 35 with 8; Pillow 91.
"""

_ENLARGING = 32
"""Results in one product: 16 or 64 take as long, 128 leave the cache."""

_STRIP_ROWS = 64
_STRIP_PIXELS = 2**19
"""What is held as floats at once, in each channel: 6 MB at most. With 32 rows it takes a fifth longer."""


_SHRINKING_PAYS = 10.0
"""From so many pixels on at each side of a place: at 6 Pillow is quicker by a fifth, at 10 we are, at 28 three times.

Enlarging always pays, as Pillow goes down the columns slowly: 12 million pixels from 320 x 320 take 13 ms, not 47.
"""


_TALLEST = 1.55
"""Pillow 13 begins with the columns where that is less work: from 1.65 on, more where it shrinks further.

What is cut off at black and white between the passes is then something else, at sharp edges by up to 21 steps.
"""


def _bilinear(places: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(1.0 - np.abs(places), 0.0)


def _bicubic(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic with the slope -1/2 at one: exact for what is a parabola there."""
    away = np.abs(places)
    near = (1.5 * away - 2.5) * away**2 + 1.0
    far = ((2.5 - 0.5 * away) * away - 4.0) * away + 2.0
    return np.where(away < 1.0, near, np.where(away < 2.0, far, 0.0))


def _lanczos(places: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.abs(places) < 3.0, np.sinc(places) * np.sinc(places / 3.0), 0.0)


_KERNELS: dict[str, tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], float]] = {
    "bilinear": (_bilinear, 1.0),
    "bicubic": (_bicubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}
"""The filters and how far each reaches; the box, which reaches half a pixel, is Pillow's alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """Neighbouring results, `first` to before `last`, are `weights` times the source from `low` to before `high`."""

    first: int
    last: int
    low: int
    high: int
    weights: Values


def preload() -> None:
    """Have the library that multiplies take its buffer, of 32 MB that are hardly touched: where it cannot, it exits."""
    square = np.ones((256, 256), np.float32)  # what is much smaller is multiplied without
    np.matmul(square, square)


def shrunk(image: Image.Image, size: tuple[int, int], kernel: str) -> Bytes:
    """Give (h, w, 3) of an RGB picture at `size` (width, height); `kernel` is one of FILTERS.

    What Pillow's `resize` gives, at most two steps off; by Pillow where that is quicker, something grows, or the
    picture is tall.
    """
    if _pays(image.size, size, kernel):
        return _shrunk(image, size, kernel)
    return np.asarray(image.resize(size, FILTERS[kernel]))


def _pays(source: tuple[int, int], target: tuple[int, int], kernel: str) -> bool:
    """Say whether shrinking is quicker here than in Pillow, and takes the passes in the same order."""
    (width, height), (across, down) = source, target
    if across > width or down > height or height > width * _TALLEST:
        return False
    return kernel in _KERNELS and _KERNELS[kernel][1] * width / across >= _SHRINKING_PAYS


def _shrunk(image: Image.Image, size: tuple[int, int], kernel: str) -> Bytes:
    """Do it: strips of the picture as floats, one channel after the other; between the passes as bytes."""
    (width, height), (across, down) = image.size, size
    blocks = _blocks(width, across, kernel, count=_SHRINKING)
    between = np.empty((height, 3, across), np.uint8)
    count = min(max(1, _STRIP_PIXELS // width), _STRIP_ROWS, height)
    planes = np.zeros((3, count, width), np.float32)
    sums = np.empty((3 * count, across), np.float32)
    for top in range(0, height, count):
        found = min(count, height - top)
        strip = image.crop((0, top, width, top + found))
        for plane, channel in zip(planes, "RGB", strict=True):
            # Pillow has four bytes a pixel. One channel of a few rows is in the cache when it is made a float.
            plane[:found] = np.frombuffer(strip.tobytes("raw", channel), np.uint8).reshape(found, width)
        part = _across(planes.reshape(3 * count, width), blocks, sums).reshape(3, count, across)[:, :found]
        between[top : top + found] = part.transpose(1, 0, 2)
    result = _down(between.reshape(height, 3 * across), _blocks(height, down, kernel, count=_SHRINKING))
    return np.ascontiguousarray(result.reshape(down, 3, across).transpose(0, 2, 1))


def enlarged(small: Image.Image, size: tuple[int, int], kernel: str) -> Image.Image:
    """Give a grey picture (L) at `size`; `kernel` is one of FILTERS.

    What Pillow's `resize` gives, at most two steps off; by Pillow where something shrinks, and for the box.
    """
    (width, height), (across, down) = small.size, size
    if small.size == size:
        return small
    if kernel not in _KERNELS or across < width or down < height:
        return small.resize(size, FILTERS[kernel])
    rows, blocks = np.asarray(small), _blocks(width, across, kernel, count=_ENLARGING)
    between = np.empty((height, across), np.uint8)
    count = min(max(1, _STRIP_PIXELS // across), height)
    sums = np.empty((count, across), np.float32)
    for top in range(0, height, count):
        part = rows[top : top + count].astype(np.float32)
        between[top : top + count] = _across(part, blocks, sums[: len(part)])
    return Image.fromarray(_down(between, _blocks(height, down, kernel, count=_ENLARGING)))


def _across(rows: Values, blocks: list[_Block], sums: Values) -> Values:
    """Resample each row into `sums`, as whole numbers of 0 to 255."""
    for block in blocks:
        np.matmul(rows[:, block.low : block.high], block.weights.T, out=sums[:, block.first : block.last])
    return _limited(sums)


def _down(rows: Bytes, blocks: list[_Block]) -> Bytes:
    """Give the columns resampled; floats exist for one block only."""
    width = rows.shape[1]
    result = np.empty((blocks[-1].last, width), np.uint8)
    sums = np.empty((blocks[0].last, width), np.float32)
    for block in blocks:
        part = sums[: block.last - block.first]
        np.matmul(block.weights, rows[block.low : block.high].astype(np.float32), out=part)
        result[block.first : block.last] = _limited(part)
    return result


def _limited(sums: Values) -> Values:
    """Round in place to what fits a byte; the cast to it cuts off the fraction."""
    sums += _HALF
    return np.clip(sums, np.float32(0.0), np.float32(255.0), out=sums)


def _blocks(source: int, target: int, kernel: str, *, count: int) -> list[_Block]:
    """Give what `target` places along `source` pixels are made of, `count` places at a time."""
    low, high, weights = _weights(source, target, kernel)
    reach = weights.shape[1]
    blocks = []
    for first in range(0, target, count):
        last = min(first + count, target)
        start, end = int(low[first]), int(high[last - 1])
        band = np.zeros((last - first, end - start + reach), np.float32)
        where = low[first:last, None] - start + np.arange(reach)
        np.put_along_axis(band, where, weights[first:last], axis=1)
        blocks.append(_Block(first=first, last=last, low=start, high=end, weights=band[:, : end - start].copy()))
    return blocks


def _weights(source: int, target: int, kernel: str) -> tuple[NDArray[np.intp], NDArray[np.intp], Values]:
    """Give for each place the first pixel, the one behind the last, and the weights (target, reach) from the first.

    The kernel stands on the place's centre, pixel centres lie at halves, and shrinking stretches it by the scale. What
    it would take from beyond the edge, the others make up for: each row sums to one exactly, so what is flat stays so.
    """
    shape, radius = _KERNELS[kernel]
    stretch = max(source / target, 1.0)
    centres = (np.arange(target) + 0.5) * (source / target)
    low = np.maximum(np.floor(centres - radius * stretch + 0.5), 0.0).astype(np.intp)
    high = np.minimum(np.floor(centres + radius * stretch + 0.5), source).astype(np.intp)
    places = low[:, None] + np.arange(int((high - low).max()))
    exact = np.where(places < high[:, None], shape((places + 0.5 - centres[:, None]) / stretch), 0.0)
    # Rounding the running sum hands each weight's rest on to its neighbour, and the whole is what it was.
    running = np.rint(exact.cumsum(axis=1) / exact.sum(axis=1, keepdims=True) * _UNIT)
    whole = np.diff(running, axis=1, prepend=0.0)
    if 256 * np.abs(whole).sum(axis=1).max() >= _EXACT:
        message = f"The weights of {kernel} from {source} to {target} are too large for exact sums."
        raise ArithmeticError(message)
    return low, high, (whole / _UNIT).astype(np.float32)
