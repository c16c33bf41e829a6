"""A network out of an exported file: it answers as the file does, also when it begins to learn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import BatchNorm2d

from bgrd.errors import TrainingError
from bgrd.models.session import Session
from bgrd.models.spec import ModelSpec
from bgrd.models.store import PACKAGED
from bgrd.train.export import apart, bytes_of, described, graph_of, inputs_for
from bgrd.train.networks.lite import PLAIN, Lite
from bgrd.train.networks.mirrored import Mirrored
from bgrd.train.networks.rows import NETWORKS, build
from bgrd.train.pack import packed
from bgrd.train.regain import regain
from tests.houses.small_networks import SPEC, Tiny, kinds, lived_in

pytestmark = pytest.mark.usefixtures("one_thread")

LITE = replace(SPEC, multiple=32)
_LARGER = sorted(NETWORKS.keys() - {"lite", "lite-plain"})


def shown(count: int = 6, side: int = 64) -> Iterator[Tensor]:
    """Give two batches of pictures with something in them: soft spots of light on noise."""
    generator = torch.Generator().manual_seed(2)
    for _ in range(2):
        coarse = torch.randn(count, 3, side // 16, side // 16, generator=generator)
        fine = torch.randn(count, 3, side, side, generator=generator)
        yield nn.functional.interpolate(coarse, size=side, mode="bicubic") + fine / 4


def drawn(network: nn.Module, seed: int) -> nn.Module:
    """Give a network's weights anew by seed, and normalisations that have seen something."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for part in network.modules():
            if isinstance(part, nn.Conv2d):
                part.reset_parameters()
        return lived_in(network).eval()


def answer(network: nn.Module, images: Tensor) -> Tensor:
    """Give the final logits."""
    with torch.no_grad():
        found: Tensor = network(images)[0]
    return found


def regained(network: nn.Module, data: bytes) -> nn.Module:
    """Give another one, drawn by another seed, with what is in the file."""
    regain(drawn(network, 9), data, side=64, batches=shown())
    return network


@pytest.mark.parametrize(
    "name",
    ["lite", "lite-plain", *(pytest.param(name, marks=pytest.mark.long) for name in _LARGER)],
)
def test_it_answers_as_the_file_does(name: str) -> None:
    """Whatever network it is: batches, and sides it was not shown."""
    row = NETWORKS[name]
    before = drawn(build(row, seed=1), 1)
    after = regained(build(row, seed=2), graph_of(before, ModelSpec(name=name, side=64, multiple=row.multiple)))
    assert not after.training
    for images in (next(shown()), torch.rand(1, 3, 96, 64)):
        expected = answer(before, images)
        assert float(expected.std()) > 1e-3
        assert answer(after, images) == pytest.approx(expected, abs=1e-3 * float(expected.abs().max()))


def test_what_stands_before_a_convolution_is_regained_too() -> None:
    """A normalisation that export put into the convolution after it, and a network asked both ways."""
    before = drawn(Tiny(), 1)
    for network in (before, Mirrored(before)):
        after = regained(Tiny(), graph_of(network, SPEC))
        images = torch.rand(2, 3, 72, 40)
        assert answer(after, images) == pytest.approx(answer(before, images), abs=1e-4)


def test_equal_weights_are_written_once_and_read_for_each() -> None:
    """The exporter has the others point to the first."""
    before = drawn(Tiny(), 1)
    assert isinstance(before, Tiny)
    for norm in (before.entry[1], before.inner[1]):
        for values in (norm.bias, norm.running_mean):
            assert isinstance(values, Tensor)
            nn.init.zeros_(values)
    nn.init.zeros_(before.get_parameter("inner.0.bias"))
    data = graph_of(before, SPEC)
    assert "Identity" in kinds(data)
    images = torch.rand(2, 3, 72, 40)
    assert answer(regained(Tiny(), data), images) == pytest.approx(answer(before, images), abs=1e-4)


def test_packed_weights_are_those_of_the_file() -> None:
    """It is much nearer to what is in the file than that is to what it was made of."""
    plain = described(graph_of(drawn(Lite(), 1), LITE), LITE, {})
    data = packed(plain).data
    after = regained(Lite(), data)
    images = next(iter(inputs_for(LITE)))
    found = torch.sigmoid(answer(after, torch.from_numpy(images))).numpy()
    expected = Session(data, spec=None, threads=1, name="packed").run(images)[0]
    assert abs(found - expected).mean() < 0.1 * apart(plain, data, LITE)


def test_nothing_jumps_when_it_begins_to_learn() -> None:
    """Its normalisations have seen the pictures: what it says of them is the same while it learns from them."""
    after = drawn(Lite(), 9)
    images = next(shown())
    regain(after, graph_of(drawn(Lite(), 1), LITE), side=64, batches=[images])
    known = answer(after, images)
    assert answer(after.train(), images) == pytest.approx(known, abs=1e-3 * float(known.abs().max()))
    spread = [float(norm.get_buffer("running_var").std()) for norm in after.modules() if isinstance(norm, BatchNorm2d)]
    assert min(spread) > 0


def test_the_built_in_model_is_regained() -> None:
    """Packed and asked both ways, it gives its weights back: opacity is the same to a thousandth at any pixel."""
    data = (PACKAGED / "bgrd-lite.onnx").read_bytes()
    network = build(NETWORKS["lite-large"], seed=1)
    regain(network, data, side=64, batches=shown())
    images = next(shown(2, 256))
    expected = Session(data, spec=None, threads=1, name="built-in").run(images.numpy())[0]
    found = torch.sigmoid(answer(Mirrored(network), images)).numpy()
    assert float(expected.std()) > 0.01
    assert found == pytest.approx(expected, abs=1e-3)


def test_what_no_normalisation_gave_is_refused() -> None:
    """A convolution without a bias of its own whose bias in the file does not come from the normalisation before it."""
    model = onnx.load_from_string(graph_of(drawn(Lite(), 1), LITE))
    asks = {tensor.name for tensor in model.graph.initializer if tuple(tensor.dims) == (480, 160, 1, 1)}
    conv = [node for node in model.graph.node if node.op_type == "Conv" and node.input[1] in asks][-1]
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == conv.input[2])
    bias.CopyFrom(numpy_helper.from_array(np.random.default_rng(1).normal(size=480).astype(np.float32), bias.name))
    with pytest.raises(TrainingError, match="adds what no normalisation before it could give"):
        regained(Lite(), bytes_of(model))


def test_a_file_of_another_network_is_refused() -> None:
    """Its convolutions are others."""
    with pytest.raises(TrainingError, match="its graph is not the one that this network is exported as"):
        regained(Lite(PLAIN), graph_of(drawn(Lite(), 1), LITE))


def test_a_quantised_file_is_refused() -> None:
    """Where a convolution's weights are worked out of bytes in another way than packing does, there is no telling."""
    model = onnx.load_from_string(graph_of(drawn(Tiny(), 1), SPEC))
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    for name, value in (("whole", np.ones((8, 3, 3, 3), np.int8)), ("step", np.float32(0.1)), ("none", np.int8(0))):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    model.graph.node.insert(0, helper.make_node("DequantizeLinear", ["whole", "step", "none"], ["weights"]))
    conv.input[1] = "weights"
    with pytest.raises(TrainingError, match="its weights are quantised"):
        regained(Tiny(), bytes_of(model))


def test_a_normalisation_that_could_not_be_folded_is_refused() -> None:
    """One before a convolution that pads stays in the graph; none of ours has such."""
    before = Tiny()
    before.mixed = nn.Conv2d(8, 8, 3, padding=1)
    data = graph_of(drawn(before, 1), SPEC)
    with pytest.raises(TrainingError, match="a normalisation stands alone in its graph"):
        regained(Tiny(), data)
