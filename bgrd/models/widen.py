"""Widens the convolutions of a graph that give very few channels, as masks are, before they are made int8.

onnxruntime's quick kernel for bytes wants output channels by sixteens. Fewer are made of a matrix into which every
pixel's surroundings are copied: U-2-Netp's head at full size takes 22 ms so, and 6 with sixteen channels, of which
fifteen are thrown away; with its six heads a run takes 134 ms instead of 152. Four channels take 22 as well. Kernels of
one pixel need no copying and are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

__all__ = ["drop_unused", "widen"]

_FEW = 4
_WIDTH = 16


def widen(graph: onnx.GraphProto) -> None:
    """Widen a graph of opset 10 or more, in place; what it gives stays the same.

    Channels are repeated, so that none has weights without a range, and cut off again. What was widened has weights
    and bias of its own: shared ones cannot be quantised by the scales of one of those that share them.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        if _is_narrow(node, constants):
            graph.node.extend(_widened(node, constants, graph))
        else:
            graph.node.append(node)
    drop_unused(graph)


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove the constants nobody uses: onnxruntime would complain of each, on the user's terminal."""
    used = _used(graph)
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _used(graph: onnx.GraphProto) -> set[str]:
    """Name all that nodes take and the graph gives, those of the graphs inside it too."""
    inner = [each for node in graph.node for part in node.attribute for each in (part.g, *part.graphs)]
    taken = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    return taken.union(*(_used(each) for each in inner))


def _is_narrow(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> bool:
    """Whether it is a whole convolution with constant weights that looks at several pixels and gives few channels."""
    if node.op_type != "Conv" or node.domain or not constants.keys() >= {*node.input[1:]}:
        return False
    groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
    channels, _inner, *window = constants[node.input[1]].dims
    return groups == 1 and channels <= _FEW and any(side > 1 for side in window)


def _widened(
    node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto], graph: onnx.GraphProto
) -> list[onnx.NodeProto]:
    """Give the convolution in its new width, and what cuts its result; their constants go into the graph."""
    name = node.output[0]

    def constant(word: str, values: NDArray[np.generic]) -> str:
        graph.initializer.append(numpy_helper.from_array(values, f"{name}/{word}"))
        return f"{name}/{word}"

    made = onnx.NodeProto()
    made.CopyFrom(node)
    made.output[0] = f"{name}/wide"
    for at, word in enumerate(("weights", "bias")[: len(node.input) - 1], start=1):
        values = numpy_helper.to_array(constants[node.input[at]])
        made.input[at] = constant(word, np.resize(values, (_WIDTH, *values.shape[1:])))
    channels = constants[node.input[1]].dims[0]
    bounds = (("start", 0), ("end", channels), ("axis", 1))
    ends = [constant(word, np.array([value], np.int64)) for word, value in bounds]
    return [made, helper.make_node("Slice", [made.output[0], *ends], [name], name=f"{name}/cut")]
