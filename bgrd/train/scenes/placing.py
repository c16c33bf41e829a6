"""A subject set before a ground: light made to match, shadows and mirror images that are not subject, soft edges."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bgrd.train.raster import Picture, Plane, blur, fill, strokes, thrice, warp
from bgrd.train.scenes.layers import Layer, over
from bgrd.train.scenes.materials import lamp
from bgrd.train.scenes.outlines import blob
from bgrd.train.scenes.parts import Part, fitted, hairy, painted_parts, pose, posed
from bgrd.train.scenes.stage import Scene, Stage
from bgrd.train.scenes.textures import surface

__all__ = ["laid", "matched", "shadowed", "shown", "stand"]

_SHADOWS = (0, 0, 0, 1, 1, 2, 2, 3)
"""How often a shadow lies beneath (0), falls aslant (1), is close behind (2), or the ground mirrors (3)."""


def shown(stage: Stage, things: Sequence[Sequence[Part]], ground: Picture, **framed: float) -> Scene:
    """Set things, each of parts, on a ground; what is `framed` is how `laid` poses them."""
    return stand(stage, laid(stage, things, ground, **framed), ground)


def laid(
    stage: Stage,
    things: Sequence[Sequence[Part]],
    ground: Picture,
    *,
    tilt: float = 0.15,
    low: float = 0.4,
    high: float = 1.3,
    hair: float = 0.0,
) -> Layer:
    """Paint things, far ones first, each turned by up to `tilt` radians, `low` to `high` times the frame in size.

    `hair` is the length of their fur as part of the side.
    """
    light, layer = lamp(stage), Layer.empty(stage.side)
    size = stage.scale(low, high) * len(things) ** -0.4
    for thing in things:
        matrix = pose(stage, tilt=tilt, low=size * 0.85, high=size * 1.15)
        found = painted_parts(stage, posed(fitted(thing), matrix), ground=ground, light=light)
        if hair:
            found = hairy(stage, found, length=hair * stage.side, fall=stage.between(0.1, 0.7))
        layer = layer.under(found)
    return layer


def stand(stage: Stage, layer: Layer, ground: Picture, *, floor: bool = True) -> Scene:
    """Compose a layer with a ground as one photo; `floor` says that it may stand on something and throw a shadow."""
    if stage.chance(0.7):
        layer = layer.soft(stage.between(0.3, 0.9) if stage.chance(0.85) else stage.between(0.9, 2.2))
    if stage.chance(0.04):
        layer = layer.dragged(length=int(stage.between(4, 0.06 * stage.side + 5)), angle=stage.between(-0.4, 0.4))
    layer = matched(layer, ground, amount=stage.between(0, 0.5))
    if floor and stage.chance(0.75):
        ground = shadowed(stage, ground, layer)
    scene = Scene(picture=over(layer, ground), alpha=np.clip(layer.alpha, 0, 1))
    return _half_hidden(stage, scene) if stage.chance(0.04) else scene


def _half_hidden(stage: Stage, scene: Scene) -> Scene:
    """Put something before the subject that is not subject: a pole or branch, a leaf at the border, mostly blurred."""
    side = stage.side
    if stage.chance(0.5):
        ends = np.array([[stage.between(0, side), -9], [stage.between(0, side), side + 9]], np.float32)
        ends = ends[:, ::-1] if stage.chance(0.4) else ends
        cover = strokes([np.ascontiguousarray(ends)], thickness=side * stage.scale(0.01, 0.07), width=side, height=side)
    else:
        corner = side * np.array([stage.between(-0.1, 1.1), 1.0 if stage.chance(0.7) else 0.0], np.float32)
        shape = blob(stage.rng, bumps=6, rough=0.3) * np.float32(side * stage.between(0.1, 0.3)) + corner
        cover = fill([shape], width=side, height=side)
    cover = blur(cover, stage.scale(0.5, side / 32))
    front = surface(stage, width=side, height=side, bare=True)
    return Scene(picture=over(Layer.of(front, cover), scene.picture), alpha=scene.alpha * (1 - cover))


def matched(layer: Layer, ground: Picture, *, amount: float) -> Layer:
    """Draw a layer's mean colour towards the ground's: by nothing at 0, wholly at 1."""
    weight = float(layer.alpha.sum())
    if weight < 1:
        return layer
    coarse = layer.colour[::4, ::4].reshape(-1, 3).mean(0), ground[::4, ::4].reshape(-1, 3).mean(0)
    mean: NDArray[np.float32] = coarse[0] / max(float(layer.alpha[::4, ::4].mean()), 1e-3) + 0.02
    gain = np.clip(((coarse[1] + 0.02) / mean) ** amount, 0.5, 1.8).astype(np.float32)
    return layer.tinted(np.diag(gain))


def shadowed(stage: Stage, ground: Picture, layer: Layer, *, kinds: Sequence[int] = _SHADOWS) -> Picture:
    """Put the subject's shadow on the ground: beneath it, aslant, or as on a wall; or mirror it in the floor."""
    rows = np.flatnonzero(layer.alpha.max(1) > 0.5)
    if not len(rows):
        return ground
    bottom = float(rows[-1])
    kind = kinds[int(stage.rng.integers(len(kinds)))]
    if kind == 3:
        return _mirrored(stage, ground, layer, bottom=bottom)
    matrix = np.eye(3)
    if kind == 0:
        flat = stage.between(0.05, 0.2)
        matrix[1] = [0, flat, bottom * (1 - flat)]
    elif kind == 1:
        low, lean = stage.between(0.2, 0.7), stage.between(-1.5, 1.5)
        matrix[0, 1:] = [lean, -lean * bottom]
        matrix[1] = [0, low, bottom * (1 - low)]
    else:
        matrix[:2, 2] = stage.side * stage.rng.uniform(-0.06, 0.06, 2)
    shade: Plane = warp(layer.alpha, matrix, side=(stage.side, stage.side))
    shade = blur(shade, stage.side * stage.scale(0.006, 0.04)) * np.float32(stage.between(0.15, 0.75))
    return ground * thrice(1 - shade)


def _mirrored(stage: Stage, ground: Picture, layer: Layer, *, bottom: float) -> Picture:
    """Give a ground of polished stone or water: the subject upside down beneath itself, fading."""
    side = stage.side
    tall = stage.between(0.5, 1.0)
    matrix = np.array([[1, 0, 0], [0, -tall, bottom * (1 + tall)], [0, 0, 1]])
    turned = Layer(warp(layer.colour, matrix, side=(side, side)), warp(layer.alpha, matrix, side=(side, side)))
    turned = turned.soft(stage.scale(0.3, 3))
    row = np.arange(side, dtype=np.float32)[:, None]
    fade = np.clip(1 - (row - np.float32(bottom)) / np.float32(side * stage.between(0.15, 0.8)), 0, 1)
    fade *= np.float32(stage.between(0.15, 0.7))
    return over(Layer(turned.colour * thrice(turned.alpha * 0 + fade), turned.alpha * fade), ground)
