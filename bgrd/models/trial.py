"""A model's first run, on a synthetic picture: what comes out is held against the spec."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bgrd.errors import ModelFault
from bgrd.models.spec import ModelSpec

__all__ = ["contradiction", "settled", "synthetic"]

_TOLERANCE = 0.02
"""Rounding in half precision and quantised graphs may leave 0..1 by so much."""

_LEAST_OF_SIDE = 64
"""No network's mask is coarser than its input by more than this."""
_STRIDES = 2
"""A mask of a square picture is square, but for strides that do not divide its side."""


def contradiction(name: str, expected: str, found: str) -> ModelFault:
    """Give the fault of a model whose file is not what its spec says."""
    return ModelFault(f"Model {name} does not fit its spec: expected {expected}, found {found}.")


def synthetic(spec: ModelSpec, element_type: str) -> NDArray[Any]:
    """Make a picture with a bright disc on a dark slope, as the model would get it."""
    side = spec.side
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) / np.float32(side)
    disc = (rows - 0.5) ** 2 + (columns - 0.5) ** 2 < 0.09
    grey = np.where(disc, np.float32(0.9), 0.4 * columns)
    values = np.stack([grey, grey * np.float32(0.8), grey * np.float32(0.6)], axis=-1)
    values = (values - np.asarray(spec.mean, np.float32)) / np.asarray(spec.std, np.float32)
    if spec.layout == "NCHW":
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values[None], dtype=element_type)


def settled(spec: ModelSpec, output: NDArray[Any], *, name: str) -> ModelSpec:
    """Give the spec with what only a run can tell, and nothing left open. Raises ModelFault on a contradiction."""
    _check_shape(spec, output, name)
    low, high = float(np.min(output)), float(np.max(output))
    if not np.isfinite([low, high]).all():
        raise contradiction(name, "finite numbers", f"{low:.3g} to {high:.3g}")
    within = low >= -_TOLERANCE and high <= 1.0 + _TOLERANCE
    if spec.activation == "auto":
        return replace(spec, activation="none" if within else "sigmoid")
    _check_range(spec, low, high, within=within, name=name)
    return spec


def _check_shape(spec: ModelSpec, output: NDArray[Any], name: str) -> None:
    shape = output.shape
    if output.ndim not in {2, 3, 4} or (output.ndim == 4 and shape[0] != 1) or 0 in shape:
        raise contradiction(name, "an output that is one picture", f"{shape}")
    last = output.ndim > 2 and _last(spec, shape)
    channels = 1 if output.ndim == 2 else shape[-1] if last else shape[-3]
    if max(spec.pick) >= channels:
        raise contradiction(name, f"a channel {max(spec.pick)}", f"{channels} channels in {shape}")
    height, width = shape[-3:-1] if last else shape[-2:]
    if min(height, width) * _LEAST_OF_SIDE < spec.side or abs(height - width) > _STRIDES:
        raise contradiction(name, f"a mask of a picture of {spec.side} x {spec.side}", f"an output of {shape}")


def _last(spec: ModelSpec, shape: tuple[int, ...]) -> bool:
    """Whether the channels come last in an output of this shape."""
    layout = spec.layout if spec.output_layout == "input" else spec.output_layout
    return layout == "NHWC" and (len(shape) == 4 or shape[0] != 1)


def _check_range(spec: ModelSpec, low: float, high: float, *, within: bool, name: str) -> None:
    """Tell from the values whether the activation is inside the graph: it depends on the export, not the model."""
    found = f"{low:.3g} to {high:.3g}"
    if spec.activation == "none" and spec.stretch != "full" and not within:
        raise contradiction(name, "values from 0 to 1 (activation none)", f"{found}; is the activation missing?")
    if spec.activation in {"sigmoid", "softmax"} and within:
        raise contradiction(
            name,
            f"raw values (activation {spec.activation})",
            f"{found}; it seems to be inside the file already",
        )
