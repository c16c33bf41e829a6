"""Whether a mask or a cut-out's opacity says anything: empty, full and reversed ones teach the wrong thing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["EMPTY", "FULL", "REVERSED", "is_coloured", "mask_of", "trouble", "truth_of"]

REVERSED = "looks reversed: the rim is the subject and the middle is not; --fix-inverted turns such masks round"
EMPTY = "is empty: next to nothing in it is brighter than half, and white is the subject"
FULL = "is full: next to nothing in it is left out"

_LEAST_SHARE = 1 / 2000
"""Less of the area is no subject, and no background: 38 pixels at 320 x 240."""

_REVERSED_RIM = 0.6
_COLOURED = 24
_COLOURED_SHARE = 0.01


def mask_of(image: Image.Image, alpha: Image.Image | None) -> Image.Image:
    """Give a mask file's picture as opacity (L): its own where it has some, as a cut-out has, else its brightness.

    A mask whose values are 0 and 1 has them at 0 and 255.
    """
    if alpha is not None:
        return alpha
    grey = image.convert("L")
    return grey.point(lambda value: value * 255) if grey.getextrema() == (0, 1) else grey


def truth_of(image: Image.Image) -> Image.Image:
    """Give a data set's mask as opacity (L). Raises ValueError for one that `prepare` does not make.

    A manifest may be written by hand. Pillow would make white of 16 bits, and black of transparency.
    """
    if image.mode not in {"1", "L"}:
        message = f"it is no grey picture of 8 bits ({image.mode}), as `bgrd train prepare` makes masks"
        raise ValueError(message)
    return image.convert("L")


def is_coloured(image: Image.Image) -> bool:
    """Say whether a picture (RGB) has more colour than a grey one gets from being saved as JPEG."""
    # BOX at an eighth evens out noise; a mask painted in colours keeps them.
    pixels = np.asarray(image.reduce(min(8, *image.size)), dtype=np.int16)
    return float(np.mean(pixels.max(axis=2) - pixels.min(axis=2) > _COLOURED)) > _COLOURED_SHARE


def trouble(mask: Image.Image) -> str:
    """Say what is wrong with opacity (L), as the rest of a sentence; "" where nothing is."""
    inside = np.asarray(mask) > 127
    share = float(inside.mean())
    if share < _LEAST_SHARE:
        return EMPTY
    if share > 1 - _LEAST_SHARE:
        return FULL
    return REVERSED if _is_reversed(inside) else ""


def _is_reversed(inside: NDArray[np.bool_]) -> bool:
    """Say whether the subject covers most of the rim, and less of the middle half of width and height than of it.

    Subjects cross the rim, but next to none is nearly all of it and hollow: of 3,819 good masks of 16 kinds none is
    told reversed, and of the same masks turned round 99.2 in 100 are.
    """
    height, width = inside.shape
    rim = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]]).mean()
    middle = inside[height // 4 : height - height // 4, width // 4 : width - width // 4].mean()
    return bool(rim > _REVERSED_RIM and rim > middle)
