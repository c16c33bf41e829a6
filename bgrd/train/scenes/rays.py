"""Convex solids rendered by parallel rays: where each enters, the true normal there, its light and what it mirrors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bgrd.train.raster import Picture, Plane, blur, resize, thrice
from bgrd.train.scenes.layers import Layer
from bgrd.train.scenes.materials import Light
from bgrd.train.scenes.palette import colour, kin
from bgrd.train.scenes.stage import Stage
from bgrd.train.scenes.textures import surface

__all__ = ["Matrix", "Solid", "entered", "rendered"]

Matrix = NDArray[np.float64]
Volume = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Solid:
    """A convex solid: where it is, how it is turned (columns are its axes), its half sizes, its kind and its coat."""

    kind: str
    middle: Matrix
    axes: Matrix
    half: Matrix
    coat: int


def rendered(stage: Stage, solids: list[Solid], behind: Picture, light: Light) -> Layer:
    """Give the layer of solids, parallel rays, four to a pixel."""
    side = stage.side
    size = side * stage.scale(0.5, 1.5) / 2
    free = max(side / 2 - size * 0.9, side * 0.05)
    x0, y0 = side / 2 + stage.rng.uniform(-1, 1, 2) * free
    left, top = (int(max(value - size * 1.5, 0)) for value in (x0, y0))
    right, bottom = (int(min(value + size * 1.5, side)) for value in (x0, y0))
    width, height = right - left, bottom - top
    row, column = np.mgrid[0 : height * 2, 0 : width * 2].astype(np.float32)
    x = (column / 2 + np.float32(left - x0)) / np.float32(size)
    y = (row / 2 + np.float32(top - y0)) / np.float32(size)
    near = np.full(x.shape, np.inf, np.float32)
    colours = np.zeros((*x.shape, 3), np.float32)
    coats = [_coat(stage, behind) for _ in range(3)]
    for solid in solids:
        _traced(solid, x, y, near=near, colours=colours, coat=coats[solid.coat], light=light)
    cover: Plane = np.isfinite(near).astype(np.float32)
    layer = Layer.empty(side)
    small = resize(cover, width=width, height=height)
    shown = resize(colours * thrice(cover), width=width, height=height)
    layer.colour[top:bottom, left:right], layer.alpha[top:bottom, left:right] = shown, small
    return layer


@dataclass(frozen=True, slots=True, kw_only=True)
class Coat:
    """What a solid is covered with: a square of its pattern, and how it takes light."""

    pattern: Picture
    around: Picture
    ambient: float
    gloss: float
    shine: float
    mirror: float


def _coat(stage: Stage, behind: Picture) -> Coat:
    side = 96
    if stage.chance(0.45):
        pattern = np.broadcast_to(colour(stage.rng) if stage.chance(0.6) else kin(stage.rng, 2)[1], (side, side, 3))
    else:
        pattern = surface(stage, width=side, height=side)
    return Coat(
        pattern=np.asarray(pattern, np.float32),
        around=blur(resize(behind, width=64, height=64), stage.between(0.4, 4)),
        ambient=stage.between(0.2, 0.55),
        gloss=stage.between(0.2, 0.9) if stage.chance(0.6) else 0.0,
        shine=stage.scale(8, 90),
        mirror=stage.between(0.1, 0.8) if stage.chance(0.45) else 0.0,
    )


def _traced(solid: Solid, x: Plane, y: Plane, *, near: Plane, colours: Picture, coat: Coat, light: Light) -> None:
    """Trace one solid where its box lies, and colour what of it is nearest."""
    reach = (
        np.sqrt(((solid.axes * solid.half) ** 2).sum(1))
        if solid.kind == "ball"
        else np.abs(solid.axes * solid.half).sum(1)
    )
    columns = np.searchsorted(x[0], [solid.middle[0] - reach[0], solid.middle[0] + reach[0]])
    rows = np.searchsorted(y[:, 0], [solid.middle[1] - reach[1], solid.middle[1] + reach[1]])
    window = slice(rows[0], rows[1]), slice(columns[0], columns[1])
    if x[window].size == 0:
        return
    scale = (solid.axes / solid.half).astype(np.float32)
    u = x[window] - np.float32(solid.middle[0]), y[window] - np.float32(solid.middle[1])
    start = [u[0] * scale[0, axis] + u[1] * scale[1, axis] for axis in range(3)]
    depth, normal = entered(solid.kind, start, scale[2])
    closer = depth + np.float32(solid.middle[2]) < near[window]
    if not closer.any():
        return
    at = depth[closer]
    spot = [start[axis][closer] + at * scale[2, axis] for axis in range(3)]
    world = np.stack([part[closer] for part in normal], 1) @ (solid.axes / solid.half).T.astype(np.float32)
    world /= np.linalg.norm(world, axis=1, keepdims=True) + np.float32(1e-6)
    near[window][closer] = at + np.float32(solid.middle[2])
    colours[window][closer] = _lit(world, spot, coat=coat, light=light)


def entered(kind: str, start: list[Plane], step: Volume) -> tuple[Plane, list[Plane]]:
    """Give where rays enter a solid of half size 1 (inf where they miss) and the normal there, in its own axes."""
    flat = {"ball": (), "box": (0, 1, 2), "tube": (1,), "cone": (1,)}[kind]
    into, out = np.full(start[0].shape, -np.inf, np.float32), np.full(start[0].shape, np.inf, np.float32)
    normal = [np.zeros(start[0].shape, np.float32) for _ in range(3)]
    for axis in flat:
        slope = step[axis] if abs(step[axis]) > 1e-6 else np.float32(1e-6)
        first, second = (-1 - start[axis]) / slope, (1 - start[axis]) / slope
        low, high = np.minimum(first, second), np.maximum(first, second)
        later = low > into
        into = np.where(later, low, into)
        out = np.minimum(out, high)
        for other in range(3):
            normal[other] = np.where(later, -np.sign(slope) if other == axis else 0, normal[other]).astype(np.float32)
    if kind != "box":
        into, out, normal = _rounded(kind, start, step, into, out, normal)
    return np.where(into < out, into, np.float32(np.inf)), normal


def _rounded(
    kind: str, start: list[Plane], step: Volume, into: Plane, out: Plane, normal: list[Plane]
) -> tuple[Plane, Plane, list[Plane]]:
    """Cut the rays' stay to within a ball, an upright tube, or a cone with its tip up."""
    sign = {"ball": 1.0, "tube": 0.0, "cone": -0.25}[kind]
    weights = np.array([1, sign, 1], np.float32)
    shift = np.float32(1 if kind == "cone" else 0)
    origin = [start[0], start[1] + shift, start[2]]
    a = float((weights * step * step).sum())
    a = a if abs(a) > 1e-6 else 1e-6
    b = sum(weights[axis] * origin[axis] * step[axis] for axis in range(3))
    c = sum(weights[axis] * origin[axis] ** 2 for axis in range(3)) - np.float32(0 if kind == "cone" else 1)
    root = b * b - np.float32(a) * c
    wide = np.sqrt(np.maximum(root, 0))
    low, high = (-b - wide) / np.float32(abs(a)) * np.float32(np.sign(a)), (-b + wide) / np.float32(a)
    low, high = np.minimum(low, high), np.maximum(low, high)
    if a < 0:
        low, high = high, np.full_like(high, np.inf)
    later = low > into
    into = np.where(later, low, into)
    out = np.where(root > 0, np.minimum(out, high), np.float32(-np.inf))
    met = [origin[axis] + into * step[axis] for axis in range(3)]
    return into, out, [np.where(later, weights[axis] * met[axis], normal[axis]).astype(np.float32) for axis in range(3)]


def _lit(world: Volume, spot: list[Volume], *, coat: Coat, light: Light) -> Volume:
    """Light points by their normals (count, 3), which look at the viewer along -z."""
    toward = np.array([light[0], light[1], -light[2]], np.float32)
    bright = np.maximum(world @ toward, 0)
    side = coat.pattern.shape[0]
    u, v = spot[0] + spot[2] * np.float32(0.6), spot[1] + spot[2] * np.float32(0.4)
    x, y = ((part * np.float32(0.3) + np.float32(0.5)) * np.float32(side) for part in (u, v))
    found = _read(coat.pattern, x, y) * (np.float32(coat.ambient) + np.float32(1 - coat.ambient) * bright)[:, None]
    if coat.mirror:
        turned = 2 * world[:, 2:3] * world
        seen = _read(coat.around, 32 + turned[:, 0] * 30, 32 + turned[:, 1] * 30)
        part = np.float32(coat.mirror) * (np.float32(0.4) + np.float32(0.6) * (1 - np.abs(world[:, 2:3])))
        found = found * (1 - part) + seen * part
    if coat.gloss:
        half = toward + np.array([0, 0, -1], np.float32)
        half /= np.linalg.norm(half)
        found = found + (np.float32(coat.gloss) * np.maximum(world @ half, 0) ** np.float32(coat.shine))[:, None]
    return np.asarray(np.clip(found, 0, 1), np.float32)


def _read(picture: Picture, x: Volume, y: Volume) -> Volume:
    """Read a picture at points, the nearest pixel: four rays to a pixel smooth it; beyond its border it is mirrored."""
    rows, columns = picture.shape[:2]
    across, down = np.abs(x.astype(np.int32)) % (2 * columns), np.abs(y.astype(np.int32)) % (2 * rows)
    places = np.minimum(down, 2 * rows - 1 - down), np.minimum(across, 2 * columns - 1 - across)
    return np.asarray(picture[places], np.float32)
