"""How good a network is on pictures it never learnt from, at its own side; quick, for judging while it learns.

`bgrd train evaluate` measures as the product works, at the pictures' own size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from bgrd.errors import TrainingError
from bgrd.train.entry import Entry
from bgrd.train.judge import truth_of
from bgrd.train.networks.rows import Network, normalised

__all__ = ["Held", "Verdict", "held_back", "judge"]

_TOGETHER = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A picture held back: uint8 (3, side, side) and (1, side, side)."""

    source: str
    pixels: Tensor
    opacity: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Means over pictures: intersection over union at one half, and absolute difference; the first by source too."""

    iou: float
    mae: float
    by_source: dict[str, float]


def held_back(entries: Iterable[Entry], *, side: int, most: int) -> list[Held]:
    """Read the pairs of the split `validation`, at most so many of a source, spread evenly over it.

    Raises TrainingError where there is none, or one cannot be read.
    """
    sources: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.split == "validation" and entry.kind == "pair":
            sources.setdefault(entry.source, []).append(entry)
    if not sources:
        message = "the data set has no pair for validation: hold some back with `bgrd train prepare --validation 0.3`"
        raise TrainingError(message)
    return [_read(entry, side) for _, each in sorted(sources.items()) for entry in _spread(each, most)]


def judge(network: nn.Module, row: Network, held: Sequence[Held], *, device: torch.device) -> Verdict:
    """Measure a network, in evaluation mode, on pictures held back."""
    ious: list[float] = []
    maes: list[float] = []
    with torch.inference_mode():
        for begin in range(0, len(held), _TOGETHER):
            part = held[begin : begin + _TOGETHER]
            images = normalised(torch.stack([each.pixels for each in part]).to(device), row)
            masks = network(images.to(memory_format=torch.channels_last))[0].float().sigmoid()
            truths = torch.stack([each.opacity for each in part]).to(device).float() / 255
            ious += _iou(masks, truths).tolist()
            maes += (masks - truths).abs().mean((1, 2, 3)).tolist()
    by_source: dict[str, list[float]] = {}
    for each, iou in zip(held, ious, strict=True):
        by_source.setdefault(each.source, []).append(iou)
    means = {source: float(np.mean(values)) for source, values in by_source.items()}
    return Verdict(iou=float(np.mean(ious)), mae=float(np.mean(maes)), by_source=means)


def _iou(masks: Tensor, truths: Tensor) -> Tensor:
    """Give the overlap of each picture's masks at one half; 1 where both are empty."""
    here, there = masks >= 0.5, truths >= 0.5
    shared = (here & there).sum((1, 2, 3)).float()
    either = (here | there).sum((1, 2, 3)).float()
    return torch.where(either > 0, shared / either.clamp(min=1), torch.ones_like(either))


def _spread(entries: list[Entry], most: int) -> list[Entry]:
    if len(entries) <= most:
        return entries
    return [entries[number * len(entries) // most] for number in range(most)]


def _read(entry: Entry, side: int) -> Held:
    """Read a pair, stretched to a square as the product stretches it. Raises TrainingError."""
    try:
        with Image.open(entry.image) as image, Image.open(str(entry.mask)) as mask:
            pixels = np.asarray(image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR))
            opacity = np.asarray(truth_of(mask).resize((side, side), Image.Resampling.BILINEAR))
    except (OSError, SyntaxError, ValueError) as error:
        message = f"{entry.image} or its mask cannot be read: {error}"
        raise TrainingError(message) from error
    return Held(
        source=entry.source,
        pixels=torch.from_numpy(pixels.transpose(2, 0, 1).copy()),
        opacity=torch.from_numpy(opacity.copy())[None],
    )
