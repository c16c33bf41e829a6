"""Subjects from the stock, cut out of pairs or with alpha of their own, moved into the frame as layers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bgrd.errors import TrainingError
from bgrd.train.augment import bounds, tint, touched
from bgrd.train.raster import Bytes, Picture, Plane, affine, blur, erode, perspective, remap, thrice, warp
from bgrd.train.scenes.layers import Layer
from bgrd.train.scenes.stage import Stage, as_floats
from bgrd.train.scenes.textures import noise, surface

__all__ = ["cutout", "kept", "lifted"]


def cutout(stage: Stage, *, low: float, high: float) -> Layer:
    """Give a cut-out of the stock as a layer, `low` to `high` of the side large, at times bent out of its shape."""
    item = stage.one_of("cutouts")
    pixels = stage.stock.cutout(item)
    matrix = _seat(stage, pixels[..., 3], low=low, high=high, name=item.name)
    size = (stage.side, stage.side)
    found = as_floats(np.asarray(warp(pixels, matrix, side=size)))
    if stage.chance(0.3):
        found = _bent(stage, found)
    layer = Layer(np.ascontiguousarray(found[..., :3]), np.ascontiguousarray(found[..., 3]))
    return _recoloured(stage, layer) if stage.chance(0.45) else layer


def kept(stage: Stage, *, low: float, high: float) -> Layer:
    """Give the subject of a pair as a layer: its mask's edge made soft, its rim freed of the old ground's colour."""
    item = stage.one_of("pairs")
    image, mask = stage.stock.pair(item)
    return lifted(stage, image, mask, _seat(stage, mask, low=low, high=high, name=item.name))


def lifted(stage: Stage, image: Bytes, mask: Bytes, matrix: NDArray[np.float64]) -> Layer:
    """Give the subject of a picture as a layer, moved into the frame by a matrix; seldom in other colours."""
    size = (stage.side, stage.side)
    picture = as_floats(np.asarray(warp(image, matrix, side=size, mirror=True)))
    alpha = as_floats(np.asarray(warp(mask, matrix, side=size)))
    soft = stage.between(0.5, 1.3)
    alpha = np.clip((blur(alpha, soft) - np.float32(0.3)) * np.float32(1.55), 0, 1)
    layer = Layer.of(_freed(picture, alpha), alpha)
    return _recoloured(stage, layer) if stage.chance(0.15) else layer


def _recoloured(stage: Stage, layer: Layer) -> Layer:
    """Give a subject in other colours, or one time in four with a surface that is not its own: few are met often."""
    if stage.chance(0.75):
        return layer.tinted(tint(stage.rng) * np.float32(stage.between(0.6, 1.4)))
    part = np.float32(stage.between(0.3, 0.8))
    coat = surface(stage, width=stage.side, height=stage.side)
    return Layer(layer.colour * (1 - part) + coat * thrice(layer.alpha * part), layer.alpha)


def _freed(picture: Picture, alpha: Plane) -> Picture:
    """Carry the colour of the inside out to the rim, where the old ground shows through."""
    core = erode((alpha > 0.97).astype(np.float32), pixels=1)
    wide, weight = blur(picture * thrice(core), 2.0), blur(core, 2.0)
    guess = wide / thrice(np.maximum(weight, np.float32(1e-3)))
    trust = thrice(np.maximum(core, 1 - np.minimum(weight * 8, 1)))
    return np.asarray(picture * trust + guess * (1 - trust), np.float32)


def _seat(stage: Stage, mask: Bytes, *, low: float, high: float, name: str) -> NDArray[np.float64]:
    """Give the matrix that puts a subject into the frame.

    One that its own picture cuts off stays cut off by the frame: half a person never floats.
    """
    found = bounds(mask)
    if found is None:
        raise TrainingError(f"{name}: nothing of it is subject")
    left, top, right, bottom = found
    extent = np.array([right - left, bottom - top], np.float64)
    size = stage.side * stage.scale(low, high)
    stretch = float(np.exp(0.18 * stage.rng.standard_normal()))
    scale = np.array([stretch, 1 / stretch]) * size / extent.max()
    flip = -1.0 if stage.chance(0.5) else 1.0
    cut = touched(mask)
    turn = 0.0 if any(cut) else stage.rng.choice([0.0, 0.12, 0.5]) * stage.rng.standard_normal()
    half = extent * scale / 2
    target = _spot(stage, half)
    cuts = cut if flip > 0 else (cut[2], cut[1], cut[0], cut[3])
    for axis in (0, 1):
        if cuts[axis]:
            target[axis] = half[axis] - 1
        if cuts[axis + 2]:
            target[axis] = stage.side - half[axis] + 1
    middle = np.array([left + right, top + bottom], np.float32) / 2 - np.float32(0.5)
    matrix = affine(
        angle=turn,
        scale=(flip * scale[0], scale[1]),
        source=middle.astype(np.float32),
        target=target.astype(np.float32),
    )
    return matrix if any(cut) else _tilted(stage) @ matrix


def _spot(stage: Stage, half: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give where the middle goes: anywhere the thing fits in, and a little over the border one time in five."""
    slack = np.maximum(stage.side / 2 - half, 0) + (half * 0.35 if stage.chance(0.2) else 0)
    return np.asarray(stage.side / 2 + slack * stage.rng.uniform(-1, 1, 2))


def _tilted(stage: Stage) -> NDArray[np.float64]:
    if stage.chance(0.6):
        return np.eye(3)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * stage.side
    return perspective(corners, corners + stage.rng.uniform(-0.06, 0.06, (4, 2)).astype(np.float32) * stage.side)


def _bent(stage: Stage, image: NDArray[np.float32]) -> NDArray[np.float32]:
    side = stage.side
    row, column = np.mgrid[0:side, 0:side].astype(np.float32)
    reach = np.float32(side * stage.between(0.04, 0.18))
    bend = [noise(stage.rng, width=side, height=side, coarse=side / 2, octaves=1) - np.float32(0.5) for _ in range(2)]
    x, y = column + reach * bend[0], row + reach * bend[1]
    inside = (x > 0) & (x < side - 1) & (y > 0) & (y < side - 1)
    return np.asarray(remap(image, x=x, y=y) * inside[..., None], np.float32)
