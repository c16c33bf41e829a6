"""Grounds: what subjects stand before; photos, emptied pairs, studios, surfaces, tables, leaves, land."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bgrd.train.raster import Picture, Plane, blur, dilate, remap, resize, scattered, thrice
from bgrd.train.scenes.outlines import blob, ellipse, jagged, moved, star
from bgrd.train.scenes.palette import colour, kin, vary
from bgrd.train.scenes.stage import Stage, as_floats
from bgrd.train.scenes.textures import noise, shades, surface

__all__ = ["emptied", "ground", "leaves", "outdoors", "photo", "studio", "table"]


def ground(stage: Stage) -> Picture:
    """Give any ground (side, side, 3); a third of them is out of focus."""
    kinds: list[tuple[Callable[[Stage], Picture], float]] = [
        (photo, 0.36),
        (emptied, 0.18),
        (studio, 0.16),
        (whole_surface, 0.12),
        (table, 0.1),
        (leaves, 0.05),
        (land, 0.03),
    ]
    pick = int(stage.rng.choice(len(kinds), p=[share for _, share in kinds]))
    found = kinds[pick][0](stage)
    if stage.chance(0.33):
        found = blur(found, stage.scale(0.8, stage.side / 24))
    return np.clip(found, 0, 1)


def outdoors(stage: Stage) -> Picture:
    """Give a ground for what stands on one: mostly a photo, else a floor before a view, else any."""
    pick = stage.rng.random()
    if pick < 0.5:
        found = photo(stage)
    elif pick < 0.75:
        found = emptied(stage)
    else:
        return table(stage) if pick < 0.9 else ground(stage)
    return blur(found, stage.scale(0.8, 6)) if stage.chance(0.3) else found


def photo(stage: Stage) -> Picture:
    """Give a part of a background picture, or of any photo where the stock has none."""
    if not stage.stock.backgrounds:
        return emptied(stage)
    image = stage.stock.background(stage.one_of("backgrounds"))
    return stage.part(image, width=stage.side, height=stage.side, zoom=stage.scale(0.6, 2.5))


def emptied(stage: Stage) -> Picture:
    """Give a pair's picture with its subject, a small one rather than a large, painted over by what surrounds it."""
    if not stage.stock.pairs:
        return studio(stage)
    image, mask = stage.stock.pair(stage.one_of("pairs"))
    if float(mask[::4, ::4].mean()) > 255 * 0.35:
        image, mask = stage.stock.pair(stage.one_of("pairs"))
    side = stage.side
    picture = as_floats(resize(image, width=side, height=side))
    small = max(side // 4, 16)
    hole = dilate(as_floats(resize(mask, width=small, height=small)), pixels=2)
    picture = _closed(picture, np.clip(hole, 0, 1), small=small)
    return picture[:, ::-1] if stage.chance(0.5) else picture


def _closed(picture: Picture, hole: Plane, *, small: int) -> Picture:
    """Paint over a hole by blurs of its surroundings, ever wider, on a quarter of the size."""
    side = picture.shape[0]
    thumb = resize(picture, width=small, height=small)
    known = 1 - hole
    filled: Picture = thumb * known[..., None]
    trust: Plane = known
    for sigma in (3.0, 10.0, 30.0):
        wide, weight = blur(filled, sigma), blur(trust, sigma)
        guess = wide / np.maximum(weight, np.float32(1e-3))[..., None]
        open_part = np.clip(1 - trust, 0, 1)[..., None]
        filled = np.asarray(filled + guess * open_part * np.minimum(weight * 4, 1)[..., None], np.float32)
        trust = trust + (1 - trust) * np.minimum(weight * 4, 1)
    cover = thrice(np.clip(blur(resize(hole, width=side, height=side), 2.0) * 1.5, 0, 1))
    patch = resize(np.clip(filled / np.maximum(trust, 1e-3)[..., None], 0, 1), width=side, height=side)
    return np.asarray(picture * (1 - cover) + patch * cover, np.float32)


def studio(stage: Stage) -> Picture:
    """Give a plain colour, a run of colours, or the round light of a studio; white one time in three."""
    side = stage.side
    row, column = np.mgrid[0:side, 0:side].astype(np.float32) / np.float32(side)
    base = np.full(3, stage.between(0.85, 1.0), np.float32) if stage.chance(0.35) else colour(stage.rng)
    other = vary(stage.rng, base, amount=0.2) if stage.chance(0.7) else colour(stage.rng)
    match int(stage.rng.integers(4)):
        case 0:
            return np.broadcast_to(base, (side, side, 3)).astype(np.float32)
        case 1:
            angle = stage.between(0, np.pi)
            plane = np.cos(angle) * column + np.sin(angle) * row
            plane = (plane - plane.min()) / max(float(np.ptp(plane)), 1e-6)
        case 2:
            x, y = stage.rng.uniform(0.2, 0.8, 2)
            plane = np.minimum(np.hypot(column - x, row - y) * stage.between(0.8, 1.6), 1)
        case _:
            sharp, at = stage.scale(3, 60), stage.between(0.45, 0.85)
            plane = 1 / (1 + np.exp(-np.clip((row - at) * sharp, -30, 30)))
    return shades(np.asarray(plane, np.float32), np.array([base, other], np.float32))


def whole_surface(stage: Stage) -> Picture:
    """Give one surface all over: cloth, wall, lawn, pattern."""
    return surface(stage, width=stage.side, height=stage.side, bare=True)


def table(stage: Stage) -> Picture:
    """Give a floor or table in perspective before a wall or a view."""
    side = stage.side
    edge = int(side * stage.between(0.25, 0.75))
    back = photo(stage) if stage.chance(0.5) else (studio(stage) if stage.chance(0.5) else whole_surface(stage))
    back = blur(back, stage.scale(0.5, 8))
    flat = surface(stage, width=side, height=side, bare=True)
    row, column = np.mgrid[edge:side, 0:side].astype(np.float32)
    near = (row - edge + 1) / (side - edge)
    pull = 1 / (np.float32(0.25) + near)
    x = (column - side / 2) * pull * np.float32(0.8) + side / 2
    found = back.copy()
    fall = np.float32(stage.between(0, 0.5))
    plate = remap(flat, x=x.astype(np.float32), y=(side * pull * np.float32(0.6)).astype(np.float32))
    found[edge:] = plate * (1 - fall * (1 - near))[..., None]
    return found


def leaves(stage: Stage) -> Picture:
    """Give many things over one another, large and small: leaves, pebbles, shapes, no one of them first."""
    rng, side = stage.rng, stage.side
    tints = kin(rng, int(rng.integers(2, 7)))
    shapes = [blob(rng, bumps=4, rough=0.2), ellipse(0, 0, across=1, down=0.45), jagged(rng, corners=6), star(rng)]
    kept = [shapes[int(pick)] for pick in rng.integers(4, size=2)]
    count = int(stage.scale(40, 250))
    radii = side * np.exp(rng.uniform(np.log(0.02), np.log(0.14), count))
    outlines = [
        moved(kept[number % 2], angle=turn, x=x, y=y, scale=(radius, radius * flat))
        for number, (turn, x, y, radius, flat) in enumerate(
            zip(
                rng.uniform(0, 6.3, count),
                *rng.uniform(0, side, (2, count)),
                radii,
                rng.uniform(0.6, 1, count),
                strict=True,
            )
        )
    ]
    colours = vary(rng, tints[rng.integers(len(tints), size=count)], amount=0.1)
    found = scattered(surface(stage, width=side, height=side, bare=True), outlines, colours=colours)
    rough = noise(rng, width=side, height=side, coarse=side / 3)[..., None]
    return blur(found, 0.6) * (np.float32(0.6) + np.float32(0.7) * rough)


def land(stage: Stage) -> Picture:
    """Give sky, hills and a field out of noise."""
    rng, side = stage.rng, stage.side
    row = np.linspace(0, 1, side, dtype=np.float32)[:, None] * np.ones((1, side), np.float32)
    sky = vary(rng, np.array([[0.35, 0.55, 0.85], [0.85, 0.88, 0.92]], np.float32), amount=0.12)
    cloud = noise(rng, width=side, height=side, coarse=side / 2)
    found = shades(np.clip(row + (cloud - np.float32(0.5)) * np.float32(stage.between(0, 1.2)), 0, 1), sky)
    at = stage.between(0.3, 0.6)
    for _ in range(int(rng.integers(1, 4))):
        line = at + stage.between(0.02, 0.2) * noise(rng, width=side, height=2, coarse=side / 3)[0]
        cover = np.clip((row - line) * side, 0, 1)[..., None]
        tints = vary(rng, np.array([[0.2, 0.3, 0.12], [0.45, 0.45, 0.25]], np.float32), amount=0.12)
        hill = shades(noise(rng, width=side, height=side, coarse=stage.scale(4, 40)), tints)
        found = found * (1 - cover) + hill * cover
        at += stage.between(0.08, 0.25)
    return np.asarray(found, np.float32)
