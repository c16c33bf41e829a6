"""The networks: their sizes are the published ones, every weight learns, and any size they promise goes through."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import onnx
import pytest
import torch
from torch import Tensor, nn

from bench.speed import networks as speed
from bgrd.errors import TrainingError
from bgrd.train.networks.lite import LARGE, Lite, Width
from bgrd.train.networks.nested import Nested, isnet, u2net, u2netp
from bgrd.train.networks.parts import initialise
from bgrd.train.networks.residual import Encoder, ResUNet
from bgrd.train.networks.rows import NETWORKS, build, normalised

SMALL = Width(stem=4, stages=(8, 8, 12, 16), blocks=(1, 1, 1, 1), attention=1, decoder=(8, 8, 8, 8))


def shaped(make: Callable[[], nn.Module]) -> nn.Module:
    """Make a network of shapes alone, at once."""
    with torch.device("meta"):
        return make()


def weights(make: Callable[[], nn.Module]) -> int:
    """Count what is learnt."""
    return sum(each.numel() for each in shaped(make).parameters())


@pytest.mark.parametrize(
    ("make", "millions"),
    [(u2net, 44.01), (u2netp, 1.131), (isnet, 44.05)],
    ids=["u2net", "u2netp", "isnet"],
)
def test_published_networks_have_their_published_size(make: Callable[[], nn.Module], millions: float) -> None:
    """U-2-Net's files hold 176.3 and 4.7 MB of float32, IS-Net's 176.6: so many millions of weights."""
    assert weights(make) / 1e6 == pytest.approx(millions, rel=2e-4)


def test_the_encoder_is_resnet50() -> None:
    """ResNet-50 has 25,557,032 weights, 2,049,000 of them in the classifier that is left out."""
    assert weights(Encoder) == 25_557_032 - 2_049_000


def test_lite_stays_small() -> None:
    """The built-in network has room for its graph below 6 MB, the first in float32, the one it grew into as bytes."""
    assert 1.3e6 < weights(Lite) < 1.45e6
    assert 4.2e6 < weights(lambda: Lite(LARGE)) < 4.5e6


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(u2netp, speed.u2netp), pytest.param(isnet, speed.isnet, marks=pytest.mark.long)],
    ids=["u2netp", "isnet"],
)
def test_what_speed_is_measured_with_is_the_same(ours: Callable[[], nn.Module], theirs: Callable[[], bytes]) -> None:
    """The graphs that stand in for U-2-Netp and IS-Net in benchmarks have the same convolutions, shape by shape."""
    graph = onnx.load_from_string(theirs()).graph
    drawn = sorted(tuple(each.dims) for each in graph.initializer if len(each.dims) == 4)
    assert drawn == sorted(tuple(each.weight.shape) for each in shaped(ours).modules() if isinstance(each, nn.Conv2d))


@pytest.mark.parametrize(
    "name", ["lite", "lite-large", "lite-plain", "u2netp", pytest.param("resunet50", marks=pytest.mark.long)]
)
@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96)])
def test_sizes_go_through(name: str, height: int, width: int) -> None:
    """Any multiples of the row's number give a mask of the picture's size; only while trained there are others."""
    network = build(NETWORKS[name], seed=1)
    images = torch.rand(2, 3, height, width)
    with torch.no_grad():
        learning, judged = network.train()(images), network.eval()(images)
    assert len(judged) == 1 < len(learning)
    assert judged[0].shape == learning[0].shape == (2, 1, height, width)
    assert all(mask.shape[:2] == (2, 1) for mask in learning)


def test_nested_networks_take_any_size() -> None:
    """U-2-Net is not bound to multiples: odd sides come back as they went in."""
    with torch.no_grad():
        assert u2netp().eval()(torch.rand(1, 3, 45, 71))[0].shape == (1, 1, 45, 71)


def narrow(*, fused: bool, stem: int) -> Nested:
    """Make a U of U-blocks with few channels."""
    from bgrd.train.networks import nested  # noqa: PLC0415 - its private rows

    down = [nested._Stage(stage.height, 2, 4) for stage in nested._DOWN]
    return Nested(down, [nested._Stage(stage.height, 2, 4) for stage in nested._UP], fused=fused, stem=stem)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Lite(SMALL),
        Lite,
        lambda: narrow(fused=True, stem=0),
        lambda: narrow(fused=False, stem=4),
    ],
    ids=["small-lite", "lite", "u2net", "isnet"],
)
def test_every_weight_learns(make: Callable[[], nn.Module]) -> None:
    """A slope that is not zero reaches every parameter."""
    torch.manual_seed(3)
    network = make().train()
    masks = network(torch.rand(2, 3, 64, 64))
    torch.autograd.backward(sum((mask.sigmoid() * torch.rand_like(mask)).sum() for mask in masks))
    still = [name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()]
    # A bias before a normalisation does nothing: the published networks have them all the same.
    assert [name for name in still if not name.endswith("0.bias")] == []


@pytest.mark.long
def test_every_weight_of_resunet50_learns() -> None:
    """The same for the large one."""
    network = ResUNet().train()
    masks = network(torch.rand(2, 3, 64, 64))
    torch.autograd.backward(sum((mask.sigmoid() * torch.rand_like(mask)).sum() for mask in masks))
    assert [name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()] == []


def test_a_seed_decides_the_weights() -> None:
    """The same seed gives the same network, another another; torch's own generator does not move."""
    before = torch.get_rng_state()
    first, second, other = (build(NETWORKS["lite"], seed=seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["stem.0.weight"], other["stem.0.weight"])


def test_pixels_are_normalised_by_the_row() -> None:
    """Black and white become minus mean over spread, and one minus mean over spread."""
    pixels = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    found = normalised(pixels, NETWORKS["lite"])
    assert found[0].flatten().tolist() == pytest.approx([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225])
    assert found[1].flatten().tolist() == pytest.approx([0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225])
    assert normalised(pixels, NETWORKS["isnet"]).flatten().tolist() == [-0.5] * 3 + [0.5] * 3


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    """Give the large network's encoder, made once."""
    return Encoder()


def learnt(network: Encoder) -> OrderedDict[str, Tensor]:
    """Give weights as torchvision's file holds them, classifier and all."""
    found = OrderedDict((name, torch.full_like(value, 2)) for name, value in network.state_dict().items())
    found["fc.weight"], found["fc.bias"] = torch.zeros(1000, 2048), torch.zeros(1000)
    return found


def test_an_encoder_takes_torchvisions_weights(encoder: Encoder) -> None:
    """All of them arrive; files from before batches were counted will do."""
    given = learnt(encoder)
    old = {name: value for name, value in given.items() if not name.endswith("num_batches_tracked")}
    for file in (given, old):
        initialise(encoder)
        encoder.load(file)
        assert all((each == 2).all() for each in encoder.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer1.0.conv1.weight": None}, r"layer1\.0\.conv1\.weight is missing"),
        ({"layer9.weight": torch.zeros(1)}, r"layer9\.weight is unknown"),
        ({"conv1.weight": torch.zeros(64, 1, 7, 7)}, r"conv1\.weight is \(64, 1, 7, 7\) in place of \(64, 3, 7, 7\)"),
    ],
)
def test_other_weights_are_refused(encoder: Encoder, change: dict[str, Tensor | None], message: str) -> None:
    """A weight that is missing, unknown or of another shape is named."""
    given = {name: value for name, value in {**learnt(encoder), **change}.items() if value is not None}
    with pytest.raises(TrainingError, match=message):
        encoder.load(given)
