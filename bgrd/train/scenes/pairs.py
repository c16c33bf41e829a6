"""Pairs as they are: a photo and its mask, the part of it taken as photos are taken."""

from __future__ import annotations

import numpy as np

from bgrd.train.augment import cropped
from bgrd.train.raster import warp
from bgrd.train.scenes.stage import Scene, Stage, as_floats

__all__ = ["draw"]


def draw(stage: Stage) -> Scene:
    """Take a part of a pair; beyond its border the picture goes on in its mirror image."""
    image, mask = stage.stock.pair(stage.one_of("pairs"))
    matrix = cropped(stage.rng, mask, side=stage.side)
    size = (stage.side, stage.side)
    picture, alpha = warp(image, matrix, side=size, mirror=True), warp(mask, matrix, side=size, mirror=True)
    return Scene(picture=as_floats(np.asarray(picture)), alpha=as_floats(np.asarray(alpha)))
