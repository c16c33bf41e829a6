"""What there is to export: torchvision's networks with a user's weights.

torchvision itself is not among what is tested with (the one on the package index needs CUDA beside it): a module that
answers as its segmentation networks do stands in, and the real one is tried where it can be imported.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import OrderedDict
from collections.abc import Iterator
from email.message import Message
from http.client import IncompleteRead
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError, URLError

import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bgrd.cli.train_export import add, run
from bgrd.errors import FetchError, TrainingError, UsageError
from bgrd.models.add import add as install
from bgrd.models.catalogue import ROWS
from bgrd.models.session import Session
from bgrd.train import origin
from bgrd.train.export import PROVENANCE_KEY
from bgrd.train.origin import TORCHVISION, from_torchvision


class Classes(nn.Module):
    """Answers as torchvision's do: a dictionary, `out` first, `aux` where it is trained with one."""

    def __init__(self, *, classes: int, aux: bool) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.classifier = nn.Conv2d(6, classes, 1)
        self.aux_classifier = nn.Conv2d(6, classes, 1) if aux else None

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Give each class's values at the size of the picture."""
        features = self.backbone(images)
        found = OrderedDict(out=self.classifier(features))
        if self.aux_classifier is not None:
            found["aux"] = self.aux_classifier(features)
        size = images.shape[-2:]
        return {name: functional.interpolate(each, size=size, mode="bilinear") for name, each in found.items()}


def get_model(name: str, *, weights: str | None, weights_backbone: None, num_classes: int) -> nn.Module:
    """Stand in for `torchvision.models.get_model`."""
    assert (name in TORCHVISION, weights) == (True, None)
    return Classes(classes=num_classes, aux=False)


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a torchvision, and one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "torchvision.models", SimpleNamespace(get_model=get_model))
    monkeypatch.setattr(origin, "version", lambda name: f"{name}'s")
    yield
    torch.set_num_threads(before)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Give weights as torchvision publishes them, with the auxiliary head's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        torch.save(Classes(classes=21, aux=True).state_dict(), tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


def export(*arguments: str | Path) -> int:
    """Run the command."""
    top = argparse.ArgumentParser()
    add(top.add_subparsers())
    return run(top.parse_args(["export", *map(str, arguments)]))


def test_a_network_of_torchvision_s_is_fed_as_its_row(weights: Path, tmp_path: Path) -> None:
    """Short side 520, the winning class counts; values stay as they are; its licence and its weights are told."""
    out = tmp_path / "deeplab.onnx"
    assert export("deeplabv3_resnet101", "--out", out, "--weights", weights) == 0
    added = install(out, name="deeplabv3-resnet101", directory=tmp_path / "models")
    assert added.tried
    spec = Session(out.read_bytes(), spec=None, threads=1, name="deeplab").spec
    row = ROWS["deeplabv3-resnet101"].spec
    assert row is not None
    assert {**spec.to_json(), "name": "", "licence": ""} == {**row.to_json(), "name": "", "licence": ""}
    assert (spec.name, spec.licence) == ("deeplab", "BSD-3-Clause")
    model = onnx.load(out)
    assert "Sigmoid" not in {node.op_type for node in model.graph.node}
    assert [each.name for each in model.graph.output] == ["alpha"]
    told: dict[str, Any] = json.loads(next(e.value for e in model.metadata_props if e.key == PROVENANCE_KEY))
    assert (told["network"], told["torchvision"]) == ("deeplabv3_resnet101", "torchvision's")
    assert told["weights"].startswith("sha256:")


def test_its_side_can_be_said(weights: Path, tmp_path: Path) -> None:
    """As of any other network."""
    export("fcn_resnet50", "--out", tmp_path / "fcn.onnx", "--weights", weights, "--side", "256")
    assert Session((tmp_path / "fcn.onnx").read_bytes(), spec=None, threads=1, name="fcn").spec.side == 256


def test_other_weights_are_told(weights: Path, tmp_path: Path) -> None:
    """A file that is none, one of something else, and one of another network."""
    other = tmp_path / "other.pth"
    for what, words in (
        (b"nothing", "damaged, or no file of weights"),
        ([1, 2], "holds no weights by name"),
        ({"backbone.9.weight": torch.zeros(1)}, "does not hold the weights of Classes"),
    ):
        if isinstance(what, bytes):
            other.write_bytes(what)
        else:
            torch.save(what, other)
        with pytest.raises(TrainingError, match=words):
            from_torchvision("fcn_resnet50", other, lambda spec: spec)


def test_a_torchvision_that_is_missing_or_does_not_fit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install, and why the one that is there does not do."""

    def refuse(error: Exception) -> Any:
        def refused(name: str) -> None:
            raise error

        return refused

    monkeypatch.setattr(origin, "import_module", refuse(ModuleNotFoundError("No module named 'torchvision'")))
    with pytest.raises(UsageError, match="pip install torchvision"):
        from_torchvision("fcn_resnet50", None, lambda spec: spec)
    monkeypatch.setattr(origin, "import_module", refuse(RuntimeError("operator torchvision::nms does not exist")))
    with pytest.raises(UsageError, match=r"does not fit this torch \(operator torchvision::nms"):
        from_torchvision("fcn_resnet50", None, lambda spec: spec)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (URLError(OSError(-2, "Name or service not known")), "Name or service not known"),
        (HTTPError("https://here", 404, "Not Found", Message(), None), "Not Found"),
        (RuntimeError('invalid hash value (expected "586e9e4e",\n got "0")'), 'invalid hash value .*, got "0"'),
        (IncompleteRead(b"half"), "IncompleteRead"),
        (EOFError(), "EOFError"),
    ],
)
def test_weights_that_cannot_be_fetched_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, reason: str
) -> None:
    """Without network, or with a download that broke off: one sentence that says why, and what serves instead."""

    def offline(name: str, *, weights: str) -> nn.Module:
        assert (name, weights) == ("fcn_resnet50", "DEFAULT")
        raise error

    monkeypatch.setitem(sys.modules, "torchvision.models", SimpleNamespace(get_model=offline))
    with pytest.raises(FetchError, match=f"weights of fcn_resnet50 .*{reason}.*: name a file you have with --weights"):
        export("fcn_resnet50", "--out", tmp_path / "fcn.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_the_real_torchvision_s_smallest_exports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own names, its own dictionary, its own file of weights."""
    monkeypatch.undo()
    try:
        models = import_module("torchvision.models")
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision cannot be imported here: {error}")
    network = models.get_model("lraspp_mobilenet_v3_large", weights=None, weights_backbone=None)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    out = tmp_path / "lraspp.onnx"
    assert (
        export("lraspp_mobilenet_v3_large", "--out", out, "--weights", tmp_path / "weights.pth", "--side", "128") == 0
    )
