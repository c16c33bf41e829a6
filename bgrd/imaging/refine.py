"""A coarse mask to opacity that follows the photo's own edges, at the photo's size.

A guided filter (He, Sun, Tang: "Guided Image Filtering", 2013; the fast form: He, Sun, 2015) by the photo's colours:
within each window opacity is the linear function of the colour that comes closest to the mask. The functions are found
on a small grid and applied to every pixel near an edge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from bgrd.imaging.means import means
from bgrd.imaging.tiles import Enlarged, tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bgrd.imaging.tiles import Box

__all__ = ["refined"]

_MOST_CELLS = 1024
"""The longer side of the grid is the mask's, up to this: a finer one costs more and gives nothing (measured 1 to 2)."""

_WIDTHS = (1.0, 4.0)
"""Between these, in pixels of the mask, is what its edge is taken to be wide."""

_WINDOW = 0.8
"""How far a window reaches from its middle, in widths of the mask's edge."""

_EPSILON = 1e-3
"""How much variance of colour counts as little: where the photo has none within a window, it has no say.

With less, grain and the blocks of JPEG become texture of the mask; with more, edges soften.
"""

_NO_WEIGHT = 1 / 255
"""Tiles in which the photo has no more say than this are left as they are."""

_LEAST_SHARE = 0.1
"""What a window that is not all one thing leaves of the other side at an edge; taken off at both ends."""

_SPANS = (0.1, 0.5)
"""The difference between least and most within a window below which there is no edge in it, and from which on there is
one for sure. With 0.2 and 0.9 less texture shows, and hairs, which a coarse mask has but faintly, gain half as much."""


def refined(image: Image.Image, values: NDArray[np.float32], mask: Image.Image) -> Image.Image:
    """Give the opacity (L) of every pixel of `image` (RGB), which follows its colours where `values` have an edge.

    `values` are shares at model size, float32 (h, w); `mask` is what they are at the picture's size (L), and what is
    given back where the mask is flat: there the photo's texture has no say. A mask as large as the picture is given
    back whole, as there is nothing to gain. `mask` itself is left alone.
    """
    width = _edge_width(values)
    if width is None or max(image.size) <= max(values.shape):
        return mask
    result = mask.copy()
    planes = _coefficients(image, values, width)
    functions = Enlarged(planes, image.size)
    for box in tiles(planes[4] > _NO_WEIGHT, image.size):
        result.paste(Image.fromarray(_applied(image.crop(box), mask.crop(box), functions.part(box))), box)
    return result


def _applied(colours: Image.Image, mask: Image.Image, functions: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Give the opacity of one tile by the functions of its pixels, which are used up."""
    *slopes, share, weight = functions
    pixels = np.asarray(colours)
    for channel, slope in enumerate(slopes):
        share += np.multiply(slope, pixels[:, :, channel], out=slope)
    np.clip(share, 0.0, 255.0, out=share)
    before = np.asarray(mask, dtype=np.float32)
    share -= before
    share *= weight
    share += before
    return np.asarray(np.rint(share), dtype=np.uint8)


def _coefficients(image: Image.Image, values: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """Give slopes for R, G and B, offset and weight as maps (5, h, w) on the grid.

    They make of colours 0..255 an opacity 0..255. What they are far from where the weight is 0 means nothing.
    """
    size = _grid(image.size, values.shape)
    across, down = (
        max(1, round(_WINDOW * width * cells / pixels))
        for cells, pixels in zip(size, reversed(values.shape), strict=True)
    )
    share = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BICUBIC)).clip(0.0, 1.0)
    low, high = _SPANS
    edge = ((_span(share, (across, down)) - np.float32(low)) / np.float32(high - low)).clip(0.0, 1.0)
    found = np.zeros((5, *share.shape), np.float32)
    # One cell beside the last with weight is mixed into its pixels, and either of two means looks a window further.
    left, top, right, bottom = box = _bounds(edge > 0.0, (2 * across + 1, 2 * down + 1))
    part = (slice(top, bottom), slice(left, right))
    slopes, offset, variance = _linear(_colours(image, size, box), share[part], (across, down))
    steepness = np.float32(1.0 / (1.0 - 2.0 * _LEAST_SHARE))
    found[:3, *part] = slopes * steepness
    found[3, *part] = (offset - np.float32(_LEAST_SHARE)) * steepness * np.float32(255.0)
    found[4, *part] = edge[part] * (variance / (variance + np.float32(_EPSILON)))
    return found


def _bounds(wanted: NDArray[np.bool_], reach: tuple[int, int]) -> Box:
    """Give the box of all that is wanted in a map (h, w), and so many cells around it; the first cell for nothing."""
    sides = []
    for axis, far in zip((0, 1), reach, strict=True):
        places = np.flatnonzero(wanted.any(axis=axis))
        length = wanted.shape[1 - axis]
        first, last = (int(places[0]), int(places[-1])) if places.size else (0, 0)
        sides.append((max(0, first - far), min(length, last + far + 1)))
    (left, right), (top, bottom) = sides
    return left, top, right, bottom


def _colours(image: Image.Image, size: tuple[int, int], box: Box) -> NDArray[np.float32]:
    """Give a part of what a picture is at `size`: (3, h, w) of 0..1."""
    left, top, right, bottom = box
    across, down = image.width / size[0], image.height / size[1]
    source = (left * across, top * down, min(right * across, image.width), min(bottom * down, image.height))
    small = image.resize((right - left, bottom - top), Image.Resampling.BOX, box=source)
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1), dtype=np.float32) / np.float32(255.0)


def _linear(
    guide: NDArray[np.float32], share: NDArray[np.float32], radii: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Give the function that comes closest to the shares around each cell, and how much the colours vary there.

    Slopes are (3, h, w), offset and variance (h, w). Colours (3, h, w) and shares are of 0..1.
    """
    red, green, blue = guide
    products = np.stack(
        [*guide, share, *(guide * share), red * red, red * green, red * blue, green * green, green * blue, blue * blue]
    )
    found = means(products, radii)
    mean, mean_share = found[:3], found[3]
    with_share = found[4:7] - mean * mean_share
    found[7:] -= mean[[0, 0, 0, 1, 1, 2]] * mean[[0, 1, 2, 1, 2, 2]]
    variance = (found[7] + found[10] + found[12]).clip(0.0)
    found[[7, 10, 12]] += np.float32(_EPSILON)
    slopes = _solved(found[7:], with_share)
    offset = mean_share - (slopes * mean).sum(axis=0)
    smooth = means(np.concatenate([slopes, offset[None]]), radii)
    return smooth[:3], smooth[3], variance


def _solved(matrix: NDArray[np.float32], vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Solve symmetric 3 x 3 equations, given as six planes row by row, for vectors (3, h, w); by cofactors."""
    rr, rg, rb, gg, gb, bb = matrix
    first, second, third = vector
    across, along, beyond = gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg
    determinant = rr * across + rg * along + rb * beyond
    middle, side, last = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    solved = [
        across * first + along * second + beyond * third,
        along * first + middle * second + side * third,
        beyond * first + side * second + last * third,
    ]
    return np.asarray(np.stack(solved) / determinant)


def _span(share: NDArray[np.float32], radii: tuple[int, int]) -> NDArray[np.float32]:
    """Give the difference between most and least in each cell's window."""
    most, least = share, share
    for axis, radius in zip((1, 0), radii, strict=True):
        most, least = (
            _extreme(each, pick, radius, axis=axis) for each, pick in ((most, np.maximum), (least, np.minimum))
        )
    return most - least


def _extreme(values: NDArray[np.float32], pick: np.ufunc, radius: int, *, axis: int) -> NDArray[np.float32]:
    """Give what `pick` chooses of each window of (2 radius + 1) along an axis, cut off at the border."""
    found = values.copy()
    source, place = (values, found) if axis == 0 else (values.T, found.T)
    for step in range(1, min(radius + 1, len(source))):
        pick(place[step:], source[:-step], out=place[step:])
        pick(place[:-step], source[step:], out=place[:-step])
    return found


def _edge_width(values: NDArray[np.float32]) -> float | None:
    """Give how many pixels of the mask its edge is wide, in the median over all of it; None where it has none."""
    inside = values > 0.5
    steps = []
    for one, other in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        crossing = inside[one] != inside[other]
        steps.append(np.abs(values[other][crossing] - values[one][crossing]))
    step = np.concatenate(steps)
    if step.size == 0:
        return None
    low, high = _WIDTHS
    step.sort()  # np.median would load a module, which a lane no longer can
    return min(high, max(low, 1.0 / max(float(step[step.size // 2]), 1e-6)))


def _grid(size: tuple[int, int], shape: tuple[int, ...]) -> tuple[int, int]:
    """Give (width, height) of the grid: the picture's aspect, no larger than it."""
    longest = max(size)
    cells = min(longest, _MOST_CELLS, max(shape))
    return max(1, round(size[0] * cells / longest)), max(1, round(size[1] * cells / longest))
