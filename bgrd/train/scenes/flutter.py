"""Butterflies, moths and their like: wings the same on both sides, patterned, on leaves and flowers; and fish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bgrd.train.raster import Picture, Points, blur
from bgrd.train.scenes.beside import seated
from bgrd.train.scenes.grounds import ground, leaves, photo, studio
from bgrd.train.scenes.materials import Material, coloured
from bgrd.train.scenes.outlines import capsule, ellipse, moved, smooth
from bgrd.train.scenes.palette import colour, kin, vary
from bgrd.train.scenes.parts import Part
from bgrd.train.scenes.placing import laid, shown, stand
from bgrd.train.scenes.stage import Scene, Stage
from bgrd.train.scenes.textures import fur, marble, noise, patterned, shades

__all__ = ["butterfly", "draw_butterflies", "draw_fish", "fish"]


def draw_butterflies(stage: Stage) -> Scene:
    """Set a butterfly on leaves, a flower or any ground, mostly out of focus."""
    behind = leaves(stage) if stage.chance(0.35) else (photo(stage) if stage.chance(0.5) else ground(stage))
    behind = blur(behind, stage.scale(0.6, 8))
    layer = laid(stage, [butterfly(stage)], behind, tilt=np.pi, low=0.45, high=1.4)
    return stand(stage, layer, seated(stage, layer, behind) if stage.chance(0.6) else behind)


def draw_fish(stage: Stage) -> Scene:
    """Set a fish, at times three, in water, before stones and corals, on white or on any ground."""
    made = (_water, _reef, studio, ground)[int(stage.rng.choice(4, p=[0.3, 0.25, 0.2, 0.25]))]
    behind = made(stage)
    count = 1 if stage.chance(0.85) else 3
    return shown(stage, [fish(stage) for _ in range(count)], behind, tilt=0.5, low=0.5, high=1.4)


def _scales(stage: Stage) -> Callable[[int, int], Picture]:
    """Give a coat of wing or fish: cells, stripes, spots, strands or blotches."""
    kind = stage.rng.random()
    if kind < 0.45:
        return lambda width, height: patterned(stage, width=width, height=height)
    if kind < 0.7:
        return lambda width, height: marble(stage, width=width, height=height)
    if kind < 0.85:
        return lambda width, height: fur(stage, width=width, height=height)
    return coloured(stage, colour(stage.rng), amount=0.2)


def butterfly(stage: Stage) -> list[Part]:
    """Give a butterfly, wings spread, half folded or seen from the side; body and feelers belong to it."""
    between = stage.between
    upper = [
        [0.03, -0.1],
        [between(0.25, 0.5), between(-0.75, -0.45)],
        [between(0.8, 1.0), between(-0.85, -0.5)],
        [between(0.75, 0.95), between(-0.3, -0.1)],
        [between(0.4, 0.6), between(-0.02, 0.1)],
        [0.03, 0.03],
    ]
    lower = [
        [0.03, 0.0],
        [between(0.45, 0.7), between(-0.05, 0.1)],
        [between(0.55, 0.75), between(0.3, 0.5)],
        [between(0.25, 0.5), between(0.5, 0.85)],
        [0.1, between(0.3, 0.45)],
    ]
    rim = Material(
        surface=coloured(stage, vary(stage.rng, np.full(3, between(0.02, 0.4), np.float32), amount=0.05)), bulge=0.1
    )
    coat = Material(surface=_scales(stage), bulge=0.1, ambient=0.6, diffuse=0.5)
    second = replace(coat, surface=_scales(stage)) if stage.chance(0.25) else coat
    edge = between(0.75, 0.95)
    wings = []
    for shape, made in ((smooth(lower), second), (smooth(upper), coat)):
        wings.append(Part(outlines=[shape], made=rim))
        middle = shape.mean(0) * np.float32(0.8)
        wings.append(Part(outlines=[middle + (shape - middle) * np.float32(edge)], made=made))
        wings += _spots(stage, shape)
    fold = between(-0.25, 1.0) if stage.chance(0.4) else 1.0
    sides = [1.0] if stage.chance(0.2) else [1.0, -fold]
    parts = [_scaled(part, side) for side in reversed(sides) for part in wings]
    dark = Material(surface=coloured(stage, np.full(3, between(0.03, 0.3), np.float32), amount=0.2), bulge=0.9)
    parts.append(Part(outlines=[capsule([0, -0.22], [0, between(0.25, 0.45)], first=0.05, last=0.025)], made=dark))
    feelers = [
        smooth([[0, -0.24], [side * 0.1, -0.42], [side * between(0.15, 0.35), between(-0.62, -0.5)]], closed=False)
        for side in (-1, 1)
    ]
    parts.append(Part(outlines=feelers, made=dark, thickness=0.012))
    return parts


def _scaled(part: Part, side: float) -> Part:
    return replace(part, outlines=[each * np.array([side, 1], np.float32) for each in part.outlines])


def _spots(stage: Stage, shape: Points) -> list[Part]:
    """Give a row of spots along a wing's rim, or an eye on it, or none."""
    if stage.chance(0.4):
        return []
    made = Material(surface=coloured(stage, colour(stage.rng)), bulge=0)
    middle = shape.mean(0)
    places = shape[:: int(stage.rng.integers(4, 9))]
    spots = [middle + (place - middle) * stage.between(0.75, 0.9) for place in places]
    size = stage.scale(0.015, 0.06)
    return [Part(outlines=[ellipse(x, y, across=size, down=size) for x, y in spots], made=made, union=True)]


def _water(stage: Stage) -> Picture:
    """Give water: blue to green, lighter above, with light dancing in it; or a murky photo."""
    side = stage.side
    if stage.chance(0.3):
        return np.asarray(blur(photo(stage), stage.scale(1, 6)) * np.array([0.35, 0.75, 0.85], np.float32), np.float32)
    deep = vary(stage.rng, np.array([[0.35, 0.75, 0.8], [0.05, 0.3, 0.45], [0.02, 0.12, 0.2]], np.float32), amount=0.12)
    row = np.linspace(0, 1, side, dtype=np.float32)[:, None]
    wave = noise(stage.rng, width=side, height=side, coarse=stage.scale(10, 90))
    dance = (1 - np.abs(2 * wave - 1)) ** np.float32(stage.scale(2, 12))
    found = (
        shades(np.clip(row + 0.3 * (wave - 0.5), 0, 1), deep) + np.float32(stage.between(0, 0.35)) * dance[..., None]
    )
    return np.asarray(np.clip(found, 0, 1), np.float32)


def _reef(stage: Stage) -> Picture:
    """Give stones and corals, lumps over one another, that fade into the water."""
    stones = blur(leaves(stage) if stage.chance(0.6) else ground(stage), stage.scale(0.5, 4))
    part = np.float32(stage.between(0.1, 0.7))
    return np.asarray(stones * (1 - part) + _water(stage) * part, np.float32)


def fish(stage: Stage) -> list[Part]:
    """Give a fish from the side, looking left: body, fins with rays, tail, eye, gill."""
    between = stage.between
    tall, waist = between(0.2, 0.55), between(0.05, 0.12)
    back = [[-0.9, 0.02], [-0.6, -tall * 0.7], [-0.15, -tall], [0.3, -tall * 0.65], [0.62, -waist]]
    belly = [[0.62, waist], [0.3, tall * 0.6], [-0.15, tall * between(0.8, 1.1)], [-0.6, tall * 0.65]]
    body = smooth(back + belly)
    tints = kin(stage.rng, 3)

    def coat(width: int, height: int) -> Picture:
        if plain:
            row = np.linspace(0, 1, height, dtype=np.float32)[:, None] * np.ones((1, width), np.float32)
            return shades(row, tints) * (np.float32(0.8) + np.float32(0.3) * marble(stage, width=width, height=height))
        return scales(width, height)

    plain, scales = stage.chance(0.5), _scales(stage)
    skin = Material(
        surface=coat, bulge=between(0.4, 0.9), gloss=between(0, 0.6), shine=stage.scale(5, 40), bump=between(0, 1)
    )
    web = Material(surface=lambda width, height: fur(stage, width=width, height=height, colours=tints), bulge=0.1)
    end = between(0.85, 1.05)
    split = between(0.6, 0.9)
    tail = smooth([[0.55, 0], [end, -between(0.2, 0.5)], [split, 0], [end, between(0.2, 0.5)]])
    fins = [
        smooth(
            [
                [-0.3, -tall * 0.85],
                [between(-0.2, 0.1), -tall - between(0.05, 0.4)],
                [0.45, -tall * 0.6],
                [0.3, -tall * 0.4],
            ]
        ),
        smooth([[-0.1, tall * 0.8], [between(0, 0.3), tall + between(0.02, 0.3)], [0.35, tall * 0.5]]),
    ]
    side = smooth([[-0.35, 0.05], [-0.05, between(0.0, 0.1)], [-0.02, between(0.15, 0.3)], [-0.32, 0.15]])
    dark = Material(surface=coloured(stage, np.full(3, 0.03, np.float32)), gloss=0.9)
    white = Material(surface=coloured(stage, vary(stage.rng, np.full(3, 0.85, np.float32), amount=0.1)), bulge=0.5)
    eye = between(0.04, 0.08)
    gill = moved(smooth([[0, -0.6], [0.25, 0], [0, 0.6]], closed=False), x=-0.52, y=0, scale=(0.3, tall * 0.7))
    return [
        Part(outlines=[tail, *fins], made=web, union=True, opacity=between(0.92, 1.0)),
        Part(outlines=[body], made=skin),
        Part(outlines=[gill], made=dark, thickness=0.02, opacity=0.4),
        Part(outlines=[side], made=web, opacity=0.9),
        Part(outlines=[ellipse(-0.68, -tall * 0.15, across=eye, down=eye)], made=white),
        Part(outlines=[ellipse(-0.68, -tall * 0.15, across=eye * 0.6, down=eye * 0.6)], made=dark),
    ]
