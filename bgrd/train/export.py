"""A trained network as a file that bgrd loads: checked against torch before it gets its name.

torch's older exporter, on purpose. The newer one (torch.export, by way of onnxscript) takes 6 s for a small network
where this takes 0.2, needs two packages more, cannot write opset 17 (its conversion from 18 fails), leaves batch
normalisation behind convolutions whose sizes are free, and annotates every node, which doubles a small file. Torch
means to drop the older one some day: then this is the place, and the check below says whether the change is right.
"""

from __future__ import annotations

import copy
import io
import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper
from torch import Tensor, nn

from bgrd.errors import ModelFault, TrainingError
from bgrd.models.anatomy import METADATA_KEY
from bgrd.models.session import Session
from bgrd.models.spec import ModelSpec
from bgrd.train.folding import fold

__all__ = ["BOUND", "PROVENANCE_KEY", "Checked", "apart", "bytes_of", "check", "described", "graph_of", "inputs_for"]

_OPSET = 17

BOUND = 1e-4
"""How far opacity may be from torch's, anywhere: a fortieth of a step of 255. Found are about 1e-6."""

_ROUNDING = 10.0
"""Where torch itself is further from its own answer in float64, so many times that: logits in the thousands, as those
of a deep network that has learnt nothing yet, turn a rounding into a tenth of opacity."""

PROVENANCE_KEY = "bgrd.provenance"
"""The metadata key of where a file comes from, as JSON."""

_INPUT, _OUTPUT = "image", "alpha"
_AXES = {0: "batch", 2: "height", 3: "width"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What holding a file against torch came to: the largest difference, and the shapes of input that were tried.

    `bound` is what was allowed where the difference is the largest.
    """

    difference: float
    bound: float
    shapes: tuple[tuple[int, ...], ...]


class _Final(nn.Module):
    """A network's final logits alone, as opacity where `sigmoid` says so."""

    def __init__(self, network: nn.Module, *, sigmoid: bool) -> None:
        super().__init__()
        self.network = network
        self.sigmoid = sigmoid

    def forward(self, image: Tensor) -> Tensor:
        found = self.network(image)
        logits: Tensor = found["out"] if isinstance(found, dict) else found[0]
        return torch.sigmoid(logits) if self.sigmoid else logits


def graph_of(network: nn.Module, spec: ModelSpec) -> bytes:
    """Give an ONNX file of a network in its evaluation mode: one input, one output, batch and sides free.

    The sigmoid is inside where the spec has no activation left to do. `network` gives a tuple of logits, the final one
    first, or torchvision's dictionary with `out`. Raises TrainingError where torch cannot export it.
    """
    final = _Final(network, sigmoid=spec.activation == "none").eval()
    example = torch.zeros(2, 3, 2 * spec.multiple, 3 * spec.multiple)
    # What torch declares is a path; it takes a stream as well.
    buffer: Any = io.BytesIO()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # That it is the older exporter, which is known.
            warnings.simplefilter("ignore", DeprecationWarning)
            channels = final(example).shape[1]
            torch.onnx.export(
                final,
                (example,),
                buffer,
                dynamo=False,
                opset_version=_OPSET,
                input_names=[_INPUT],
                output_names=[_OUTPUT],
                dynamic_axes={_INPUT: _AXES, _OUTPUT: _AXES},
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        message = f"{spec.name} cannot be exported: {' '.join(str(error).split())[:300]}"
        raise TrainingError(message) from error
    model = onnx.load_from_string(buffer.getvalue())
    fold(model)
    sides = model.graph.output[0].type.tensor_type.shape.dim
    for dimension, name in _AXES.items():
        sides[dimension].dim_param = name
    sides[1].dim_value = channels
    return bytes_of(model)


def described(data: bytes, spec: ModelSpec, provenance: Mapping[str, Any]) -> bytes:
    """Give the file with its spec and where it comes from in its metadata."""
    model = onnx.load_from_string(data)
    texts = {METADATA_KEY: spec.to_json(), PROVENANCE_KEY: dict(provenance)}
    helper.set_model_props(model, {key: json.dumps(value) for key, value in texts.items()})
    model.producer_name = "bgrd"
    return bytes_of(model)


def inputs_for(spec: ModelSpec, *, seed: int = 1) -> list[NDArray[np.float32]]:
    """Give inputs of several sizes and batches of 1 and 3, as even noise from 0 to 255 looks to the network."""
    rng = np.random.default_rng(seed)
    step = spec.multiple
    large = (spec.side, spec.side + step)
    shapes = [
        (1, spec.side, spec.side),
        (3, spec.side, spec.side),
        (1, *large),
        (3, 3 * step, 2 * step),
        (1, step, step),
    ]
    mean, std = (np.asarray(each, dtype=np.float32).reshape(1, 3, 1, 1) for each in (spec.mean, spec.std))
    made = [rng.random((batch, 3, *sides), dtype=np.float32) for batch, *sides in shapes]
    return [(each * np.float32(255.0 / float(spec.divide_by)) - mean) / std for each in made]


def check(data: bytes, network: nn.Module, spec: ModelSpec, inputs: Iterable[NDArray[np.float32]]) -> Checked:
    """Load a file as bgrd does, try it, and hold it against torch on every input.

    Raises TrainingError where they differ by more than the bound on any of them, or where one answers no number.
    Each input has its own bound.
    """
    try:
        session = Session(data, spec=None, threads=1, name=spec.name)
        session.trial()
        if session.spec.to_json() != {**spec.to_json(), "output": 0}:
            message = f"{spec.name} says of itself that it is {session.spec}, not {spec}"
            raise TrainingError(message)
        found = [(tensor, session.run(tensor)[0]) for tensor in inputs]
    except ModelFault as fault:
        message = f"the file of {spec.name} cannot be used: {fault}"
        raise TrainingError(message) from fault
    final = _Final(network, sigmoid=spec.activation == "none").eval()
    worst = (0.0, BOUND)
    for tensor, values in found:
        expected = _answer(final, tensor)
        difference, bound = _difference(values, expected, spec), BOUND
        if BOUND < difference < np.inf:
            exact = _answer(copy.deepcopy(final).double(), tensor.astype(np.float64))
            bound = max(BOUND, _ROUNDING * _difference(expected, exact, spec))
        if difference > bound:
            message = f"the file of {spec.name} differs from torch by {difference:.2g}; {bound:.2g} is the most allowed"
            raise TrainingError(message)
        worst = max(worst, (difference, bound))
    difference, bound = worst
    return Checked(difference=difference, bound=bound, shapes=tuple(tensor.shape for tensor, _values in found))


def apart(data: bytes, other: bytes, spec: ModelSpec) -> float:
    """Load two files as bgrd does, try them, and give how far apart what they answer is on average, as opacity.

    Raises TrainingError where one cannot be used.
    """
    try:
        first, second = (Session(each, spec=None, threads=1, name=spec.name) for each in (data, other))
        second.trial()
        differences = [np.abs(first.run(each)[0] - second.run(each)[0]).mean() for each in inputs_for(spec)[:2]]
    except ModelFault as fault:
        message = f"the file of {spec.name} cannot be used: {fault}"
        raise TrainingError(message) from fault
    return float(np.mean(differences))


def _answer(final: _Final, tensor: NDArray[Any]) -> NDArray[Any]:
    with torch.no_grad():
        answer: NDArray[Any] = final(torch.from_numpy(tensor)).numpy()
    return answer


def _difference(found: NDArray[Any], expected: NDArray[Any], spec: ModelSpec) -> float:
    """Give the largest difference, as opacity; of classes, which compete, as a share of what their values span.

    Shapes that differ and numbers that are none are as far apart as can be.
    """
    if found.shape != expected.shape:
        return float("inf")
    span = 1.0 if spec.activation == "none" else max(float(np.ptp(expected)), float(np.finfo(np.float32).tiny))
    difference = float(np.abs(found - expected).max()) / span
    return difference if np.isfinite(difference) else float("inf")


def bytes_of(model: onnx.ModelProto) -> bytes:
    """Give a model as a file. Raises TrainingError where it is malformed."""
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        message = f"the graph is malformed: {' '.join(str(error).split())[:300]}"
        raise TrainingError(message) from error
    data: bytes = model.SerializeToString()
    return data
