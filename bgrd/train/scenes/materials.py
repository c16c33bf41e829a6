"""Light on a surface: a filled outline made to look round, glossy, mirroring or of glass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bgrd.train.raster import Picture, Plane, blur, depth, remap, slopes, thrice
from bgrd.train.scenes.palette import Colour, colour, vary
from bgrd.train.scenes.stage import Stage
from bgrd.train.scenes.textures import fur, grain, marble, noise, surface

__all__ = ["Light", "Material", "coloured", "glass", "lamp", "lit", "material", "metal", "painted", "roughness"]

Light = NDArray[np.float32]
"""Where the light comes from: a unit vector to the right, down, and towards the viewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a part is made of.

    `surface(width, height)` gives its colours; `bulge` is 0 where it is flat and 1 where it is round as a ball; `rim`
    the part of its half width over which it is round; `bump` its roughness; then how it takes light: all 0..1, `shine`
    the exponent of its highlight; `mirror` and `glass` how much of the ground it shows.
    """

    surface: Callable[[int, int], Picture]
    bulge: float = 0.6
    rim: float = 1.0
    bump: float = 0.0
    ambient: float = 0.5
    diffuse: float = 0.6
    gloss: float = 0.0
    shine: float = 20.0
    mirror: float = 0.0
    glass: float = 0.0


def lamp(stage: Stage) -> Light:
    """Give a direction of light, mostly from above."""
    found = np.array([stage.between(-0.8, 0.8), stage.between(-0.9, 0.15), stage.between(0.35, 1.0)], np.float32)
    return np.asarray(found / np.linalg.norm(found), np.float32)


def lit(
    picture: Picture, cover: Plane, *, made: Material, light: Light, around: Picture, rough: Plane | None
) -> Picture:
    """Light a part by the shape its outline lets one guess, unless tiny; `around` is the ground behind, same size."""
    if (made.bulge <= 0 and rough is None) or min(cover.shape) < 9:
        return picture
    inner = depth(cover)
    reach = max(float(inner.max()) * made.rim, 1.0)
    away = 1 - np.minimum(inner * np.float32(1 / reach), 1)
    height = np.float32(reach * made.bulge) * np.sqrt(np.maximum(1 - away * away, 0))
    height = blur(height, 0.12 * reach + 0.5)
    if rough is not None:
        height = height + rough
    across, down = slopes(height)
    facing = 1 / np.sqrt(across * across + down * down + 1)
    toward = (light[2] - across * light[0] - down * light[1]) * facing
    found = picture * thrice(np.float32(made.ambient) + np.float32(made.diffuse) * np.maximum(toward, 0))
    if made.mirror or made.glass:
        found = _shown(found, picture, across * facing, down * facing, made=made, around=around)
    if made.gloss:
        half = light + np.array([0, 0, 1], np.float32)
        half /= np.linalg.norm(half)
        bright = np.maximum((half[2] - across * half[0] - down * half[1]) * facing, 0) ** np.float32(made.shine)
        found = found + thrice(np.float32(made.gloss) * bright)
    return np.asarray(np.clip(found, 0, 1), np.float32)


def _shown(found: Picture, picture: Picture, across: Plane, down: Plane, *, made: Material, around: Picture) -> Picture:
    """Add what mirrors and shines through: the ground, moved by the slope of the surface."""
    rows, columns = across.shape
    tint: Picture = picture * np.float32(0.6) + np.float32(0.4)
    near, far = np.float32(made.glass), np.float32(made.mirror)
    row, column = np.mgrid[0:rows, 0:columns].astype(np.float32)
    if made.glass:
        bent = remap(around, x=column + across * np.float32(0.35 * columns), y=row + down * np.float32(0.35 * rows))
        found = np.asarray(found * (1 - near) + bent * tint * near, np.float32)
    if made.mirror:
        wide = blur(around, 1.0)
        seen = remap(wide, x=column - across * np.float32(1.2 * columns), y=row - down * np.float32(1.2 * rows))
        contrast = np.asarray(np.clip((seen - np.float32(0.5)) * 1.5 + np.float32(0.5), 0, 1), np.float32)
        found = np.asarray(found * (1 - far) + contrast * tint * far, np.float32)
    return found


def coloured(stage: Stage, base: Colour, *, amount: float | None = None) -> Callable[[int, int], Picture]:
    """Give the surface of one colour with a little grain."""
    uneven = stage.between(0, 0.12) if amount is None else amount
    return lambda width, height: grain(stage, width=width, height=height, base=base, amount=uneven)


def painted(stage: Stage, base: Colour | None = None) -> Material:
    """Give lacquer of a colour: it shines and mirrors a little."""
    found = colour(stage.rng) if base is None else base
    return Material(
        surface=coloured(stage, found, amount=0.03),
        bulge=stage.between(0.3, 1.0),
        rim=stage.between(0.2, 1.0),
        ambient=stage.between(0.35, 0.7),
        diffuse=stage.between(0.3, 0.7),
        gloss=stage.between(0.15, 0.9),
        shine=stage.scale(15, 150),
        mirror=stage.between(0.05, 0.5),
    )


def metal(stage: Stage) -> Material:
    """Give metal: grey or golden, mostly a mirror."""
    grey = np.full(3, stage.between(0.35, 0.9), np.float32)
    tint = vary(stage.rng, grey, amount=0.05) * np.array([1, stage.between(0.8, 1), stage.between(0.5, 1)], np.float32)
    return replace(painted(stage, tint), mirror=stage.between(0.4, 0.9), bulge=stage.between(0.5, 1.2))


def glass(stage: Stage) -> Material:
    """Give glass or clear plastic: what lies behind, bent and tinted, and sharp highlights."""
    tint = vary(stage.rng, np.full(3, stage.between(0.6, 0.95), np.float32), amount=stage.between(0, 0.15))
    return replace(
        painted(stage, tint), glass=stage.between(0.6, 0.95), mirror=stage.between(0, 0.25), gloss=0.9, bulge=0.9
    )


def material(stage: Stage) -> Material:
    """Give any material: dull with any surface more often than not; hide, lacquer, metal, glass."""
    match int(stage.rng.choice(5, p=[0.52, 0.12, 0.2, 0.1, 0.06])):
        case 0:
            made: Callable[[int, int], Picture] = lambda width, height: surface(stage, width=width, height=height)  # noqa: E731
        case 1:
            kind = fur if stage.chance(0.6) else marble
            made = lambda width, height: kind(stage, width=width, height=height)  # noqa: E731
        case 2:
            return painted(stage)
        case 3:
            return metal(stage)
        case _:
            return glass(stage)
    return Material(
        surface=made,
        bulge=0.0 if stage.chance(0.15) else stage.between(0.2, 1.2),
        rim=stage.between(0.15, 1.0),
        bump=stage.between(0, 2.0) if stage.chance(0.3) else 0.0,
        ambient=stage.between(0.25, 0.8),
        diffuse=stage.between(0.3, 0.9),
        gloss=stage.between(0, 0.6) if stage.chance(0.4) else 0.0,
        shine=stage.scale(6, 60),
    )


def roughness(stage: Stage, made: Material, *, width: int, height: int) -> Plane | None:
    """Give the bumps of a part, in pixels of height, or None where it is smooth."""
    if not made.bump:
        return None
    return np.float32(made.bump) * noise(stage.rng, width=width, height=height, coarse=stage.scale(3, 20), octaves=3)
