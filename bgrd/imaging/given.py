"""Whatever the library's face is given for a picture, decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bgrd.errors import InputFault
from bgrd.imaging.decode import decode, from_image
from bgrd.imaging.picture import Picture

__all__ = ["Given", "Made", "taken"]

Given = Image.Image | bytes | Path | str | NDArray[Any]
"""A Pillow image, a file's bytes, a path (a text is one), or an array (h, w), (h, w, 3) or (h, w, 4) of uint8."""

Made = Image.Image
"""What the library's face gives."""


def taken(given: Given, *, max_pixels: int) -> Picture:
    """Give the picture, upright and in RGB. Raises the faults of decoding, OSError where a file cannot be read."""
    if isinstance(given, Path | str):
        given = Path(given).read_bytes()
    if isinstance(given, bytes):
        return decode(given, max_pixels=max_pixels)
    if isinstance(given, np.ndarray):
        if given.dtype != np.uint8 or not (given.ndim == 2 or (given.ndim == 3 and given.shape[2] in {3, 4})):
            message = f"An array is uint8 of (h, w), (h, w, 3) or (h, w, 4), not {given.dtype} of {given.shape}."
            raise InputFault(message)
        given = Image.fromarray(given)
    found: object = given  # not everybody has their types checked
    if not isinstance(found, Image.Image):
        message = f"A picture is a Pillow image, an array, bytes or a path, not {type(found).__name__}."
        raise InputFault(message)
    return from_image(found, max_pixels=max_pixels)
