"""The subject's own colours where it is partly transparent: without them old background shows as a fringe on a new one.

Blur-fusion (Forte: "Approximate Fast Foreground Colour Estimation", 2021) in two passes: colours nearby, weighted by
opacity, are the subject's, weighted by its rest the background's; what both together do not explain is the subject's
share of the picture's own detail. The blurred colours are found on a small grid, the last step is taken at full size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageChops

from bgrd.imaging.means import means
from bgrd.imaging.tiles import Enlarged, tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bgrd.imaging.tiles import Box

__all__ = ["Patch", "foreground", "laid"]

_CELLS = (80, 320)
"""The longer side of the grids of the two passes.

With 1280 instead of 320 the colours are 2 % nearer to the true ones, and take 16 times as long to find.
"""

_FAR = 5
_NEAR = 1
"""How far the windows of the two passes reach from their middle, in cells of their grids."""

_WITNESSES = 2
_SEEN = 0.125
"""Colours are known only near pixels that are wholly the subject's and pixels wholly the background's.

Both have to fill this share of the window around a pixel, which reaches so many cells of the coarser grid from it;
where they fill less, its colours are cleaned by that much less. A region the model is unsure of would otherwise lose
its detail.
"""

_LEAST = 1e-4
"""The weight of a pixel's own colour in a mean: what is left where nothing else has any."""

_SLIGHT = 3
"""So near to 0 or 255 opacity is taken for it: a wrong colour of that share moves a result by 3 of 255 at most."""

_PARTIAL = [255 if _SLIGHT < value < 255 - _SLIGHT else 0 for value in range(256)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """Colours for a part of a picture: uint8 (h, w, 3) at `box`."""

    box: Box
    colours: NDArray[np.uint8]


def foreground(image: Image.Image, alpha: Image.Image, own: Image.Image | None = None) -> list[Patch]:
    """Give the subject's colours for the pixels of `image` (RGB) whose `alpha` (L) is not nearly 0 or 255.

    `own` is the picture's own opacity: what it hides is no colour anyone saw. The patches cover other pixels too, with
    the colours they have. Memory: three bytes a pixel of the tiles that hold an edge.
    """
    partial = _shares(alpha.point(_PARTIAL), _grid(image.size, _CELLS[1])) > 0.0
    if not partial.any():
        return []
    planes = _blurred(image, alpha, own)
    nearby = Enlarged(planes, image.size)
    return [
        Patch(box=box, colours=_fused(image.crop(box), alpha.crop(box), nearby.part(box)))
        for box in tiles(partial & (planes[6] > 0.0), image.size)
    ]


def laid(image: Image.Image, patches: Sequence[Patch]) -> None:
    """Lay patches over the picture they were made of, in place."""
    for patch in patches:
        image.paste(Image.fromarray(patch.colours), patch.box)


def _fused(image: Image.Image, alpha: Image.Image, nearby: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Take the last step for one tile, by the blurred colours and how far to trust them (7, h, w)."""
    opacity, pixels = np.asarray(alpha), np.array(image)
    partial = (opacity > _SLIGHT) & (opacity < 255 - _SLIGHT) & (nearby[6] > 0.0)
    subject, ground, trust = (nearby[planes, partial].T for planes in (slice(3), slice(3, 6), slice(6, 7)))
    share = opacity[partial].astype(np.float32)[:, None] / np.float32(255.0)
    seen = pixels[partial].astype(np.float32)
    found = (subject + share * (seen - ground - share * (subject - ground))).clip(0.0, 255.0)
    pixels[partial] = np.rint(seen + trust * (found - seen)).astype(np.uint8)
    return pixels


def _blurred(image: Image.Image, alpha: Image.Image, own: Image.Image | None) -> NDArray[np.float32]:
    """Give the subject's and the background's colours nearby, and how far to trust them, 0..1: maps (7, h, w)."""
    coarse, fine = (_grid(image.size, cells) for cells in _CELLS)
    if own is not None:
        image = ImageChops.multiply(image, Image.merge("RGB", (own, own, own)))
        own = own.resize(fine, Image.Resampling.BOX)
    image, alpha = image.resize(fine, Image.Resampling.BOX), alpha.resize(fine, Image.Resampling.BOX)
    seen = _Seen(image, alpha, own, coarse)
    trust = _resized(_trust(seen.subject, seen.ground)[None], fine)
    blurred = _resized(_weighted(seen.colours, seen.subject, _FAR), fine)
    ground = _resized(_weighted(seen.colours, seen.ground, _FAR), fine)
    seen = _Seen(image, alpha, own, fine)
    blurred = _weighted(seen.rest(blurred, ground), seen.subject, _NEAR)
    ground = _weighted(ground, seen.ground, _NEAR)
    return np.concatenate([blurred, ground, trust])


class _Seen:
    """A picture on a grid: its colours (3, h, w) of 0..255, and how much of each cell is seen of either side.

    Where it has an opacity of its own, `image` comes multiplied by that.
    """

    def __init__(self, image: Image.Image, alpha: Image.Image, own: Image.Image | None, size: tuple[int, int]) -> None:
        pixels = np.asarray(image.resize(size, Image.Resampling.BOX))
        self.colours = np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32)
        self._share = _shares(alpha, size)
        self.subject, self.ground = self._share, np.float32(1.0) - self._share
        if own is not None:
            visible = _shares(own, size)
            self.subject, self.ground = self.subject * visible, self.ground * visible
            self.colours = (self.colours / np.maximum(visible, np.float32(1 / 255))).clip(0.0, 255.0)

    def rest(self, subject: NDArray[np.float32], ground: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give the subject's colours with its share of what neither side's explain."""
        share = self._share
        return (subject + share * (self.colours - ground - share * (subject - ground))).clip(0.0, 255.0)


def _grid(size: tuple[int, int], most: int) -> tuple[int, int]:
    """Give (width, height) of a grid for a picture: its aspect, no larger than it."""
    longest = max(size)
    cells = min(longest, most)
    return max(1, round(size[0] * cells / longest)), max(1, round(size[1] * cells / longest))


def _shares(mask: Image.Image, size: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(mask.resize(size, Image.Resampling.BOX), dtype=np.float32) / np.float32(255.0)


def _resized(planes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    return np.stack([np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BILINEAR)) for plane in planes])


def _weighted(colours: NDArray[np.float32], weight: NDArray[np.float32], radius: int) -> NDArray[np.float32]:
    """Give the means of colours (3, h, w) by weight (h, w)."""
    least = np.float32(_LEAST)
    found = means(np.concatenate([colours * weight, weight[None]]), (radius, radius))
    return np.asarray((found[:3] + least * colours) / (found[3] + least))


def _trust(subject: NDArray[np.float32], ground: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give how well both sides' colours are known at each cell, 0..1."""
    sure = np.stack([subject, ground]) > 0.9
    filled = means(sure.astype(np.float32), (_WITNESSES, _WITNESSES))
    return np.asarray((filled / np.float32(_SEEN)).clip(0.0, 1.0).prod(axis=0))
