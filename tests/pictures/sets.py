"""Photos, masks and cut-outs for data sets, and zip files of them, made by code."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tests.pictures.making import encoded

__all__ = ["cutout", "disc", "pairs", "photo", "write", "zipped"]


def photo(seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Make a photo that no other seed's is near: random fields, so that half of every hash's bits differ."""
    fields = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(fields).resize(size, Image.Resampling.BICUBIC)


def disc(size: tuple[int, int] = (64, 48), *, share: float = 0.5) -> Image.Image:
    """Make a mask (L): a disc in the middle, so wide of the shorter side."""
    image = Image.new("L", size)
    radius = min(size) * share / 2
    ImageDraw.Draw(image).circle((size[0] / 2, size[1] / 2), radius, fill=255)
    return image


def cutout(seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Make a cut-out (RGBA): the disc of a photo."""
    image = photo(seed, size)
    image.putalpha(disc(size))
    return image


def pairs(*seeds: int) -> dict[str, Image.Image | bytes]:
    """Make photos of these seeds and a mask for each, by the names of a set of pairs."""
    made: dict[str, Image.Image | bytes] = {}
    for seed in seeds:
        made |= {f"images/{seed:03}.jpg": photo(seed), f"masks/{seed:03}.png": disc()}
    return made


def write(folder: Path, files: Mapping[str, Image.Image | bytes]) -> Path:
    """Write pictures, in the formats of their names, or bytes into a folder; give the folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_bytes(name, content))
    return folder


def zipped(path: Path, files: Mapping[str, Image.Image | bytes] | list[tuple[str, Image.Image | bytes]]) -> Path:
    """Write a zip file of pictures or bytes; as a list with names that come twice."""
    listed = files if isinstance(files, list) else list(files.items())
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # of names that come twice
        for name, content in listed:
            archive.writestr(name, _bytes(name, content))
    return path


def _bytes(name: str, content: Image.Image | bytes) -> bytes:
    if isinstance(content, bytes):
        return content
    return encoded(content, {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[name.rpartition(".")[2]])
