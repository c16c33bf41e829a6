"""How far masks are from the truth: opacity, overlap, edges and, if wanted, structure; at every level of a network.

Truth is opacity in 0..1, not a class: hair and glass count as what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Loss", "cross_entropy", "edges", "overlap", "structure", "total"]

_SSIM_SIDE = 11
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What each part weighs; `side` is what all coarser masks together weigh beside the first.

    Edges weigh little: where the outline is not sure, they cost least on a mask without any.
    """

    cross_entropy: float = 1.0
    overlap: float = 1.0
    edges: float = 0.2
    structure: float = 0.0
    side: float = 0.6


def total(masks: Sequence[Tensor], truth: Tensor, loss: Loss) -> Tensor:
    """Give the loss of a network's masks, the first at the truth's size; a scalar in float32.

    `masks` are logits (B, 1, h, w), `truth` opacity (B, 1, H, W) in 0..1. Coarse masks are held against the truth's
    means at their own size, by opacity and overlap alone: they have no edges to speak of.
    """
    first = masks[0].float()
    found: Tensor = loss.cross_entropy * cross_entropy(first, truth)
    shown = first.sigmoid()
    found = found + loss.overlap * overlap(shown, truth)
    if loss.edges:
        found = found + loss.edges * edges(shown, truth)
    if loss.structure:
        found = found + loss.structure * structure(shown, truth)
    for mask in masks[1:]:
        coarse = mask.float()
        small = truth if coarse.shape == truth.shape else functional.interpolate(truth, coarse.shape[-2:], mode="area")
        part = loss.cross_entropy * cross_entropy(coarse, small) + loss.overlap * overlap(coarse.sigmoid(), small)
        found = found + loss.side / (len(masks) - 1) * part
    return found


def cross_entropy(logits: Tensor, truth: Tensor) -> Tensor:
    """Give the mean binary cross entropy; for soft truth less what it has at best, so that a perfect mask has 0."""
    least = torch.special.entr(truth) + torch.special.entr(1 - truth)
    found: Tensor = functional.binary_cross_entropy_with_logits(logits, truth) - least.mean()
    return found


def overlap(mask: Tensor, truth: Tensor) -> Tensor:
    """Give one minus the soft intersection over union, each picture by itself, of masks in 0..1.

    The intersection is the smaller of both and the union the larger, so that equal soft masks have 0 too.
    """
    shared = torch.minimum(mask, truth).sum((1, 2, 3))
    either = torch.maximum(mask, truth).sum((1, 2, 3))
    return (1 - (shared + 1) / (either + 1)).mean()


def edges(mask: Tensor, truth: Tensor) -> Tensor:
    """Give how far slopes differ: the mean over the truth's edge of differences between neighbours, both ways.

    Each picture is divided by the length of its own edge, or a long outline would count more than a short one.
    """
    found = torch.zeros(mask.shape[0], device=mask.device)
    length = torch.full_like(found, float(sum(mask.shape[-2:])))
    for axis in (-1, -2):
        wanted = truth.diff(dim=axis)
        found = found + (mask.diff(dim=axis) - wanted).abs().sum((1, 2, 3))
        length = length + wanted.abs().sum((1, 2, 3))
    return (found / length).mean()


def structure(mask: Tensor, truth: Tensor) -> Tensor:
    """Give one minus the structural similarity (Wang et al., 2004) in squares of 11 pixels, masks in 0..1."""
    mean_a, mean_b = _local(mask), _local(truth)
    spread_a = _local(mask * mask) - mean_a * mean_a
    spread_b = _local(truth * truth) - mean_b * mean_b
    joint = _local(mask * truth) - mean_a * mean_b
    light = (2 * mean_a * mean_b + _SSIM_C1) / (mean_a * mean_a + mean_b * mean_b + _SSIM_C1)
    shape = (2 * joint + _SSIM_C2) / (spread_a + spread_b + _SSIM_C2)
    return 1 - (light * shape).mean()


def _local(x: Tensor) -> Tensor:
    side = min(_SSIM_SIDE, *x.shape[-2:])
    return functional.avg_pool2d(x, side, 1)
