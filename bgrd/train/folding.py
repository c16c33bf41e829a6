"""Batch normalisations that torch's exporter leaves, put into the convolutions after them.

Those behind a convolution the exporter folds itself. One that stands before a convolution without padding is as exact:
each channel's factor goes into the weights, its shift into the bias. With padding it is not, since what is padded are
zeros after the normalisation: such a one stays.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from bgrd.models.widen import drop_unused

__all__ = ["fold"]


def fold(model: onnx.ModelProto) -> int:
    """Fold what can be folded, in place; gives how many were."""
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    # Equal tensors are written once, and the others point to them.
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
    folded = 0
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        readers = [node for node in graph.node if norm.output[0] in node.input]
        if len(readers) == 1 and _takes(readers[0], norm.output[0]) and _known(norm, readers[0], weights):
            _into(graph, readers[0], norm, weights)
            graph.node.remove(norm)
            folded += 1
    drop_unused(graph)
    return folded


def _takes(node: onnx.NodeProto, name: str) -> bool:
    """Say whether a node is a convolution in one group that reads `name` and pads nothing."""
    if node.op_type != "Conv" or node.input[0] != name:
        return False
    values = {attribute.name: attribute for attribute in node.attribute}
    pads: Sequence[int] = values["pads"].ints if "pads" in values else ()
    alone = "group" not in values or values["group"].i == 1
    return alone and not any(pads) and "auto_pad" not in values


def _known(norm: onnx.NodeProto, conv: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> bool:
    """Say whether all their numbers are in the file."""
    return {*norm.input[1:], *conv.input[1:]} <= weights.keys()


def _into(
    graph: onnx.GraphProto, conv: onnx.NodeProto, norm: onnx.NodeProto, weights: dict[str, onnx.TensorProto]
) -> None:
    """Give a convolution weights and a bias of its own that do the normalisation too."""
    scale, shift, mean, variance = (_values(weights[name]) for name in norm.input[1:])
    epsilon = next((attribute.f for attribute in norm.attribute if attribute.name == "epsilon"), 1e-5)
    factor = scale / np.sqrt(variance + epsilon)
    kernel = _values(weights[conv.input[1]])
    bias = _values(weights[conv.input[2]]) if len(conv.input) > 2 else np.zeros(kernel.shape[0])
    bias += (kernel * (shift - mean * factor)[:, None, None]).sum(axis=(1, 2, 3))
    kernel = kernel * factor[:, None, None]
    names = [f"{conv.output[0]}.kernel", f"{conv.output[0]}.bias"]
    for name, values in zip(names, (kernel, bias), strict=True):
        graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    conv.input[:] = [norm.input[0], *names]


def _values(tensor: onnx.TensorProto) -> NDArray[np.float64]:
    return numpy_helper.to_array(tensor).astype(np.float64)
