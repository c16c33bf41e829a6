"""Turned things: bottles, vases, glasses, cups, lamps, fruit; glass and lacquer, labels, handles, what is in them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bgrd.train.raster import Points
from bgrd.train.scenes.beside import held
from bgrd.train.scenes.grounds import ground, table
from bgrd.train.scenes.materials import Material, coloured, glass, material, painted
from bgrd.train.scenes.outlines import ellipse, lathe, polygon, smooth
from bgrd.train.scenes.palette import colour
from bgrd.train.scenes.parts import Part
from bgrd.train.scenes.placing import laid, stand
from bgrd.train.scenes.stage import Scene, Stage
from bgrd.train.scenes.textures import surface

__all__ = ["bottle", "draw", "vase"]


def draw(stage: Stage) -> Scene:
    """Set a vessel on a table or any ground, at times up to four of them, or one in a hand; one in five lies."""
    count = int(stage.rng.choice([1, 2, 4], p=[0.8, 0.13, 0.07]))
    things = [bottle(stage) if stage.chance(0.6) else vase(stage) for _ in range(count)]
    behind = table(stage) if stage.chance(0.45) else ground(stage)
    layer = laid(stage, things, behind, tilt=np.pi if stage.chance(0.2) else 0.12, low=0.45, high=1.5)
    return held(stage, layer, behind) if count == 1 and stage.chance(0.3) else stand(stage, layer, behind)


def bottle(stage: Stage) -> list[Part]:
    """Give a bottle, jar or can: neck, shoulder, cap, label, what it is filled with, a streak of light."""
    between = stage.between
    wide = between(0.17, 0.4)
    neck, shoulder = wide * between(0.25, 1.0), between(-0.5, -0.1)
    heights = [-0.9, -0.85, shoulder - 0.25, shoulder, 0.2, 0.85, 0.93]
    radii = [neck, neck, neck * between(1.0, 1.3), wide, wide * between(0.85, 1.05), wide, wide * 0.9]
    outline = lathe(heights, radii)
    made = glass(stage) if stage.chance(0.55) else (painted(stage) if stage.chance(0.6) else material(stage))
    made = replace(made, rim=1.0, bulge=between(0.6, 1.0))
    parts = [Part(outlines=[outline], made=made)]
    if made.glass and stage.chance(0.6):
        parts += _filling(stage, heights, radii)
    if stage.chance(0.8):
        cap = lathe([-1.0, -0.99, -0.84, -0.83], [neck * 1.05, neck * 1.12, neck * 1.12, neck])
        parts.append(Part(outlines=[cap], made=painted(stage)))
    if stage.chance(0.65):
        parts += _label(stage, wide, top=between(shoulder + 0.05, 0.15), bottom=between(0.35, 0.75))
    if stage.chance(0.6):
        x = wide * between(-0.8, 0.6)
        streak = polygon([[x, shoulder + 0.1], [x + wide * 0.12, shoulder + 0.1], [x + wide * 0.12, 0.8], [x, 0.8]])
        parts.append(Part(outlines=[streak], made=_white(stage), opacity=between(0.15, 0.6)))
    return parts


def _white(stage: Stage) -> Material:
    return Material(surface=coloured(stage, np.full(3, 0.97, np.float32)), bulge=0)


def _filling(stage: Stage, heights: list[float], radii: list[float]) -> list[Part]:
    level = stage.between(-0.4, 0.5)
    at = np.linspace(level, 0.88, 6)
    outline = lathe(at, np.interp(at, heights, radii) * 0.9)
    made = Material(surface=coloured(stage, colour(stage.rng)), bulge=0.8, gloss=0.3)
    return [Part(outlines=[outline], made=made, opacity=stage.between(0.4, 0.9))]


def _label(stage: Stage, wide: float, *, top: float, bottom: float) -> list[Part]:
    """Give a label: paper with a picture or pattern on it and lines of writing."""
    bow = wide * stage.between(0, 0.15)
    x = np.linspace(-1, 1, 9)
    curve = bow * (1 - x**2)
    outline = np.concatenate(
        [np.stack([x * wide * 0.97, top + curve], 1), np.stack([x * wide * 0.97, bottom + curve], 1)[::-1]]
    )
    paper = Material(surface=lambda width, height: surface(stage, width=width, height=height), bulge=0.5, ambient=0.6)
    ink = Material(surface=coloured(stage, colour(stage.rng)), bulge=0)
    lines = []
    for y in np.arange(top + 0.08, bottom - 0.02, stage.between(0.05, 0.15)):
        half = wide * stage.between(0.2, 0.75)
        lines.append(polygon([[-half, y + bow], [half, y + bow]]))
    parts = [Part(outlines=[outline.astype(np.float32)], made=paper)]
    if lines and stage.chance(0.7):
        parts.append(Part(outlines=lines, made=ink, thickness=stage.between(0.01, 0.05)))
    return parts


def vase(stage: Stage) -> list[Part]:
    """Give any turned thing: vase, bowl, cup, glass with a foot, pear; open at the top, with a handle or a stalk."""
    between = stage.between
    count = int(stage.rng.integers(4, 8))
    heights, radii = np.linspace(-0.8, 0.8, count), stage.rng.uniform(0.12, 0.75, count)
    if stage.chance(0.3):
        radii[count // 2 :] = np.minimum(radii[count // 2 :], between(0.04, 0.1))
        radii[-1] = between(0.3, 0.5)
    outline = lathe(heights, radii)
    made = glass(stage) if stage.chance(0.25) else material(stage)
    parts: list[Part] = []
    if stage.chance(0.4):
        parts.append(_handle(stage, radii[1], made=made))
    parts.append(Part(outlines=[outline], made=made))
    if stage.chance(0.5):
        mouth = ellipse(0, -0.8, across=float(radii[0]), down=float(radii[0]) * between(0.1, 0.35))
        parts.append(Part(outlines=[mouth], made=replace(made, bulge=0.1, gloss=0.0)))
        inner = ellipse(0, -0.78, across=float(radii[0]) * 0.88, down=float(radii[0]) * 0.2)
        parts.append(
            Part(outlines=[inner], made=Material(surface=coloured(stage, colour(stage.rng) * np.float32(0.5))))
        )
    if stage.chance(0.25):
        stalk: Points = smooth([[0, -0.78], [between(-0.1, 0.1), -1.0], [between(-0.3, 0.3), -1.2]], closed=False)
        parts.append(Part(outlines=[stalk], made=material(stage), thickness=between(0.02, 0.06)))
    return parts


def _handle(stage: Stage, radius: float, *, made: Material) -> Part:
    """Give a handle beside a cup, open in its middle."""
    reach = stage.between(0.25, 0.5)
    bow = smooth(
        [[radius * 0.8, -0.5], [radius + reach, -0.35], [radius + reach * 0.9, 0.2], [radius * 0.8, 0.35]], closed=False
    )
    return Part(outlines=[bow], made=made, thickness=stage.between(0.06, 0.16))
