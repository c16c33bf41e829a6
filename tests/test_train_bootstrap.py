"""How far a mean can be trusted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bgrd.train.bootstrap import Estimate, Weights, estimate, over_groups, over_pictures

EVERY = np.ones(4, dtype=np.bool_)


def mean_of(values: NDArray[np.float64], weights: Weights) -> Estimate:
    """Estimate the mean."""
    return estimate(lambda counts: counts @ values, weights)


def test_two_pictures_may_be_either_twice() -> None:
    """Of 0 and 1 a quarter of the draws has the one twice, a quarter the other: the bounds are both ends."""
    found = mean_of(np.array([0.0, 1.0]), over_pictures(EVERY[:2], seed=1))
    assert found == Estimate(value=0.5, low=0.0, high=1.0)


def test_equal_pictures_leave_no_doubt() -> None:
    """Where all have the same figure, so have all draws."""
    found = mean_of(np.full(4, 0.25), over_pictures(EVERY, seed=1))
    assert (found.value, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))


def test_bounds_are_those_of_the_normal_distribution() -> None:
    """Of many pictures, 1.96 standard errors on each side hold 95 %."""
    values = np.random.default_rng(7).normal(0.6, 0.2, 400)
    found = mean_of(values, over_pictures(np.ones(400, dtype=np.bool_), seed=1))
    error = values.std() / 20.0
    assert [found.value - found.low, found.high - found.value] == pytest.approx([1.96 * error] * 2, rel=0.1)


def test_only_members_count() -> None:
    """What does not belong to the set weighs nothing in any draw."""
    weights = over_pictures(np.array([True, False, True, False]), seed=1)
    assert not weights.drawn[:, [1, 3]].any()
    assert weights.as_is.tolist() == [[0.5, 0.0, 0.5, 0.0]]
    assert weights.drawn.sum(axis=1) == pytest.approx(1.0)


def test_groups_have_the_same_say() -> None:
    """One picture of 0 beside three of 1 is one half, and drawing within groups changes nothing."""
    few, many = np.array([True, False, False, False]), np.array([False, True, True, True])
    weights = over_groups([over_pictures(few, seed=1), over_pictures(many, seed=1)])
    found = mean_of(np.array([0.0, 1.0, 1.0, 1.0]), weights)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))


def test_a_seed_decides() -> None:
    """The same seed gives the same draws, another one others."""
    first, again, other = (over_pictures(EVERY, seed=seed).drawn for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_nothing_cannot_be_drawn_from() -> None:
    """An empty set has no mean."""
    with pytest.raises(ValueError, match="nothing to draw from"):
        over_pictures(np.zeros(3, dtype=np.bool_), seed=1)
