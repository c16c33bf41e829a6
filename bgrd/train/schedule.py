"""How large the steps are, and the pictures, as training goes on; both by the share of it that is done."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

__all__ = ["rate", "side_at"]


def rate(done: float, *, peak: float, warm_up: float, least: float) -> float:
    """Give the learning rate at a share of the whole, 0..1.

    It grows evenly to `peak` until the share `warm_up` is done, then falls on half a cosine to `least` times the peak.
    """
    done = min(max(done, 0.0), 1.0)
    if done < warm_up:
        # Never 0: the first step would be lost.
        return peak * max(done / warm_up, 1e-3)
    share = (done - warm_up) / (1 - warm_up)
    return peak * (least + (1 - least) * (1 + math.cos(math.pi * share)) / 2)


def side_at(done: float, sides: Sequence[int], starts: Sequence[float]) -> int:
    """Give the side of pictures at a share of the whole; `starts` are where each side's turn begins, the first at 0."""
    return sides[max(0, bisect_right(starts, done) - 1)]
