"""Networks of every kind the catalogue has: public topologies, cut down to a few channels, with seeded random weights.

Each ends in a normalised head, so that its mask spreads over 0..1 and has the picture's structure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["KINDS", "Graph", "birefnet", "deeplab", "isnet", "modnet", "resunet", "u2net", "wide"]

_GAIN = 4.0
"""Of the head: how sure a network of noise is."""


class Graph:
    """A graph in the making; every method adds nodes and gives the name of their result."""

    def __init__(self, *, seed: int, element: int = TensorProto.FLOAT) -> None:
        self.element = element
        self._random = np.random.default_rng(seed)
        self._nodes: list[Any] = []
        self._weights: list[Any] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output."""
        name = f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def value(self, values: NDArray[Any] | Sequence[float], dtype: Any = None) -> str:
        """Add a constant."""
        dtype = helper.tensor_dtype_to_np_dtype(self.element) if dtype is None else dtype
        name = f"value_{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.asarray(values, dtype=dtype), name))
        return name

    def conv(self, x: str, channels: tuple[int, int], *, size: int = 3, stride: int = 1, dilation: int = 1) -> str:
        """Add a convolution with He weights."""
        inner, outer = channels
        weights = self._random.normal(size=(outer, inner, size, size)) * np.sqrt(2.0 / (inner * size * size))
        edge = dilation * (size // 2)
        options = {"strides": [stride] * 2, "dilations": [dilation] * 2, "pads": [edge] * 4}
        return self.add("Conv", x, self.value(weights), self.value(np.zeros(outer)), **options)

    def block(self, x: str, channels: tuple[int, int], **options: int) -> str:
        """Add a convolution and ReLU."""
        return self.add("Relu", self.conv(x, channels, **options))

    def like(self, x: str, other: str) -> str:
        """Bring `x` to the height and width of `other`."""
        first = self.add("Shape", x, end=2)
        size = self.add("Concat", first, self.add("Shape", other, start=2), axis=0)
        empty = self.value(np.zeros(0), np.float32)
        return self.add("Resize", x, "", empty, size, mode="linear", coordinate_transformation_mode="half_pixel")

    def halved(self, x: str) -> str:
        """Pool by two, rounding up."""
        return self.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)

    def head(self, x: str, channels: tuple[int, int], *, size: int = 3, first: float = 0.0) -> str:
        """Add the last convolution: logits with mean 0 over the picture, `first` for channel 0, spread by the gain."""
        more = channels[1] - 1
        raw = self.conv(x, channels, size=size)
        return self.add(
            "InstanceNormalization", raw, self.value([_GAIN] * (more + 1)), self.value([first, *[0.0] * more])
        )

    def encoder_decoder(self, x: str, *, levels: int, width: int = 4) -> list[str]:
        """Add a U: gives the decoder's levels, the finest first."""
        passed = [self.block(x, (3, width))]
        for _level in range(levels - 1):
            passed.append(self.block(self.halved(passed[-1]), (width, width)))
        found = [passed[-1]]
        for skip in reversed(passed[:-1]):
            joined = self.add("Concat", self.like(found[0], skip), skip, axis=1)
            found.insert(0, self.block(joined, (2 * width, width)))
        return found

    def finished(self, shape: Sequence[int | str], outputs: dict[str, str], name: str = "input") -> bytes:
        """Give the file: one input of `shape`, which the nodes call "image", outputs by their names."""
        nodes = [helper.make_node("Identity", [inner], [outer]) for outer, inner in outputs.items()]
        first = helper.make_node("Identity", [name], ["image"])
        infos = [helper.make_tensor_value_info(outer, self.element, None) for outer in outputs]
        entry = helper.make_tensor_value_info(name, self.element, list(shape))
        graph = helper.make_graph([first, *self._nodes, *nodes], "network", [entry], infos, self._weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        model = onnx.shape_inference.infer_shapes(model)
        onnx.checker.check_model(model)
        data: bytes = model.SerializeToString()
        return data


def u2net(side: int = 320, *, seed: int = 1) -> bytes:
    """Make six side masks and the fused one, which comes first: seven outputs, sigmoid inside, only the batch free.

    Source: Qin et al., U2-Net, Pattern Recognition 106 (2020), figure 5.
    """
    graph = Graph(seed=seed)
    levels = graph.encoder_decoder("image", levels=6)
    sides = [graph.head(level, (4, 1)) for level in levels]
    large = [graph.like(mask, levels[0]) for mask in sides]
    fused = graph.head(graph.add("Concat", *large, axis=1), (6, 1), size=1)
    masks = {f"d{number}": graph.add("Sigmoid", mask) for number, mask in enumerate([fused, *large])}
    return graph.finished(["batch_size", 3, side, side], masks, name="input.1")


def isnet(
    side: int = 1024,
    *,
    seed: int = 2,
    element: int = TensorProto.FLOAT,
    layout: str = "NCHW",
    activation: bool = True,
) -> bytes:
    """Make a strided entry, a U, and masks at its levels brought to full size: static shape.

    Source: Qin et al., Highly Accurate Dichotomous Image Segmentation, ECCV 2022, figure 4.
    """
    graph = Graph(seed=seed, element=element)
    image = graph.add("Transpose", "image", perm=[0, 3, 1, 2]) if layout == "NHWC" else "image"
    entry = graph.block(image, (3, 3), stride=2)
    levels = graph.encoder_decoder(entry, levels=5)
    masks = {}
    for number, level in enumerate(levels):
        mask = graph.like(graph.head(level, (4, 1)), image)
        mask = graph.add("Sigmoid", mask) if activation else mask
        masks[f"output{number}"] = graph.add("Transpose", mask, perm=[0, 2, 3, 1]) if layout == "NHWC" else mask
    return graph.finished([1, side, side, 3] if layout == "NHWC" else [1, 3, side, side], masks)


def birefnet(side: int = 1024, *, seed: int = 3, activation: bool = False, output: str = "output_image") -> bytes:
    """Make patches that attend to each other, a decoder that sees the picture again, one output of raw values.

    Source: Zheng et al., Bilateral Reference for High-Resolution Dichotomous Segmentation, CAAI AIR 2024, figure 2.
    """
    graph, width = Graph(seed=seed), 8
    patches = graph.block("image", (3, width), size=31, stride=32)
    shape = graph.add("Shape", patches)
    tokens = graph.add("Reshape", patches, graph.value([1, width, -1], np.int64))
    turned = graph.add("Transpose", tokens, perm=[0, 2, 1])
    weights = graph.add("Softmax", graph.add("MatMul", turned, tokens), axis=-1)
    attended = graph.add("Transpose", graph.add("MatMul", weights, turned), perm=[0, 2, 1])
    seen = graph.add("Add", graph.add("Reshape", attended, shape), patches)
    small = graph.halved(graph.halved(graph.block("image", (3, width), stride=2)))
    joined = graph.add("Concat", graph.like(seen, small), small, axis=1)
    raw = graph.like(graph.head(graph.block(joined, (2 * width, width)), (width, 1)), "image")
    last = graph.add("Sigmoid", raw) if activation else raw
    return graph.finished([1, 3, side, side], {output: last}, name="input_image")


def modnet(*, seed: int = 4) -> bytes:
    """Make a low and a high branch fused to a matte of the input's own size, which is free.

    Source: Ke et al., MODNet: Real-Time Trimap-Free Portrait Matting, AAAI 2022, figure 2.
    """
    graph = Graph(seed=seed)
    high = graph.block("image", (3, 4), stride=2)
    low = graph.block(graph.halved(graph.halved(high)), (4, 4), dilation=2)
    joined = graph.add("Concat", graph.like(low, high), high, axis=1)
    matte = graph.like(graph.head(graph.block(joined, (8, 4)), (4, 1)), "image")
    return graph.finished(["batch", 3, "height", "width"], {"output": graph.add("Sigmoid", matte)})


def deeplab(*, seed: int = 5, classes: int = 21) -> bytes:
    """Make parallel dilated convolutions, raw values of 21 classes at full size, and an auxiliary output. Free size.

    Source: Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, 2017, figure 5.
    """
    graph = Graph(seed=seed)
    entry = graph.halved(graph.block("image", (3, 6), stride=4))
    pyramid = [graph.block(entry, (6, 4), dilation=rate) for rate in (1, 2, 4)]
    joined = graph.add("Concat", *pyramid, axis=1)
    out = graph.like(graph.head(joined, (12, classes), size=1, first=7.0), "image")
    aux = graph.like(graph.head(entry, (6, classes), size=1), "image")
    return graph.finished(["batch", 3, "height", "width"], {"out": out, "aux": aux})


def resunet(side: int = 512, *, seed: int = 6) -> bytes:
    """Make a residual encoder and a U's decoder as Keras exports them: channels last, four sigmoids, the batch free."""
    graph = Graph(seed=seed)
    image = graph.add("Transpose", "image", perm=[0, 3, 1, 2])
    entry = graph.block(image, (3, 4), stride=2)
    inner = graph.block(graph.block(graph.halved(entry), (4, 4)), (4, 4))
    rest = graph.add("Add", inner, graph.halved(entry))
    joined = graph.add("Concat", graph.like(rest, entry), entry, axis=1)
    masks = [graph.head(graph.block(joined, (8, 4)), (4, 1)) for _scale in range(4)]
    large = graph.like(graph.add("Sigmoid", graph.add("Concat", *masks, axis=1)), image)
    last = graph.add("Transpose", large, perm=[0, 2, 3, 1])
    return graph.finished(["unk__1", side, side, 3], {"sigmoid": last}, name="input_1")


def wide(side: int = 32, *, channels: int, seed: int = 7) -> bytes:
    """Make a network whose file is its weights: 36 bytes for each pair of so many channels."""
    graph = Graph(seed=seed)
    small = graph.block("image", (3, channels), stride=4)
    inner = graph.block(small, (channels, channels), size=3)
    mask = graph.like(graph.head(inner, (channels, 1)), "image")
    return graph.finished([1, 3, side, side], {"mask": graph.add("Sigmoid", mask)})


def _rmbg() -> bytes:
    return birefnet(activation=True, output="alphas")


KINDS: dict[str, Callable[[], bytes]] = {
    "u2net": u2net,
    "isnet": isnet,
    "rmbg-2": _rmbg,
    "birefnet": birefnet,
    "modnet": modnet,
    "deeplab": deeplab,
    "resunet": resunet,
}
"""A network of each kind at the side of its rows."""
