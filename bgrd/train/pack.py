"""Weights as bytes: a quarter of the file, and the same graph in float32 once it is loaded.

Unlike an int8 file, whose arithmetic is in bytes too, it needs no pictures to be made, is as quick as it was, on every
processor and device, and is nearer to what it was made of: each weight is rounded once and nothing else is. Runtimes
work out constants when they load a file, so it costs some milliseconds then and nothing later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bgrd.errors import TrainingError
from bgrd.models.widen import drop_unused
from bgrd.train.export import bytes_of

__all__ = ["Packed", "packed", "unpack"]

_FEWEST = 1024
"""Weights: with fewer there is nothing to gain."""
_MOST = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A file, and how many of its weights are bytes."""

    data: bytes
    weights: int


def packed(data: bytes) -> Packed:
    """Give a file whose convolutions' weights are bytes with one scale for each output channel.

    Raises TrainingError where it has none to pack.
    """
    model = onnx.load_from_string(data)
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    names = dict.fromkeys(node.input[1] for node in graph.node if node.op_type == "Conv" and not node.domain)
    large = {name: _read(constants[name]) for name in names if name in constants and _is_large(constants[name])}
    if not large:
        message = "no convolution has float32 weights enough to be packed"
        raise TrainingError(message)
    nodes = list(graph.node)
    del graph.node[:]
    for name, values in large.items():
        scale = _scale(values)
        whole = np.rint(values / scale).astype(np.int8)
        graph.initializer.remove(constants[name])
        for word, tensor in (("bytes", whole), ("scale", scale)):
            graph.initializer.append(numpy_helper.from_array(tensor, f"{name}/{word}"))
        graph.node.append(helper.make_node("Cast", [f"{name}/bytes"], [f"{name}/whole"], to=TensorProto.FLOAT))
        graph.node.append(helper.make_node("Mul", [f"{name}/whole", f"{name}/scale"], [name]))
    graph.node.extend(nodes)
    count = sum(values.size for values in large.values())
    return Packed(data=bytes_of(model), weights=count)


def unpack(data: bytes) -> onnx.ModelProto:
    """Give a file with the weights that `packed` made bytes of as constants in float32 again; any other as it is."""
    model = onnx.load_from_string(data)
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        name = node.output[0] if node.output else ""
        whole, scale = (constants.get(f"{name}/{word}") for word in ("bytes", "scale"))
        if node.op_type == "Mul" and whole is not None and scale is not None:
            graph.initializer.append(numpy_helper.from_array(_read(whole) * _read(scale), name))
        elif not (node.op_type == "Cast" and node.input[0].endswith("/bytes") and node.input[0] in constants):
            graph.node.append(node)
    drop_unused(graph)
    return model


def _is_large(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type == TensorProto.FLOAT and int(np.prod(tensor.dims)) >= _FEWEST


def _read(tensor: onnx.TensorProto) -> NDArray[np.float32]:
    return np.asarray(numpy_helper.to_array(tensor), np.float32)


def _scale(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """Give what a step is in each output channel, (channels, 1, ...)."""
    largest = np.abs(values).max(axis=tuple(range(1, values.ndim)), keepdims=True)
    return np.asarray(np.where(largest == 0, 1, largest) / np.float32(_MOST), np.float32)
