"""Generated photos with a subject the built-in model finds, and what has to be true of their results."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from tests.pictures.making import encoded, exif_with, noise, profile

__all__ = ["check_result", "check_whole", "phone_photo", "photo", "slow_photo"]

_ORIENTATION = 0x0112


def photo(width: int = 240, height: int = 160, *, seed: int = 1) -> Image.Image:
    """Make a picture of a figure before a plain wall, with some noise."""
    random = np.random.default_rng(seed)
    wall, coat = random.integers(130, 220, 3), random.integers(0, 90, 3)
    image = Image.new("RGB", (width, height), tuple(int(value) for value in wall))
    draw, middle = ImageDraw.Draw(image), width / 2
    draw.ellipse((middle - 0.11 * height, 0.12 * height, middle + 0.11 * height, 0.4 * height), fill=(224, 172, 140))
    body = (middle - 0.24 * height, 0.38 * height, middle + 0.24 * height, 1.2 * height)
    draw.ellipse(body, fill=tuple(int(value) for value in coat))
    pixels = np.asarray(image.filter(ImageFilter.GaussianBlur(1)), dtype=np.float32)
    noisy = pixels + random.normal(0, 6, pixels.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def phone_photo(*, seed: int = 1) -> bytes:
    """Make a JPEG as a phone held upright writes it: lying on its side, EXIF says how, with an ICC profile."""
    lying = photo(160, 240, seed=seed).transpose(Image.Transpose.ROTATE_90)
    return encoded(lying, "JPEG", quality=92, exif=exif_with({_ORIENTATION: 6}), icc_profile=profile())


@cache
def slow_photo(*, seed: int = 1) -> bytes:
    """Make a picture that takes some tenths of a second, so that a test can come between."""
    grain = np.asarray(noise(250, 250, seed=seed), dtype=np.int16) // 16
    smooth = np.asarray(photo(1500, 1000, seed=seed).resize((3000, 2000)), dtype=np.int16)
    noisy = np.clip(smooth + np.tile(grain, (8, 12, 1)), 0, 255).astype(np.uint8)
    return encoded(Image.fromarray(noisy), "JPEG", quality=95)


def check_whole(result: Path, source: bytes) -> None:
    """Hold that a cut-out decodes to its end and has its source's size: quick, for large pictures."""
    with Image.open(io.BytesIO(source)) as before, Image.open(result) as cut:
        cut.load()
        assert (cut.mode, cut.size) == ("RGBA", before.size)


def check_result(result: Path, source: bytes) -> None:
    """Hold a cut-out against its source's bytes: whole, upright, of the same size, its colours and profile kept."""
    with Image.open(io.BytesIO(source)) as image:
        icc = image.info.get("icc_profile")
        upright = ImageOps.exif_transpose(image).convert("RGB")
    with Image.open(result) as cut:
        cut.load()
        assert cut.mode == "RGBA"
        assert cut.size == upright.size
        assert cut.info.get("icc_profile") == icc
        assert _ORIENTATION not in cut.getexif()
        pixels, before = np.asarray(cut), np.asarray(upright)
    solid, hidden = pixels[..., 3] > 250, pixels[..., 3] == 0
    assert solid.mean() > 0.02, "the figure is there"
    assert hidden.mean() > 0.02, "the wall is gone"
    assert np.array_equal(pixels[~hidden][:, :3], before[~hidden])
    assert not pixels[hidden].any()
