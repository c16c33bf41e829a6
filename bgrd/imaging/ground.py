"""What a cut-out stands on, at the result's size: a colour, a picture, the blurred original."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from bgrd.imaging.colour import between_profiles

if TYPE_CHECKING:
    from bgrd.imaging.picture import Picture
    from bgrd.product import Fit, Ground

__all__ = ["WHITE", "checkerboard", "flattened", "spread"]

WHITE = (255, 255, 255)
"""What stands behind pictures that have holes, and beside those that do not fill the ground."""

_CHECKS = ((255, 255, 255), (204, 204, 204))
_LEAST_CHECK = 8
_SHORT_RADIUS = 4
"""A blur of this radius, at a size reduced so far, looks like the one at full size and takes a fraction of it."""

_CLEAR = [max(0, 255 - 4 * value) for value in range(256)]
"""Table from opacity to how much of a pixel's colour is the background's beyond doubt."""

_WHOLE = 250
"""From here on a layer needs none below it."""

_GAP = 3.0
"""Reduce by whole numbers first where a picture is to be far smaller; 3 cannot be told from the exact way."""


def spread(
    ground: Ground, size: tuple[int, int], *, picture: Picture, opacity: Image.Image, pictures: Sequence[Picture]
) -> Image.Image:
    """Give an RGB image of `size` that shows the ground, which is not a transparent one, in the picture's own colours.

    `opacity` (L) says where the subject is: nothing of it is seen in the blurred original. `pictures` are those of the
    recipe; they are opaque (`flattened`) and left alone.
    """
    match ground.kind:
        case "blur":
            return _fitted(_blurred(picture, opacity, ground.blur), size, ground.fit, like=picture.image.size)
        case "picture":
            below = pictures[ground.picture]
            found = _fitted(below.image, size, ground.fit, like=below.image.size)
            return between_profiles(found, below.icc, picture.icc)
        case _:
            return Image.new("RGB", size, ground.colour)


def flattened(picture: Picture) -> Picture:
    """Give an opaque picture: what has holes stands on white."""
    if picture.alpha is None:
        return picture
    image = Image.new("RGB", picture.image.size, WHITE)
    image.paste(picture.image, None, picture.alpha)
    return replace(picture, image=image, alpha=None)


def checkerboard(size: tuple[int, int]) -> Image.Image:
    """Give the pattern that stands for transparency, in squares that suit the size."""
    side = max(_LEAST_CHECK, max(size) // 64)
    tile = Image.new("RGB", (2 * side, 2 * side), _CHECKS[0])
    for at in ((side, 0), (0, side)):
        tile.paste(_CHECKS[1], (*at, at[0] + side, at[1] + side))
    return _tiled(tile, size)


def _blurred(picture: Picture, opacity: Image.Image, share: float) -> Image.Image:
    """Blur what is behind the subject, at a reduced size, which is what is given: full size would show no more.

    The subject would shine into the blur around it, and lie there as a ghost where the frame moves it: its place takes
    the colours from around it, the farther in the coarser.
    """
    image = flattened(picture).image
    radius = share * max(image.size)
    step = max(1, int(radius / _SHORT_RADIUS))
    blur = ImageFilter.GaussianBlur(radius / step)
    clear = opacity.point(_CLEAR)
    bare = Image.new("RGB", image.size)
    bare.paste(image, None, clear)
    # Colours weighed by how clear they are: blurred so, what is not clear has no say.
    layers = [Image.merge("RGBa", (*bare.reduce(step).split(), clear.reduce(step))).filter(blur)]
    while np.asarray(layers[-1])[:, :, 3].min() < _WHOLE and max(layers[-1].size) > 1:
        layers.append(layers[-1].reduce(2))
    below = image.reduce(step).filter(blur).convert("RGBA")
    for layer in reversed(layers):
        found = layer.convert("RGBA")
        if max(layer.size) == 1 and np.asarray(found)[0, 0, 3]:
            found.putalpha(255)  # the mean of all that is clear: nothing of the subject is below it
        below = Image.alpha_composite(below, found.resize(below.size, Image.Resampling.BICUBIC))
    return below.convert("RGB")


def _fitted(image: Image.Image, size: tuple[int, int], fit: Fit, *, like: tuple[int, int]) -> Image.Image:
    """Bring an image that stands for one of the size `like` to `size`."""
    if fit == "tile":
        return _tiled(image if image.size == like else image.resize(like, Image.Resampling.BICUBIC), size)
    across, down = size[0] / like[0], size[1] / like[1]
    if fit == "cover":
        return _resized(
            image, size, box=_middle(image.size, (size[0] / max(across, down), size[1] / max(across, down)), like)
        )
    scale = min(across, down)
    inner = (max(1, round(like[0] * scale)), max(1, round(like[1] * scale)))
    canvas = Image.new("RGB", size, WHITE)
    canvas.paste(
        _resized(image, inner, box=(0, 0, *image.size)), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2)
    )
    return canvas


def _middle(
    size: tuple[int, int], part: tuple[float, float], like: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Give the middle `part` of a picture of the size `like`, as a box of one of `size` that stands for it."""
    share = (min(1.0, part[0] / like[0]), min(1.0, part[1] / like[1]))
    left, top = size[0] * (1 - share[0]) / 2, size[1] * (1 - share[1]) / 2
    return left, top, size[0] - left, size[1] - top


def _resized(image: Image.Image, size: tuple[int, int], *, box: tuple[float, float, float, float]) -> Image.Image:
    if image.size == size and [*box] == [0, 0, *size]:
        return image.copy()
    return image.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=_GAP)


def _tiled(tile: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Repeat from the top left corner; each round doubles what is there, as a tile may be a single pixel."""
    canvas = Image.new("RGB", size)
    canvas.paste(tile)
    across, down = min(tile.width, size[0]), min(tile.height, size[1])
    while across < size[0]:
        canvas.paste(canvas.crop((0, 0, across, down)), (across, 0))
        across *= 2
    while down < size[1]:
        canvas.paste(canvas.crop((0, 0, size[0], down)), (0, down))
        down *= 2
    return canvas
