"""The folder every throughput is measured on: 28 photos of 0.1 to 4 megapixels and four of 12."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from tests.pictures.making import encoded
from tests.pictures.scenes import photo

__all__ = ["PHOTOS", "from_photos", "grained", "photo_folder", "small_photos"]

PHOTOS = Path(__file__).parents[2] / ".." / "shared" / "pictures"
"""Real photos; where they are not there, pictures made by code stand in for them."""
_SUFFIXES = {".jpg", ".jpeg", ".png"}
_SMALL, _LARGE = 28, 4
_SMALLEST_PIXELS, _MOST_PIXELS = 100_000, 4_200_000
_LARGEST_SIZE = (4000, 3000)
_DRAWN_SIZES = ((400, 300), (800, 600), (1280, 960), (1600, 1200), (2304, 1728))


def from_photos() -> bool:
    """Say whether the pictures are real photos."""
    return len(_real()) >= _SMALL


def small_photos(number: int = _SMALL) -> dict[str, bytes]:
    """Give so many pictures of 0.1 to 4 megapixels by file name, evenly chosen; each stem is there once."""
    if not from_photos():
        return {f"{index:02}.jpg": _drawn(_DRAWN_SIZES[index % 5], index) for index in range(number)}
    found = _real()
    chosen = [found[index * len(found) // number] for index in range(number)]
    return {f"{index:02}-{path.name}": path.read_bytes() for index, path in enumerate(chosen)}


def photo_folder(*, quick: bool) -> dict[str, bytes]:
    """Give the 32 photos by file name; `quick` gives four small ones."""
    if quick:
        return {f"{index}.jpg": _drawn(_DRAWN_SIZES[0], index) for index in range(4)}
    large = {f"large-{index}.jpg": grained(_LARGEST_SIZE, seed=index) for index in range(_LARGE)}
    return small_photos() | large


@cache
def grained(size: tuple[int, int], *, seed: int = 1) -> bytes:
    """Give a JPEG of this size: a photo enlarged, with the grain that a sensor leaves and an enlargement has not."""
    with Image.open(io.BytesIO(max(small_photos().values(), key=len))) as image:
        smooth = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))
    random = np.random.default_rng(seed)
    noisy = np.empty_like(smooth)
    for row in range(0, size[1], 500):  # 48 million pixels as floats at once are half a gigabyte
        part = smooth[row : row + 500]
        grain = random.normal(0, 5, part.shape).astype(np.float32)
        noisy[row : row + 500] = np.clip(part + grain, 0, 255)
    return encoded(Image.fromarray(noisy), "JPEG", quality=92)


@cache
def _real() -> tuple[Path, ...]:
    found = sorted(path for path in PHOTOS.glob("*") if path.suffix.lower() in _SUFFIXES)
    return tuple(path for path in found if _SMALLEST_PIXELS <= _pixels(path) <= _MOST_PIXELS)


def _pixels(path: Path) -> int:
    with Image.open(path) as image:
        return image.width * image.height


def _drawn(size: tuple[int, int], seed: int) -> bytes:
    return encoded(photo(*size, seed=seed + 1), "JPEG", quality=92)
