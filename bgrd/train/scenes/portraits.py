"""Portraits: of people who stand in a photo from head to foot, what a portrait shows, near and cut by its lower border.

Photos of the street are many, portraits are what people drop: without these the network takes the face for the subject
and the shoulders for ground.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bgrd.errors import TrainingError
from bgrd.train.augment import bounds
from bgrd.train.raster import Bytes, perspective, warp
from bgrd.train.scenes.grounds import ground
from bgrd.train.scenes.layers import Layer
from bgrd.train.scenes.parts import hairy
from bgrd.train.scenes.placing import stand
from bgrd.train.scenes.stage import Scene, Stage, as_floats
from bgrd.train.scenes.subjects import lifted

__all__ = ["draw"]


def draw(stage: Stage) -> Scene:
    """Show one of the stock's people from the waist or the shoulders up: as in the photo, or on another ground.

    There at times with hair that shows, and one time in four with somebody beside.
    """
    if stage.chance(0.4):
        image, mask, matrix = _framed(stage, within=True)
        size = (stage.side, stage.side)
        picture, alpha = warp(image, matrix, side=size, mirror=True), warp(mask, matrix, side=size, mirror=True)
        return Scene(picture=as_floats(np.asarray(picture)), alpha=as_floats(np.asarray(alpha)))
    layer = _sitter(stage, beside=0.0)
    if stage.chance(0.25):
        layer = layer.under(_sitter(stage, beside=stage.rng.choice([-1.0, 1.0]) * stage.between(0.25, 0.5)))
    return stand(stage, layer, ground(stage), floor=False)


def _sitter(stage: Stage, *, beside: float) -> Layer:
    """Give a person at the frame's lower border, `beside` its side away and then a little smaller or larger."""
    image, mask, matrix = _framed(stage)
    if beside:
        factor = stage.scale(0.7, 1.1)
        moved = np.array([[factor, 0, 0], [0, factor, (1 - factor) * stage.side], [0, 0, 1.0]])
        moved[0, 2] = stage.side * ((1 - factor) / 2 + beside)
        matrix = moved @ matrix
    layer = lifted(stage, image, mask, matrix)
    return hairy(stage, layer, length=stage.side * stage.scale(0.01, 0.05), fall=0.8) if stage.chance(0.3) else layer


def _framed(stage: Stage, *, within: bool = False) -> tuple[Bytes, Bytes, NDArray[np.float64]]:
    """Give a photo, its mask, and the 3x3 matrix that takes a person's upper sixth to three fifths into the frame.

    The head has some air above, seldom none; the part is 2:3 to 16:9 and is stretched to the square, as photos are.
    `within` keeps it in the photo, whose mirror image would show a second head.
    """
    item = stage.one_of("people")
    image, mask = stage.stock.pair(item)
    found = bounds(mask)
    if found is None:
        raise TrainingError(f"{item.name}: nothing of it is subject")
    _, top, _, foot = found
    shown = max((foot - top) * stage.scale(0.16, 0.6), 2.0)
    low = top + shown
    columns = np.flatnonzero((mask[top : int(low) + 1] > 127).any(axis=0))
    tall = shown * (stage.scale(1.05, 1.6) if stage.chance(0.9) else stage.between(0.85, 1.0))
    tall = min(tall, low) if within else tall
    wide = tall * stage.scale(2 / 3, 16 / 9)
    left = float(columns.mean()) + wide * stage.between(-0.75, -0.25)
    if within:
        wide = min(wide, mask.shape[1])
        left = min(max(left, 0.0), mask.shape[1] - wide)
    corners = np.array([[left, low - tall], [left + wide, low - tall], [left + wide, low], [left, low]])
    corners += stage.rng.uniform(-0.04, 0.04, (4, 2)) * [wide, tall]
    target = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * stage.side - 0.5
    if stage.chance(0.5):
        target = target[[1, 0, 3, 2]]
    return image, mask, perspective((corners - 0.5).astype(np.float32), target.astype(np.float32))
