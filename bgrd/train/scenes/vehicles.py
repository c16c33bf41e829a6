"""Cars and their kin: from the side, from the front, and both at once; lacquer, glass, wheels, lamps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bgrd.train.raster import Points
from bgrd.train.scenes.grounds import outdoors
from bgrd.train.scenes.materials import Material, coloured, metal, painted
from bgrd.train.scenes.outlines import box, ellipse, moved, polygon, rounded, smooth
from bgrd.train.scenes.palette import colour, vary
from bgrd.train.scenes.parts import Part
from bgrd.train.scenes.placing import shown
from bgrd.train.scenes.stage import Scene, Stage

__all__ = ["car", "draw"]

_ROOFS: tuple[tuple[tuple[float, float], ...], ...] = (
    ((-0.62, -0.1), (-0.42, -0.13), (-0.14, -0.38), (0.3, -0.38), (0.62, -0.15), (0.95, -0.11)),
    ((-0.66, -0.1), (-0.46, -0.14), (-0.16, -0.42), (0.62, -0.4), (0.9, -0.14), (0.97, -0.05)),
    ((-0.7, -0.16), (-0.5, -0.2), (-0.3, -0.5), (0.86, -0.5), (0.95, -0.2), (0.98, -0.1)),
    ((-0.86, -0.14), (-0.82, -0.2), (-0.62, -0.56), (0.96, -0.58), (0.99, -0.3), (0.99, -0.1)),
    ((-0.7, -0.14), (-0.5, -0.17), (-0.28, -0.46), (0.12, -0.46), (0.2, -0.12), (0.98, -0.12)),
    ((-0.7, -0.06), (-0.4, -0.1), (-0.08, -0.27), (0.22, -0.27), (0.7, -0.12), (0.95, -0.14)),
)
"""Outlines from bonnet to boot: saloon, hatchback, estate, van, pick-up, sports car."""


def draw(stage: Stage) -> Scene:
    """Set one car, at times two, on a street or any ground."""
    return shown(
        stage,
        [car(stage) for _ in range(2 if stage.chance(0.1) else 1)],
        outdoors(stage),
        tilt=0.08,
        low=0.55,
        high=1.35,
    )


def car(stage: Stage) -> list[Part]:
    """Give a car from the side, from the front or back, or from a corner."""
    body = _body(stage)
    view = stage.rng.random()
    if view < 0.4:
        kind = np.array(_ROOFS[int(stage.rng.integers(len(_ROOFS)))]) + stage.rng.normal(0, 0.015, (6, 2))
        return _side(stage, body, roof=kind, base=stage.between(0.2, 0.27))
    if view < 0.65:
        return _face(stage, body)
    return _corner(stage, body)


def _body(stage: Stage) -> Material:
    tint = vary(stage.rng, np.full(3, stage.between(0.02, 0.95), np.float32), amount=0.02)
    lacquer = painted(stage, tint if stage.chance(0.55) else colour(stage.rng))
    return replace(lacquer, bulge=stage.between(0.25, 0.6), rim=stage.between(0.3, 0.8), mirror=stage.between(0.1, 0.5))


def _dark(stage: Stage, *, mirror: float = 0.0) -> Material:
    tint = np.full(3, stage.between(0.02, 0.16), np.float32)
    return Material(surface=coloured(stage, tint), bulge=0.3, gloss=0.15, mirror=mirror)


def _side(stage: Stage, body: Material, *, roof: NDArray[np.float64], base: float) -> list[Part]:
    top = smooth(np.concatenate([[(-0.99, 0.02)], roof, [(1.0, 0.0)]]), closed=False)
    hull = np.concatenate([polygon([[-1.0, 0.1], [-0.97, base]])[::-1], top, polygon([[1.0, 0.12], [0.97, base]])])
    shade = _dark(stage)
    parts = [Part(outlines=[box(-0.85, 0.05, 0.85, base + 0.05)], made=shade), Part(outlines=[hull], made=body)]
    parts += _windows(stage, roof)
    if stage.chance(0.6):
        parts.append(Part(outlines=[box(-0.96, base - 0.06, 0.96, base)], made=shade))
    seams = [polygon([[x, -0.12], [x + 0.02, base - 0.06]]) for x in (-0.3, 0.08, 0.44)]
    parts.append(Part(outlines=seams, made=shade, thickness=0.008))
    lamps = [(-0.93, (0.9, 0.9, 0.85)), (0.95, (0.7, 0.08, 0.05))]
    for x, tint in lamps:
        made = Material(surface=coloured(stage, np.array(tint, np.float32)), gloss=0.8)
        parts.append(Part(outlines=[ellipse(x, 0.0, across=0.05, down=0.035)], made=made))
    radius = stage.between(0.13, 0.18)
    for x in (-0.6 + stage.between(-0.04, 0.04), 0.6 + stage.between(-0.04, 0.04)):
        parts += _wheel(stage, x, base, radius=radius)
    return parts


def _windows(stage: Stage, roof: NDArray[np.float64]) -> list[Part]:
    """Give the side's panes: the roof's outline drawn inwards, with pillars of the body's colour left between."""
    pane = np.array([roof[1], roof[2], roof[3], roof[4]])
    middle = pane.mean(0)
    inner = middle + (pane - middle) * (0.88, 0.74)
    glass = _dark(stage, mirror=stage.between(0.1, 0.6))
    glass = replace(glass, surface=coloured(stage, np.full(3, stage.between(0.03, 0.4), np.float32)))
    cuts = np.sort(stage.rng.uniform(0.3, 0.7, int(stage.rng.integers(1, 3))))
    parts = []
    for left, right in zip([0.0, *(cuts + 0.02)], [*(cuts - 0.02), 1.0], strict=True):
        low = inner[0] + (inner[3] - inner[0]) * np.array([[left], [right]])
        high = inner[1] + (inner[2] - inner[1]) * np.array([[left], [right]])
        parts.append(Part(outlines=[polygon([low[0], high[0], high[1], low[1]])], made=glass))
    return parts


def _wheel(stage: Stage, x: float, y: float, *, radius: float) -> list[Part]:
    arch, rubber, hub = _dark(stage), _dark(stage), metal(stage)
    found = [
        Part(outlines=[ellipse(x, y, across=radius * 1.12, down=radius * 1.12)], made=arch),
        Part(outlines=[ellipse(x, y + 0.01, across=radius, down=radius)], made=rubber),
        Part(outlines=[ellipse(x, y + 0.01, across=radius * 0.65, down=radius * 0.65)], made=hub),
    ]
    spokes = int(stage.rng.integers(4, 11))
    turn = stage.between(0, 1)
    slots = [
        ellipse(
            x + radius * 0.42 * np.cos(turn + number * 2 * np.pi / spokes),
            y + 0.01 + radius * 0.42 * np.sin(turn + number * 2 * np.pi / spokes),
            across=radius * 0.15,
            down=radius * 0.9 / spokes,
            angle=turn + number * 2 * np.pi / spokes,
        )
        for number in range(spokes)
    ]
    return [*found, Part(outlines=slots, made=arch)]


def _face(stage: Stage, body: Material) -> list[Part]:
    """Give a car from the front or back."""
    dark, pane = _dark(stage), _dark(stage, mirror=stage.between(0.1, 0.6))
    tall, waist = stage.between(0.55, 0.85), stage.between(0.75, 0.92)
    roof = stage.between(0.5, 0.7)
    shell: Points = smooth(
        [
            [-waist, 0.3],
            [-0.8, -0.1],
            [-roof, -tall],
            [0, -tall - 0.05],
            [roof, -tall],
            [0.8, -0.1],
            [waist, 0.3],
            [0, 0.36],
        ]
    )
    front = bool(stage.chance(0.5))
    tint = (0.92, 0.92, 0.88) if front else (0.7, 0.06, 0.05)
    lamp = Material(surface=coloured(stage, np.array(tint, np.float32)), gloss=0.9, shine=30)
    high = stage.between(-0.12, 0.02)
    parts = [
        Part(outlines=[rounded(s * 0.68 - 0.13, 0.1, s * 0.68 + 0.13, 0.55, radius=0.06) for s in (-1, 1)], made=dark),
        Part(outlines=[ellipse(s * 0.92, -0.25, across=0.1, down=0.06) for s in (-1, 1)], made=body),
        Part(outlines=[shell], made=body),
        Part(
            outlines=[
                smooth([[-0.68, -0.22], [-roof + 0.06, -tall + 0.08], [roof - 0.06, -tall + 0.08], [0.68, -0.22]])
            ],
            made=pane,
        ),
        Part(
            outlines=[ellipse(s * 0.62, high, across=stage.between(0.12, 0.17), down=0.07) for s in (-1, 1)], made=lamp
        ),
        Part(outlines=[rounded(-0.7, 0.22, 0.7, 0.4, radius=0.08)], made=dark if stage.chance(0.5) else body),
        Part(
            outlines=[rounded(-0.2, 0.2, 0.2, 0.3, radius=0.02)],
            made=Material(surface=coloured(stage, np.full(3, 0.85, np.float32)), bulge=0),
        ),
    ]
    if front:
        parts.insert(5, Part(outlines=[rounded(-0.38, high - 0.05, 0.38, high + 0.13, radius=0.05)], made=dark))
        bars = [polygon([[-0.36, high + step], [0.36, high + step]]) for step in (-0.02, 0.03, 0.08)]
        parts.insert(6, Part(outlines=bars, made=metal(stage), thickness=0.015))
    return parts


def _corner(stage: Stage, body: Material) -> list[Part]:
    """Give a car seen from a corner: its side shortened, its top and front drawn across to the far side."""
    kind = _ROOFS[int(stage.rng.integers(len(_ROOFS)))]
    base = stage.between(0.2, 0.27)
    away = np.array([-stage.between(0.5, 1.1), -stage.between(0.02, 0.14)])
    near = np.array([(-0.99, 0.04), *kind])
    pane = _dark(stage, mirror=stage.between(0.1, 0.6))
    lower = replace(body, ambient=body.ambient * stage.between(0.7, 1.1))
    wheel = _wheel(stage, -0.6, base, radius=0.14)[1]
    far = replace(wheel, outlines=[moved(wheel.outlines[0], x=away[0], y=away[1])])
    parts = [far]
    for number in (5, 4, 3, 2, 1, 0):
        quad = polygon([near[number], near[number + 1], near[number + 1] + away, near[number] + away])
        parts.append(Part(outlines=[quad], made=body))
        if number in {2, 4}:
            middle = quad.mean(0)
            parts.append(Part(outlines=[middle + (quad - middle) * np.float32(0.86)], made=pane))
    nose = np.array([near[0], [-0.97, base], np.add((-0.97, base), away), near[0] + away])
    parts.append(Part(outlines=[polygon(nose)], made=lower))
    parts += [replace(part, outlines=[_onto(nose, each) for each in part.outlines]) for part in _nose(stage)]
    faces = [each for part in parts if part.made in (body, lower) for each in part.outlines]
    whole = Part(outlines=faces, made=body, union=True)  # else hairlines of ground show between the faces
    turned = [whole, *parts, *_side(stage, body, roof=np.array(kind), base=base)]
    squash = np.float32(stage.between(0.6, 0.9))
    return [
        replace(part, outlines=[each * np.array([squash, 1], np.float32) for each in part.outlines]) for part in turned
    ]


def _nose(stage: Stage) -> list[Part]:
    """Give what is on a car's front, within 0..1 from its near side to the far one and from its top down."""
    dark, white = _dark(stage), Material(surface=coloured(stage, np.full(3, 0.88, np.float32)), gloss=0.8)
    high = stage.between(0.15, 0.4)
    return [
        Part(outlines=[rounded(0.25, high, 0.75, high + 0.25, radius=0.05)], made=dark),
        Part(outlines=[box(0.0, 0.75, 1.0, 1.0)], made=dark),
        Part(outlines=[rounded(0.38, 0.68, 0.62, 0.85, radius=0.01)], made=white),
        Part(outlines=[ellipse(x, high + 0.08, across=0.12, down=0.14) for x in (0.1, 0.9)], made=white),
    ]


def _onto(quad: NDArray[np.float64], points: Points) -> Points:
    """Lay points of the unit square on a parallelogram given by its near top, near bottom and on round."""
    return np.asarray(quad[0] + points[:, :1] * (quad[3] - quad[0]) + points[:, 1:] * (quad[1] - quad[0]), np.float32)
