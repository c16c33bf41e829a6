"""How far a mean over pictures can be trusted: what it would have been with other pictures of the same kinds.

Percentile bootstrap: pictures are drawn again, with replacement, as many as there are. Two models that saw the same
pictures are compared on the same draws, so that what a picture does to both of them cancels out. Source: Efron and
Tibshirani, An Introduction to the Bootstrap, 1993. Residual risk: pictures count as independent of each other, which
frames of one film are not.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["DRAWS", "Estimate", "Weights", "estimate", "over_groups", "over_pictures"]

DRAWS = 1000
"""The bounds move by less than a tenth of their distance from one seed to the next."""

_TAIL_PERCENT = 2.5
"""On each side: 95 % lie between."""

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From weights (k, n) over n pictures to k numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number, and the bounds that 95 of 100 draws keep."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """How much each picture counts: `as_is` (1, n) in the set itself, `drawn` (draws, n); each row's sum is 1."""

    as_is: NDArray[np.float64]
    drawn: NDArray[np.float64]


def over_pictures(members: NDArray[np.bool_], *, seed: int, draws: int = DRAWS) -> Weights:
    """Draw among the members of a set of n pictures; the same members draw the same, whatever else is drawn.

    Raises ValueError where there are none.
    """
    places = np.flatnonzero(members)
    if not places.size:
        message = "there is nothing to draw from"
        raise ValueError(message)
    rng = np.random.default_rng([seed, zlib.crc32(places.astype("<i8").tobytes())])
    drawn = np.zeros((draws, members.size))
    drawn[:, places] = rng.multinomial(places.size, np.full(places.size, 1.0 / places.size), size=draws) / places.size
    return Weights(as_is=(members / places.size)[None], drawn=drawn)


def over_groups(groups: Sequence[Weights]) -> Weights:
    """Give every group the same say, however many pictures it has; each draws among its own."""
    return Weights(
        as_is=np.mean([each.as_is for each in groups], axis=0),
        drawn=np.mean([each.drawn for each in groups], axis=0),
    )


def estimate(statistic: Statistic, weights: Weights) -> Estimate:
    """Give a statistic of a set with its bounds."""
    low, high = np.percentile(statistic(weights.drawn), [_TAIL_PERCENT, 100.0 - _TAIL_PERCENT])
    return Estimate(value=float(statistic(weights.as_is)[0]), low=float(low), high=float(high))
