"""A model's answer to the opacity of every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bgrd.errors import ModelFault, UnknownFault
from bgrd.imaging.resample import enlarged

if TYPE_CHECKING:
    from bgrd.models.spec import ModelSpec, Resample

__all__ = ["edge", "matte", "unrefined"]

_MEANINGFUL_SPAN = 0.1
"""Below this distance between least and most, an output is noise: an empty scene, a flat picture."""

_LEAST_FEATHER = 1e-6
"""Below this the edge is hard in 8 bits anyway, and the division would overflow."""

Values = NDArray[np.float32]


def matte(outputs: Sequence[NDArray[Any]], spec: ModelSpec) -> Values:
    """Give the foreground share of each pixel at model size: float32 (h, w) in 0..1.

    `spec.output` must be a number here. Raises UnknownFault where the model gave no finite numbers, ModelFault where
    the output's shape contradicts the spec.
    """
    if not isinstance(spec.output, int) or spec.output >= len(outputs):
        message = f"Model {spec.name} gives {len(outputs)} outputs and has no output {spec.output}."
        raise ModelFault(message)
    channels = _channels_first(outputs[spec.output], spec)
    if max(spec.pick) >= channels.shape[0]:
        message = f"Model {spec.name} gives {channels.shape[0]} channels; its spec picks channel {max(spec.pick)}."
        raise ModelFault(message)
    if not np.isfinite(channels).all():
        message = f"Model {spec.name} gave numbers that are not finite for this picture."
        raise UnknownFault(message)
    return np.clip(_stretched(_activated(channels, spec), spec), 0.0, 1.0)


def unrefined(values: Values, *, size: tuple[int, int], upscale: Resample = "bicubic") -> Image.Image:
    """Give the shares at the picture's `size` in 8 bits (mode L), by enlarging alone; no float array at full size."""
    small = Image.fromarray(np.rint(values * np.float32(255.0)).astype(np.uint8))
    # At 400 % bilinear, bicubic and lanczos look alike; bicubic stays within 3/255 of lanczos, which other programs
    # use, in 99 % of the pixels of most photos, bilinear in few. Enlarging, there are no more than four to sample.
    return enlarged(small, size, "bilinear" if upscale == "sampled" else upscale)


def edge(mask: Image.Image, *, threshold: float, feather: float) -> Image.Image:
    """Give the opacity (L) of shares (L): alpha = clip((p - threshold) / feather + 1/2, 0, 1).

    Feather 0 is a hard cut, 1 where p > threshold. The edge is a table of 256 entries. It comes after refinement: a
    hard cut then follows the photo, which refinement after it would make soft again.
    """
    table = _table(threshold, feather)
    return mask if table == list(range(256)) else mask.point(table)


def _table(threshold: float, feather: float) -> list[int]:
    share = np.arange(256, dtype=np.float64) / 255.0
    if feather <= 0.0:
        return [255 if part > threshold else 0 for part in share]
    slope = 1.0 / max(feather, _LEAST_FEATHER)
    return [int(part) for part in np.rint(np.clip((share - threshold) * slope + 0.5, 0.0, 1.0) * 255.0)]


def _channels_first(output: NDArray[Any], spec: ModelSpec) -> Values:
    """Give the one picture's output as float32 (channels, h, w)."""
    values = output[0] if output.ndim == 4 else output
    last = (spec.layout if spec.output_layout == "input" else spec.output_layout) == "NHWC"
    if values.ndim == 2:
        values = values[None]
    elif values.ndim != 3:
        message = f"Model {spec.name} gives an output of shape {output.shape}, which is no picture."
        raise ModelFault(message)
    elif last and (output.ndim == 4 or values.shape[0] != 1):  # (1, h, w) is a batch of one without channels
        values = values.transpose(2, 0, 1)
    return np.asarray(values, dtype=np.float32)


def _activated(channels: Values, spec: ModelSpec) -> Values:
    picked = list(spec.pick)
    match spec.activation:
        case "none":
            return np.asarray(channels[picked].sum(axis=0), dtype=np.float32)
        case "sigmoid":
            # Beyond 60 the float32 sigmoid is 0 or 1 and its exponential overflows.
            clipped = np.clip(channels[picked], -60.0, 60.0)
            return np.asarray((1.0 / (1.0 + np.exp(-clipped))).sum(axis=0), dtype=np.float32)
        case "softmax":
            powers = np.exp(channels - channels.max(axis=0))
            return np.asarray(powers[picked].sum(axis=0) / powers.sum(axis=0), dtype=np.float32)
        case "argmax":
            return np.isin(channels.argmax(axis=0), picked).astype(np.float32)
        case "auto":
            message = f"Model {spec.name} was not tried: nobody knows yet whether its activation is inside the file."
            raise ModelFault(message)


def _stretched(values: Values, spec: ModelSpec) -> Values:
    """Spread the values; guarded never makes the model surer than it was, nor noise of nothing."""
    low, high = float(values.min()), float(values.max())
    match spec.stretch:
        case "none":
            return values
        case "guarded":
            if high - low < _MEANINGFUL_SPAN:
                return values
            return (values - np.float32(low)) * np.float32(min(high, 1.0) / (high - low))
        case "full":
            return (values - np.float32(low)) / np.float32(max(high - low, 1e-6))
