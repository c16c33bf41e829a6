"""A small data set, made by code, that can be learnt from in seconds: bright discs on dark grain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bgrd.train.entry import Entry
from bgrd.train.manifest import write_manifest

__all__ = ["disc_set"]


def disc_set(folder: Path, *, train: int = 6, validation: int = 2) -> Path:
    """Write so many pairs of a disc and its mask, and their manifest; give the folder."""
    entries = []
    for number in range(validation + train):
        rng = np.random.default_rng(number)
        rows, columns = np.mgrid[:48, :64]
        inside = np.hypot(rows - rng.integers(16, 32), columns - rng.integers(20, 44)) < rng.integers(8, 16)
        image, mask = folder / f"{number}.jpg", folder / f"{number}.png"
        grain = rng.integers(0, 90, (48, 64, 3)) + np.where(inside, 130, 0)[..., None]
        Image.fromarray(grain.astype(np.uint8)).save(image)
        Image.fromarray(np.where(inside, 255, 0).astype(np.uint8)).save(mask)
        entries.append(
            Entry(
                kind="pair",
                image=image,
                mask=mask,
                category="discs",
                source="made",
                licence="CC0-1.0",
                split="validation" if number < validation else "train",
            )
        )
    write_manifest(folder / "manifest.csv", entries)
    return folder
