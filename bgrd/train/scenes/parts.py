"""Things made of parts: put into the frame, painted one over the other, their rims made hairy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bgrd.train.raster import Picture, Plane, Points, affine, blur, fill, perspective, rims, strokes
from bgrd.train.scenes.layers import Layer
from bgrd.train.scenes.materials import Light, Material, lit, roughness
from bgrd.train.scenes.stage import Stage

__all__ = ["Part", "fitted", "hairy", "painted_parts", "pose", "posed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Closed outlines (a hole where one lies within another) or, with `thickness`, open lines, made of one thing.

    `thickness` is in the units of the points. With `union` outlines melt into one body, and there are no holes.
    `opacity` below 1 lets through what was painted before: the tint of a shadow, a highlight.
    """

    outlines: Sequence[Points]
    made: Material
    thickness: float | None = None
    union: bool = False
    opacity: float = 1.0


def pose(
    stage: Stage, *, tilt: float, low: float = 0.2, high: float = 1.1, stretch: float = 0.15
) -> NDArray[np.float64]:
    """Give a matrix from -1..1 into the frame: a size of `low` to `high` of the side, a turn of up to `tilt` radians.

    The middle comes to lie so that most of the thing is in the picture; a large one may be cut at the border.
    """
    size = stage.side * stage.scale(low, high)
    swing = float(np.exp(stretch * stage.rng.standard_normal()))
    flip = -1.0 if stage.chance(0.5) else 1.0
    free = max(0.5 - 0.45 * size / stage.side, 0.08)
    target = stage.side * (0.5 + free * stage.rng.uniform(-1, 1, 2))
    angle = stage.between(-tilt, tilt)
    scale = (flip * size / 2 * swing, size / 2 / swing)
    matrix = affine(angle=angle, scale=scale, source=np.zeros(2, np.float32), target=target.astype(np.float32))
    return _leaning(stage) @ matrix


def _leaning(stage: Stage) -> NDArray[np.float64]:
    """Give a slight perspective: corners of the frame moved."""
    if stage.chance(0.4):
        return np.eye(3)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * stage.side
    moved = corners + stage.rng.uniform(-0.08, 0.08, (4, 2)).astype(np.float32) * stage.side
    return perspective(corners, moved)


def fitted(parts: Sequence[Part]) -> list[Part]:
    """Scale and move parts so that together they fill -1..1 in their longer direction."""
    points = np.concatenate([outline for part in parts for outline in part.outlines])
    low, high = points.min(0), points.max(0)
    middle, factor = (low + high) / 2, 2 / max(float((high - low).max()), 1e-3)
    return [
        replace(
            part,
            outlines=[(outline - middle) * np.float32(factor) for outline in part.outlines],
            thickness=None if part.thickness is None else part.thickness * factor,
        )
        for part in parts
    ]


def posed(parts: Sequence[Part], matrix: NDArray[np.float64]) -> list[Part]:
    """Move parts by a 3x3 matrix; lines keep their thickness against the whole."""
    factor = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    return [
        replace(
            part,
            outlines=[_through(outline, matrix) for outline in part.outlines],
            thickness=None if part.thickness is None else part.thickness * factor,
        )
        for part in parts
    ]


def _through(points: Points, matrix: NDArray[np.float64]) -> Points:
    found = points.astype(np.float64) @ matrix[:2, :2].T + matrix[:2, 2]
    bottom = points.astype(np.float64) @ matrix[2, :2] + matrix[2, 2]
    return np.asarray(found / bottom[:, None], np.float32)


def painted_parts(stage: Stage, parts: Sequence[Part], *, ground: Picture, light: Light) -> Layer:
    """Paint parts in pixels, first to last, on an empty layer; mirrors and glass show the ground."""
    layer = Layer.empty(stage.side)
    for part in parts:
        _paint(stage, layer, part, ground=ground, light=light)
    return layer


def _paint(stage: Stage, layer: Layer, part: Part, *, ground: Picture, light: Light) -> None:
    points = np.concatenate(list(part.outlines))
    margin = 2 + (part.thickness or 0) / 2
    left, top = (int(max(value, 0)) for value in np.floor(points.min(0) - margin))
    right, bottom = (int(min(value, stage.side)) for value in np.ceil(points.max(0) + margin) + 1)
    width, height = right - left, bottom - top
    if width < 4 or height < 4:
        return
    moved = [outline - np.array([left, top], np.float32) for outline in part.outlines]
    if part.thickness is None:
        cover: Plane = fill(moved, width=width, height=height, union=part.union)
    else:
        cover = strokes(moved, thickness=part.thickness, width=width, height=height)
    picture = lit(
        part.made.surface(width, height),
        cover,
        made=part.made,
        light=light,
        around=ground[top:bottom, left:right],
        rough=roughness(stage, part.made, width=width, height=height),
    )
    layer.lay(picture, cover * np.float32(part.opacity), left=left, top=top)


def hairy(stage: Stage, layer: Layer, *, length: float, fall: float) -> Layer:
    """Grow strands out of a layer's rim, up to `length` pixels; `fall` draws them down, 0..1. Their alpha is soft."""
    rng = stage.rng
    rim = [outline for outline in rims(layer.alpha) if len(outline) > 16]
    if not rim:
        return layer
    roots, outward = (np.concatenate(each) for each in zip(*[_normals(outline) for outline in rim], strict=True))
    near = blur(layer.colour, length / 2 + 1) / np.maximum(blur(layer.alpha, length / 2 + 1), 1e-3)[..., None]
    found = Layer(layer.colour.copy(), layer.alpha.copy())
    count = int(min(len(roots) * stage.between(0.3, 0.9), 600))
    lean = 0.6 * rng.standard_normal(2)
    for tone in (0.75, 1.0, 1.25):
        picks = rng.integers(len(roots), size=max(count // 3, 1))
        toward = outward[picks] + lean + 0.35 * rng.standard_normal((len(picks), 2))
        long = length * rng.uniform(0.3, 1.0, (len(picks), 1))
        bend = np.array([0.0, fall]) * long + 0.25 * long * rng.standard_normal((len(picks), 2))
        start = roots[picks] - outward[picks] * 2
        steps = [start + toward * long * at + bend * at**2 for at in (0.0, 0.35, 0.7, 1.0)]
        lines = list(np.stack(steps, 1).astype(np.float32))
        thick = stage.between(0.35, 1.1)
        cover = strokes(lines, thickness=thick, width=stage.side, height=stage.side)
        found.lay(np.clip(near * np.float32(tone), 0, 1), cover * np.float32(stage.between(0.6, 1.0)))
    return found


def _normals(outline: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give points of a rim and the direction away from it; OpenCV goes round an outer rim against the clock."""
    ahead = np.roll(outline, -3, axis=0) - np.roll(outline, 3, axis=0)
    normal = np.stack([-ahead[:, 1], ahead[:, 0]], 1).astype(np.float64)
    return outline.astype(np.float64), normal / (np.linalg.norm(normal, axis=1, keepdims=True) + 1e-6)
