"""`bgrd train export`: what comes out is what torch has, says what it is, and runs in bgrd."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from bgrd.cli.train_export import add, run
from bgrd.errors import BgrdError, CannotCreateError, NoInputError, TrainingError, UsageError
from bgrd.models.add import add as install
from bgrd.models.session import Session
from bgrd.models.spec import ModelSpec
from bgrd.train import origin
from bgrd.train.checkpoint import Checkpoint, save_checkpoint
from bgrd.train.entry import Entry
from bgrd.train.export import BOUND, PROVENANCE_KEY, check, described, graph_of, inputs_for
from bgrd.train.folding import fold
from bgrd.train.manifest import write_manifest
from bgrd.train.networks.rows import NETWORKS, Network, build

pytestmark = pytest.mark.usefixtures("rows", "one_thread")

SPEC = ModelSpec(name="tiny", side=64, multiple=8, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), licence="MIT")


class Tiny(nn.Module):
    """A network with what exporters stumble over: free sizes, uneven halves, a pool of all, a lonely normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.halved = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.inner = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.Hardswish())
        self.lonely = nn.BatchNorm2d(8)
        self.mixed = nn.Conv2d(8, 8, 1)
        self.head = nn.Conv2d(16, 1, 3, padding=1)
        self.side = nn.Conv2d(8, 1, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Give the final logits and those of a side."""
        first = self.entry(images)
        inner = self.inner(self.halved(self.halved(first)))
        inner = self.mixed(self.lonely(inner + functional.adaptive_avg_pool2d(inner, 1)))
        large = functional.interpolate(inner, size=first.shape[2:], mode="bilinear", align_corners=False)
        logits = self.head(torch.cat([large, first], dim=1))
        return functional.interpolate(logits, size=images.shape[2:], mode="bilinear"), self.side(first)


def lived_in(network: nn.Module) -> nn.Module:
    """Give normalisations statistics as training leaves them."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in (
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
                (module.weight, 0.5, 1.5),
                (module.bias, -0.5, 0.5),
            ):
                assert isinstance(values, Tensor)
                nn.init.uniform_(values, low, high)
    return network


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Have torch compute on one thread: networks as small as these only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny() -> nn.Module:
    """Give the network with seeded weights, in training: exporting is to see to that."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return lived_in(Tiny()).train()


def kinds(data: bytes) -> Counter[str]:
    """Count a graph's operators."""
    return Counter(node.op_type for node in onnx.load_from_string(data).graph.node)


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
    """A network that was traced at one size alone is told apart by the others."""

    class Fixed(nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            return (functional.interpolate(images[:, :1, ::2, ::2], size=(16, 24), mode="bilinear"),)

    with pytest.raises(TrainingError):
        check(described(graph_of(Fixed(), SPEC), SPEC, {}), Fixed(), SPEC, inputs_for(SPEC))


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
    with torch.no_grad():
        tiny.head.weight *= 3e4
    found = check(described(graph_of(tiny, SPEC), SPEC, {}), tiny, SPEC, inputs_for(SPEC))
    assert found.difference <= found.bound


def test_a_normalisation_before_padding_stays() -> None:
    """Padding adds zeros after it, so it cannot go into the convolution; without padding it does, to the same end."""
    for padding, left in ((1, 1), (0, 0)):
        network = lived_in(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 1, 3, padding=padding))).eval()
        model = onnx.load_from_string(graph_of(Wrapped(network), SPEC))
        assert kinds(model.SerializeToString())["BatchNormalization"] == left
        assert fold(model) == 0
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


# From here on the command.


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the tiny network among those that can be trained."""
    row = Network(name="tiny", build=Tiny, side=96, multiple=8, mean=SPEC.mean, std=SPEC.std)
    monkeypatch.setattr(origin, "NETWORKS", {"tiny": row})


def export(*arguments: str | Path) -> int:
    """Run it."""
    top = argparse.ArgumentParser()
    add(top.add_subparsers())
    return run(top.parse_args(["export", *map(str, arguments)]))


def checkpoint(path: Path, **changes: Any) -> Path:
    """Write a checkpoint of the tiny network."""
    weights = lived_in(Tiny()).state_dict()
    values: dict[str, Any] = {
        "network": "tiny",
        "options": {"side": [96, 64], "seed": 7},
        "weights": {},
        "average": weights,
        "average_steps": 1,
        "optimiser": {},
        "random": torch.get_rng_state(),
        "samples": 1234,
        "seconds": 5.0,
        "best": 0.5,
        "waited": 0,
        "losses": (0.0, 0),
    }
    save_checkpoint(path, Checkpoint(**(values | changes)))
    return path


@pytest.fixture(scope="module")
def run_pt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a checkpoint."""
    return checkpoint(tmp_path_factory.mktemp("run") / "best.pt")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give twelve pairs of two sources."""
    place = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(1)
    entries = []
    for number in range(12):
        image, mask = place / f"{number}.png", place / f"{number}-mask.png"
        Image.fromarray(rng.integers(0, 256, (48, 40, 3), dtype=np.uint8)).save(image)
        Image.new("L", (40, 48), 255).save(mask)
        source = "ours" if number % 2 else "theirs"
        entries.append(
            Entry(
                kind="pair",
                image=image,
                mask=mask,
                category="noise",
                source=source,
                licence="CC0-1.0" if source == "ours" else "MIT",
                split="validation" if number < 2 else "train",
            )
        )
    write_manifest(place / "manifest.csv", entries)
    return place


def provenance(path: Path) -> dict[str, Any]:
    """Give what a file says of where it comes from."""
    texts = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    found: dict[str, Any] = json.loads(texts[PROVENANCE_KEY])
    return found


def test_a_checkpoint_becomes_a_model(
    run_pt: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is installed as it is, knows its last side, its licence, its recipe, and what it learnt from."""
    out = tmp_path / "mine.onnx"
    assert export(run_pt, "--out", out, "--licence", "Apache-2.0", "--data", dataset) == 0
    assert "from torch, 1.0e-04 allowed" in capsys.readouterr().out
    added = install(out, name=None, directory=tmp_path / "models")
    assert (added.name, added.licence, added.tried) == ("mine", "Apache-2.0", True)
    session = Session(out.read_bytes(), spec=None, threads=1, name="mine")
    assert (session.spec.side, session.spec.fit, session.spec.mean) == (64, "square", SPEC.mean)
    found = provenance(out)
    assert (found["network"], found["samples"], found["recipe"]["seed"]) == ("tiny", 1234, 7)
    assert found["data"] == [
        {"source": "theirs", "licence": "MIT", "pictures": 5},
        {"source": "ours", "licence": "CC0-1.0", "pictures": 5},
    ]


def test_what_is_fed_can_be_said(run_pt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Side, fit, name and version come from the command line; what is missing is told."""
    out = tmp_path / "mine.onnx"
    export(run_pt, "--out", out, "--side", "128", "--fit", "short_side", "--name", "other", "--version", "3")
    spec = Session(out.read_bytes(), spec=None, threads=1, name="mine").spec
    assert (spec.name, spec.side, spec.fit, spec.version) == ("other", 128, "short_side", 3)
    told = capsys.readouterr().out
    assert all(word in told for word in ("--data DATASET", "--licence TEXT"))


@pytest.mark.parametrize("extra", [[], ["--float-ends"], ["--method", "percentile"]])
def test_int8_says_what_it_costs(
    run_pt: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], extra: list[str]
) -> None:
    """Every convolution is quantised, but for the ends where that is wanted; the file still describes itself."""
    plain, out = tmp_path / "plain.onnx", tmp_path / "small.onnx"
    export(run_pt, "--out", plain)
    export(run_pt, "--out", out, "--int8", "--calibration", dataset, *extra)
    assert "of 255 on average" in capsys.readouterr().out
    before, after = kinds(plain.read_bytes()), kinds(out.read_bytes())
    assert after["Conv"] == before["Conv"]
    assert after["DequantizeLinear"] > before["Conv"]
    weights = {
        node.input[1].endswith("_DequantizeLinear_Output")
        for node in onnx.load(out).graph.node
        if node.op_type == "Conv"
    }
    assert weights == ({True, False} if "--float-ends" in extra else {True})
    session = Session(out.read_bytes(), spec=None, threads=1, name="small")
    session.trial()
    assert provenance(out)["int8"]["float_ends"] is bool(extra == ["--float-ends"])


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["{run}", "--out", "{place}/mine.pt"], UsageError, "must end in .onnx"),
        (["{run}", "--out", "{place}/no/mine.onnx"], CannotCreateError, "cannot be written"),
        (["{place}/none.pt", "--out", "{place}/mine.onnx"], NoInputError, "none.pt cannot be read"),
        (["{data}/manifest.csv", "--out", "{place}/mine.onnx"], TrainingError, "no checkpoint"),
        (["deeplabv9", "--out", "{place}/mine.onnx"], UsageError, "torchvision has no such network"),
        (["{run}", "--out", "{place}/mine.onnx", "--weights", "{run}"], UsageError, "goes with a name of torchvision"),
        (["{run}", "--out", "{place}/mine.onnx", "--int8"], UsageError, "--calibration"),
        (["{run}", "--out", "{place}/mine.onnx", "--calibration", "{data}"], UsageError, "goes with --int8"),
        (["{run}", "--out", "{place}/mine.onnx", "--side", "50"], UsageError, "50 is not a multiple of 8"),
        (["{run}", "--out", "{place}/mine.onnx", "--data", "{place}"], NoInputError, "manifest.csv cannot be read"),
    ],
)
def test_what_cannot_be_is_told(
    arguments: Sequence[str], error: type[BgrdError], words: str, run_pt: Path, dataset: Path, tmp_path: Path
) -> None:
    """Each wrong argument ends in a sentence, and leaves no file."""
    with pytest.raises(error, match=words):
        export(*(each.format(run=run_pt, data=dataset, place=tmp_path) for each in arguments))
    assert not list(tmp_path.iterdir())


def test_a_strange_checkpoint_is_told(tmp_path: Path) -> None:
    """A network nobody knows, and weights of another one, are named."""
    with pytest.raises(TrainingError, match="a network 'huge', which is not known"):
        export(checkpoint(tmp_path / "strange.pt", network="huge"), "--out", tmp_path / "mine.onnx")
    with pytest.raises(TrainingError, match="does not hold the weights of Tiny"):
        export(checkpoint(tmp_path / "empty.pt", average={}), "--out", tmp_path / "mine.onnx")


def test_too_few_pictures_cannot_calibrate(run_pt: Path, dataset: Path, tmp_path: Path) -> None:
    """Ranges of a handful of pictures are nobody's."""
    only = (dataset / "manifest.csv").read_text().splitlines()[:4]
    for name in {cell for row in only[1:] for cell in row.split(",")[1:3]}:
        (tmp_path / name).write_bytes((dataset / name).read_bytes())
    (tmp_path / "manifest.csv").write_text("\n".join(only) + "\n")
    with pytest.raises(TrainingError, match="3 pairs for training or validation"):
        export(run_pt, "--out", tmp_path / "mine.onnx", "--int8", "--calibration", tmp_path)
    assert not (tmp_path / "mine.onnx").exists()
