"""What happens to a picture on its way: the part of it that is taken, and what lens, sensor and storage do to it."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bgrd.train.raster import Bytes, Plane, blur, drag, look_up, mixed, perspective, resize, squeeze, stamped, thrice
from bgrd.train.scenes.stage import as_bytes

__all__ = ["bounds", "cropped", "finished", "tint", "touched"]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def bounds(mask: Bytes) -> tuple[int, int, int, int] | None:
    """Give left, top, right, bottom (these two outside) of where a mask is above one half; None where it is nowhere."""
    inside = mask > 127
    columns, rows = np.flatnonzero(inside.any(0)), np.flatnonzero(inside.any(1))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def touched(mask: Bytes) -> tuple[bool, bool, bool, bool]:
    """Say at which borders (left, top, right, bottom) a subject is cut off, for 6 % of the border's length or more."""
    edges = (mask[:, :2].max(1), mask[:2].max(0), mask[:, -2:].max(1), mask[-2:].max(0))
    left, top, right, bottom = (bool((edge > 127).mean() > 0.06) for edge in edges)
    return left, top, right, bottom


def cropped(rng: Generator, mask: Bytes, *, side: int) -> NDArray[np.float64]:
    """Give the 3x3 matrix that takes a part of a picture, by its mask, into a square of `side` pixels.

    One time in two all of the subject stays in, near or far as the picture allows; one in four a border of the frame
    cuts up to 45 % of its width or height, and half as often a second one does; else it is the whole picture. The part
    may be up to 16:9, either way, and is stretched to the square, as the model sees photos; flipped, turned and tilted
    a little.
    """
    height, width = mask.shape
    found = bounds(mask) or (0, 0, width, height)
    kind = rng.random()
    if kind < 0.25:
        box = np.array([0.0, 0.0, width, height])
    else:
        box = _around(rng, np.array(found, np.float64), np.array([0.0, 0.0, width, height]), cut=kind > 0.75)
    corners = np.array([[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]]])
    corners = _turned(rng, corners, about=np.array([found[0] + found[2], found[1] + found[3]]) / 2) - 0.5
    target = np.array([[0, 0], [side, 0], [side, side], [0, side]]) - 0.5
    if rng.random() < 0.5:
        target = target[[1, 0, 3, 2]]
    return perspective(corners.astype(np.float32), target.astype(np.float32))


def _around(
    rng: Generator, found: NDArray[np.float64], whole: NDArray[np.float64], *, cut: bool
) -> NDArray[np.float64]:
    """Give a box about the subject's, within the picture: each side somewhere between the two, near ones more often."""
    near = rng.uniform(0, 1, 4) ** rng.choice([0.6, 1.5, 3.0])
    box = found + (whole - found) * near
    if cut:
        for which in rng.permutation(4)[: 1 + (rng.random() < 0.5)]:
            extent = found[(which + 2) % 4] - found[which]
            box[which] = found[which] + extent * rng.uniform(0.05, 0.45)
    for first in (0, 1):
        long, other = box[first + 2] - box[first], box[3 - first] - box[1 - first]
        short = other * 9 / 16 - long
        if short > 0:
            low = max(box[first] - short * rng.random(), whole[first])
            box[first], box[first + 2] = low, min(low + long + short, whole[first + 2])
    return np.asarray(box, np.float64)


def _turned(rng: Generator, corners: NDArray[np.float64], *, about: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn a box's corners by up to 20 degrees, seldom so far, about the subject, which stays; move each a little."""
    angle = rng.choice([0.0, 0.05, 0.15]) * rng.uniform(-2.3, 2.3)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    extent = np.ptp(corners, axis=0)
    shift = rng.uniform(-1, 1, (4, 2)) * extent * rng.choice([0.0, 0.02, 0.05])
    return np.asarray((corners - about) @ turn.T + about + shift)


def finished(rng: Generator, picture: NDArray[np.float32], alpha: Plane) -> tuple[Bytes, Bytes]:
    """Give bytes of picture and alpha: exposure and colour of any kind, blur, low resolution, grain, JPEG."""
    found = as_bytes(picture)
    if rng.random() < 0.85:
        found = np.asarray(look_up(found, table=_tones(rng)), np.uint8)
    if rng.random() < 0.35:
        found = np.asarray(mixed(found, tint(rng)), np.uint8)
    if rng.random() < 0.1:
        found = _vignetted(rng, found)
    if rng.random() < 0.04:
        found = _marked(rng, found)
    if rng.random() < 0.2:
        found = _unsharp(rng, found)
    if rng.random() < 0.4:
        found = _grained(rng, found)
    if rng.random() < 0.45:
        found = squeeze(found, quality=int(rng.integers(15, 95)))
    return found, (np.clip(alpha, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def _tones(rng: Generator) -> Bytes:
    """Give a curve for each channel: gamma, contrast, brightness, white balance; 7 % very dark, 4 % washed out."""
    at = np.linspace(0, 1, 256)
    kind = rng.random()
    if kind < 0.07:
        curve = at ** rng.uniform(1.0, 1.6) * rng.uniform(0.25, 0.7)
    elif kind < 0.11:
        curve = rng.uniform(0.3, 0.6) + at * rng.uniform(0.2, 0.4)
    else:
        curve = at ** np.exp(0.25 * rng.standard_normal())
        curve = (curve - 0.5) * np.exp(0.2 * rng.standard_normal()) + 0.5 + 0.07 * rng.standard_normal()
    warm = 1 + rng.choice([0.0, 0.04, 0.1]) * rng.standard_normal(3)
    return np.asarray(np.clip(curve[:, None] * warm * 255, 0, 255), np.uint8)[None]


def tint(rng: Generator) -> NDArray[np.float32]:
    """Give a mix of channels: grey (one in four), less or more colour, other hues, at times brown as old photos."""
    grey = np.tile(_LUMA, (3, 1))
    if rng.random() < 0.25:
        tone = np.array([1.07, 1.0, 0.85], np.float32) if rng.random() < 0.25 else np.ones(3, np.float32)
        return np.asarray(grey * tone[:, None], np.float32)
    amount = rng.uniform(0.2, 1.7)
    angle = rng.choice([0.0, 0.0, 0.15, 0.5]) * rng.standard_normal()
    third = (1 - np.cos(angle)) / 3
    swing = np.sin(angle) / np.sqrt(3)
    hue = np.full((3, 3), third) + np.cos(angle) * np.eye(3)
    hue += swing * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    return np.asarray(hue @ (grey + (np.eye(3) - grey) * amount), np.float32)


def _vignetted(rng: Generator, picture: Bytes) -> Bytes:
    side = picture.shape[0]
    line = np.linspace(-1, 1, side, dtype=np.float32)
    middle = rng.uniform(-0.3, 0.3, 2).astype(np.float32)
    far = (line[:, None] - middle[0]) ** 2 + (line[None] - middle[1]) ** 2
    return np.asarray(picture * thrice(1 - np.minimum(far * np.float32(rng.uniform(0.1, 0.45)), 0.9)), np.uint8)


def _marked(rng: Generator, picture: Bytes) -> Bytes:
    """Write a name or date near the upper or lower border, as cameras and sellers do; it is no subject."""
    side = picture.shape[0]
    text = "".join(chr(int(code)) for code in rng.integers(48, 122, int(rng.integers(3, 12))))
    level = 0.06 if rng.random() < 0.3 else 0.96
    spot = int(side * rng.uniform(0.02, 0.6)), int(side * level)
    red, green, blue = (int(part) for part in rng.integers(0, 256, 3))
    tone = (255, 255, 255) if rng.random() < 0.5 else (red, green, blue)
    return stamped(picture, text, spot=spot, size=side / 256 * rng.uniform(0.3, 0.8), colour=tone)


def _unsharp(rng: Generator, picture: Bytes) -> Bytes:
    side = picture.shape[0]
    match int(rng.integers(3)):
        case 0:
            return as_bytes(blur(picture * np.float32(1 / 255), float(rng.uniform(0.4, 1.8))))
        case 1:
            return np.asarray(
                drag(picture, length=int(rng.integers(3, 9)), angle=float(rng.uniform(0, np.pi))), np.uint8
            )
        case _:
            small = int(side * rng.uniform(0.25, 0.7))
            return np.asarray(resize(resize(picture, width=small, height=small), width=side, height=side), np.uint8)


@cache
def _sheet() -> NDArray[np.float32]:
    """Give a sheet of noise to cut grain from: drawing it anew took a fifth of a sample's time."""
    return np.random.default_rng(0).standard_normal((768, 768, 3)).astype(np.float32)


def _grained(rng: Generator, picture: Bytes) -> Bytes:
    """Add the grain of a sensor, mostly the same in all channels, at times twice as coarse; more in one of eight."""
    height, width = picture.shape[:2]
    sheet = _sheet()
    coarse = 2 if rng.random() < 0.3 else 1
    rows, columns = -(-height // coarse), -(-width // coarse)
    top, left = (int(rng.integers(0, max(768 - extent, 1))) for extent in (rows, columns))
    cut = sheet[top : top + rows, left : left + columns]
    if cut.shape[:2] != (rows, columns) or coarse > 1:
        cut = np.asarray(resize(cut, width=width, height=height), np.float32)
    strength = rng.uniform(8, 25) if rng.random() < 0.12 else rng.uniform(1, 8)
    if rng.random() < 0.7:
        cut = thrice(np.ascontiguousarray(cut[..., 0]))
    return np.asarray(np.clip(picture + cut * np.float32(strength), 0, 255), np.uint8)
