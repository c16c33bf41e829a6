"""Things of no class: outlines of any sort and material, compound, hollow or hairy, alone or together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bgrd.train.raster import Picture, Points
from bgrd.train.scenes.grounds import ground
from bgrd.train.scenes.layers import Layer, over
from bgrd.train.scenes.materials import Light, Material, lamp, material
from bgrd.train.scenes.outlines import blob, capsule, ellipse, jagged, moved, rounded, smooth, star
from bgrd.train.scenes.parts import Part, fitted, hairy, painted_parts, pose, posed
from bgrd.train.scenes.placing import stand
from bgrd.train.scenes.stage import Scene, Stage

__all__ = ["draw", "draw_cluster", "outline", "thing"]


def outline(stage: Stage) -> Points:
    """Give any closed outline within -1..1."""
    rng = stage.rng
    kinds: list[Callable[[], Points]] = [
        lambda: blob(rng, bumps=int(rng.integers(2, 9)), rough=stage.between(0.15, 0.6)),
        lambda: ellipse(0, 0, across=1, down=stage.between(0.25, 1), power=stage.scale(1.2, 6)),
        lambda: jagged(rng, corners=int(rng.integers(3, 9))),
        lambda: smooth(jagged(rng, corners=int(rng.integers(5, 12)))),
        lambda: star(rng),
        lambda: rounded(-1, -stage.between(0.2, 1), 1, 0.5, radius=stage.between(0, 0.5)),
        lambda: capsule(
            [-0.9, 0], [0.9, stage.between(-0.4, 0.4)], first=stage.between(0.05, 0.4), last=stage.between(0.05, 0.4)
        ),
        lambda: _mirrored(stage),
    ]
    return kinds[int(rng.integers(len(kinds)))]()


def _mirrored(stage: Stage) -> Points:
    """Give an outline the same on both sides of its middle."""
    count = int(stage.rng.integers(4, 9))
    heights = np.linspace(-1, 1, count) + stage.rng.uniform(-0.08, 0.08, count)
    right = np.stack([stage.rng.uniform(0.1, 0.9, count), heights], 1)
    both = np.concatenate([right, right[::-1] * (-1, 1)])
    return smooth(both) if stage.chance(0.6) else both.astype(np.float32)


def thing(stage: Stage) -> list[Part]:
    """Give a thing of one to eight parts: a body, lumps about it, details on it, at times a hole through it."""
    rng = stage.rng
    body = outline(stage)
    first, second = material(stage), material(stage)
    parts: list[Part] = []
    for _ in range(int(rng.choice([0, 1, 2, 4], p=[0.4, 0.2, 0.2, 0.2]))):
        around = body[int(rng.integers(len(body)))]
        shape = moved(
            outline(stage), angle=rng.uniform(0, 6.3), x=around[0], y=around[1], scale=(stage.between(0.15, 0.6),) * 2
        )
        parts.append(Part(outlines=[shape], made=first if stage.chance(0.5) else second))
    hole = []
    if stage.chance(0.15):
        hole = [moved(outline(stage), scale=(stage.between(0.15, 0.4),) * 2, x=stage.between(-0.1, 0.1))]
    parts.insert(int(rng.integers(len(parts) + 1)), Part(outlines=[body, *hole], made=first))
    if not hole and stage.chance(0.4):
        parts.extend(_details(stage, body, second))
    return parts


def _details(stage: Stage, body: Points, made: Material) -> list[Part]:
    """Give one to three marks upon a body, drawn towards its middle so that they stay on it."""
    found = []
    for _ in range(int(stage.rng.integers(1, 4))):
        spot = body[int(stage.rng.integers(len(body)))] * np.float32(stage.between(0, 0.6))
        size = stage.between(0.05, 0.25)
        found.append(Part(outlines=[moved(outline(stage), x=spot[0], y=spot[1], scale=(size, size))], made=made))
    return found


def draw(stage: Stage) -> Scene:
    """Set a thing of no class on a ground; one in five is hairy, one in eight as the ground is made."""
    behind, light = ground(stage), lamp(stage)
    layer = _thing_layer(stage, behind, light, low=0.3, high=1.25)
    if stage.chance(0.12):
        layer = _alike(stage, layer, behind)
    return stand(stage, layer, behind)


def _thing_layer(stage: Stage, behind: Picture, light: Light, *, low: float, high: float) -> Layer:
    parts = posed(fitted(thing(stage)), pose(stage, tilt=np.pi, low=low, high=high))
    layer = painted_parts(stage, parts, ground=behind, light=light)
    if stage.chance(0.2):
        layer = hairy(stage, layer, length=stage.side * stage.scale(0.01, 0.06), fall=stage.between(0, 0.7))
    return layer


def _alike(stage: Stage, layer: Layer, behind: Picture) -> Layer:
    """Give the thing a coat of its ground, another part of it: seen by its light and rim alone."""
    coat = np.roll(behind, (stage.side // 3, stage.side // 2), (0, 1))
    part = np.float32(stage.between(0.5, 0.85))
    return Layer(layer.colour * (1 - part) + coat * layer.alpha[..., None] * part, layer.alpha)


def draw_cluster(stage: Stage) -> Scene:
    """Set two to five things together, as near as one another; others, blurred, may lie before or behind as ground."""
    behind, light = ground(stage), lamp(stage)
    if stage.chance(0.5):
        for _ in range(int(stage.rng.integers(1, 5))):
            far = _thing_layer(stage, behind, light, low=0.15, high=0.6).soft(stage.scale(2, 8))
            behind = over(far, behind)
    size = stage.between(0.3, 0.6)
    layer = Layer.empty(stage.side)
    for _ in range(int(stage.rng.integers(2, 5))):
        layer = layer.under(_thing_layer(stage, behind, light, low=0.7 * size, high=1.2 * size))
    return stand(stage, layer, behind)
