"""Closed curves and lines as points (count, 2), x to the right and y down, mostly within -1..1."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from bgrd.train.raster import Points

__all__ = [
    "blob",
    "box",
    "capsule",
    "ellipse",
    "jagged",
    "lathe",
    "limb",
    "moved",
    "polygon",
    "rounded",
    "smooth",
    "star",
]


def smooth(points: ArrayLike, *, closed: bool = True, steps: int = 8) -> Points:
    """Draw a soft curve (Catmull-Rom) through points."""
    given = np.asarray(points, np.float64)
    if closed:
        around = np.concatenate([given[-1:], given, given[:2]])
    else:
        around = np.concatenate([2 * given[:1] - given[1:2], given, 2 * given[-1:] - given[-2:-1]])
    at = (np.arange(steps) / steps)[None, :, None]
    first, second, third, fourth = (around[number : len(around) - 3 + number, None] for number in range(4))
    curve = 0.5 * (
        2 * second
        + (third - first) * at
        + (2 * first - 5 * second + 4 * third - fourth) * at**2
        + (3 * second - first - 3 * third + fourth) * at**3
    )
    found = curve.reshape(-1, 2)
    return (found if closed else np.concatenate([found, given[-1:]])).astype(np.float32)


def polygon(points: ArrayLike) -> Points:
    """Take the points as they are."""
    return np.asarray(points, np.float32)


def ellipse(x: float, y: float, *, across: float, down: float, angle: float = 0.0, power: float = 2.0) -> Points:
    """Give an ellipse of half axes `across` and `down`; `power` above 2 is boxy, below pinched."""
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    cosine, sine = np.cos(turn), np.sin(turn)
    shape = np.stack(
        [across * np.sign(cosine) * np.abs(cosine) ** (2 / power), down * np.sign(sine) * np.abs(sine) ** (2 / power)],
        1,
    )
    return moved(shape, angle=angle, x=x, y=y)


def box(left: float, top: float, right: float, bottom: float) -> Points:
    """Give a rectangle."""
    return polygon([[left, top], [right, top], [right, bottom], [left, bottom]])


def rounded(left: float, top: float, right: float, bottom: float, *, radius: float) -> Points:
    """Give a rectangle with round corners."""
    radius = min(radius, (right - left) / 2, (bottom - top) / 2)
    turn = np.linspace(0, np.pi / 2, 6)
    corners = [(right, bottom, 0), (left, bottom, 1), (left, top, 2), (right, top, 3)]
    points = []
    for x, y, quarter in corners:
        inner = x - radius * (1 if quarter in {0, 3} else -1), y - radius * (1 if quarter in {0, 1} else -1)
        angle = turn + quarter * np.pi / 2
        points.append(np.stack([inner[0] + radius * np.cos(angle), inner[1] + radius * np.sin(angle)], 1))
    return np.concatenate(points).astype(np.float32)


def capsule(start: ArrayLike, end: ArrayLike, *, first: float, last: float) -> Points:
    """Give a limb between two points, half as thick as `first` and `last` say, with round ends."""
    return limb(np.array([start, end], np.float64), np.array([first, last], np.float64))


def limb(joints: NDArray[np.float64], radii: NDArray[np.float64]) -> Points:
    """Give a bent limb along joints (count, 2), by its half thickness at each."""
    along = np.gradient(joints, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    normal = np.stack([-along[:, 1], along[:, 0]], 1)
    left, right = joints + normal * radii[:, None], joints - normal * radii[:, None]
    turn = np.linspace(-np.pi / 2, np.pi / 2, 7)[1:-1, None]

    def cap(number: int, sign: float) -> NDArray[np.float64]:
        forward, side = along[number] * sign, normal[number] * sign
        return np.asarray(joints[number] + radii[number] * (np.cos(turn) * forward - np.sin(turn) * side))

    return np.concatenate([left, cap(-1, 1.0), right[::-1], cap(0, -1.0)]).astype(np.float32)


def blob(rng: Generator, *, bumps: int, rough: float) -> Points:
    """Give a smooth random closed curve about 0: a circle bent by `bumps` harmonics, each weaker than the last."""
    turn = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    radius = np.ones_like(turn)
    for number in range(1, bumps + 1):
        radius += rough / number * rng.standard_normal() * np.cos(number * turn + rng.uniform(0, 2 * np.pi))
    radius = np.clip(radius, 0.15, 2.2)
    shape = np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1)
    return np.asarray(shape / np.abs(shape).max(), np.float32)


def jagged(rng: Generator, *, corners: int) -> Points:
    """Give a polygon of some corners about 0, at times far from round."""
    turn = np.sort(rng.uniform(0, 2 * np.pi, corners))
    radius = rng.uniform(0.4, 1.0, corners)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1).astype(np.float32)


def star(rng: Generator) -> Points:
    """Give a star, flower or gear."""
    points = int(rng.integers(3, 12))
    turn = np.linspace(0, 2 * np.pi, points * 16, endpoint=False)
    wave = np.cos(points * turn)
    sharp = rng.choice([0.5, 1.0, 3.0])
    radius = 1 - rng.uniform(0.15, 0.6) * (0.5 - 0.5 * np.sign(wave) * np.abs(wave) ** sharp)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1).astype(np.float32)


def lathe(heights: ArrayLike, radii: ArrayLike) -> Points:
    """Give the outline of a turned thing: its half width at each height, soft between."""
    right = smooth(np.stack([np.asarray(radii, np.float64), np.asarray(heights, np.float64)], 1), closed=False)
    right[:, 0] = np.maximum(right[:, 0], 0.01)
    return np.concatenate([right, right[::-1] * np.array([-1, 1], np.float32)])


def moved(
    points: ArrayLike, *, angle: float = 0.0, x: float = 0.0, y: float = 0.0, scale: tuple[float, float] = (1.0, 1.0)
) -> Points:
    """Give points scaled, then turned by radians, then moved."""
    given = np.asarray(points, np.float64) * scale
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.asarray(given @ np.array([[cosine, sine], [-sine, cosine]]) + (x, y), np.float32)
