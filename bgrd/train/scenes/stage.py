"""What a kind of scene is given, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from bgrd.errors import TrainingError
from bgrd.train.raster import Bytes, Picture, Plane, warp
from bgrd.train.stock import Item, Stock

__all__ = ["Scene", "Stage", "as_bytes", "as_floats"]

_MOST = 2_500
"""From here on a source's size no longer counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A picture (side, side, 3) and how much of each pixel is the subject (side, side), both 0..1."""

    picture: Picture
    alpha: Plane


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The stock to take from, the side of the picture in pixels, and all chance there is for this one sample."""

    stock: Stock
    side: int
    rng: Generator

    def chance(self, part: float) -> bool:
        """Say yes in `part` of the cases."""
        return bool(self.rng.random() < part)

    def between(self, low: float, high: float) -> float:
        """Give a number of an even spread."""
        return float(self.rng.uniform(low, high))

    def scale(self, low: float, high: float) -> float:
        """Give a factor whose logarithm has an even spread."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def one_of(self, kind: str) -> Item:
        """Pick one of the stock's `pairs`, `people`, `cutouts`, `backgrounds`; TrainingError where it has none.

        A source counts as the square root of what it holds, from 2,500 pictures on as that: a large one is met more
        often than a small one, but does not drown it.
        """
        sources: dict[str, tuple[Item, ...]] = getattr(self.stock, kind)
        if not sources:
            raise TrainingError(f"the stock has no {kind}, which this kind of sample is made of")
        groups = list(sources.values())
        weights = np.sqrt([min(len(group), _MOST) for group in groups])
        group = groups[int(self.rng.choice(len(groups), p=weights / weights.sum()))]
        return group[int(self.rng.integers(len(group)))]

    def photo(self, *, width: int, height: int, zoom: float = 1.0, bare: bool = False) -> Picture:
        """Give a part of some photo of the stock, (height, width); `bare`: no pair's, whose subject may be in it.

        A stock without photos gives an even grey.
        """
        if (bare and not self.stock.backgrounds) or not (self.stock.backgrounds or self.stock.pairs):
            return np.full((height, width, 3), self.between(0.1, 0.9), np.float32)
        if self.stock.backgrounds and (bare or self.chance(0.67) or not self.stock.pairs):
            image = self.stock.background(self.one_of("backgrounds"))
        else:
            image = self.stock.pair(self.one_of("pairs"))[0]
        return self.part(image, width=width, height=height, zoom=zoom)

    def part(self, image: Bytes, *, width: int, height: int, zoom: float = 1.0) -> Picture:
        """Give a rectangle of an image, stretched to (height, width), mirrored at times; `zoom` times as near."""
        rows, columns = image.shape[:2]
        factor = min(self.between(0.5, 1.0) / zoom, 1.0)
        across, down = columns * factor * self.between(0.8, 1.0), rows * factor * self.between(0.8, 1.0)
        left, top = self.between(0, columns - across), self.between(0, rows - down)
        matrix = np.diag([width / across, height / down, 1.0])
        matrix[:2, 2] = -left * width / across, -top * height / down
        if self.chance(0.5):
            matrix = np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]]) @ matrix
        return as_floats(warp(image, matrix, side=(width, height), mirror=True))


def as_floats(image: Bytes) -> Picture:
    """Turn bytes into 0..1."""
    return image * np.float32(1 / 255)


def as_bytes(image: Picture) -> Bytes:
    """Turn 0..1 into bytes, rounded; what lies outside is cut off."""
    return (np.clip(image, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
