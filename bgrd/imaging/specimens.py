"""Pictures made by code, as photos are in what they cost: for measuring where there are none."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

__all__ = ["specimen"]

_GRAIN = 9.0
"""Standard deviation of the noise of a phone's sensor in 255ths: what an encoder works on longest."""


def specimen(width: int, height: int, *, seed: int) -> bytes:
    """Give a JPEG file of this size: something bright and round before a blurred background, with grain."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(30, 150, (9, 12, 3), np.uint8))
    image = coarse.resize((width, height), Image.Resampling.BICUBIC)
    fine = Image.fromarray(random.integers(120, 255, (60, 80, 3), np.uint8))
    mask = Image.new("L", (400, 300))
    draw = ImageDraw.Draw(mask)
    draw.ellipse((110, 70, 290, 280), fill=255)
    draw.ellipse((150, 20, 250, 110), fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(1)).resize((width, height), Image.Resampling.BICUBIC)
    image.paste(fine.resize((width, height), Image.Resampling.BICUBIC), (0, 0), mask)
    grain = random.normal(0.0, _GRAIN, (height // 2 + 1, width // 2 + 1)).repeat(2, axis=0).repeat(2, axis=1)
    pixels = np.asarray(image, np.float32) + grain[:height, :width, None].astype(np.float32)
    stream = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()
