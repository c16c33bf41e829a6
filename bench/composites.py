"""Pictures whose opacity and colours are known: drawn by code, and cut-outs with soft edges laid on backgrounds."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

__all__ = ["Composite", "cutouts", "drawn"]

_FINER = 4
"""Shapes are drawn this much larger and brought down: opacity is then right to a 16th."""

_SOFT = 1.5
"""Partly transparent pixels for each pixel of outline, from which on a cut-out has a soft edge."""

_MOST_OF_ONE = 12
"""Cut-outs taken of one source, so that none outweighs the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composite:
    """A picture (uint8) made of a subject (0..255) with opacity (L, exact) before a background."""

    name: str
    photo: Image.Image
    alpha: Image.Image
    subject: NDArray[np.float32]


def drawn(megapixels: float) -> Iterator[Composite]:
    """Yield a disc, hairs, a lattice and an edge out of focus, 4:3, before a ground of other colours."""
    width = round(math.sqrt(megapixels * 1e6 * 4 / 3))
    size = (width, round(width * 3 / 4))
    rng = np.random.default_rng(3)
    for name, draw in (("disc", _disc), ("hairs", _hairs), ("lattice", _lattice), ("out of focus", _blurred)):
        alpha = draw(size, rng)
        subject = _texture(size, rng, base=(150, 90, 60))
        ground = _texture(size, rng, base=(80, 130, 110))
        yield _composite(f"{name}, {megapixels:g} MP", subject, ground, alpha)


def cutouts(folder: Path) -> Iterator[Composite]:
    """Yield the cut-outs with soft edges of `folder`/cutouts, each before one of `folder`/backgrounds."""
    rng = np.random.default_rng(7)
    grounds = [data for path in sorted(folder.glob("backgrounds/*.zip")) for _name, data in _entries(path, ".jpg")]
    for path in sorted(folder.glob("cutouts/*.zip")):
        found = [(name, image) for name, data in _entries(path, ".png") if (image := _soft(data)) is not None]
        for place in rng.permutation(len(found))[:_MOST_OF_ONE]:
            name, image = found[place]
            ground = Image.open(io.BytesIO(grounds[rng.integers(len(grounds))])).convert("RGB").resize(image.size)
            colours = np.asarray(image.convert("RGB"), dtype=np.float32)
            alpha = image.getchannel("A")
            yield _composite(f"{path.stem} {name}", colours, np.asarray(ground, dtype=np.float32), alpha)


def _entries(path: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(suffix):
                yield name, archive.read(name)


def _soft(data: bytes) -> Image.Image | None:
    """Give a cut-out whose edge is soft and whose subject is neither a speck nor everything, else None."""
    image = Image.open(io.BytesIO(data))
    if image.mode != "RGBA" or min(image.size) < 96:
        return None
    opacity = np.asarray(image.getchannel("A"))
    inside = opacity > 127
    outline = np.count_nonzero(inside[1:] != inside[:-1]) + np.count_nonzero(inside[:, 1:] != inside[:, :-1])
    partial = np.count_nonzero((opacity > 12) & (opacity < 243))
    return image if partial >= _SOFT * outline > 0 and 0.03 < inside.mean() < 0.85 else None


def _composite(name: str, subject: NDArray[np.float32], ground: NDArray[np.float32], alpha: Image.Image) -> Composite:
    share = np.asarray(alpha, dtype=np.float32)[:, :, None] / np.float32(255.0)
    photo = np.rint(subject * share + ground * (1 - share)).clip(0, 255).astype(np.uint8)
    return Composite(name=name, photo=Image.fromarray(photo), alpha=alpha, subject=subject)


def _texture(size: tuple[int, int], rng: np.random.Generator, *, base: tuple[int, int, int]) -> NDArray[np.float32]:
    """Make colours that vary coarsely and finely, with grain."""
    found = np.zeros((size[1], size[0], 3), np.float32) + np.array(base, np.float32)
    for cells, strength in ((4, 40.0), (30, 18.0), (200, 10.0)):
        noise = rng.uniform(-strength, strength, (max(2, cells * 3 // 4), cells, 3)).astype(np.float32)
        planes = [Image.fromarray(np.ascontiguousarray(noise[:, :, channel])) for channel in range(3)]
        found += np.stack([np.asarray(plane.resize(size, Image.Resampling.BICUBIC)) for plane in planes], axis=2)
    found += rng.normal(0.0, 3.0, (size[1], size[0], 1)).astype(np.float32)
    return np.asarray(found.clip(0, 255))


def _canvas(size: tuple[int, int]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("L", (size[0] * _FINER, size[1] * _FINER))
    return image, ImageDraw.Draw(image)


def _disc(size: tuple[int, int], _rng: np.random.Generator) -> Image.Image:
    image, draw = _canvas(size)
    draw.circle((image.width / 2, image.height / 2), image.height * 0.35, fill=255)
    return image.reduce(_FINER)


def _hairs(size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Draw a head and hairs a few pixels wide, which grow with the picture as a photo's would."""
    image, draw = _canvas(size)
    middle, radius = (image.width / 2, image.height / 2), image.height * 0.25
    draw.circle(middle, radius, fill=255)
    thickness = max(_FINER, round(image.width / 900))
    for _ in range(250):
        angle, bend, length = rng.uniform(0, 2 * math.pi), rng.normal(0, 0.25), rng.uniform(1.05, 1.5)
        points = [
            (
                middle[0] + radius * (1 + (length - 1) * part) * math.cos(angle + bend * part * part),
                middle[1] + radius * (1 + (length - 1) * part) * math.sin(angle + bend * part * part),
            )
            for part in np.linspace(-0.2, 1.0, 12)
        ]
        draw.line(points, fill=255, width=thickness, joint="curve")
    return image.reduce(_FINER)


def _lattice(size: tuple[int, int], _rng: np.random.Generator) -> Image.Image:
    """Draw a frame with thin slanting bars."""
    image, draw = _canvas(size)
    left, top = round(image.width * 0.2), round(image.height * 0.2)
    right, bottom = image.width - left, image.height - top
    thick, thin = image.width // 60, image.width // 250
    for place in range(left, right, image.width // 24):
        draw.line([(place, top), (min(right, place + image.width // 20), bottom)], fill=255, width=thin)
    draw.rectangle((left, top, right, bottom), outline=255, width=thick)
    return image.reduce(_FINER)


def _blurred(size: tuple[int, int], _rng: np.random.Generator) -> Image.Image:
    image = Image.new("L", size)
    ImageDraw.Draw(image).circle((size[0] / 2, size[1] / 2), size[1] * 0.3, fill=255)
    return image.filter(ImageFilter.GaussianBlur(size[0] / 100))
