"""Edges of real photos at 400 %, side by side: what no figure shows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bgrd.imaging.foreground import foreground, laid
from bgrd.imaging.matte import unrefined
from bgrd.imaging.refine import refined

__all__ = ["sheet"]

_NAMES = ("girl-2", "horse", "suricate", "animal-2", "portrait-glasses", "desk-lamp", "plants-1", "dancer-forest")
_SIDES = (80, 60)
_TIMES = 4


def sheet(folder: Path, path: Path, *, shares: Callable[[Image.Image], NDArray[np.float32]]) -> None:
    """Draw two places at the edge of each photo: as it is, then on white and on black unrefined, refined, cleaned."""
    rng = np.random.default_rng(1)
    rows = []
    for name in _NAMES:
        for file in sorted(folder.glob(f"{name}.*")):
            with Image.open(file) as image:
                photo = ImageOps.exif_transpose(image).convert("RGB")
            rows += _rows(photo, shares(photo), rng)
    if not rows:
        print(f"no pictures in {folder}: no sheet", file=sys.stderr)
        return
    Image.fromarray(np.concatenate(rows)).save(path)


def _rows(photo: Image.Image, values: NDArray[np.float32], rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    plain = unrefined(values, size=photo.size)
    fine = refined(photo, values, plain)
    cleaned = photo.copy()
    laid(cleaned, foreground(photo, fine))
    edge = np.argwhere(np.abs(np.asarray(plain, dtype=np.int16) - 128) < 20)
    rows = []
    for top, left in edge[rng.integers(len(edge), size=2)] if len(edge) else ():
        box = (left - _SIDES[0] // 2, top - _SIDES[1] // 2, left + _SIDES[0] // 2, top + _SIDES[1] // 2)
        shown = [photo.crop(box)]
        for ground in ("white", "black"):
            for colours, mask in ((photo, plain), (photo, fine), (cleaned, fine)):
                canvas = Image.new("RGB", _SIDES, ground)
                canvas.paste(colours.crop(box), None, mask.crop(box))
                shown.append(canvas)
        large = [
            np.asarray(each.resize((_SIDES[0] * _TIMES, _SIDES[1] * _TIMES), Image.Resampling.NEAREST))
            for each in shown
        ]
        rows.append(np.concatenate([np.pad(each, ((2, 2), (2, 2), (0, 0))) for each in large], axis=1))
    return rows
