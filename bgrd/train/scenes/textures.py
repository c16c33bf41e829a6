"""Surfaces: made-up ones and pieces of photos, any size."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from bgrd.train.raster import Picture, Plane, blur, cells, fill, look_up, remap, resize, thrice
from bgrd.train.scenes.palette import Colour, colour, kin, vary
from bgrd.train.scenes.stage import Stage

__all__ = ["fur", "grain", "marble", "noise", "patterned", "shades", "surface"]


def noise(rng: Generator, *, width: int, height: int, coarse: float, octaves: int = 4) -> Plane:
    """Give noise of several sizes in 0..1; its largest lumps are `coarse` pixels, each octave half of it."""
    total = np.zeros((height, width), np.float32)
    weight = 1.0
    for octave in range(octaves):
        step = max(coarse / 2**octave, 1.0)
        grid = rng.random((int(height / step) + 3, int(width / step) + 3), np.float32)
        total += np.float32(weight) * resize(grid, width=width, height=height)
        weight *= 0.5
        if step <= 1.5:
            break
    low, high = float(total.min()), float(total.max())
    return (total - low) / max(high - low, 1e-6)


def shades(plane: Plane, colours: Colour) -> Picture:
    """Colour a plane of 0..1 by a run of colours (count, 3)."""
    steps = np.linspace(0, 1, len(colours))
    at = np.linspace(0, 1, 256)
    table = np.stack([np.interp(at, steps, colours[:, part]) for part in range(3)], 1).astype(np.float32)
    places = thrice(np.clip(plane, 0, 1) * np.float32(255)).astype(np.uint8)
    return np.asarray(look_up(places, table=table[None]), np.float32)


def grain(stage: Stage, *, width: int, height: int, base: Colour, amount: float) -> Picture:
    """Give a colour with a fine unevenness, as paint, cloth and skin have it; on a small thing nobody sees it."""
    if width * height < 600:
        return np.full((height, width, 3), base, np.float32)
    uneven = noise(stage.rng, width=width, height=height, coarse=stage.scale(3, 60), octaves=2)
    return np.asarray(np.clip(thrice(np.float32(amount) * (uneven - np.float32(0.5))) + base, 0, 1), np.float32)


def marble(stage: Stage, *, width: int, height: int, colours: Colour | None = None) -> Picture:
    """Give lumpy noise of a family of colours: cloud, rock, rust, dappled hide."""
    plane = noise(stage.rng, width=width, height=height, coarse=stage.scale(8, max(width, 16)), octaves=5)
    if stage.chance(0.3):
        plane = (plane * stage.between(2, 7)) % 1
        plane = 1 - np.abs(2 * plane - 1)
    found = kin(stage.rng, int(stage.rng.integers(2, 5))) if colours is None else colours
    return shades(plane, found)


def fur(stage: Stage, *, width: int, height: int, colours: Colour | None = None) -> Picture:
    """Give strands that follow a slow bend: hide, hair, grass, straw, brushed metal."""
    rng = stage.rng
    long = stage.between(3, 14)
    fine = rng.random((int(height / 1.3) + 2, int(width / (1.3 * long)) + 2), np.float32)
    strands = resize(fine, width=width, height=height)
    bend = noise(rng, width=width, height=height, coarse=max(width, 8) / 2, octaves=2) - np.float32(0.5)
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = stage.between(0, np.pi)
    turn = np.cos(angle), np.sin(angle)
    reach = np.float32(stage.between(5, 40))
    x = np.float32(turn[0]) * column - np.float32(turn[1]) * row + reach * bend
    y = np.float32(turn[1]) * column + np.float32(turn[0]) * row + reach * bend
    plane = remap(strands, x=x, y=y)
    wide = noise(rng, width=width, height=height, coarse=max(width, 8) / 2, octaves=3)
    found = kin(rng, 3) if colours is None else colours
    return shades(np.float32(0.55) * plane + np.float32(0.5) * wide, found)


def patterned(stage: Stage, *, width: int, height: int) -> Picture:
    """Give one of: cells, stripes, checks, dots, bricks; straight or bent."""
    kind: Callable[..., Picture] = [_cells, _stripes, _checks, _dots, _bricks][int(stage.rng.integers(5))]
    picture = kind(stage, width=width, height=height)
    if stage.chance(0.4):
        picture = _bent(stage, picture)
    return picture


def surface(stage: Stage, *, width: int, height: int, bare: bool = False) -> Picture:
    """Give any surface: plain with grain, noise, strands, a pattern, or a piece of a photo, `bare` without subject."""
    match int(stage.rng.choice(5, p=[0.3, 0.15, 0.12, 0.18, 0.25])):
        case 0:
            return grain(stage, width=width, height=height, base=colour(stage.rng), amount=stage.between(0, 0.15))
        case 1:
            return marble(stage, width=width, height=height)
        case 2:
            return fur(stage, width=width, height=height)
        case 3:
            return patterned(stage, width=width, height=height)
        case _:
            return stage.photo(width=width, height=height, zoom=stage.scale(0.7, 4), bare=bare)


def _bent(stage: Stage, picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    reach = np.float32(stage.between(0.05, 0.4) * width)
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    bend = [noise(stage.rng, width=width, height=height, coarse=width / 2, octaves=2) for _ in range(2)]
    return remap(picture, x=column + reach * bend[0], y=row + reach * bend[1])


def _cells(stage: Stage, *, width: int, height: int) -> Picture:
    count = int(stage.scale(8, 200))
    points = (stage.rng.random((count, 2)) * (width, height)).astype(np.float32)
    far, label = cells(points, width=width, height=height)
    table = vary(stage.rng, np.tile(kin(stage.rng, 3), (count // 3 + 2, 1)), amount=0.08)
    picture = table[label % len(table)]
    if stage.chance(0.5):
        edge = np.clip(far / np.sqrt(width * height / count), 0, 1)[..., None]
        picture = picture * (np.float32(1.1) - np.float32(stage.between(0.2, 1.0)) * edge)
    return np.clip(picture, 0, 1)


def _wave(stage: Stage, *, width: int, height: int, period: float, angle: float) -> Plane:
    row, column = np.mgrid[0:height, 0:width].astype(np.float32)
    phase = (np.float32(np.cos(angle)) * column + np.float32(np.sin(angle)) * row) * np.float32(2 * np.pi / period)
    sharp = np.float32(stage.scale(0.7, 12))
    return np.asarray(np.clip(np.sin(phase) * sharp + np.float32(0.5), 0, 1), np.float32)


def _stripes(stage: Stage, *, width: int, height: int) -> Picture:
    period, angle = stage.scale(4, width / 2 + 4), stage.between(0, np.pi)
    return shades(_wave(stage, width=width, height=height, period=period, angle=angle), kin(stage.rng, 3))


def _checks(stage: Stage, *, width: int, height: int) -> Picture:
    period, angle = stage.scale(5, width / 2 + 5), stage.between(0, np.pi / 2)
    first = _wave(stage, width=width, height=height, period=period, angle=angle)
    second = _wave(stage, width=width, height=height, period=period, angle=angle + np.pi / 2)
    mixed = np.asarray(np.abs(first - second) if stage.chance(0.5) else (first + second) / 2, np.float32)
    return shades(mixed, kin(stage.rng, 3))


def _dots(stage: Stage, *, width: int, height: int) -> Picture:
    count = int(stage.scale(10, 120))
    points = (stage.rng.random((count, 2)) * (width, height)).astype(np.float32)
    far, _ = cells(points, width=width, height=height)
    radius = stage.between(0.15, 0.45) * np.sqrt(width * height / count)
    plane = np.clip((far - np.float32(radius)) + np.float32(0.5), 0, 1)
    return shades(plane, np.array([colour(stage.rng), colour(stage.rng)], np.float32))


def _bricks(stage: Stage, *, width: int, height: int) -> Picture:
    tall = stage.scale(6, height / 3 + 6)
    long, joint = tall * stage.between(1, 3), max(tall * 0.08, 1)
    pieces, tints = [], vary(stage.rng, kin(stage.rng, 2), amount=0.02)
    for number in range(int(height / tall) + 2):
        shift = (number % 2) * long / 2
        for place in range(-1, int(width / long) + 2):
            left, top = place * long + shift, number * tall
            right, bottom = left + long - joint, top + tall - joint
            pieces.append(np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float32))
    plane = fill(pieces, width=width, height=height)
    rough = noise(stage.rng, width=width, height=height, coarse=tall * 2, octaves=4)[..., None]
    picture = shades(plane, tints) * (np.float32(0.75) + np.float32(0.5) * rough)
    return np.clip(blur(picture, 0.5), 0, 1)
