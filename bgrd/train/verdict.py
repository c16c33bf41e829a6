"""What the figures of many pictures come to: by source, by category, over all, and beside another model's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bgrd.train.bootstrap import DRAWS, Estimate, Statistic, Weights, estimate, over_groups, over_pictures
from bgrd.train.evaluate import Judged

__all__ = ["LOWER_IS_BETTER", "MEASURES", "Row", "compared", "rows", "worse"]

MEASURES = ("iou", "mae", "max_f", "s_measure", "weighted_f", "boundary_f")
LOWER_IS_BETTER = frozenset({"mae"})

Kind = Literal["source", "category", "sources", "pictures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The figures of a set of pictures by measure, or how far those of one model are above another's.

    `kind` "sources" is the mean over sources, each with the same say; "pictures" the one over all pictures.
    """

    kind: Kind
    name: str
    pictures: int
    estimates: Mapping[str, Estimate]


def rows(judged: Sequence[Judged], *, seed: int, draws: int = DRAWS) -> list[Row]:
    """Give a row for each source, each category, the mean over sources and the one over pictures, in this order."""
    statistics = _statistics(judged)
    return [_row(each, statistics) for each in _sets(judged, seed=seed, draws=draws)]


def compared(ours: Sequence[Judged], theirs: Sequence[Judged], *, seed: int, draws: int = DRAWS) -> list[Row]:
    """Give the same rows of the differences, ours less theirs, on the same draws. Both are of the same pictures."""
    if [each.entry for each in ours] != [each.entry for each in theirs]:
        message = "two models are compared on the same pictures in the same order"
        raise ValueError(message)
    first, second = _statistics(ours), _statistics(theirs)
    statistics = {name: partial(_difference, first[name], second[name]) for name in MEASURES}
    return [_row(each, statistics) for each in _sets(ours, seed=seed, draws=draws)]


def worse(row: Row) -> tuple[str, ...]:
    """Give the measures in which a row of differences is worse beyond its bounds."""
    return tuple(
        name
        for name, found in row.estimates.items()
        if (found.low > 0.0 if name in LOWER_IS_BETTER else found.high < 0.0)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Set:
    kind: Kind
    name: str
    pictures: int
    weights: Weights


def _sets(judged: Sequence[Judged], *, seed: int, draws: int) -> list[_Set]:
    found: list[_Set] = []
    labels: dict[Kind, list[str]] = {
        "source": [each.entry.source for each in judged],
        "category": [each.entry.category for each in judged],
        "pictures": ["all"] * len(judged),
    }
    for kind, names in labels.items():
        for name in sorted(set(names)):
            members = np.array(names) == name
            weights = over_pictures(members, seed=seed, draws=draws)
            found.append(_Set(kind=kind, name=name, pictures=int(members.sum()), weights=weights))
    sources = over_groups([each.weights for each in found if each.kind == "source"])
    found.insert(-1, _Set(kind="sources", name="all", pictures=len(judged), weights=sources))
    return found


def _row(of: _Set, statistics: Mapping[str, Statistic]) -> Row:
    estimates = {name: estimate(statistic, of.weights) for name, statistic in statistics.items()}
    return Row(kind=of.kind, name=of.name, pictures=of.pictures, estimates=estimates)


def _statistics(judged: Sequence[Judged]) -> dict[str, Statistic]:
    """Give how each measure of a set follows from how much its pictures count."""
    curves = np.stack([each.figures.f_curve for each in judged])
    found: dict[str, Statistic] = {}
    for name in MEASURES:
        if name == "max_f":
            found[name] = partial(_best, curves)
        else:
            found[name] = partial(_mean, np.array([getattr(each.figures, name) for each in judged]))
    return found


def _mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(weights @ values, dtype=np.float64)


def _best(curves: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give F at the one threshold that suits a set best."""
    return np.asarray((weights @ curves).max(axis=1), dtype=np.float64)


def _difference(first: Statistic, second: Statistic, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return first(weights) - second(weights)
