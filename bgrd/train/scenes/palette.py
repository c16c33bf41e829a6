"""Colours: RGB in 0..1."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

__all__ = ["Colour", "colour", "earthy", "kin", "skinlike", "vary"]

Colour = NDArray[np.float32]


def colour(rng: Generator) -> Colour:
    """Give any colour, more often a dull one than a loud one, as things are; one in six is next to no colour."""
    saturation = 0.06 * rng.random() if rng.random() < 0.17 else rng.beta(1.6, 1.8)
    return _made(rng.random(), saturation, rng.beta(1.7, 1.4))


def earthy(rng: Generator) -> Colour:
    """Give a colour of hide, soil, wood or stone: hues from red to yellow, seldom loud."""
    return _made(rng.uniform(0.02, 0.13), rng.beta(2, 2.6), rng.beta(1.6, 1.8))


def skinlike(rng: Generator) -> Colour:
    """Give a colour of people's skin, dark to light."""
    return vary(rng, np.array([0.78, 0.58, 0.46], np.float32) * np.float32(rng.uniform(0.35, 1.2)), amount=0.03)


def kin(rng: Generator, count: int) -> Colour:
    """Give `count` colours of one family, (count, 3): neighbouring hues or steps of light, at times one stranger."""
    first = colour(rng)
    hue, saturation, value = colorsys.rgb_to_hsv(*(float(part) for part in first))
    spread = rng.choice([0.02, 0.06, 0.2])
    found = [
        _made(
            hue + spread * rng.standard_normal(),
            np.clip(saturation + 0.15 * rng.standard_normal(), 0, 1),
            np.clip(value + 0.25 * rng.standard_normal(), 0.02, 1),
        )
        for _ in range(count - 1)
    ]
    return np.array([first, *found] if rng.random() < 0.8 else [*found, colour(rng)], np.float32)


def vary(rng: Generator, base: Colour, *, amount: float) -> Colour:
    """Give a colour near `base`, or near each of several."""
    shift = amount * rng.standard_normal((*base.shape[:-1], 1)) + 0.4 * amount * rng.standard_normal(base.shape)
    return np.clip(base + shift, 0, 1).astype(np.float32)


def _made(hue: float, saturation: float, value: float) -> Colour:
    return np.array(colorsys.hsv_to_rgb(float(hue) % 1, float(saturation), float(value)), np.float32)
