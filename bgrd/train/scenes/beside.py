"""What is with a subject and is not it: the leaf or flower it sits on, the hand that holds it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bgrd.train.raster import Picture, Points, affine
from bgrd.train.scenes.layers import Layer, over
from bgrd.train.scenes.materials import Material, coloured, lamp, material
from bgrd.train.scenes.outlines import capsule, ellipse, limb, moved, smooth
from bgrd.train.scenes.palette import Colour, colour, skinlike, vary
from bgrd.train.scenes.parts import Part, painted_parts, posed
from bgrd.train.scenes.placing import stand
from bgrd.train.scenes.stage import Scene, Stage
from bgrd.train.scenes.textures import marble

__all__ = ["held", "seated"]


def seated(stage: Stage, layer: Layer, ground: Picture) -> Picture:
    """Put flowers or leaves on a ground, behind a subject and beside it; without a subject to be seen nothing."""
    spot = _middle(layer)
    if spot is None:
        return ground
    middle, size = spot
    light = lamp(stage)
    plant = _flower if stage.chance(0.5) else _leaf
    for _ in range(int(stage.rng.integers(1, 5))):
        at = middle + size * stage.rng.uniform(-0.8, 0.8, 2)
        reach = size * stage.scale(0.4, 1.6)
        parts = posed(plant(stage), _matrix(stage.between(-np.pi, np.pi), reach, at))
        sharp = painted_parts(stage, parts, ground=ground, light=light)
        ground = over(sharp.soft(stage.scale(0.4, 2.5)), ground)
    return ground


def _flower(stage: Stage) -> list[Part]:
    """Give a flower from above: petals around a disc."""
    count, wide = int(stage.rng.integers(5, 22)), stage.between(0.12, 0.35)
    petal = smooth([[0, 0.1], [wide, 0.55], [0, 1.0], [-wide, 0.55]])
    tint = colour(stage.rng)
    made = Material(surface=_streaked(stage, tint), bulge=stage.between(0.2, 0.8))
    turns = np.arange(count) * (2 * np.pi / count) + 0.12 * stage.rng.standard_normal(count)
    petals = [
        Part(outlines=[moved(petal, angle=turn, scale=(1, stage.between(0.8, 1.05)))], made=made)
        for turn in turns.tolist()
    ]
    disc = Material(surface=_streaked(stage, colour(stage.rng)), bulge=0.9, bump=stage.between(0.5, 2))
    across = stage.between(0.15, 0.45)
    return [*petals, Part(outlines=[ellipse(0, 0, across=across, down=across)], made=disc)]


def _leaf(stage: Stage) -> list[Part]:
    """Give a leaf with its ribs, or a blade of grass."""
    wide, bend = stage.scale(0.08, 0.7), stage.between(-0.2, 0.2)
    spine = smooth([[0, 1.2], [bend, 0.3], [bend, -0.3], [0, -1.0]], closed=False)
    outline = smooth([[0, 1.0], [bend + wide, 0.4], [bend + wide * 0.8, -0.3], [0, -1.0], [bend - wide, 0.1]])
    green = vary(stage.rng, np.array([0.25, 0.4, 0.12], np.float32), amount=0.15)
    tint = green if stage.chance(0.75) else colour(stage.rng)
    made = Material(surface=_streaked(stage, tint), bulge=stage.between(0.1, 0.6), gloss=stage.between(0, 0.5))
    rib = Material(surface=coloured(stage, vary(stage.rng, tint * np.float32(1.3), amount=0.08)), bulge=0)
    ribs: list[Points] = [spine]
    for y in np.linspace(-0.7, 0.6, int(stage.rng.integers(3, 8))).tolist():
        reach = wide * (1 - abs(y))
        ribs += [np.array([[bend, y + 0.2], [bend + side * reach, y]], np.float32) for side in (-1, 1)]
    return [Part(outlines=[outline], made=made), Part(outlines=ribs, made=rib, thickness=0.03, opacity=0.7)]


def _streaked(stage: Stage, tint: Colour) -> Callable[[int, int], Picture]:
    tints = vary(stage.rng, np.array([tint, tint, tint * np.float32(0.6)], np.float32), amount=0.08)
    return lambda width, height: marble(stage, width=width, height=height, colours=tints)


def held(stage: Stage, layer: Layer, ground: Picture) -> Scene:
    """Compose a subject with a ground, in a hand that comes from the border: its thumb or fingers are before it.

    Neither hand nor arm is subject. Without a subject to be seen there is no hand either.
    """
    spot = _middle(layer)
    if spot is None:
        return stand(stage, layer, ground)
    middle, size = spot
    # Mostly from below or aside.
    angle = stage.between(-2.2, 2.2)
    away = np.array([np.sin(angle), np.cos(angle)])
    path = (middle + away * np.arange(2 * stage.side)[:, None]).astype(int)
    # As far as the frame goes: a hand holds a thing that is cut by it where it is seen.
    path = path[((path >= 0) & (path < stage.side)).all(1)]
    inside = np.flatnonzero(layer.alpha[path[:, 1], path[:, 0]] > 0.5)
    edge = middle + away * (float(inside[-1]) if len(inside) else 0.0)
    reach = min(size * stage.scale(0.22, 0.6), stage.side * 0.3)
    grip = edge - away * reach * stage.between(-0.2, 0.5)
    matrix = _matrix(-angle, reach, grip)
    matrix[:2, 0] *= -1 if stage.chance(0.5) else 1
    behind, before = _hand(stage)
    if stage.chance(0.3):
        behind, before = [*behind[:2], *before], behind[2:]
    light = lamp(stage)
    back = painted_parts(stage, posed(behind, matrix), ground=ground, light=light).soft(stage.between(0.4, 1.0))
    front = painted_parts(stage, posed(before, matrix), ground=ground, light=light).soft(stage.between(0.4, 0.8))
    scene = stand(stage, layer, over(back, ground))
    return Scene(picture=over(front, scene.picture), alpha=scene.alpha * (1 - np.clip(front.alpha, 0, 1)))


def _hand(stage: Stage) -> tuple[list[Part], list[Part]]:
    """Give a hand about 2 units long that reaches upwards from (0, 1): arm, palm and fingers; and its thumb."""
    skin = skinlike(stage.rng)
    made = Material(surface=coloured(stage, skin, amount=0.05), bulge=0.8, ambient=0.5)
    nail = Material(surface=coloured(stage, vary(stage.rng, np.sqrt(skin), amount=0.03)), bulge=0.3, gloss=0.3)
    sleeve = material(stage) if stage.chance(0.5) else made
    wrist, lean = stage.between(0.3, 0.45), stage.between(-0.5, 0.5)
    arm = limb(np.array([[lean, 9.0], [lean / 2, 2.6], [0, 1.0]]), np.array([wrist * 1.5, wrist * 1.15, wrist]))
    cuff = limb(np.array([[lean, 9.0], [lean / 2, 2.6]]), np.array([wrist * 2.0, wrist * 1.5]))
    palm = smooth([[-0.4, 1.1], [-0.55, 0.3], [-0.5, -0.15], [0, -0.25], [0.5, -0.1], [0.55, 0.4], [0.4, 1.1]])
    spread, curl = stage.between(0.0, 0.25), stage.between(0.35, 1.0)
    fingers, nails = [], []
    for x, long in ((-0.42, 0.75), (-0.14, 0.95), (0.14, 1.0), (0.41, 0.85)):
        tip = np.array([x * (1 + spread) + stage.between(-0.05, 0.05), -0.1 - long * curl])
        fingers.append(Part(outlines=[capsule([x, 0.1], tip, first=0.15, last=0.12)], made=made))
        if stage.chance(0.5):
            nails.append(Part(outlines=[ellipse(*tip, across=0.08, down=0.1)], made=nail))
    bend = stage.between(-0.1, 0.5)
    thumb = limb(np.array([[0.35, 0.75], [0.75 - bend * 0.5, 0.2], [0.6 - bend, -0.35]]), np.array([0.22, 0.17, 0.13]))
    shaft = Part(outlines=[arm, palm], made=made, union=True)
    return [shaft, Part(outlines=[cuff], made=sleeve), *fingers, *nails], [Part(outlines=[thumb], made=made)]


def _middle(layer: Layer) -> tuple[NDArray[np.float64], float] | None:
    """Give where a layer's subject is (x, y) and how large, in pixels: the root of its area; None for next to none."""
    area = float(layer.alpha.sum())
    if area < 16:
        return None
    row, column = (np.arange(size) @ layer.alpha.sum(1 - axis) for axis, size in enumerate(layer.alpha.shape))
    return np.array([column, row]) / area, area**0.5


def _matrix(angle: float, scale: float, spot: NDArray[np.float64]) -> NDArray[np.float64]:
    return affine(angle=angle, scale=(scale, scale), source=np.zeros(2, np.float32), target=spot.astype(np.float32))
