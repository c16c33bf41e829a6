"""Draws the photo-like picture of the README and what bgrd makes of it, in many ways: `python docs/drawing.py`.

A mug on a table, drawn four times as large and reduced, so that its edges are soft as a lens makes them.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from bgrd import cut_out

SIZE = (640, 480)
SCALE = 4
TILE = 180
HERE = Path(__file__).parent


def room(size: tuple[int, int]) -> Image.Image:
    """Paint a wall with a window out of focus, above a wooden table."""
    width, height = size
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    table = rows > height * 0.62
    wall = np.stack([150 + 40 * columns / width, 160 + 30 * columns / width, 170 + 10 * rows / height], axis=-1)
    grain = 12 * np.sin(rows / height * 90 + 3 * np.sin(columns / width * 5)) + 6 * np.sin(columns / width * 60)
    wood = np.stack([136 + grain, 92 + grain * 0.8, 58 + grain * 0.6], axis=-1)
    picture = Image.fromarray(np.where(table[..., None], wood, wall).clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((width * 0.06, height * 0.05, width * 0.34, height * 0.5), fill=(222, 232, 240))
    draw.rectangle((width * 0.195, height * 0.05, width * 0.205, height * 0.5), fill=(120, 110, 100))
    draw.rectangle((width * 0.74, height * 0.2, width * 0.97, height * 0.56), fill=(96, 118, 92))
    return picture.filter(ImageFilter.GaussianBlur(width / 90))


def mug(size: tuple[int, int]) -> Image.Image:
    """Paint a red enamel mug with a handle and coffee in it, as RGBA."""
    width, height = size
    left, right, top, bottom = width * 0.34, width * 0.6, height * 0.24, height * 0.82
    lip = height * 0.055
    shape = Image.new("L", size, 0)
    draw = ImageDraw.Draw(shape)
    draw.ellipse((right - width * 0.07, top + height * 0.12, right + width * 0.12, top + height * 0.44), fill=255)
    draw.ellipse((right - width * 0.03, top + height * 0.18, right + width * 0.075, top + height * 0.38), fill=0)
    draw.rectangle((left, top, right, bottom - lip), fill=255)
    draw.ellipse((left, bottom - 2 * lip, right, bottom), fill=255)
    draw.ellipse((left, top - lip, right, top + lip), fill=255)
    columns = np.mgrid[0:height, 0:width][1].astype(np.float32)
    across = ((columns - left) / (right - left)).clip(-0.2, 1.4)
    light = 0.55 + 0.55 * np.exp(-((across - 0.28) ** 2) / 0.05) - 0.25 * across
    body = np.stack([215 * light, 48 * light, 44 * light], axis=-1).clip(0, 255).astype(np.uint8)
    painted = Image.fromarray(body)
    draw = ImageDraw.Draw(painted)
    draw.ellipse((left, top - lip, right, top + lip), fill=(236, 232, 224))
    inset = width * 0.012
    draw.ellipse((left + inset, top - lip + inset, right - inset, top + lip - inset * 0.4), fill=(62, 38, 26))
    painted.putalpha(shape)
    return painted


def scene() -> Image.Image:
    """Put the mug with its shadow into the room, with a little grain."""
    large = (SIZE[0] * SCALE, SIZE[1] * SCALE)
    picture = room(large)
    shadow = Image.new("L", large, 0)
    box = (large[0] * 0.33, large[1] * 0.755, large[0] * 0.72, large[1] * 0.86)
    ImageDraw.Draw(shadow).ellipse(box, fill=130)
    picture.paste((40, 26, 18), mask=shadow.filter(ImageFilter.GaussianBlur(large[0] / 70)))
    subject = mug(large)
    picture.paste(subject, mask=subject.getchannel("A"))
    return grained(picture.resize(SIZE, Image.Resampling.LANCZOS))


def grained(picture: Image.Image) -> Image.Image:
    """Add a little of the noise that sensors have."""
    noise = np.random.default_rng(1).normal(0, 3, (picture.height, picture.width, 1))
    return Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))


def on_checkers(cutout: Image.Image, square: int = 16) -> Image.Image:
    """Show a cut-out over the grey squares that stand for transparency."""
    rows, columns = np.mgrid[0 : cutout.height, 0 : cutout.width]
    grey = np.where((rows // square + columns // square) % 2 == 0, 255, 214).astype(np.uint8)
    ground = Image.fromarray(grey).convert("RGB")
    ground.paste(cutout, mask=cutout.getchannel("A"))
    return ground


def products(photo: Image.Image, directory: Path) -> Image.Image:
    """Show what can be made of a photo in a row: words of the configuration, each a tile."""
    stage = directory / "stage.png"
    ImageOps.mirror(room((960, 640))).filter(ImageFilter.GaussianBlur(3)).save(stage)
    made: tuple[dict[str, Any], ...] = (
        {"on": "white", "trim": True, "margin": 0.08, "aspect": "1:1"},
        {"products": ["mask"], "trim": True, "margin": 0.08, "aspect": "1:1"},
        {"products": ["background"]},
        {"on": "blur", "trim": True, "margin": 0.06, "aspect": "1:1"},
        {"on": str(stage), "trim": True, "canvas": "480x480", "margin": 0.12, "anchor": "bottom", "shadow": 0.6},
        {"trim": True, "margin": 0.1, "aspect": "1:1", "shadow": 0.6, "shadow_offset": [0.03, 0.03]},
    )
    row = Image.new("RGB", (len(made) * (TILE + 8) - 8, TILE), "white")
    for index, words in enumerate(made):
        tile = cut_out(photo, **words)
        tile = ImageOps.fit(on_checkers(tile) if tile.mode == "RGBA" else tile.convert("RGB"), (TILE, TILE))
        row.paste(tile, (index * (TILE + 8), 0))
    return row


def main() -> None:
    """Write docs/before-after.png and docs/products.png."""
    before = scene()
    with TemporaryDirectory() as directory:
        products(before, Path(directory)).save(HERE / "products.png", optimize=True)
    both = Image.new("RGB", (SIZE[0] * 2 + 16, SIZE[1]), "white")
    both.paste(before, (0, 0))
    both.paste(on_checkers(cut_out(before)), (SIZE[0] + 16, 0))
    both.save(HERE / "before-after.png", optimize=True)


if __name__ == "__main__":
    main()
