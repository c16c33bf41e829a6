"""What samples are made of: the pictures of a prepared data set, encoded, in memory.

Encoded they take what they take on disk (the data the built-in model is made of: 90 MB), so each worker can hold them.
Cut-outs and backgrounds are few and used again and again: their pixels are kept, as many as fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bgrd.errors import TrainingError
from bgrd.train.entry import Entry, Split
from bgrd.train.raster import Bytes, decode

__all__ = ["Item", "Stock"]

_KEPT_BYTES = 192 << 20
"""Decoded pixels a stock keeps at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One picture, encoded, with its mask where it has one; `name` is for messages."""

    name: str
    source: str
    category: str
    image: bytes
    mask: bytes | None


class Stock:
    """Pictures by kind and source; what is given back is read-only where it is kept."""

    def __init__(
        self, *, pairs: Iterable[Item] = (), cutouts: Iterable[Item] = (), backgrounds: Iterable[Item] = ()
    ) -> None:
        self.pairs = _by_source(pairs)
        self.people = _people(self.pairs)
        self.cutouts = _by_source(cutouts)
        self.backgrounds = _by_source(backgrounds)
        self._kept: dict[int, tuple[Item, Bytes]] = {}
        self._room = _KEPT_BYTES

    def __getstate__(self) -> dict[str, object]:
        """Leave behind what is decoded, for another process: there the items are others."""
        return {**self.__dict__, "_kept": {}, "_room": _KEPT_BYTES}

    @classmethod
    def load(cls, entries: Iterable[Entry], *, split: Split = "train") -> Stock:
        """Read the pictures of one split; raises TrainingError where a file is missing or there is none at all."""
        chosen = [entry for entry in entries if entry.split == split]
        if not chosen:
            raise TrainingError(f"the manifest has no picture for {split}")
        found: dict[str, list[Item]] = {"pair": [], "cutout": [], "background": []}
        for entry in chosen:
            found[entry.kind].append(_read(entry))
        return cls(pairs=found["pair"], cutouts=found["cutout"], backgrounds=found["background"])

    def pair(self, item: Item) -> tuple[Bytes, Bytes]:
        """Decode a pair: RGB (height, width, 3) and mask (height, width); raises TrainingError where it is damaged."""
        image, mask = decode(item.image, channels=3), decode(item.mask or b" ", channels=1)
        if image is None or mask is None:
            raise TrainingError(f"{item.name}: the picture or its mask cannot be decoded")
        if image.shape[:2] != mask.shape:
            raise TrainingError(f"{item.name}: the picture is {_size(image)}, its mask {_size(mask)}")
        return image, mask

    def cutout(self, item: Item) -> Bytes:
        """Decode a cut-out to RGBA, colours times alpha; raises TrainingError where it is damaged or has no alpha."""
        return self._pixels(item, channels=4, want="a PNG with alpha of 8 bits")

    def background(self, item: Item) -> Bytes:
        """Decode a background to RGB; raises TrainingError where it is damaged."""
        return self._pixels(item, channels=3, want="a JPEG or PNG")

    def _pixels(self, item: Item, *, channels: int, want: str) -> Bytes:
        if id(item) in self._kept:
            return self._kept[id(item)][1]
        pixels = decode(item.image, channels=channels)
        if pixels is None:
            raise TrainingError(f"{item.name}: not {want}")
        if channels == 4:
            pixels[..., :3] = (pixels[..., :3] * (pixels[..., 3:] / np.float32(255)) + 0.5).astype(np.uint8)
        if pixels.nbytes <= self._room:
            self._room -= pixels.nbytes
            pixels = np.ascontiguousarray(pixels)
            pixels.setflags(write=False)
            self._kept[id(item)] = item, pixels
        return pixels


def _people(pairs: Mapping[str, tuple[Item, ...]]) -> dict[str, tuple[Item, ...]]:
    """Give those of the category `people`, by source."""
    found = {source: tuple(item for item in items if item.category == "people") for source, items in pairs.items()}
    return {source: items for source, items in found.items() if items}


def _by_source(items: Iterable[Item]) -> dict[str, tuple[Item, ...]]:
    found: dict[str, list[Item]] = {}
    for item in items:
        found.setdefault(item.source, []).append(item)
    return {source: tuple(each) for source, each in sorted(found.items())}


def _read(entry: Entry) -> Item:
    def content(path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise TrainingError(f"cannot read {path}: {error.strerror}") from error

    if entry.kind == "pair" and entry.mask is None:
        raise TrainingError(f"{entry.image}: a pair without a mask")
    mask = None if entry.mask is None else content(entry.mask)
    return Item(
        name=str(entry.image), source=entry.source, category=entry.category, image=content(entry.image), mask=mask
    )


def _size(pixels: Bytes) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"
