"""Subjects of the stock on other grounds: cut-outs with alpha, subjects of pairs, one or several, near and far."""

from __future__ import annotations

from collections.abc import Callable

from bgrd.train.raster import Picture
from bgrd.train.scenes.grounds import ground
from bgrd.train.scenes.layers import Layer, over
from bgrd.train.scenes.parts import hairy
from bgrd.train.scenes.placing import matched, stand
from bgrd.train.scenes.stage import Scene, Stage
from bgrd.train.scenes.subjects import cutout, kept

__all__ = ["draw", "draw_pairs", "small"]

Taken = Callable[..., Layer]

_HAIRY = 0.15
"""How many subjects of pairs get hair at their rim: their masks are hard, and nothing else shows hair on photos."""


def draw(stage: Stage) -> Scene:
    """Set one cut-out on a ground, or up to four as near as the first; one time in five with others far off behind."""
    return _set(stage, cutout)


def draw_pairs(stage: Stage) -> Scene:
    """Set the subject of a pair on another ground; one time in five with a second one."""
    return _set(stage, kept, most=2)


def small(stage: Stage) -> Scene:
    """Set a small subject, of a pair or a cut-out, on a photo: 5 to 30 % of its side."""
    taken = cutout if stage.stock.cutouts and (stage.chance(0.6) or not stage.stock.pairs) else kept
    return stand(stage, taken(stage, low=0.16, high=0.42), ground(stage))


def _set(stage: Stage, taken: Taken, *, most: int = 4) -> Scene:
    count = min(int(stage.rng.choice([1, 2, 3, 4], p=[0.68, 0.19, 0.08, 0.05])), most)
    size = stage.scale(0.35, 1.25) if count == 1 else stage.scale(0.35, 0.85)
    behind = ground(stage)
    if stage.chance(0.2):
        behind = _peopled(stage, behind, taken, size=size)
    layer = taken(stage, low=size, high=size * 1.1)
    if taken is kept and stage.chance(_HAIRY):
        layer = hairy(stage, layer, length=stage.side * stage.scale(0.008, 0.04), fall=stage.between(0, 0.8))
    for _ in range(count - 1):
        layer = layer.under(taken(stage, low=size * 0.65, high=size * 1.2))
    return stand(stage, layer, behind)


def _peopled(stage: Stage, behind: Picture, taken: Taken, *, size: float) -> Picture:
    """Put one or two far, small, blurred ones on the ground, which stay ground."""
    for _ in range(int(stage.rng.integers(1, 3))):
        far = taken(stage, low=0.25 * size, high=0.45 * size).soft(stage.between(2.5, 7.0))
        behind = over(matched(far, behind, amount=stage.between(0.3, 0.8)), behind)
    return behind
