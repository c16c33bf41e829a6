"""How well an opacity fits its truth, in the figures that papers on salient objects give.

Written here with scipy: pysodmetrics, which papers are compared with, holds numpy, OpenCV and scikit-image below the
versions others need, stretches results to their own range and cuts soft truths. On 200 masks of photos, unstretched,
its F, S and weighted F are these to 1e-11.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, convolve1d, distance_transform_edt

__all__ = ["Figures", "boundary_f", "f_curve", "figures", "s_measure", "weighted_f"]

Mask = NDArray[np.bool_]
Shares = NDArray[np.float64]

_HALF = 128
"""The least byte above one half: from here on a pixel belongs to the subject."""

_BETA_SQUARED = 0.3
"""How much less recall counts than precision. Source: Achanta et al., CVPR 2009, and everybody since."""

_TOLERANCE = 0.008
"""How far two boundaries may be apart, as a share of the diagonal. Source: Perazzi et al. (DAVIS), CVPR 2016."""

_REACH = np.exp(-(np.arange(-3, 4) ** 2) / (2.0 * 5.0**2))
"""Seven steps of a Gaussian of deviation 5: how far an error inside the subject is shared with its neighbours."""

_HALVED_AFTER = 5.0
"""Pixels from the subject after which half of what makes a far error weigh more has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One picture's figures, all in 0..1; `mae` is the better the less, the others the more.

    `f_curve` has F at the thresholds 0 to 255; of a set of pictures, the best of its mean is the maximum F.
    """

    iou: float
    mae: float
    s_measure: float
    weighted_f: float
    boundary_f: float
    f_curve: Shares


def figures(result: NDArray[np.uint8], truth: NDArray[np.uint8]) -> Figures:
    """Hold a result against the truth: (h, w) each, 0..255. Raises ValueError where sizes differ or nothing is true.

    The truth is cut at one half but for `mae`; the result is for `iou` and `boundary_f`.
    """
    if result.shape != truth.shape:
        message = f"a result of {result.shape} cannot be held against a truth of {truth.shape}"
        raise ValueError(message)
    subject, found = truth >= _HALF, result >= _HALF
    if not subject.any():
        message = "the truth shows no subject"
        raise ValueError(message)
    shares = result / np.float64(255.0)
    return Figures(
        iou=float((subject & found).sum() / (subject | found).sum()),
        mae=float(np.abs(result.astype(np.int16) - truth).mean() / 255.0),
        s_measure=s_measure(shares, subject),
        weighted_f=weighted_f(shares, subject),
        boundary_f=boundary_f(found, subject),
        f_curve=f_curve(result, subject),
    )


def f_curve(result: NDArray[np.uint8], subject: Mask) -> Shares:
    """Give F where what is at least 0, 1 .. 255 counts as found: (256,)."""
    found, true = (
        np.bincount(values.ravel(), minlength=256)[::-1].cumsum()[::-1] for values in (result, result[subject])
    )
    # With precision true / found and recall true / all, F comes to this, which has nothing to divide by zero.
    return np.asarray((1.0 + _BETA_SQUARED) * true / (_BETA_SQUARED * subject.sum() + found), dtype=np.float64)


def boundary_f(found: Mask, subject: Mask) -> float:
    """Give the F of two outlines: the shares of each that lie within the tolerance of the other, harmonic mean.

    An outline is the pixels of a subject that have a neighbour, up, down, left or right, beyond it; where it leaves the
    picture it has none. Two without any are the same. Source: Martin et al., PAMI 2004; the tolerance is DAVIS's.
    """
    first, second = (mask & ~binary_erosion(mask, border_value=1) for mask in (found, subject))
    if not first.any() or not second.any():
        return float((found == subject).all())
    reach = math.ceil(_TOLERANCE * math.hypot(*subject.shape))
    precision = float((distance_transform_edt(~second)[first] <= reach).mean())
    recall = float((distance_transform_edt(~first)[second] <= reach).mean())
    return 2.0 * precision * recall / (precision + recall) if precision + recall else 0.0


def s_measure(shares: Shares, subject: Mask) -> float:
    """Give how alike two pictures are in structure: half of subject and ground, half of four parts around its middle.

    Source: Fan et al., Structure-measure, ICCV 2017, with its weight of 0.5.
    """
    if subject.all():
        return float(shares.mean())
    weight = float(subject.mean())
    objects = weight * _sureness(shares[subject]) + (1.0 - weight) * _sureness(1.0 - shares[~subject])
    row, column = (round(middle) + 1 for middle in np.argwhere(subject).mean(axis=0).tolist())
    regions = 0.0
    for rows in (slice(None, row), slice(row, None)):
        for columns in (slice(None, column), slice(column, None)):
            part = subject[rows, columns]
            regions += part.size / subject.size * _similarity(shares[rows, columns], part)
    return max(0.0, 0.5 * objects + 0.5 * regions)


def weighted_f(shares: Shares, subject: Mask) -> float:
    """Give F of errors that weigh less beside the subject's other pixels and more far from it.

    Source: Margolin et al., How to Evaluate Foreground Maps, CVPR 2014.
    """
    errors = np.abs(shares - subject)
    distances, (rows, columns) = distance_transform_edt(~subject, return_indices=True)
    kernel = _REACH / _REACH.sum()
    spread = convolve1d(convolve1d(errors[rows, columns], kernel, axis=0, mode="constant"), kernel, mode="constant")
    inside = np.minimum(errors, spread)[subject]
    outside = (errors * (2.0 - 0.5 ** (distances / _HALVED_AFTER)))[~subject].sum()
    true = subject.sum() - inside.sum()
    recall, precision = 1.0 - inside.mean(), true / (true + outside) if true + outside else 0.0
    return float(2.0 * recall * precision / (recall + precision)) if recall + precision else 0.0


def _sureness(shares: Shares) -> float:
    """Give how close to 1, and how alike, the shares are that ought to be 1."""
    mean = float(shares.mean())
    deviation = float(shares.std(ddof=1)) if shares.size > 1 else 0.0
    return 2.0 * mean / (mean**2 + 1.0 + deviation)


def _similarity(shares: Shares, subject: Mask) -> float:
    """Give the structural similarity of a part; one without pixels counts nothing."""
    if not subject.size:
        return 0.0
    first, second = shares - shares.mean(), subject - subject.mean()
    less = max(1, subject.size - 1)
    variances = float((first**2).sum() + (second**2).sum()) / less
    means = float(shares.mean() ** 2 + subject.mean() ** 2)
    alike = 4.0 * float(shares.mean() * subject.mean() * (first * second).sum()) / less
    if alike == 0.0:
        return float(means * variances == 0.0)
    return alike / (means * variances)
