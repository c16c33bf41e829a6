"""The file that is exported: it is what torch has, says what it is, and runs in bgrd."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bgrd.errors import TrainingError
from bgrd.models.session import Session
from bgrd.models.spec import ModelSpec
from bgrd.train.export import BOUND, PROVENANCE_KEY, check, described, graph_of, inputs_for
from bgrd.train.folding import fold
from bgrd.train.networks.rows import NETWORKS, build
from tests.houses.small_networks import SPEC, Tiny, kinds, lived_in

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def tiny() -> nn.Module:
    """Give the network with seeded weights, in training: exporting is to see to that."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return lived_in(Tiny()).train()


def test_the_file_gives_what_torch_gives(tiny: nn.Module) -> None:
    """At several sizes, one picture and three, opacity is the same to a millionth."""
    data = described(graph_of(tiny, SPEC), SPEC, {})
    found = check(data, tiny, SPEC, inputs_for(SPEC))
    assert found.difference < 1e-6 < BOUND == found.bound
    assert {shape[0] for shape in found.shapes} == {1, 3}
    assert len({shape[2:] for shape in found.shapes}) >= 4
    assert any(shape[2] != shape[3] for shape in found.shapes)


def test_the_file_is_one_input_and_one_opacity(tiny: nn.Module) -> None:
    """Batch and sides are free, the side output is left out, the sigmoid is inside, no normalisation is left."""
    model = onnx.load_from_string(graph_of(tiny, SPEC))
    ends = {end.name: end for end in (*model.graph.input, *model.graph.output)}
    assert list(ends) == ["image", "alpha"]
    for end, channels in (("image", 3), ("alpha", 1)):
        shape = [each.dim_param or each.dim_value for each in ends[end].type.tensor_type.shape.dim]
        assert shape == ["batch", channels, "height", "width"]
    found = kinds(model.SerializeToString())
    assert found["Sigmoid"] == 1
    assert "BatchNormalization" not in found
    assert [entry.version for entry in model.opset_import] == [17]


def test_the_file_says_what_it_is(tiny: nn.Module) -> None:
    """Its spec and its provenance are in the metadata, and a session needs nothing else."""
    data = described(graph_of(tiny, SPEC), SPEC, {"recipe": {"side": 64}})
    texts = {entry.key: entry.value for entry in onnx.load_from_string(data).metadata_props}
    assert json.loads(texts[PROVENANCE_KEY]) == {"recipe": {"side": 64}}
    assert Session(data, spec=None, threads=1, name="tiny").spec == SPEC


def test_another_network_is_noticed(tiny: nn.Module) -> None:
    """A file whose numbers are not torch's gets no name."""
    data = described(graph_of(tiny, SPEC), SPEC, {})
    other = lived_in(Tiny())
    with pytest.raises(TrainingError, match=r"differs from torch by .*; 0\.0001 is the most"):
        check(data, other, SPEC, inputs_for(SPEC))


def test_a_size_that_is_written_into_the_graph_is_noticed(tiny: nn.Module) -> None:
    """A file that is right at the network's own size alone passes there, and is told apart by the others."""

    class Halved(nn.Module):
        def __init__(self, size: tuple[int, int] | None) -> None:
            super().__init__()
            self.size = size

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            size = self.size or images.shape[2:]
            return (functional.interpolate(images[:, :1, ::2, ::2], size=size, mode="bilinear"),)

    free, inputs = Halved(None), inputs_for(SPEC)
    data = described(graph_of(Halved((SPEC.side, SPEC.side)), SPEC), SPEC, {})
    assert check(data, free, SPEC, inputs[:1]).difference < BOUND
    with pytest.raises(TrainingError, match="differs from torch by inf"):
        check(data, free, SPEC, inputs)


def test_an_answer_that_is_no_number_is_noticed() -> None:
    """Where torch too answers no number, file and network do not agree for that."""

    class Root(nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            return ((images[:, :1] + 100).sqrt(),)

    data = described(graph_of(Root(), SPEC), SPEC, {})
    inputs = inputs_for(SPEC)
    check(data, Root(), SPEC, inputs)
    with pytest.raises(TrainingError, match=r"differs from torch by inf; 0\.0001 is the most"):
        check(data, Root(), SPEC, [*inputs, inputs[0] - 200])


def test_a_wrong_spec_is_noticed(tiny: nn.Module) -> None:
    """A file that says another spec than was meant is refused."""
    data = described(graph_of(tiny, SPEC), SPEC, {})
    other = ModelSpec(name="tiny", side=128, multiple=8)
    with pytest.raises(TrainingError, match="says of itself"):
        check(data, tiny, other, inputs_for(SPEC))


def test_classes_are_compared_by_what_they_span(tiny: nn.Module) -> None:
    """Where classes compete there is no sigmoid: a network whose values are all small is told apart as well."""
    classes = replace(SPEC, activation="argmax", pick=(0,))

    class Two(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.values = nn.Conv2d(3, 2, 1, bias=False)
            with torch.no_grad():
                self.values.weight.copy_(torch.tensor([[0.0, 1.0, 2.0], [3.0, -1.0, 1.0]])[:, :, None, None] * factor)

        def forward(self, images: Tensor) -> dict[str, Tensor]:
            return {"out": self.values(images)}

    data = described(graph_of(Two(1e-6), classes), classes, {})
    assert check(data, Two(1e-6), classes, inputs_for(classes)).difference < 1e-6
    with pytest.raises(TrainingError, match="differs from torch"):
        check(data, Two(1.001e-6), classes, inputs_for(classes))


def test_large_logits_are_held_against_torch_s_own_rounding(tiny: nn.Module) -> None:
    """Logits of thousands turn a rounding into a visible share, in torch too: more is allowed then, and told."""
    assert isinstance(tiny, Tiny)
    tiny.eval()
    inputs = inputs_for(SPEC)
    with torch.no_grad():
        tiny.head.weight *= 3e5
        assert tiny.head.bias is not None
        # As many above zero as below: some lie so near it that the rounding decides their opacity.
        tiny.head.bias -= tiny(torch.from_numpy(inputs[0]))[0].median()
    found = check(described(graph_of(tiny, SPEC), SPEC, {}), tiny, SPEC, inputs)
    assert BOUND < found.difference <= found.bound < 0.5


def test_one_input_s_rounding_excuses_no_other() -> None:
    """What torch's rounding allows on one input is not allowed on another, where torch is exact."""

    class Steep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.entry = nn.Conv2d(3, 64, 1, bias=False)
            self.head = nn.Conv2d(64, 1, 1, bias=False)
            self.shift = nn.Parameter(torch.zeros(1))
            with torch.no_grad():
                self.head.weight *= 3e4

        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            return (self.head(self.entry(images)) + self.shift,)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        steep = Steep()
    data = described(graph_of(steep, SPEC), SPEC, {})
    with torch.no_grad():
        steep.shift.add_(0.002)
    nothing = np.zeros((1, 3, 64, 64), dtype=np.float32)
    noise = np.random.default_rng(1).standard_normal((1, 3, 512, 512), dtype=np.float32)
    excused = check(data, steep, SPEC, [noise])
    assert excused.bound > 0.0005, "by which the other would pass if the first counted for it"
    with pytest.raises(TrainingError, match=r"differs from torch by 0\.0005; 0\.0001 is the most allowed"):
        check(data, steep, SPEC, [noise, nothing])


def test_a_normalisation_before_padding_stays() -> None:
    """Padding adds zeros after it, so it cannot go into the convolution; without padding it does, to the same end.

    No weights are left behind that nobody reads.
    """
    for padding, left in ((1, 1), (0, 0)):
        network = lived_in(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 1, 3, padding=padding))).eval()
        model = onnx.load_from_string(graph_of(Wrapped(network), SPEC))
        assert kinds(model.SerializeToString())["BatchNormalization"] == left
        assert fold(model) == 0
        assert {tensor.name for tensor in model.graph.initializer} <= {
            name for node in model.graph.node for name in node.input
        }
        tensor = inputs_for(SPEC)[0]
        with torch.no_grad():
            expected = torch.sigmoid(network(torch.from_numpy(tensor))).numpy()
        session = Session(model.SerializeToString(), spec=SPEC, threads=1, name="one")
        assert np.abs(session.run(tensor)[0] - expected).max() < 1e-6


class Wrapped(nn.Module):
    """Gives a module's answer as networks do."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Give it alone."""
        return (self.inner(images),)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "lite" else pytest.mark.long) for name in NETWORKS]
)
def test_every_network_exports(name: str) -> None:
    """Whatever can be trained has a file that gives the same at any size."""
    row = NETWORKS[name]
    network = lived_in(build(row, seed=1))
    spec = ModelSpec(name=name, side=4 * row.multiple, multiple=row.multiple, mean=row.mean, std=row.std)
    data = described(graph_of(network, spec), spec, {})
    found = check(data, network, spec, inputs_for(spec))
    assert found.difference <= found.bound < 0.5
    assert "BatchNormalization" not in kinds(data)
