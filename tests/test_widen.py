"""Convolutions of few channels, widened for int8."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from bgrd.models.widen import widen

SHAPE = [1, 5, 9, 7]


def graph(*, channels: int, side: int = 3, groups: int = 1, bias: bool = True, shared: bool = False) -> onnx.ModelProto:
    """Make two convolutions of the same input; with `shared` the second has the bias of the first."""
    random = np.random.default_rng(1)
    values = {name: random.normal(size=(channels, 5 // groups, side, side)) for name in ("one", "two")}
    values |= {"edge": random.normal(size=channels), "rim": random.normal(size=channels)}
    nodes = []
    for kernel, own in (("one", "edge"), ("two", "edge" if shared else "rim")):
        inputs = ["image", kernel, *([own] if bias else [])]
        nodes.append(helper.make_node("Conv", inputs, [f"{kernel}.out"], pads=[side // 2] * 4, group=groups))
    made = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info(f"{name}.out", TensorProto.FLOAT, None) for name in ("one", "two")],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in values.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def run(network: onnx.ModelProto) -> list[NDArray[np.float32]]:
    """Run it on noise."""
    image = np.random.default_rng(2).normal(size=SHAPE).astype(np.float32)
    return list(onnxruntime.InferenceSession(network.SerializeToString()).run(None, {"image": image}))


def kernels(network: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Give the shape of each convolution's weights by its result."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in network.graph.initializer}
    return {node.output[0]: shapes[node.input[1]] for node in network.graph.node if node.op_type == "Conv"}


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("bias", [False, True])
def test_few_channels_become_sixteen(channels: int, bias: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The results have the names and, but for rounding, the values they had; the convolutions have sixteen channels."""
    network = graph(channels=channels, bias=bias)
    before = run(network)
    widen(network.graph)
    assert set(kernels(network).values()) == {(16, 5, 3, 3)}
    assert len(network.graph.initializer) == 2 * (5 if bias else 4)
    for found, wanted in zip(run(network), before, strict=True):
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() < 1e-5


def test_each_gets_a_bias_of_its_own() -> None:
    """What two convolutions shared they share no more, so that each can be quantised by its own scales."""
    network = graph(channels=1, shared=True)
    before = run(network)
    widen(network.graph)
    biases = [node.input[2] for node in network.graph.node if node.op_type == "Conv"]
    assert len(set(biases)) == 2
    assert all(np.allclose(found, wanted, atol=1e-5) for found, wanted in zip(run(network), before, strict=True))


@pytest.mark.parametrize(
    "kind",
    [{"channels": 5}, {"channels": 16}, {"channels": 1, "side": 1}, {"channels": 5, "groups": 5}],
    ids=["five", "sixteen", "one pixel", "groups"],
)
def test_what_gains_nothing_is_left_alone(kind: dict[str, int]) -> None:
    """More channels, kernels of one pixel and convolutions in groups stay as they are."""
    network = graph(**kind)  # type: ignore[arg-type] # the rest are truths
    before = network.SerializeToString()
    widen(network.graph)
    assert network.SerializeToString() == before


def test_constants_of_inner_graphs_stay() -> None:
    """What only a graph inside the graph takes is used."""
    network = graph(channels=1, bias=False)
    inner = helper.make_graph(
        [helper.make_node("Add", ["rim", "rim"], ["sum"])],
        "inner",
        [],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, None)],
    )
    flag = numpy_helper.from_array(np.array(True), "flag")  # noqa: FBT003 - a tensor of one truth
    network.graph.initializer.append(flag)
    network.graph.node.append(helper.make_node("If", ["flag"], ["rims"], then_branch=inner, else_branch=inner))
    network.graph.output.append(helper.make_tensor_value_info("rims", TensorProto.FLOAT, None))
    before = run(network)
    widen(network.graph)
    assert "edge" not in {tensor.name for tensor in network.graph.initializer}
    assert all(np.allclose(found, wanted, atol=1e-5) for found, wanted in zip(run(network), before, strict=True))


def test_weights_that_are_computed_are_left_alone() -> None:
    """A convolution whose weights the graph makes itself has none that could be repeated."""
    network = graph(channels=1)
    network.graph.node.insert(0, helper.make_node("Identity", ["one"], ["made"]))
    network.graph.node[1].input[1] = "made"
    before = run(network)
    widen(network.graph)
    assert [node.op_type for node in network.graph.node] == ["Identity", "Conv", "Conv", "Slice"]
    assert all(np.allclose(found, wanted, atol=1e-5) for found, wanted in zip(run(network), before, strict=True))
