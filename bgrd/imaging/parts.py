"""The separate parts of a mask: small ones left out, small holes filled, at the model's size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["parts_of", "tidied"]

_REACH = 32
"""A part's soft border is at most the mask's longer side divided by this wide; at 256 pixels that is 8."""


def tidied(
    values: NDArray[np.float32], *, threshold: float, specks: float, holes: float, largest: bool
) -> NDArray[np.float32]:
    """Give the shares (h, w) without small parts and small holes; `values` itself where there is nothing to do.

    What lies above `threshold` is the subject. A part smaller than the share `specks` of the subject's area goes, with
    `largest` all but the largest; that one always stays. Then a hole smaller than the share `holes` of the area that
    is left is filled: what is enclosed, also across corners, and does not touch the border. Soft borders, which lie
    nearer to what goes than to what stays, go with it.
    """
    if specks > 0.0 or largest:
        values = _without_parts(values, threshold, specks, largest=largest)
    if holes > 0.0:
        values = _without_holes(values, threshold, holes)
    return values


def parts_of(mask: NDArray[np.bool_], *, corners: bool) -> tuple[NDArray[np.intp], int]:
    """Give the number of each pixel's connected part, -1 outside the mask (h, w), and how many parts there are.

    They are numbered in reading order. With `corners` pixels that touch at a corner are connected. The rows' runs are
    joined, not the pixels: the time goes with the length of the outline.
    """
    labels = np.full(mask.shape, -1, np.intp)
    padded = np.pad(mask, ((0, 0), (1, 1))).ravel()
    steps = np.flatnonzero(padded[1:] != padded[:-1]) + 1
    starts, ends = steps[::2], steps[1::2]
    roots = _joined(starts, ends, mask.shape[1] + 2, reach=int(corners))
    names, numbers = np.unique(roots, return_inverse=True)
    labels[mask] = np.repeat(numbers, ends - starts)
    return labels, names.size


def _joined(starts: NDArray[np.intp], ends: NDArray[np.intp], stride: int, *, reach: int) -> NDArray[np.intp]:
    """Give for each run the first run of its part. Runs are places in a picture whose rows are `stride` apart."""
    first = np.searchsorted(ends, starts + (stride - reach), side="right")
    last = np.searchsorted(starts, ends + (stride + reach), side="left")
    counts = last - first
    above = np.repeat(np.arange(starts.size), counts)
    below = np.arange(above.size) - np.repeat(np.cumsum(counts) - counts - first, counts)
    roots = np.arange(starts.size)
    while True:
        low, high = np.minimum(roots[above], roots[below]), np.maximum(roots[above], roots[below])
        if np.array_equal(low, high):
            return roots
        np.minimum.at(roots, high, low)
        while not np.array_equal(roots, shorter := roots[roots]):
            roots = shorter


def _without_parts(
    values: NDArray[np.float32], threshold: float, specks: float, *, largest: bool
) -> NDArray[np.float32]:
    subject = values > threshold
    labels, count = parts_of(subject, corners=True)
    if count < 2:
        return values
    areas = np.bincount(labels[subject], minlength=count)
    small = np.ones(count, np.bool_) if largest else areas < specks * areas.sum()
    small[areas.argmax()] = False
    return _set(values, small, labels, subject, np.float32(0.0))


def _without_holes(values: NDArray[np.float32], threshold: float, holes: float) -> NDArray[np.float32]:
    ground = values <= threshold
    labels, count = parts_of(ground, corners=False)
    if count == 0:
        return values
    small = np.bincount(labels[ground], minlength=count) < holes * (ground.size - np.count_nonzero(ground))
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    small[border[border >= 0]] = False
    return _set(values, small, labels, ground, np.float32(1.0))


def _set(
    values: NDArray[np.float32],
    small: NDArray[np.bool_],
    labels: NDArray[np.intp],
    inside: NDArray[np.bool_],
    value: np.float32,
) -> NDArray[np.float32]:
    """Give the values with those of the small parts and of their soft borders replaced."""
    if not small.any():
        return values
    gone = inside & small[labels]
    return np.where(_nearer(gone, inside & ~gone), value, values)


def _nearer(gone: NDArray[np.bool_], kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Give where `gone` is within reach and nearer than `kept`, in steps across edges and corners."""
    found = gone.copy()
    for _ in range(max(1, max(gone.shape) // _REACH)):
        gone, kept = _grown(gone), _grown(kept)
        found |= gone & ~kept
    return found


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Give the mask with all pixels beside it."""
    wide = mask.copy()
    wide[:, 1:] |= mask[:, :-1]
    wide[:, :-1] |= mask[:, 1:]
    tall = wide.copy()
    tall[1:] |= wide[:-1]
    tall[:-1] |= wide[1:]
    return tall
